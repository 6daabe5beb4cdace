#include "wsig_name.h"

#include <string.h>

/* Of eight bytes: none is set where all are ASCII. */
#define HIGH_BITS UINT64_C(0x8080808080808080)

/* What no name has beyond ASCII, in order: the categories Cc, Cf, Zl, Zp and
 * Zs and the property Default_Ignorable_Code_Point, Unicode 17.0 (the same
 * since 15.0; 14.0 lacks U+13439 to U+1343F). */
static const struct {
    uint32_t first;
    uint32_t last;
} refused[] = {{0x007F, 0x00A0},   {0x00AD, 0x00AD},   {0x034F, 0x034F},
               {0x0600, 0x0605},   {0x061C, 0x061C},   {0x06DD, 0x06DD},
               {0x070F, 0x070F},   {0x0890, 0x0891},   {0x08E2, 0x08E2},
               {0x115F, 0x1160},   {0x1680, 0x1680},   {0x17B4, 0x17B5},
               {0x180B, 0x180F},   {0x2000, 0x200F},   {0x2028, 0x202F},
               {0x205F, 0x206F},   {0x3000, 0x3000},   {0x3164, 0x3164},
               {0xFE00, 0xFE0F},   {0xFEFF, 0xFEFF},   {0xFFA0, 0xFFA0},
               {0xFFF0, 0xFFFB},   {0x110BD, 0x110BD}, {0x110CD, 0x110CD},
               {0x13430, 0x1343F}, {0x1BCA0, 0x1BCA3}, {0x1D173, 0x1D17A},
               {0xE0000, 0xE0FFF}};

static const uint8_t *skip_ascii(const uint8_t *data, const uint8_t *end);
static uint64_t word_at(const uint8_t *data);
static uint32_t after_lead(uint8_t lead);
static uint32_t expect(uint32_t more, uint8_t low, uint8_t high);
static uint32_t decode(const uint8_t **at);
static bool is_refused(uint32_t code_point);

/*
 * The state is 0 between characters; inside of one it says what must follow:
 * how many bytes (bits 0 to 7), and the range of the next one (its lowest
 * value in bits 8 to 15, its highest in bits 16 to 23).
 */
bool
wsig_utf8_check(uint32_t *state, const uint8_t *data, size_t size)
{
    const uint8_t *end = data + size;
    uint32_t now = *state;

    while (data < end) {
        uint8_t byte = *data;

        if (now == 0 && byte < 0x80) {
            data = skip_ascii(data, end);
            continue;
        }
        if (now == 0) {
            now = after_lead(byte);
            if (now == 0) {
                return false;
            }
        } else {
            uint32_t more = (now & 0xff) - 1;

            if (byte < (now >> 8 & 0xff) || byte > now >> 16) {
                return false;
            }
            now = more > 0 ? expect(more, 0x80, 0xbf) : 0;
        }
        data++;
    }
    *state = now;
    return true;
}

bool
wsig_utf8_valid(wsig_text_t text)
{
    uint32_t state = 0;

    return wsig_utf8_check(&state, (const uint8_t *) text.data, text.size) &&
           state == 0;
}

bool
wsig_name_read(const wsig_value_t *value, char name[WSIG_NAME_MAX],
               wsig_text_t *text)
{
    char copy[6 * WSIG_NAME_MAX + 2]; /* each byte may be an escape */
    size_t size;

    if (value->kind != WSIG_JSON_STRING || value->raw.size > sizeof(copy)) {
        return false;
    }
    size = wsig_string_copy(value, copy);
    if (!wsig_name_valid((wsig_text_t){copy, size})) {
        return false;
    }
    memcpy(name, copy, size);
    *text = (wsig_text_t){name, size};
    return true;
}

bool
wsig_realm_valid(wsig_text_t realm)
{
    size_t i;

    for (i = 0; i < realm.size; i++) {
        if ((unsigned char) realm.data[i] < 0x20 || realm.data[i] == 0x7f) {
            return false;
        }
    }
    return realm.size >= 1 && realm.size <= 255 && wsig_utf8_valid(realm);
}

bool
wsig_realm_usable(wsig_text_t name)
{
    const wsig_text_t unnamed = WSIG_TEXT(WSIG_REALM_UNNAMED);

    return name.size > 0 && name.data[0] != '~' &&
           !wsig_text_same(name, unnamed);
}

bool
wsig_name_valid(wsig_text_t name)
{
    const uint8_t *at = (const uint8_t *) name.data;
    const uint8_t *end;

    if (name.size == 0 || name.size > WSIG_NAME_MAX || !wsig_utf8_valid(name)) {
        return false;
    }
    end = at + name.size;
    if (at[0] == ' ' || end[-1] == ' ') {
        return false;
    }
    while (at < end) {
        if (is_refused(decode(&at))) {
            return false;
        }
    }
    return true;
}

/* To the first byte that is not ASCII, or to the end. */
static const uint8_t *
skip_ascii(const uint8_t *data, const uint8_t *end)
{
    while (end - data >= 32 && ((word_at(data) | word_at(data + 8) |
                                 word_at(data + 16) | word_at(data + 24)) &
                                HIGH_BITS) == 0) {
        data += 32;
    }
    while (end - data >= 8 && (word_at(data) & HIGH_BITS) == 0) {
        data += 8;
    }
    while (data < end && *data < 0x80) {
        data++;
    }
    return data;
}

static uint64_t
word_at(const uint8_t *data)
{
    uint64_t word;

    memcpy(&word, data, 8);
    return word;
}

/* RFC 3629, section 4: the second byte's range is what keeps out overlong
 * forms, surrogates and what lies beyond U+10FFFF. */
static uint32_t
after_lead(uint8_t lead)
{
    if (lead < 0xc2) {
        return 0;
    }
    if (lead < 0xe0) {
        return expect(1, 0x80, 0xbf);
    }
    if (lead < 0xf0) {
        return expect(2, lead == 0xe0 ? 0xa0 : 0x80,
                      lead == 0xed ? 0x9f : 0xbf);
    }
    if (lead < 0xf5) {
        return expect(3, lead == 0xf0 ? 0x90 : 0x80,
                      lead == 0xf4 ? 0x8f : 0xbf);
    }
    return 0;
}

static uint32_t
expect(uint32_t more, uint8_t low, uint8_t high)
{
    return more | (uint32_t) low << 8 | (uint32_t) high << 16;
}

/* The next character of valid UTF-8. */
static uint32_t
decode(const uint8_t **at)
{
    uint8_t lead = *(*at)++;
    int more = lead < 0x80 ? 0 : lead < 0xe0 ? 1 : lead < 0xf0 ? 2 : 3;
    uint32_t code_point = more == 0 ? lead : lead & (0x3f >> more);

    for (; more > 0; more--) {
        code_point = code_point << 6 | (*(*at)++ & 0x3f);
    }
    return code_point;
}

static bool
is_refused(uint32_t code_point)
{
    size_t low = 0;
    size_t high = sizeof(refused) / sizeof(refused[0]);

    if (code_point < 0x7f) {
        return code_point < 0x20;
    }
    while (low < high) {
        size_t middle = low + (high - low) / 2;

        if (code_point > refused[middle].last) {
            low = middle + 1;
        } else if (code_point < refused[middle].first) {
            high = middle;
        } else {
            return true;
        }
    }
    return false;
}
