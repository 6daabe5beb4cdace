/* The writer. */

#include "wsig_json.h"

#include "alloc.h"
#include "check.h"

#include <inttypes.h>
#include <string.h>

static void test_strings(void);
static void test_numbers(void);
static void test_growth(void);
static void test_failing(void);
static void write_all(wsig_buffer_t *buffer);
static bool buffer_is(const wsig_buffer_t *buffer, const char *text);

int
main(void)
{
    test_strings();
    test_numbers();
    test_growth();
    test_failing();
    return 0;
}

/* Each byte alone and between others; what was written is read back. */
static void
test_strings(void)
{
    int byte, kind;

    for (byte = 0; byte < 128; byte++) {
        for (kind = 0; kind < 4; kind++) {
            char text[4], expected[32], escape[8];
            wsig_buffer_t buffer = {0};
            size_t size = 0;

            if (kind & 1) {
                text[size++] = 'a';
            }
            text[size++] = (char) byte;
            if (kind & 2) {
                text[size++] = 'z';
            }
            if (byte == '"' || byte == '\\') {
                sprintf(escape, "\\%c", byte);
            } else if (byte != 0 && strchr("\b\f\n\r\t", byte) != NULL) {
                sprintf(escape, "\\%c",
                        "bfnrt"[strchr("\b\f\n\r\t", byte) - "\b\f\n\r\t"]);
            } else if (byte < 0x20) {
                sprintf(escape, "\\u%04x", (unsigned) byte);
            } else {
                sprintf(escape, "%c", byte);
            }
            sprintf(expected, "\"%s%s%s\"", kind & 1 ? "a" : "", escape,
                    kind & 2 ? "z" : "");
            wsig_put_string(&buffer, (wsig_text_t){text, size});
            CHECK(buffer_is(&buffer, expected), "byte %d: %.*s", byte,
                  (int) buffer.size, buffer.data);
            if (byte > 0) {
                wsig_buffer_t object = {0};
                wsig_text_t key = {"a", 1};
                wsig_value_t value;

                wsig_put_words(&object, "{\"a\":");
                wsig_put(&object, buffer.data, buffer.size);
                wsig_put_words(&object, "}");
                CHECK(wsig_scan((wsig_text_t){object.data, object.size}, &key,
                                1, &value) == WSIG_OK);
                CHECK(wsig_string_is(&value, (wsig_text_t){text, size}));
                free(object.data);
            }
            free(buffer.data);
        }
    }
    for (byte = 0; byte < 2; byte++) {
        static const char utf8[] = "\xc3\xa4 </script> \xf0\x9f\x98\x80\x7f";
        wsig_buffer_t buffer = {0};

        wsig_put_string(&buffer, byte == 0
                                     ? (wsig_text_t){NULL, 0}
                                     : (wsig_text_t){utf8, sizeof(utf8) - 1});
        CHECK(buffer_is(&buffer,
                        byte == 0
                            ? "\"\""
                            : "\"\xc3\xa4 </script> \xf0\x9f\x98\x80\x7f\""));
        free(buffer.data);
    }
}

static void
test_numbers(void)
{
    static const int64_t numbers[] = {
        0,  1,   -1,    9,         10,        -10,
        99, 100, 65536, INT64_MAX, INT64_MIN, INT64_MIN + 1,
    };
    size_t i;

    for (i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++) {
        wsig_buffer_t buffer = {0};
        char expected[32];

        sprintf(expected, "%" PRId64, numbers[i]);
        wsig_put_number(&buffer, numbers[i]);
        CHECK(buffer_is(&buffer, expected));
        free(buffer.data);
    }
}

static void
test_growth(void)
{
    wsig_buffer_t buffer = {0};
    char bytes[700];
    size_t i, expected = 0;

    wsig_put(&buffer, NULL, 0);
    wsig_put_text(&buffer, (wsig_text_t){NULL, 0});
    wsig_put_words(&buffer, "");
    CHECK(buffer.data == NULL && buffer.size == 0 && !buffer.failed);

    alloc_fail(0, false);
    for (i = 1; i < sizeof(bytes); i++) {
        bytes[i] = (char) i;
        wsig_put(&buffer, bytes, i);
        expected += i;
        CHECK(buffer.size == expected && buffer.room >= expected);
        CHECK(memcmp(buffer.data + expected - i, bytes, i) == 0);
    }
    CHECK(alloc_count() <= 12, "%ld", alloc_count());

    /* More than there can be. */
    wsig_put(&buffer, bytes, SIZE_MAX - 1);
    CHECK(buffer.failed && buffer.size == expected);
    free(buffer.data);
}

static void
test_failing(void)
{
    wsig_buffer_t whole = {0};
    long n;

    write_all(&whole);
    for (n = 1;; n++) {
        wsig_buffer_t buffer = {0};

        /* One failure only: what follows must not make it good. */
        alloc_fail(n, false);
        write_all(&buffer);
        CHECK(buffer.failed == alloc_failed());
        if (!buffer.failed) {
            CHECK(buffer.size == whole.size);
            CHECK(memcmp(buffer.data, whole.data, whole.size) == 0);
            free(buffer.data);
            break;
        }
        CHECK(buffer.size < whole.size);
        CHECK(buffer.size == 0 ||
              memcmp(buffer.data, whole.data, buffer.size) == 0);
        free(buffer.data);
    }
    CHECK(n > 3);
    alloc_fail(0, false);
    free(whole.data);
}

static void
write_all(wsig_buffer_t *buffer)
{
    int i;

    for (i = 0; i < 100; i++) {
        wsig_put_words(buffer, i == 0 ? "[" : ",");
        wsig_put_string(buffer, (wsig_text_t){"a \"quoted\"\n", 11});
        wsig_put_words(buffer, ",");
        wsig_put_number(buffer, i);
        wsig_put_text(buffer, (wsig_text_t){" ,  {} ", 7});
    }
}

static bool
buffer_is(const wsig_buffer_t *buffer, const char *text)
{
    return !buffer->failed && buffer->size == strlen(text) &&
           memcmp(buffer->data, text, buffer->size) == 0;
}
