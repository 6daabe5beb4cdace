#include "wsig_json.h"

#include <endian.h>
#include <stdlib.h>
#include <string.h>

enum {
    DEPTH_MAX = 64,   /* the text's object is level 1 */
    KEYS_PLAIN = 24,  /* so many are compared with each other directly */
    CHARACTER_MAX = 4 /* bytes */
};

/* Compared all at once, where the machine can (gcc and clang, "Vector
 * Extensions"). */
typedef unsigned char chunk_t __attribute__((vector_size(16)));

typedef struct cursor_s {
    const char *at;
    const char *end;
    bool loose;  /* all that JSON.parse takes, not the profile only */
    bool failed; /* memory was short */
} cursor_t;

/* The objects and arrays that are open: a bit for each, set for an object.
 * The profile needs no more than the first word. */
typedef struct nest_s {
    uint64_t near;
    uint8_t *far; /* of the levels behind it */
    size_t room;  /* levels in far */
    size_t open;
} nest_t;

/* What stands between the quotes of a string, or a plain text. */
typedef struct inside_s {
    const char *data;
    size_t size;
    bool escaped; /* a backslash in it means something */
} inside_t;

/* Reads the unescaped bytes of an inside_t. */
typedef struct reader_s {
    const char *at;
    const char *end;
    bool escaped;
    char character[CHARACTER_MAX]; /* unescaped, being read */
    size_t size;
    size_t next;
} reader_t;

/* The keys of the top level, to find one that stands twice. */
typedef struct keys_s {
    inside_t few[KEYS_PLAIN];
    inside_t *many; /* NULL while few suffices */
    size_t n;
    size_t room; /* of many */
    bool twice;  /* one was seen twice already */
} keys_t;

static int scan_object(cursor_t *cursor, const wsig_text_t *wanted,
                       size_t n_wanted, wsig_value_t *values);
static int scan_members(cursor_t *cursor, keys_t *keys,
                        const wsig_text_t *wanted, size_t n_wanted,
                        wsig_value_t *values);
static int keys_add(keys_t *keys, inside_t key);
static bool keys_differ(keys_t *keys);
static int compare_keys(const void *left, const void *right);
static int compare_escaped(const inside_t *a, const inside_t *b);
static int next_byte(reader_t *reader);
static bool scan_value(cursor_t *cursor, size_t level, wsig_value_t *value);
static bool skip_nested(cursor_t *cursor, size_t level);
static bool skip_levels(cursor_t *cursor, size_t level, nest_t *nest);
static bool nest_open(cursor_t *cursor, nest_t *nest, bool object);
static bool nest_object(const nest_t *nest);
static bool skip_scalar(cursor_t *cursor, wsig_json_kind_t *kind);
static bool skip_word(cursor_t *cursor, const char *word);
static bool skip_number(cursor_t *cursor);
static bool skip_digits(cursor_t *cursor);
static bool skip_key(cursor_t *cursor, inside_t *key);
static bool skip_string(cursor_t *cursor, inside_t *inside);
static const char *skip_plain(const char *at, const char *end);
static const char *skip_escape(const char *at, const char *end, bool loose);
static bool skip_byte(cursor_t *cursor, char byte);
static void skip_space(cursor_t *cursor);
static size_t unescape(const char **at, char out[CHARACTER_MAX]);
static uint32_t hex4(const char *digits);
static bool is_high(uint32_t unit);
static bool is_low(uint32_t unit);
static inside_t inside_of(const wsig_value_t *string);
static bool inside_is(inside_t inside, wsig_text_t text);

int
wsig_scan(wsig_text_t text, const wsig_text_t *keys, size_t n_keys,
          wsig_value_t *values)
{
    cursor_t cursor = {.at = text.data, .end = text.data + text.size};
    int rc = scan_object(&cursor, keys, n_keys, values);

    return rc == WSIG_TAKEN ? WSIG_INVALID : rc;
}

int
wsig_scan_loose(wsig_text_t text, const wsig_text_t *keys, size_t n_keys,
                wsig_value_t *values)
{
    cursor_t cursor = {
        .at = text.data, .end = text.data + text.size, .loose = true};

    return scan_object(&cursor, keys, n_keys, values);
}

