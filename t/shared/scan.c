/* The scanner and the profile of texts, case by case. */

#include "wsig_json.h"

#include "alloc.h"
#include "check.h"

#include <string.h>
#include <time.h>

static const char *const valid[] = {
    "{}",
    " \t\r\n{ \t\r\n} \t\r\n",
    "{\"a\":1}",
    "{ \"a\" : [ ] , \"b\" : { } }",
    "{\"a\":[1,2,[3,[]],{\"a\":{},\"a\":1}],\"b\":null}",
    "{\"\":\"\"}",
    "{\"a\":true,\"b\":false,\"c\":null}",
    "{\"a\":0,\"b\":-0,\"c\":10,\"d\":-1.5,\"e\":1e5,\"f\":1E+5,\"g\":0.0e-0}",
    "{\"a\":1e999999999,\"b\":123456789012345678901234567890}",
    "{\"a\":\"\\\"\\\\\\/\\b\\f\\n\\r\\t\\u0041\\uABCD\\uabcd\"}",
    "{\"a\":\"\\ud83d\\ude00 \\uDBFF\\uDFFF\"}",
    "{\"a\":\"\\uffff\\ud7ff\\ue000\\u0001\\u001f\"}",
    "{\"a\":\"\x7f\xc2\x80\xe2\x80\xa8\xf4\x8f\xbf\xbf\"}",
    "{\"a\":1,\"A\":1,\"aa\":1,\"\":1,\" a\":1,\"\\u00e4\":1}",
    "{\"a\":{\"x\":1,\"x\":1}}",
};

static const char *const invalid[] = {
    "",
    " ",
    "1",
    "\"a\"",
    "[]",
    "[{}]",
    "null",
    "\xef\xbb\xbf{}",
    "{",
    "}",
    "{}}",
    "{}{}",
    "{} x",
    "{},",
    "{,}",
    "{\"a\"}",
    "{\"a\":}",
    "{\"a\":1,}",
    "{\"a\":1 \"b\":2}",
    "{\"a\" 1}",
    "{a:1}",
    "{'a':1}",
    "{1:1}",
    "{\"a\":1;\"b\":2}",
    "{\"a\":[}",
    "{\"a\":[1,]}",
    "{\"a\":[,1]}",
    "{\"a\":[1 2]}",
    "{\"a\":[1}]",
    "{\"a\":[1",
    "{\"a\":{\"b\":1]}",
    "{\"a\":{\"b\"}}",
    "{\"a\":{1}}",
    "{\"a\":{\"b\":1,}}",
    "{\"a\":[\"b\":1]}",
    "{\"a\":tru}",
    "{\"a\":truE}",
    "{\"a\":truee}",
    "{\"a\":True}",
    "{\"a\":nul",
    "{\"a\":nil}",
    "{\"a\":NaN}",
    "{\"a\":Infinity}",
    "{\"a\":undefined}",
    "{\"a\":01}",
    "{\"a\":-01}",
    "{\"a\":00}",
    "{\"a\":+1}",
    "{\"a\":-}",
    "{\"a\":.5}",
    "{\"a\":5.}",
    "{\"a\":5.e1}",
    "{\"a\":1e}",
    "{\"a\":1e+}",
    "{\"a\":1e+-1}",
    "{\"a\":1e1.5}",
    "{\"a\":0x10}",
    "{\"a\":1_0}",
    "{\"a\":--1}",
    "{\"a\":1",
    "{\"a\":-",
    "{\"a\":1.",
    "{\"a\":\"}",
    "{\"a\":\"\\",
    "{\"a\":\"\\\"}",
    "{\"a\":\"\\x\"}",
    "{\"a\":\"\\a\"}",
    "{\"a\":\"\\'\"}",
    "{\"a\":\"\\U0041\"}",
    "{\"a\":\"\\u\"}",
    "{\"a\":\"\\u004\"}",
    "{\"a\":\"\\u004g\"}",
    "{\"a\":\"\\u00 1\"}",
    "{\"a\":\"\\u-041\"}",
    "{\"a\":\"\\u004",
    "{\"a\":\"\\u0000\"}",
    "{\"\\u0000\":1}",
    "{\"a\":{\"x\\u0000\":1}}",
    "{\"a\":\"\\ud83d\"}",
    "{\"a\":\"\\ude00\"}",
    "{\"a\":\"\\ud83dx\"}",
    "{\"a\":\"\\ud83d\\n\"}",
    "{\"a\":\"\\ud83d\\u0041\"}",
    "{\"a\":\"\\ud83d\\ud83d\"}",
    "{\"a\":\"\\ude00\\ud83d\"}",
    "{\"a\":\"\\ud83d\\ude0\"}",
    "{\"a\":\"\\ud83d\\ude0",
    "{\"\\udc00\":1}",
    "{\"a\":\"line\nbreak\"}",
    "{\"a\":\"tab\there, in a text of more than eight bytes\"}",
    "{\"a\":\"12345678\x1f\"}",
    "{\"a\":\"\x01\"}",
    "{\"a\n\":1}",
    "{\"a\":1,\"a\":1}",
    "{\"a\":1,\"b\":2,\"a\":3}",
    "{\"a\":1,\"\\u0061\":1}",
    "{\"\\u0061\":1,\"\\u0061\":1}",
    "{\"\\/\":1,\"/\":1}",
    "{\"\":1,\"\":1}",
    "{\"\xc3\xa4\":1,\"\\u00e4\":1}",
    "{\"\xf0\x9f\x98\x80\":1,\"\\uD83D\\uDE00\":1}",
    "{\f}",
    "{\v}",
    "{\xc2\xa0}",
    "{/* */}",
    "{\"a\":1}//",
};

