#include "wsig_ws.h"

#include "wsig_name.h"

#include <stdlib.h>
#include <string.h>

enum {
    OPCODE_CONTINUATION = 0,
    OPCODE_BINARY = 2,

    FIN = 0x80, /* first byte of a header */
    RESERVED = 0x70,
    OPCODE = 0x0f,
    OPCODE_CONTROL = 0x08,

    MASKED = 0x80, /* second byte */
    LENGTH = 0x7f,
    LENGTH_16 = 126,
    LENGTH_64 = 127,

    MASK_SIZE = 4,
    CONTROL_MAX = 125,
    ROOM_MIN = 256 /* what a cut text gets at first */
};

static size_t read_header(wsig_ws_t *ws, const uint8_t *data, size_t size,
                          size_t max_message, wsig_ws_event_t *event);
static size_t check_header(wsig_ws_t *ws, size_t size, size_t max_message,
                           wsig_ws_event_t *event);
static const char *check_first(const wsig_ws_t *ws, uint8_t first);
static const char *check_length(uint8_t seven, uint64_t length);
static size_t read_payload(wsig_ws_t *ws, uint8_t *data, size_t size,
                           wsig_ws_event_t *event);
static void unmask(wsig_ws_t *ws, uint8_t *data, size_t size);
static void unmask_word(uint8_t *data, uint64_t key);
static void take_text(wsig_ws_t *ws, uint8_t *data, size_t size,
                      wsig_ws_event_t *event);
static bool keep_text(wsig_ws_t *ws, const uint8_t *data, size_t size);
static void take_control(wsig_ws_t *ws, uint8_t *data, size_t size,
                         wsig_ws_event_t *event);
static void take_close(wsig_ws_t *ws, uint8_t *data, size_t size,
                       wsig_ws_event_t *event);
static bool close_code_valid(uint16_t code);
static void end_frame(wsig_ws_t *ws);
static void fault(wsig_ws_t *ws, wsig_ws_event_t *event, uint16_t code,
                  const char *why);

size_t
wsig_ws_read(wsig_ws_t *ws, uint8_t *data, size_t size, size_t max_message,
             wsig_ws_event_t *event)
{
    size_t taken = 0;

    *event = (wsig_ws_event_t){.kind = WSIG_WS_MORE};
    wsig_ws_done(ws);

    /* What follows a close or a fault is dropped (RFC 6455, 5.5.1). */
    if (ws->ended) {
        return size;
    }

    while (taken < size && event->kind == WSIG_WS_MORE) {
        if (!ws->in_payload) {
            taken +=
                read_header(ws, data + taken, size - taken, max_message, event);
        }
        if (ws->in_payload) {
            taken += read_payload(ws, data + taken, size - taken, event);
        }
    }
    return ws->ended ? size : taken;
}

void
wsig_ws_done(wsig_ws_t *ws)
{
    if (ws->in_payload) {
        return; /* nothing was handed out: what is kept is incomplete */
    }
    if (ws->control != NULL) {
        free(ws->control);
        ws->control = NULL;
        ws->control_size = 0;
    }
    if (ws->message != NULL && !ws->in_message) {
        free(ws->message);
        ws->message = NULL;
        ws->size = 0;
        ws->room = 0;
    }
}

void
wsig_ws_free(wsig_ws_t *ws)
{
    free(ws->message);
    free(ws->control);
    *ws = (wsig_ws_t){0};
}

size_t
wsig_ws_header(uint8_t header[WSIG_WS_HEADER_MAX], int opcode, uint64_t size)
{
    int i;

    header[0] = (uint8_t) (FIN | opcode);
    if (size < LENGTH_16) {
        header[1] = (uint8_t) size;
        return 2;
    }
    if (size <= UINT16_MAX) {
        header[1] = LENGTH_16;
        header[2] = (uint8_t) (size >> 8);
        header[3] = (uint8_t) size;
        return 4;
    }
    header[1] = LENGTH_64;
    for (i = 0; i < 8; i++) {
        header[2 + i] = (uint8_t) (size >> (56 - 8 * i));
    }
    return 10;
}

static size_t
read_header(wsig_ws_t *ws, const uint8_t *data, size_t size, size_t max_message,
            wsig_ws_event_t *event)
{
    size_t before = ws->header_size;
    size_t got = sizeof(ws->header) - before;
    size_t whole;

    /* This may copy some of the payload too, which does no harm. */
    if (got > size) {
        got = size;
    }
    memcpy(ws->header + before, data, got);

    whole = check_header(ws, before + got, max_message, event);
    if (event->kind == WSIG_WS_FAULT) {
        return got;
    }
    if (before + got < whole) {
        ws->header_size = (uint8_t) (before + got);
        return got;
    }
    ws->header_size = (uint8_t) whole;
    ws->mask_at = 0;
    ws->in_payload = true;
    return whole - before;
}