/* WSIG_TAKEN: an object with a key that stands twice. */
static int
scan_object(cursor_t *cursor, const wsig_text_t *wanted, size_t n_wanted,
            wsig_value_t *values)
{
    keys_t found;
    size_t i;
    int rc;

    for (i = 0; i < n_wanted; i++) {
        values[i] = (wsig_value_t){.kind = WSIG_JSON_NONE};
    }
    found.many = NULL;
    found.n = 0;
    found.room = KEYS_PLAIN;
    found.twice = false;

    skip_space(cursor);
    rc = scan_members(cursor, &found, wanted, n_wanted, values);
    skip_space(cursor);
    if (cursor->failed) {
        rc = WSIG_NOMEM;
    } else if (rc == WSIG_OK && cursor->at < cursor->end) {
        rc = WSIG_INVALID;
    } else if (rc == WSIG_OK && !keys_differ(&found)) {
        rc = WSIG_TAKEN;
    }
    free(found.many);
    return rc;
}

size_t
wsig_string_copy(const wsig_value_t *string, char *out)
{
    inside_t inside = inside_of(string);
    const char *at = inside.data;
    const char *end = at + inside.size;
    char *to = out;

    /* What is unescaped is never longer than it was, so writing stays behind
     * reading where out is the string itself. */
    while (at < end) {
        const char *escape = memchr(at, '\\', (size_t) (end - at));
        size_t plain = (size_t) ((escape != NULL ? escape : end) - at);

        memmove(to, at, plain);
        to += plain;
        at += plain;
        if (at < end) {
            char character[CHARACTER_MAX];
            size_t size = unescape(&at, character);

            memcpy(to, character, size);
            to += size;
        }
    }
    return (size_t) (to - out);
}

bool
wsig_string_is(const wsig_value_t *value, wsig_text_t text)
{
    return value->kind == WSIG_JSON_STRING && inside_is(inside_of(value), text);
}

bool
wsig_array_next(wsig_text_t *at, wsig_value_t *item)
{
    cursor_t cursor = {.at = at->data, .end = at->data + at->size};
    bool found;

    if (at->size == 0) {
        return false;
    }
    cursor.at++; /* the bracket, or the comma behind the item before */
    skip_space(&cursor);
    found = !(cursor.at < cursor.end && *cursor.at == ']') &&
            scan_value(&cursor, 1, item);
    if (!found) {
        cursor.at = cursor.end;
    }
    skip_space(&cursor);
    at->data = cursor.at;
    at->size = (size_t) (cursor.end - cursor.at);
    return found;
}

/* The object that the text is. */
static int
scan_members(cursor_t *cursor, keys_t *keys, const wsig_text_t *wanted,
             size_t n_wanted, wsig_value_t *values)
{
    if (!skip_byte(cursor, '{')) {
        return WSIG_INVALID;
    }
    skip_space(cursor);
    if (skip_byte(cursor, '}')) {
        return WSIG_OK;
    }
    do {
        wsig_value_t value;
        inside_t key;
        size_t i;
        int rc;

        skip_space(cursor);
        if (!skip_key(cursor, &key) || !scan_value(cursor, 1, &value)) {
            return WSIG_INVALID;
        }
        rc = keys_add(keys, key);
        if (rc != WSIG_OK) {
            return rc;
        }
        for (i = 0; i < n_wanted; i++) {
            if (inside_is(key, wanted[i])) {
                values[i] = value;
            }
        }
        skip_space(cursor);
    } while (skip_byte(cursor, ','));

    return skip_byte(cursor, '}') ? WSIG_OK : WSIG_INVALID;
}

/* A few keys are compared at once; where there are many, that would take
 * quadratic time: they are gathered, and sorted in the end. */
static int
keys_add(keys_t *keys, inside_t key)
{
    inside_t *many;
    size_t i;

    if (keys->n < KEYS_PLAIN) {
        for (i = 0; i < keys->n; i++) {
            if (compare_keys(&keys->few[i], &key) == 0) {
                keys->twice = true;
            }
        }
        keys->few[keys->n++] = key;
        return WSIG_OK;
    }
    if (keys->many == NULL || keys->n == keys->room) {
        many = realloc(keys->many, 2 * keys->room * sizeof(*many));
        if (many == NULL) {
            return WSIG_NOMEM;
        }
        if (keys->many == NULL) {
            memcpy(many, keys->few, sizeof(keys->few));
        }
        keys->many = many;
        keys->room *= 2;
    }
    keys->many[keys->n++] = key;
    return WSIG_OK;
}