static void test_cases(void);
static void test_zero_bytes(void);
static void test_control_characters(void);
static void test_depth(void);
static void test_members(void);
static void test_many_keys(void);
static void test_time(void);
static void test_strings(void);
static void test_arrays(void);
static int scan(const char *text, size_t size);
static wsig_text_t words(const char *text);

int
main(void)
{
    test_cases();
    test_zero_bytes();
    test_control_characters();
    test_depth();
    test_members();
    test_many_keys();
    test_time();
    test_strings();
    test_arrays();
    return 0;
}

static void
test_cases(void)
{
    size_t i, size;

    for (i = 0; i < sizeof(valid) / sizeof(valid[0]); i++) {
        const char *text = valid[i];
        size_t end = strlen(text);

        while (strchr(" \t\r\n", text[end - 1]) != NULL) {
            end--;
        }
        CHECK(scan(text, strlen(text)) == WSIG_OK, "%s", text);

        /* An object ends with its brace: what begins a text is none. */
        for (size = 0; size < end; size++) {
            CHECK(scan(text, size) == WSIG_INVALID, "%.*s", (int) size, text);
        }
    }
    for (i = 0; i < sizeof(invalid) / sizeof(invalid[0]); i++) {
        CHECK(scan(invalid[i], strlen(invalid[i])) == WSIG_INVALID, "%s",
              invalid[i]);
    }
    CHECK(wsig_scan((wsig_text_t){NULL, 0}, NULL, 0, NULL) == WSIG_INVALID);
}

/* A NUL is nowhere, in front, inside and behind. */
static void
test_zero_bytes(void)
{
    static const char text[] = "{\"a\":\"\\n12345678\",\"b\":[1,true]}";
    char copy[sizeof(text)];
    size_t i;

    for (i = 0; i < sizeof(text) - 1; i++) {
        memcpy(copy, text, i);
        copy[i] = '\0';
        memcpy(copy + i + 1, text + i, sizeof(text) - 1 - i);
        CHECK(scan(copy, sizeof(text)) == WSIG_INVALID, "NUL at %zu", i);
    }
    CHECK(scan(text, sizeof(text)) == WSIG_INVALID);
}

/* Each control character, at each place of a string. */
static void
test_control_characters(void)
{
    char text[] = "{\"a\":\"0123456789abcdef0123456789abcdef01234\"}";
    size_t i;
    int c;

    for (i = 6; i < sizeof(text) - 3; i++) {
        for (c = 1; c <= 0x20; c++) {
            char kept = text[i];

            text[i] = (char) c;
            CHECK(scan(text, sizeof(text) - 1) ==
                      (c < 0x20 ? WSIG_INVALID : WSIG_OK),
                  "%02x at %zu", c, i);
            text[i] = kept;
        }
    }
}

/* The text is level 1: 64 are allowed, of whatever kind, at any place. */
static void
test_depth(void)
{
    char text[8 * 80];
    int kinds, depth, i;

    for (kinds = 0; kinds < 4; kinds++) {
        for (depth = 1; depth < 80; depth++) {
            size_t size = (size_t) sprintf(text, "{\"a\":[[[]]],\"b\":");
            bool object[80];

            for (i = 0; i < depth - 1; i++) {
                object[i] = kinds == 3 ? i % 2 : kinds == 2 ? i % 3 : kinds;
                size += (size_t) sprintf(text + size, "%s",
                                         object[i] ? "{\"\":" : "[");
            }
            text[size++] = '1';
            while (i-- > 0) {
                text[size++] = object[i] ? '}' : ']';
            }
            text[size++] = '}';
            CHECK(scan(text, size) == (depth <= 64 ? WSIG_OK : WSIG_INVALID),
                  "depth %d", depth);
        }
    }
}