/*
 * Check what came of the header, as early as it came, and return how long it
 * is: exact as soon as its second byte is there.
 *
 *   FIN RSV opcode | MASK length | length, 0, 2 or 8 bytes | mask, 4 bytes
 */
static size_t
check_header(wsig_ws_t *ws, size_t size, size_t max_message,
             wsig_ws_event_t *event)
{
    uint8_t first = ws->header[0];
    uint8_t seven = ws->header[1] & LENGTH;
    size_t wide = seven == LENGTH_64 ? 8 : seven == LENGTH_16 ? 2 : 0;
    uint64_t length = 0;
    size_t i;
    const char *why;

    why = check_first(ws, first);
    if (why != NULL) {
        fault(ws, event, 1002, why);
        return 0;
    }
    if (size < 2) {
        return 2;
    }
    if (!(ws->header[1] & MASKED)) {
        fault(ws, event, 1002, "frame is not masked");
        return 0;
    }
    if ((first & OPCODE_CONTROL) && seven > CONTROL_MAX) {
        fault(ws, event, 1002, "control frame is too long");
        return 0;
    }
    if (size < 2 + wide) {
        return 2 + wide + MASK_SIZE;
    }
    for (i = 0; i < wide; i++) {
        length = length << 8 | ws->header[2 + i];
    }
    why = check_length(seven, length);
    if (why != NULL) {
        fault(ws, event, 1002, why);
        return 0;
    }
    if (wide == 0) {
        length = seven;
    }
    if ((first & OPCODE) == OPCODE_BINARY) {
        fault(ws, event, 1003, "binary frames are not understood");
        return 0;
    }
    /* The size of an assembled text is 32 bits. */
    if (max_message > UINT32_MAX) {
        max_message = UINT32_MAX;
    }
    if (!(first & OPCODE_CONTROL) &&
        (ws->size > max_message || length > max_message - ws->size)) {
        fault(ws, event, 1009, "text is too long");
        return 0;
    }
    ws->left = length;
    return 2 + wide + MASK_SIZE;
}

static const char *
check_first(const wsig_ws_t *ws, uint8_t first)
{
    if (first & RESERVED) {
        return "reserved bit is set";
    }
    switch (first & OPCODE) {
    case OPCODE_CONTINUATION:
        return ws->in_message ? NULL : "continuation of nothing";
    case WSIG_WS_OPCODE_TEXT:
    case OPCODE_BINARY:
        return ws->in_message ? "new message inside a fragmented one" : NULL;
    case WSIG_WS_OPCODE_CLOSE:
    case WSIG_WS_OPCODE_PING:
    case WSIG_WS_OPCODE_PONG:
        return first & FIN ? NULL : "control frame is fragmented";
    default:
        return "unknown opcode";
    }
}

/* RFC 6455, 5.2: the shortest form, and below 2^63. */
static const char *
check_length(uint8_t seven, uint64_t length)
{
    if (seven == LENGTH_16 && length < LENGTH_16) {
        return "length is not minimally encoded";
    }
    if (seven == LENGTH_64 && length <= UINT16_MAX) {
        return "length is not minimally encoded";
    }
    if (seven == LENGTH_64 && length >> 63 != 0) {
        return "length has its first bit set";
    }
    return NULL;
}

/* The header is whole; take what there is of the payload (it may be empty). */
static size_t
read_payload(wsig_ws_t *ws, uint8_t *data, size_t size, wsig_ws_event_t *event)
{
    if (size > ws->left) {
        size = (size_t) ws->left;
    }
    unmask(ws, data, size);
    ws->left -= size;
    if (ws->header[0] & OPCODE_CONTROL) {
        take_control(ws, data, size, event);
    } else {
        take_text(ws, data, size, event);
    }
    return size;
}

static void
unmask(wsig_ws_t *ws, uint8_t *data, size_t size)
{
    const uint8_t *mask = ws->header + ws->header_size - MASK_SIZE;
    uint8_t bytes[8];
    uint64_t key;
    size_t i;

    for (i = 0; i < 8; i++) {
        bytes[i] = mask[(ws->mask_at + i) % MASK_SIZE];
    }
    memcpy(&key, bytes, 8);
    for (i = 0; size - i >= 32; i += 32) {
        unmask_word(data + i, key);
        unmask_word(data + i + 8, key);
        unmask_word(data + i + 16, key);
        unmask_word(data + i + 24, key);
    }
    for (; size - i >= 8; i += 8) {
        unmask_word(data + i, key);
    }
    for (; i < size; i++) {
        data[i] ^= bytes[i % 8];
    }
    ws->mask_at = (uint8_t) ((ws->mask_at + size) % MASK_SIZE);
}