static bool
keys_differ(keys_t *keys)
{
    size_t i;

    if (keys->many == NULL || keys->twice) {
        return !keys->twice;
    }
    qsort(keys->many, keys->n, sizeof(*keys->many), compare_keys);
    for (i = 1; i < keys->n; i++) {
        if (compare_keys(&keys->many[i - 1], &keys->many[i]) == 0) {
            return false;
        }
    }
    return true;
}

/* The order of the unescaped bytes. */
static int
compare_keys(const void *left, const void *right)
{
    const inside_t *a = left;
    const inside_t *b = right;

    if (!a->escaped && !b->escaped) {
        size_t size = a->size < b->size ? a->size : b->size;
        int order = memcmp(a->data, b->data, size);

        return order != 0 ? order : (a->size > size) - (b->size > size);
    }
    return compare_escaped(a, b);
}

static int
compare_escaped(const inside_t *a, const inside_t *b)
{
    reader_t left = {
        .at = a->data, .end = a->data + a->size, .escaped = a->escaped};
    reader_t right = {
        .at = b->data, .end = b->data + b->size, .escaped = b->escaped};
    int l, r;

    do {
        l = next_byte(&left);
        r = next_byte(&right);
    } while (l == r && l >= 0);

    return l - r;
}

/* -1 at the end. */
static int
next_byte(reader_t *reader)
{
    if (reader->next < reader->size) {
        return (unsigned char) reader->character[reader->next++];
    }
    if (reader->at == reader->end) {
        return -1;
    }
    if (!reader->escaped || *reader->at != '\\') {
        return (unsigned char) *reader->at++;
    }
    reader->size = unescape(&reader->at, reader->character);
    reader->next = 1;
    return (unsigned char) reader->character[0];
}

/* A value that stands in an object or array of the given level. */
static bool
scan_value(cursor_t *cursor, size_t level, wsig_value_t *value)
{
    const char *from = cursor->at;

    if (from == cursor->end) {
        return false;
    }
    if (*from == '{' || *from == '[') {
        value->kind = *from == '{' ? WSIG_JSON_OBJECT : WSIG_JSON_ARRAY;
        if (!skip_nested(cursor, level)) {
            return false;
        }
    } else if (!skip_scalar(cursor, &value->kind)) {
        return false;
    }
    value->raw.data = from;
    value->raw.size = (size_t) (cursor->at - from);
    return true;
}

/* An object or array with all that is in it, without recursion: no text may
 * cost more stack than another. */
static bool
skip_nested(cursor_t *cursor, size_t level)
{
    nest_t nest = {0};
    bool valid = skip_levels(cursor, level, &nest);

    free(nest.far);
    return valid;
}

static bool
skip_levels(cursor_t *cursor, size_t level, nest_t *nest)
{
    for (;;) {
        wsig_json_kind_t kind;

        if (cursor->at < cursor->end &&
            (*cursor->at == '{' || *cursor->at == '[')) {
            if (!cursor->loose && level + nest->open == DEPTH_MAX) {
                return false;
            }
            if (!nest_open(cursor, nest, *cursor->at == '{')) {
                return false;
            }
            cursor->at++;
            skip_space(cursor);
            if (!skip_byte(cursor, nest_object(nest) ? '}' : ']')) {
                if (nest_object(nest) && !skip_key(cursor, NULL)) {
                    return false;
                }
                continue;
            }
            nest->open--;
        } else if (!skip_scalar(cursor, &kind)) {
            return false;
        }

        /* Behind a value: close what ends here, up to the next value. */
        while (nest->open > 0) {
            skip_space(cursor);
            if (skip_byte(cursor, ',')) {
                break;
            }
            if (!skip_byte(cursor, nest_object(nest) ? '}' : ']')) {
                return false;
            }
            nest->open--;
        }
        if (nest->open == 0) {
            return true;
        }
        skip_space(cursor);
        if (nest_object(nest) && !skip_key(cursor, NULL)) {
            return false;
        }
    }
}

/* One level more.  There cannot be more of them than the text has bytes to
 * close them with. */
static bool
nest_open(cursor_t *cursor, nest_t *nest, bool object)
{
    size_t at = nest->open++;

    if (at < 64) {
        nest->near &= ~(UINT64_C(1) << at);
        nest->near |= (uint64_t) object << at;
        return true;
    }
    at -= 64;
    if (nest->far == NULL) {
        nest->room = (size_t) (cursor->end - cursor->at);
        nest->far = calloc(nest->room / 8 + 1, 1);
        if (nest->far == NULL) {
            cursor->failed = true;
            return false;
        }
    }
    if (at >= nest->room) {
        return false;
    }
    nest->far[at / 8] &= (uint8_t) ~(1u << at % 8);
    nest->far[at / 8] |= (uint8_t) (object << at % 8);
    return true;
}