static void
test_members(void)
{
    const wsig_text_t keys[] = {words("type"),         words("data"),
                                words("to"),           words("none"),
                                words("\xe2\x82\xac"), words("")};
    static const struct {
        wsig_json_kind_t kind;
        const char *raw;
    } expected[] = {
        {WSIG_JSON_STRING, "\"sig\\u006eal\""},
        {WSIG_JSON_OBJECT, "{ \"to\" : [ 1 ] , \"type\":\"}\" }"},
        {WSIG_JSON_NUMBER, "-1.5e3"},
        {WSIG_JSON_NONE, ""},
        {WSIG_JSON_ARRAY, "[\"]\",{}]"},
        {WSIG_JSON_NULL, "null"},
    };
    const char *text = " { \"t\\u006f\" :\t-1.5e3 , \"type\":\"sig\\u006eal\" ,"
                       "\"data\": { \"to\" : [ 1 ] , \"type\":\"}\" } , "
                       "\"typ\":true,\"types\":false, \"\\u20ac\":[\"]\",{}],"
                       "\"\":null }";
    wsig_value_t values[6];
    size_t i;

    CHECK(wsig_scan(words(text), keys, 6, values) == WSIG_OK);
    for (i = 0; i < 6; i++) {
        CHECK(values[i].kind == expected[i].kind, "%zu", i);
        CHECK(values[i].raw.size == strlen(expected[i].raw), "%zu", i);
        CHECK(values[i].raw.size == 0 ||
                  memcmp(values[i].raw.data, expected[i].raw,
                         values[i].raw.size) == 0,
              "%zu: %.*s", i, (int) values[i].raw.size, values[i].raw.data);
    }
}

/* Around the number where keys begin to be sorted, one stands twice, anywhere;
 * and memory may be short. */
static void
test_many_keys(void)
{
    int n, twice, k;
    char text[8000];

    for (n = 1; n <= 120; n++) {
        for (twice = -1; twice < n - 1; twice += n < 40 ? 1 : 7) {
            size_t size = 0;
            int expected = twice < 0 ? WSIG_OK : WSIG_INVALID;
            int rc;
            long nth = 0;

            for (k = 0; k < n; k++) {
                /* The last one, half of the times, in another spelling. */
                int name = k == n - 1 && twice >= 0 ? twice : k;
                const char *format = k == n - 1 && n % 2 ? "%ckey\\u0020%d\":%d"
                                                         : "%ckey %d\":%d";

                text[size++] = k == 0 ? '{' : ',';
                size += (size_t) sprintf(text + size, format, '"',
                                         (name * 37) % 128, k);
            }
            text[size++] = '}';
            CHECK(scan(text, size) == expected, "%d keys, %d twice", n, twice);
            do {
                wsig_value_t value;
                wsig_text_t key = words("key 0");

                alloc_fail(++nth, false);
                rc = wsig_scan((wsig_text_t){text, size}, &key, 1, &value);
                CHECK(rc == (alloc_failed() ? WSIG_NOMEM : expected));
            } while (alloc_failed());
            alloc_fail(0, false);
            CHECK(n > 24 ? nth > 1 : nth == 1, "%d keys, %ld", n, nth);
        }
    }
}

/* Texts of 64 KB made to be slow; in quadratic time each takes seconds. */
static void
test_time(void)
{
    enum {
        SIZE = 65536
    };
    static char text[SIZE + 100];
    int kind;

    for (kind = 0; kind < 6; kind++) {
        size_t size = 1;
        struct timespec from, to;
        int64_t ms;
        int k;

        text[0] = '{';
        for (k = 0; size < SIZE - 60; k++) {
            static const char *const formats[] = {
                "%s\"%x\":1",          /* many short ones */
                "%s\"%08x\":1",        /* already in order */
                "%s\"\\u0061%05x\":1", /* escaped */
                "%s\"\\u0061\\u0061\\u0061\\u0061%04x\":1",
                "%s\"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa%04x\":1",
                "%s\"%x\":[[[[[[[[]]]]]]]]",
            };

            size += (size_t) sprintf(text + size, formats[kind],
                                     k == 0 ? "" : ",", k);
        }
        text[size++] = '}';
        clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &from);
        CHECK(scan(text, size) == WSIG_OK, "kind %d", kind);
        clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &to);
        ms = (to.tv_sec - from.tv_sec) * 1000 +
             (to.tv_nsec - from.tv_nsec) / 1000000;
        CHECK(ms < 200, "kind %d took %d ms", kind, (int) ms);
    }
}

