/*
 * The scanner against jansson, on many texts, most of them with something
 * wrong.  "scan_jansson time" tells how long both take for 3 KB.
 *
 * They may differ in this:
 *  - numbers beyond jansson's range: the profile allows them;
 *  - a key twice: the profile refuses that at the top level only, jansson (as
 *    called here) nowhere;
 *  - depth: 64 against jansson's 2048;
 *  - a NUL behind a number, which jansson 2.14 overlooks.
 */

#include "wsig_json.h"
#include "wsig_name.h"

#include "check.h"
#include "frames.h"

#include <jansson.h>
#include <string.h>
#include <time.h>

enum {
#ifdef __SANITIZE_ADDRESS__
    TEXTS = 100000, /* five times slower */
#else
    TEXTS = 300000,
#endif
    TEXT_MAX = 4096,
    WANTED = 4
};

typedef struct text_s {
    char data[TEXT_MAX];
    size_t size;
} text_t;

typedef struct counts_s {
    long accepted;
    long refused;
    long huge;
    long twice;
    long deep;
    long not_utf8;
} counts_t;

static void compare(const text_t *text, counts_t *counts);
static void compare_members(wsig_text_t text, json_t *root);
static void compare_value(const wsig_value_t *value, json_t *expected);
static void compare_string(const wsig_value_t *value, json_t *expected);
static void compare_items(const wsig_value_t *value, json_t *expected);
static json_t *load(wsig_text_t text, json_error_t *error);
static void measure(const text_t *text, int *depth, size_t *members);
static void add_object(text_t *text, uint64_t *seed, int depth);
static void add_value(text_t *text, uint64_t *seed, int depth);
static void add_string(text_t *text, uint64_t *seed);
static void add_key(text_t *text, uint64_t *seed);
static void add_space(text_t *text, uint64_t *seed);
static void add(text_t *text, const char *words);
static void mutate(text_t *text, uint64_t *seed);
static void tell_times(void);

int
main(int argc, char **argv)
{
    uint64_t seed = 362436069;
    counts_t counts = {0};
    int i;

    if (argc > 1 && strcmp(argv[1], "time") == 0) {
        tell_times();
        return 0;
    }
    for (i = 0; i < TEXTS; i++) {
        text_t text = {.size = 0};
        int n = (int) random_below(&seed, 4) - 1;

        add_space(&text, &seed);
        add_object(&text, &seed, 0);
        add_space(&text, &seed);
        while (n-- > 0) {
            mutate(&text, &seed);
        }
        compare(&text, &counts);
    }
    printf("%ld accepted, %ld refused; of these %ld with huge numbers, %ld "
           "with a key twice, %ld too deep; %ld no UTF-8\n",
           counts.accepted, counts.refused, counts.huge, counts.twice,
           counts.deep, counts.not_utf8);
    CHECK(counts.accepted > TEXTS / 4 && counts.refused > TEXTS / 4);
    CHECK(counts.huge > 50 && counts.twice > 50 && counts.deep > 50);
    CHECK(counts.huge < TEXTS / 50);
    return 0;
}

static void
compare(const text_t *source, counts_t *counts)
{
    /* Memory of its own, so that reading beyond it shows. */
    char *copy = malloc(source->size > 0 ? source->size : 1);
    wsig_text_t text = {copy, source->size};
    json_error_t error;
    size_t members;
    json_t *root;
    int rc, depth;

    CHECK(copy != NULL);
    memcpy(copy, source->data, source->size);
    if (!wsig_utf8_valid(text)) {
        counts->not_utf8++;
        free(copy);
        return;
    }
    rc = wsig_scan(text, NULL, 0, NULL);
    if (memchr(text.data, '\0', text.size) != NULL) {
        CHECK(rc == WSIG_INVALID);
        counts->refused++;
        free(copy);
        return;
    }
    root = json_loadb(text.data, text.size, 0, &error);
    if (rc == WSIG_OK) {
        counts->accepted++;
        if (root == NULL) {
            CHECK(json_error_code(&error) == json_error_numeric_overflow,
                  "%s:\n%.*s", error.text, (int) text.size, text.data);
            counts->huge++;
        } else {
            measure(source, &depth, &members);
            CHECK(depth <= 64 && json_is_object(root) &&
                      members == json_object_size(root),
                  "\n%.*s", (int) text.size, text.data);
            compare_members(text, root);
        }
    } else {
        CHECK(rc == WSIG_INVALID);
        counts->refused++;
        if (json_is_object(root)) {
            measure(source, &depth, &members);
            CHECK(depth > 64 || members > json_object_size(root), "\n%.*s",
                  (int) text.size, text.data);
            counts->deep += depth > 64;
            counts->twice += members > json_object_size(root);
        }
    }
    json_decref(root);
    free(copy);
}