static bool
nest_object(const nest_t *nest)
{
    size_t at = nest->open - 1;

    if (at < 64) {
        return nest->near >> at & 1;
    }
    at -= 64;
    return nest->far[at / 8] >> at % 8 & 1;
}

static bool
skip_scalar(cursor_t *cursor, wsig_json_kind_t *kind)
{
    if (cursor->at == cursor->end) {
        return false;
    }
    switch (*cursor->at) {
    case '"':
        *kind = WSIG_JSON_STRING;
        return skip_string(cursor, NULL);
    case 't':
        *kind = WSIG_JSON_TRUE;
        return skip_word(cursor, "true");
    case 'f':
        *kind = WSIG_JSON_FALSE;
        return skip_word(cursor, "false");
    case 'n':
        *kind = WSIG_JSON_NULL;
        return skip_word(cursor, "null");
    default:
        *kind = WSIG_JSON_NUMBER;
        return skip_number(cursor);
    }
}

static bool
skip_word(cursor_t *cursor, const char *word)
{
    size_t size = strlen(word);

    if ((size_t) (cursor->end - cursor->at) < size ||
        memcmp(cursor->at, word, size) != 0) {
        return false;
    }
    cursor->at += size;
    return true;
}

/* RFC 8259, section 6. */
static bool
skip_number(cursor_t *cursor)
{
    skip_byte(cursor, '-');
    if (!skip_byte(cursor, '0') && !skip_digits(cursor)) {
        return false;
    }
    if (skip_byte(cursor, '.') && !skip_digits(cursor)) {
        return false;
    }
    if (skip_byte(cursor, 'e') || skip_byte(cursor, 'E')) {
        if (!skip_byte(cursor, '+')) {
            skip_byte(cursor, '-');
        }
        return skip_digits(cursor);
    }
    return true;
}

static bool
skip_digits(cursor_t *cursor)
{
    const char *from = cursor->at;

    while (cursor->at < cursor->end && *cursor->at >= '0' &&
           *cursor->at <= '9') {
        cursor->at++;
    }
    return cursor->at > from;
}

/* A key with its colon, up to the value; key may be NULL. */
static bool
skip_key(cursor_t *cursor, inside_t *key)
{
    if (!skip_string(cursor, key)) {
        return false;
    }
    skip_space(cursor);
    if (!skip_byte(cursor, ':')) {
        return false;
    }
    skip_space(cursor);
    return true;
}

/* inside may be NULL. */
static bool
skip_string(cursor_t *cursor, inside_t *inside)
{
    const char *at;
    const char *end = cursor->end;
    bool escaped = false;

    if (!skip_byte(cursor, '"')) {
        return false;
    }
    at = cursor->at;
    for (;;) {
        at = skip_plain(at, end);
        if (at == end) {
            return false;
        }
        if (*at == '"') {
            break;
        }
        if (*at != '\\') {
            return false;
        }
        /* They come in pairs: at the end of each line of a description. */
        do {
            at = skip_escape(at, end, cursor->loose);
            if (at == NULL) {
                return false;
            }
        } while (at < end && *at == '\\');
        escaped = true;
    }
    if (inside != NULL) {
        inside->data = cursor->at;
        inside->size = (size_t) (at - cursor->at);
        inside->escaped = escaped;
    }
    cursor->at = at + 1;
    return true;
}

/* To the next quote, backslash or control character, or to the end: sixteen
 * bytes at a time, for session descriptions are long. */
static const char *
skip_plain(const char *at, const char *end)
{
    while (end - at >= 16) {
        chunk_t chunk;
        uint64_t stop[2]; /* 0xff for each byte that stops */

        memcpy(&chunk, at, 16);
        chunk = (chunk_t) ((chunk == '"') | (chunk == '\\') | (chunk < 0x20));
        memcpy(stop, &chunk, 16);
        if (stop[0] != 0) {
            return at + __builtin_ctzll(le64toh(stop[0])) / 8;
        }
        if (stop[1] != 0) {
            return at + 8 + __builtin_ctzll(le64toh(stop[1])) / 8;
        }
        at += 16;
    }
    while (at < end && *at != '"' && *at != '\\' &&
           (unsigned char) *at >= 0x20) {
        at++;
    }
    return at;
}

/* RFC 8259, section 7; the profile has no \u0000 and no lone surrogates.
 * NULL: invalid. */
