#include "wsig_json.h"

#include <stdlib.h>
#include <string.h>

enum {
    ROOM_MIN = 256
};

static bool make_room(wsig_buffer_t *buffer, size_t size);
static void put_escape(wsig_buffer_t *buffer, unsigned char byte);

void
wsig_put(wsig_buffer_t *buffer, const void *data, size_t size)
{
    if (size == 0 || !make_room(buffer, size)) {
        return;
    }
    memcpy(buffer->data + buffer->size, data, size);
    buffer->size += size;
}

void
wsig_put_words(wsig_buffer_t *buffer, const char *words)
{
    wsig_put(buffer, words, strlen(words));
}

void
wsig_put_text(wsig_buffer_t *buffer, wsig_text_t text)
{
    wsig_put(buffer, text.data, text.size);
}

void
wsig_put_number(wsig_buffer_t *buffer, int64_t number)
{
    char digits[20]; /* -9223372036854775808 */
    size_t at = sizeof(digits);
    uint64_t left = number < 0 ? 0 - (uint64_t) number : (uint64_t) number;

    do {
        digits[--at] = (char) ('0' + left % 10);
        left /= 10;
    } while (left > 0);
    if (number < 0) {
        digits[--at] = '-';
    }
    wsig_put(buffer, digits + at, sizeof(digits) - at);
}

void
wsig_put_string(wsig_buffer_t *buffer, wsig_text_t text)
{
    size_t from = 0; /* what is not written yet */
    size_t i;

    wsig_put(buffer, "\"", 1);
    for (i = 0; i < text.size; i++) {
        unsigned char byte = (unsigned char) text.data[i];

        if (byte < 0x20 || byte == '"' || byte == '\\') {
            wsig_put(buffer, text.data + from, i - from);
            put_escape(buffer, byte);
            from = i + 1;
        }
    }
    if (from < text.size) {
        wsig_put(buffer, text.data + from, text.size - from);
    }
    wsig_put(buffer, "\"", 1);
}

static bool
make_room(wsig_buffer_t *buffer, size_t size)
{
    size_t room = buffer->room > 0 ? buffer->room : ROOM_MIN;
    char *data;

    if (buffer->failed) {
        return false;
    }
    if (size <= buffer->room - buffer->size) {
        return true;
    }
    while (room - buffer->size < size) {
        if (room > SIZE_MAX / 2) {
            buffer->failed = true;
            return false;
        }
        room *= 2;
    }
    data = realloc(buffer->data, room);
    if (data == NULL) {
        buffer->failed = true;
        return false;
    }
    buffer->data = data;
    buffer->room = room;
    return true;
}

static void
put_escape(wsig_buffer_t *buffer, unsigned char byte)
{
    static const char hex[] = "0123456789abcdef";
    char escape[6] = {'\\', 'u', '0', '0', hex[byte >> 4], hex[byte & 15]};
    size_t size = 2;

    switch (byte) {
    case '"':
    case '\\':
        escape[1] = (char) byte;
        break;
    case '\b':
        escape[1] = 'b';
        break;
    case '\f':
        escape[1] = 'f';
        break;
    case '\n':
        escape[1] = 'n';
        break;
    case '\r':
        escape[1] = 'r';
        break;
    case '\t':
        escape[1] = 't';
        break;
    default:
        size = 6;
        break;
    }
    wsig_put(buffer, escape, size);
}