/* Ask for each member by its name, a few at a time, and for one that is not
 * there. */
static void
compare_members(wsig_text_t text, json_t *root)
{
    void *at = json_object_iter(root);

    do {
        wsig_text_t keys[WANTED] = {{"not there", 9}};
        json_t *expected[WANTED];
        wsig_value_t values[WANTED];
        size_t n, i;

        expected[0] = json_object_get(root, "not there");
        for (n = 1; n < WANTED && at != NULL; n++) {
            const char *key = json_object_iter_key(at);

            keys[n] = (wsig_text_t){key, strlen(key)};
            expected[n] = json_object_iter_value(at);
            at = json_object_iter_next(root, at);
        }
        CHECK(wsig_scan(text, keys, n, values) == WSIG_OK);
        for (i = 0; i < n; i++) {
            compare_value(&values[i], expected[i]);
        }
    } while (at != NULL);
}

static void
compare_value(const wsig_value_t *value, json_t *expected)
{
    static const wsig_json_kind_t kinds[] = {
        [JSON_OBJECT] = WSIG_JSON_OBJECT, [JSON_ARRAY] = WSIG_JSON_ARRAY,
        [JSON_STRING] = WSIG_JSON_STRING, [JSON_INTEGER] = WSIG_JSON_NUMBER,
        [JSON_REAL] = WSIG_JSON_NUMBER,   [JSON_TRUE] = WSIG_JSON_TRUE,
        [JSON_FALSE] = WSIG_JSON_FALSE,   [JSON_NULL] = WSIG_JSON_NULL,
    };
    json_error_t error;
    json_t *raw;

    if (expected == NULL) {
        CHECK(value->kind == WSIG_JSON_NONE);
        return;
    }
    CHECK(value->kind == kinds[json_typeof(expected)]);
    CHECK(value->raw.size > 0);
    CHECK(strchr(" \t\r\n", value->raw.data[0]) == NULL);
    CHECK(strchr(" \t\r\n", value->raw.data[value->raw.size - 1]) == NULL);

    raw = load(value->raw, &error);
    CHECK(raw != NULL && json_equal(raw, expected), "%s: %.*s", error.text,
          (int) value->raw.size, value->raw.data);
    json_decref(raw);

    if (value->kind == WSIG_JSON_STRING) {
        compare_string(value, expected);
    } else {
        CHECK(!wsig_string_is(value, value->raw));
    }
    if (value->kind == WSIG_JSON_ARRAY) {
        compare_items(value, expected);
    }
}

static void
compare_string(const wsig_value_t *value, json_t *expected)
{
    wsig_text_t content = {json_string_value(expected),
                           json_string_length(expected)};
    char out[TEXT_MAX];

    CHECK(wsig_string_is(value, content));
    CHECK(!wsig_string_is(value, (wsig_text_t){"another", 7}));
    CHECK(wsig_string_copy(value, out) == content.size);
    CHECK(content.size < value->raw.size);
    CHECK(memcmp(out, content.data, content.size) == 0);
}

static void
compare_items(const wsig_value_t *value, json_t *expected)
{
    wsig_text_t at = value->raw;
    wsig_value_t item;
    size_t n = 0;

    while (wsig_array_next(&at, &item)) {
        CHECK(n < json_array_size(expected));
        compare_value(&item, json_array_get(expected, n));
        n++;
    }
    CHECK(n == json_array_size(expected));
}

static json_t *
load(wsig_text_t text, json_error_t *error)
{
    return json_loadb(text.data, text.size, JSON_DECODE_ANY, error);
}