static void
test_strings(void)
{
    static const struct {
        const char *raw;
        const char *content;
    } cases[] = {
        {"\"\"", ""},
        {"\"plain\"", "plain"},
        {"\"a\\nb\"", "a\nb"},
        {"\"\\\"\\\\\\/\\b\\f\\n\\r\\t\"", "\"\\/\b\f\n\r\t"},
        {"\"\\u0041\\u007f\\u0080\\u07ff\\u0800\\uffff\"",
         "A\x7f\xc2\x80\xdf\xbf\xe0\xa0\x80\xef\xbf\xbf"},
        {"\"\\ud800\\udc00 \\uDBFF\\uDFFF\"",
         "\xf0\x90\x80\x80 \xf4\x8f\xbf\xbf"},
        {"\"v=0\\r\\no=- 4611 2 IN IP4 127.0.0.1\\r\\ns=-\\r\\n\"",
         "v=0\r\no=- 4611 2 IN IP4 127.0.0.1\r\ns=-\r\n"},
    };
    size_t i;

    for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        wsig_text_t key = words("a");
        wsig_value_t value;
        char text[200], out[200];
        size_t size = strlen(cases[i].content);

        sprintf(text, "{\"a\":%s}", cases[i].raw);
        CHECK(wsig_scan(words(text), &key, 1, &value) == WSIG_OK);
        CHECK(value.kind == WSIG_JSON_STRING);
        CHECK(wsig_string_is(&value, words(cases[i].content)), "%zu", i);
        CHECK(!wsig_string_is(&value, words("plai")));
        CHECK(!wsig_string_is(&value, words("plainer")));
        CHECK(!wsig_string_is(&value, words("\"a")));
        CHECK(wsig_string_is(&value, (wsig_text_t){NULL, 0}) == (size == 0));
        CHECK(wsig_string_copy(&value, out) == size, "%zu", i);
        CHECK(memcmp(out, cases[i].content, size) == 0, "%zu", i);

        /* In its own place, with the quote or behind it. */
        CHECK(wsig_string_copy(&value, text + 5 + i % 2) == size);
        CHECK(memcmp(text + 5 + i % 2, cases[i].content, size) == 0, "%zu", i);
    }
    CHECK(!wsig_string_is(&(wsig_value_t){.kind = WSIG_JSON_NONE}, words("")));
    CHECK(!wsig_string_is(
        &(wsig_value_t){.kind = WSIG_JSON_NUMBER, .raw = words("1")},
        words("")));
}

static void
test_arrays(void)
{
    static const struct {
        const char *text;
        const char *items; /* each with a bar behind it */
    } cases[] = {
        {"{\"a\":[]}", ""},
        {"{\"a\":[ \n ]}", ""},
        {"{\"a\":[1]}", "1|"},
        {"{\"a\":[ \"a,]\" , [ 1 , [2] ] ,{\"x\":[]},null, true,false ]}",
         "\"a,]\"|[ 1 , [2] ]|{\"x\":[]}|null|true|false|"},
        {"{\"a\":[[[]],[]]}", "[[]]|[]|"},
    };
    size_t i;

    for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        wsig_text_t key = words("a");
        wsig_value_t value, item;
        wsig_text_t at;
        char items[200] = "";

        CHECK(wsig_scan(words(cases[i].text), &key, 1, &value) == WSIG_OK);
        CHECK(value.kind == WSIG_JSON_ARRAY);
        at = value.raw;
        while (wsig_array_next(&at, &item)) {
            strncat(items, item.raw.data, item.raw.size);
            strcat(items, "|");
        }
        CHECK(strcmp(items, cases[i].items) == 0, "%s", items);
        CHECK(!wsig_array_next(&at, &item));
    }
}

/* From memory of its own, so that reading beyond it shows. */
static int
scan(const char *text, size_t size)
{
    char *copy = malloc(size > 0 ? size : 1);
    int rc;

    CHECK(copy != NULL);
    memcpy(copy, text, size);
    rc = wsig_scan((wsig_text_t){copy, size}, NULL, 0, NULL);
    free(copy);
    return rc;
}

static wsig_text_t
words(const char *text)
{
    return (wsig_text_t){text, strlen(text)};
}