static void
unmask_word(uint8_t *data, uint64_t key)
{
    uint64_t word;

    memcpy(&word, data, 8);
    word ^= key;
    memcpy(data, &word, 8);
}

/* A text that lies in data whole is handed out there; others are kept. */
static void
take_text(wsig_ws_t *ws, uint8_t *data, size_t size, wsig_ws_event_t *event)
{
    bool final = ws->header[0] & FIN;
    bool ends = final && ws->left == 0;

    if (!wsig_utf8_check(&ws->utf8, data, size) || (ends && ws->utf8 != 0)) {
        fault(ws, event, 1007, "text is not valid UTF-8");
        return;
    }
    if ((!ends || ws->size > 0) && !keep_text(ws, data, size)) {
        fault(ws, event, 1013, "out of memory");
        return;
    }
    if (ws->left > 0) {
        return;
    }
    end_frame(ws);
    ws->in_message = !final;
    if (ends) {
        event->kind = WSIG_WS_TEXT;
        event->data = ws->size > 0 ? ws->message : data;
        event->size = ws->size > 0 ? ws->size : size;
    }
}

/* The room follows what came, never what was announced: a header costs its
 * sender less than the memory would cost us. */
static bool
keep_text(wsig_ws_t *ws, const uint8_t *data, size_t size)
{
    uint64_t room = ws->room > 0 ? ws->room : ROOM_MIN;
    uint8_t *message;

    if (size == 0) {
        return true;
    }
    while (room < (uint64_t) ws->size + size) {
        room *= 2;
    }
    if (room > UINT32_MAX) {
        room = UINT32_MAX;
    }
    if (room > ws->room) {
        message = realloc(ws->message, (size_t) room);
        if (message == NULL) {
            return false;
        }
        ws->message = message;
        ws->room = (uint32_t) room;
    }
    memcpy(ws->message + ws->size, data, size);
    ws->size += (uint32_t) size;
    return true;
}

static void
take_control(wsig_ws_t *ws, uint8_t *data, size_t size, wsig_ws_event_t *event)
{
    if (ws->left > 0 && size == 0) {
        return;
    }
    if (ws->left > 0 && ws->control == NULL) {
        ws->control = malloc(CONTROL_MAX);
        if (ws->control == NULL) {
            fault(ws, event, 1013, "out of memory");
            return;
        }
    }
    if (ws->control != NULL) {
        memcpy(ws->control + ws->control_size, data, size);
        ws->control_size = (uint8_t) (ws->control_size + size);
        data = ws->control;
        size = ws->control_size;
    }
    if (ws->left > 0) {
        return;
    }
    end_frame(ws);

    event->data = data;
    event->size = size;
    switch (ws->header[0] & OPCODE) {
    case WSIG_WS_OPCODE_PING:
        event->kind = WSIG_WS_PING;
        break;
    case WSIG_WS_OPCODE_PONG:
        event->kind = WSIG_WS_PONG;
        break;
    default:
        take_close(ws, data, size, event);
        break;
    }
}

/* The code in two bytes and a reason, or nothing (RFC 6455, 5.5.1). */
static void
take_close(wsig_ws_t *ws, uint8_t *data, size_t size, wsig_ws_event_t *event)
{
    uint16_t code = 1005;

    if (size == 1) {
        fault(ws, event, 1002, "close frame has half a code");
        return;
    }
    if (size >= 2) {
        code = (uint16_t) (data[0] << 8 | data[1]);
        data += 2;
        size -= 2;
        if (!close_code_valid(code)) {
            fault(ws, event, 1002, "close code is not allowed");
            return;
        }
        if (!wsig_utf8_valid((wsig_text_t){(char *) data, size})) {
            fault(ws, event, 1007, "close reason is not valid UTF-8");
            return;
        }
    }
    ws->ended = true;
    event->kind = WSIG_WS_CLOSE;
    event->code = code;
    event->data = data;
    event->size = size;
}

/* RFC 6455, 7.4, and IANA's registry of close codes. */
static bool
close_code_valid(uint16_t code)
{
    return (code >= 1000 && code <= 1003) || (code >= 1007 && code <= 1014) ||
           (code >= 3000 && code <= 4999);
}

static void
end_frame(wsig_ws_t *ws)
{
    ws->in_payload = false;
    ws->header_size = 0;
}

static void
fault(wsig_ws_t *ws, wsig_ws_event_t *event, uint16_t code, const char *why)
{
    wsig_ws_free(ws);
    ws->ended = true;
    *event = (wsig_ws_event_t){.kind = WSIG_WS_FAULT, .code = code, .why = why};
}