/* How deep a valid text is, and how many members its top level has. */
static void
measure(const text_t *text, int *depth, size_t *members)
{
    bool inside = false; /* of a string */
    bool empty = true;
    size_t commas = 0;
    int open = 0;
    size_t i;

    *depth = 0;
    for (i = 0; i < text->size; i++) {
        char c = text->data[i];

        if (inside) {
            i += c == '\\';
            inside = c != '"';
            continue;
        }
        switch (c) {
        case '"':
            inside = true;
            empty = false;
            break;
        case '{':
        case '[':
            open++;
            *depth = open > *depth ? open : *depth;
            break;
        case '}':
        case ']':
            open--;
            break;
        case ',':
            commas += open == 1;
            break;
        }
    }
    *members = empty ? 0 : commas + 1;
}

static void
add_object(text_t *text, uint64_t *seed, int depth)
{
    uint32_t n = random_below(seed, random_below(seed, 7) + 1);
    uint32_t i;

    add(text, "{");
    add_space(text, seed);
    for (i = 0; i < n; i++) {
        if (i > 0) {
            add(text, ",");
            add_space(text, seed);
        }
        add_key(text, seed);
        add_space(text, seed);
        add(text, ":");
        add_space(text, seed);
        add_value(text, seed, depth + 1);
        add_space(text, seed);
    }
    add(text, "}");
}

static void
add_value(text_t *text, uint64_t *seed, int depth)
{
    static const char *const scalars[] = {
        "true",  "false", "null",   "0",        "-0",       "1",
        "-12",   "1.5",   "-0.25",  "1e5",      "2E-3",     "3.25e+2",
        "1e400", "9e99",  "123456", "99999999", "-1.0E-10",
    };
    uint32_t n, i;

    switch (random_below(seed, depth < 6 ? 8 : 5)) {
    case 0:
    case 1:
        i = random_below(seed, sizeof(scalars) / sizeof(scalars[0]));
        /* Huge numbers are rare, or hide what else jansson has to say. */
        add(text, i == 12 && random_below(seed, 10) > 0 ? "7" : scalars[i]);
        break;
    case 2:
    case 3:
    case 4:
        add_string(text, seed);
        break;
    case 5:
        add_object(text, seed, depth);
        break;
    case 6:
        n = random_below(seed, 4);
        add(text, "[");
        for (i = 0; i < n; i++) {
            add(text, i > 0 ? "," : "");
            add_space(text, seed);
            add_value(text, seed, depth + 1);
            add_space(text, seed);
        }
        add(text, "]");
        break;
    default:
        /* Around the limit of depth. */
        n = random_below(seed, 8) > 0 ? 1 : 55 + random_below(seed, 12);
        for (i = 0; i < n; i++) {
            add(text, "[");
        }
        while (i-- > 0) {
            add(text, "]");
        }
        break;
    }
}

static void
add_string(text_t *text, uint64_t *seed)
{
    static const char *const pieces[] = {"a",        "plain text of some words",
                                         "\\n",      "\\\"",
                                         "\\\\",     "\\u0041",
                                         "\\u00e9",  "\\u20AC",
                                         "\\t",      "\\ud83d\\ude00",
                                         "\xc3\xa9", "\xe2\x82\xac",
                                         "{}",       "[,]",
                                         ":",        "\\/",
                                         "\\uffff",  "\xf0\x9f\x98\x80",
                                         "12345678", "\x7f",
                                         "a=b\\r\\n"};
    uint32_t n = random_below(seed, random_below(seed, 8) + 1);

    add(text, "\"");
    while (n-- > 0) {
        add(text,
            pieces[random_below(seed, sizeof(pieces) / sizeof(pieces[0]))]);
    }
    add(text, "\"");
}

/* Of few names, in several spellings, so that some stand twice. */
static void
add_key(text_t *text, uint64_t *seed)
{
    static const char *const keys[] = {
        "\"type\"", "\"t\\u0079pe\"", "\"data\"",    "\"to\"",    "\"call\"",
        "\"\"",     "\"\xc3\xa9\"",   "\"\\u00E9\"", "\"a\\nb\"", "\"target\"",
        "\"sdp\"",  "\"ref\"",        "\"x\"",
    };

    if (random_below(seed, 3) == 0) {
        add_string(text, seed);
    } else {
        add(text, keys[random_below(seed, sizeof(keys) / sizeof(keys[0]))]);
    }
}