static const char *
skip_escape(const char *at, const char *end, bool loose)
{
    uint32_t unit;

    if (end - at < 2) {
        return NULL;
    }
    switch (at[1]) {
    case '"':
    case '\\':
    case '/':
    case 'b':
    case 'f':
    case 'n':
    case 'r':
    case 't':
        return at + 2;
    case 'u':
        break;
    default:
        return NULL;
    }
    if (end - at < 6) {
        return NULL;
    }
    unit = hex4(at + 2);
    if (unit > 0xffff || (!loose && (unit == 0 || is_low(unit)))) {
        return NULL;
    }
    if (loose || !is_high(unit)) {
        return at + 6;
    }
    if (end - at < 12 || at[6] != '\\' || at[7] != 'u' ||
        !is_low(hex4(at + 8))) {
        return NULL;
    }
    return at + 12;
}

static bool
skip_byte(cursor_t *cursor, char byte)
{
    if (cursor->at == cursor->end || *cursor->at != byte) {
        return false;
    }
    cursor->at++;
    return true;
}

static void
skip_space(cursor_t *cursor)
{
    while (cursor->at < cursor->end &&
           (*cursor->at == ' ' || *cursor->at == '\n' || *cursor->at == '\r' ||
            *cursor->at == '\t')) {
        cursor->at++;
    }
}

/* The character of a valid escape, which *at is moved over; returns its size
 * in UTF-8. */
static size_t
unescape(const char **at, char out[CHARACTER_MAX])
{
    static const char letters[] = "\"\\/bfnrt";
    static const char meanings[] = "\"\\/\b\f\n\r\t";
    const char *escape = *at;
    uint32_t c;

    *at += 2;
    if (escape[1] != 'u') {
        out[0] = meanings[strchr(letters, escape[1]) - letters];
        return 1;
    }
    *at += 4;
    c = hex4(escape + 2);
    if (is_high(c) && escape[6] == '\\' && escape[7] == 'u' &&
        is_low(hex4(escape + 8))) {
        c = 0x10000 + ((c & 0x3ff) << 10) + (hex4(escape + 8) & 0x3ff);
        *at += 6;
    }
    if (c < 0x80) {
        out[0] = (char) c;
        return 1;
    }
    if (c < 0x800) {
        out[0] = (char) (0xc0 | c >> 6);
        out[1] = (char) (0x80 | (c & 0x3f));
        return 2;
    }
    if (c < 0x10000) {
        out[0] = (char) (0xe0 | c >> 12);
        out[1] = (char) (0x80 | (c >> 6 & 0x3f));
        out[2] = (char) (0x80 | (c & 0x3f));
        return 3;
    }
    out[0] = (char) (0xf0 | c >> 18);
    out[1] = (char) (0x80 | (c >> 12 & 0x3f));
    out[2] = (char) (0x80 | (c >> 6 & 0x3f));
    out[3] = (char) (0x80 | (c & 0x3f));
    return 4;
}

/* UINT32_MAX: not four hexadecimal digits. */
static uint32_t
hex4(const char *digits)
{
    uint32_t unit = 0;
    int i;

    for (i = 0; i < 4; i++) {
        char c = digits[i];

        unit <<= 4;
        if (c >= '0' && c <= '9') {
            unit |= (uint32_t) (c - '0');
        } else if (c >= 'a' && c <= 'f') {
            unit |= (uint32_t) (c - 'a' + 10);
        } else if (c >= 'A' && c <= 'F') {
            unit |= (uint32_t) (c - 'A' + 10);
        } else {
            return UINT32_MAX;
        }
    }
    return unit;
}

/* Halves of a surrogate pair. */
static bool
is_high(uint32_t unit)
{
    return unit >= 0xd800 && unit <= 0xdbff;
}

static bool
is_low(uint32_t unit)
{
    return unit >= 0xdc00 && unit <= 0xdfff;
}

static inside_t
inside_of(const wsig_value_t *string)
{
    inside_t inside = {string->raw.data + 1, string->raw.size - 2, false};

    inside.escaped = memchr(inside.data, '\\', inside.size) != NULL;
    return inside;
}

static bool
inside_is(inside_t inside, wsig_text_t text)
{
    if (inside.escaped) {
        inside_t plain = {text.data, text.size, false};

        return compare_escaped(&inside, &plain) == 0;
    }
    return inside.size == text.size &&
           (text.size == 0 || memcmp(inside.data, text.data, text.size) == 0);
}