static void
add_space(text_t *text, uint64_t *seed)
{
    static const char *const spaces[] = {" ", "\n", "\r\n", "\t", "  "};

    if (random_below(seed, 8) == 0) {
        add(text, spaces[random_below(seed, 5)]);
    }
}

/* What has no room is left out, which makes the text wrong: as good. */
static void
add(text_t *text, const char *words)
{
    size_t size = strlen(words);

    if (size <= TEXT_MAX - 64 - text->size) {
        memcpy(text->data + text->size, words, size);
        text->size += size;
    }
}

static void
mutate(text_t *text, uint64_t *seed)
{
    static const char *const pieces[] = {"{",       "}",
                                         "[",       "]",
                                         ",",       ":",
                                         "\"",      "\\",
                                         "0",       "-",
                                         ".",       "e",
                                         "E",       "+",
                                         "\\u",     "\\u0000",
                                         "tr",      "\\ud83d",
                                         "\\ude00", "\xc3\xa9",
                                         "\n",      "\x01",
                                         "\x1f",    "//",
                                         "1",       "\xef\xbb\xbf",
                                         "\x0b",    "nul",
                                         "01",      "\\uDC00\\uD800",
                                         " ",       "\"\""};
    uint32_t at, n;
    const char *piece;

    if (text->size == 0) {
        return;
    }
    at = random_below(seed, (uint32_t) text->size);
    switch (random_below(seed, 6)) {
    case 0:
        text->data[at] = (char) random_below(seed, 128);
        break;
    case 1:
        text->data[at] ^= (char) (1 << random_below(seed, 7));
        break;
    case 2:
        text->size = at;
        break;
    case 3:
        n = 1 + random_below(seed, 4);
        n = n > text->size - at ? (uint32_t) text->size - at : n;
        memmove(text->data + at, text->data + at + n, text->size - at - n);
        text->size -= n;
        break;
    default:
        piece = pieces[random_below(seed, sizeof(pieces) / sizeof(pieces[0]))];
        n = (uint32_t) strlen(piece);
        if (n <= TEXT_MAX - text->size) {
            memmove(text->data + at + n, text->data + at, text->size - at);
            memcpy(text->data + at, piece, n);
            text->size += n;
        }
        break;
    }
}

/* Wall time of an envelope with a session description, the best of several
 * rounds. */
static void
tell_times(void)
{
    enum {
        SIZE = 3072,
        ROUNDS = 50,
        REPEAT = 500
    };
    static const char *const lines[] = {
        "a=rtpmap:111 opus/48000/2\\r\\n",
        "a=fmtp:111 minptime=10;useinbandfec=1\\r\\n",
        "a=extmap:3 http://www.ietf.org/id/draft-holmer-rmcat-01\\r\\n",
        "a=rtcp-fb:96 nack pli\\r\\n",
    };
    const wsig_text_t keys[] = {
        {"type", 4}, {"call", 4}, {"data", 4}, {"ref", 3}};
    wsig_value_t values[4];
    double best[2] = {1e9, 1e9};
    text_t text = {.size = 0};
    int round, i, which;

    add(&text, "{\"type\":\"signal\",\"call\":\"c7a1\",\"data\":{\"type\":"
               "\"offer\",\"sdp\":\"v=0\\r\\n");
    for (i = 0; text.size < SIZE; i++) {
        add(&text, lines[i % 4]);
    }
    add(&text, "\"}}");
    for (round = 0; round < ROUNDS; round++) {
        for (which = 0; which < 2; which++) {
            struct timespec from, to;
            double time;

            clock_gettime(CLOCK_MONOTONIC, &from);
            for (i = 0; i < REPEAT; i++) {
                if (which == 0) {
                    CHECK(wsig_scan((wsig_text_t){text.data, text.size}, keys,
                                    4, values) == WSIG_OK);
                } else {
                    json_decref(json_loadb(text.data, text.size, 0, NULL));
                }
            }
            clock_gettime(CLOCK_MONOTONIC, &to);
            time = ((double) (to.tv_sec - from.tv_sec) * 1e9 +
                    (double) (to.tv_nsec - from.tv_nsec)) /
                   REPEAT;
            best[which] = time < best[which] ? time : best[which];
        }
    }
    printf("envelope of %zu bytes: %.0f ns, jansson %.0f ns\n", text.size,
           best[0], best[1]);
}
