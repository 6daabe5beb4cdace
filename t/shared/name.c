/*
 * UTF-8 and names.  "name table" prints every character that no name has, as
 * hexadecimal numbers, for name_table.t to compare with another's opinion.
 */

#include "wsig_name.h"

#include "check.h"
#include "frames.h"

#include <string.h>

enum {
    LAST = 0x10ffff
};

static void print_table(void);
static void test_short_sequences(void);
static void test_long_sequences(void);
static void test_pieces(void);
static void test_names(void);
static void check_bytes(const uint8_t *bytes, size_t size);
static bool may_continue(const uint8_t *bytes, size_t size, bool *whole);
static size_t encode(uint32_t code_point, char *out);
static bool name_is(const char *name);

int
main(int argc, char **argv)
{
    if (argc > 1 && strcmp(argv[1], "table") == 0) {
        print_table();
        return 0;
    }
    test_short_sequences();
    test_long_sequences();
    test_pieces();
    test_names();
    return 0;
}

static void
print_table(void)
{
    uint32_t c;

    for (c = 0; c <= LAST; c++) {
        char name[6] = "a";
        size_t size = 1 + encode(c, name + 1);

        if (c >= 0xd800 && c <= 0xdfff) {
            continue;
        }
        name[size++] = 'z';
        if (!wsig_name_valid((wsig_text_t){name, size})) {
            printf("%x\n", c);
        }
    }
}

/* All of one, two and three bytes. */
static void
test_short_sequences(void)
{
    uint32_t n;

    for (n = 0; n < 1 << 24; n++) {
        const uint8_t bytes[] = {(uint8_t) (n >> 16), (uint8_t) (n >> 8),
                                 (uint8_t) n};

        /* Behind plain ASCII the third byte is the first of a sequence. */
        if (bytes[0] < 0x80 && bytes[0] != 'a') {
            continue;
        }
        check_bytes(bytes, 3);
    }
}

/* Of four bytes and more: those at the edges of what is allowed somewhere. */
static void
test_long_sequences(void)
{
    static const uint8_t edges[] = {0x00, 0x41, 0x7f, 0x80, 0x8f, 0x90,
                                    0x9f, 0xa0, 0xbf, 0xc0, 0xc2, 0xdf,
                                    0xe0, 0xed, 0xf0, 0xf4, 0xff};
    const uint32_t n_edges = sizeof(edges);
    uint32_t lead, a, b, c, d;

    for (lead = 0xf0; lead < 0x100; lead++) {
        for (a = 0; a < n_edges; a++) {
            for (b = 0; b < n_edges; b++) {
                for (c = 0; c < n_edges; c++) {
                    for (d = 0; d < n_edges; d++) {
                        const uint8_t bytes[] = {(uint8_t) lead, edges[a],
                                                 edges[b], edges[c], edges[d]};

                        check_bytes(bytes, 5);
                    }
                }
            }
        }
    }
}

/* Every character behind ASCII of every length around the eight and the 32
 * bytes that are looked at together, cut anywhere; then with a byte spoilt. */
static void
test_pieces(void)
{
    uint64_t seed = 521288629;
    int round;

    for (round = 0; round < 100000; round++) {
        char text[128];
        size_t size = random_below(&seed, 72);
        size_t i, cut;
        uint32_t state = 0;
        uint32_t c;

        do {
            c = random_below(&seed, LAST + 1) >> random_below(&seed, 21);
        } while (c >= 0xd800 && c <= 0xdfff);
        memset(text, 'x', size);
        size += encode(c, text + size);
        for (i = random_below(&seed, 40); i > 0; i--) {
            text[size++] = 'y';
        }
        cut = random_below(&seed, (uint32_t) size + 1);
        CHECK(wsig_utf8_check(&state, (uint8_t *) text, cut));
        CHECK(wsig_utf8_check(&state, (uint8_t *) text + cut, size - cut));
        CHECK(state == 0, "U+%04X", c);
        CHECK(wsig_utf8_valid((wsig_text_t){text, size}));

        text[random_below(&seed, (uint32_t) size)] = (char) 0xff;
        CHECK(!wsig_utf8_valid((wsig_text_t){text, size}));
    }
}

static void
test_names(void)
{
    static const char *const good[] = {
        "a",
        "alice",
        "alice smith",
        "a  b",
        "<>&\"'\\/",
        "~!@#$%^*()_+{}|:?`-=[];,.",
        "\xc3\xa4\xc3\xb6\xc3\xbc",
        "\xe5\x90\x8d\xe5\x89\x8d",
        "e\xcc\x81",        /* a combining accent */
        "\xf0\x9f\x98\x80", /* a smile */
        "\xee\x80\x80",     /* private use */
        "\xef\xbf\xbf",     /* a noncharacter */
        "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef",
        ("0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcd\303"
         "\244"),
    };
    static const char *const bad[] = {
        "",
        " ",
        " alice",
        "alice ",
        "al\tice",
        "alice\n",
        "\x7f",
        "a\x1f",
        "a\xc2\x85",          /* U+0085, a control character */
        "a\xc2\xa0z",         /* no-break space */
        "a\xc2\xadz",         /* soft hyphen */
        "a\xe2\x80\x8bz",     /* zero width space */
        "a\xe2\x80\x8f",      /* right-to-left mark */
        "a\xe2\x80\xaez",     /* right-to-left override */
        "a\xe2\x80\xa8z",     /* line separator */
        "a\xe3\x80\x80z",     /* ideographic space */
        "a\xe3\x85\xa4z",     /* Hangul filler */
        "a\xef\xb8\x8f",      /* variation selector */
        "\357\273\277a",      /* byte-order mark */
        "a\xcd\x8fz",         /* combining grapheme joiner */
        "a\xf3\xa0\x80\xa0",  /* a tag */
        "a\xf3\xa0\x84\x80z", /* variation selector 17 */
        "\xff",
        "a\xc3",
        "\xed\xa0\x80",
        "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef0",
        ("0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcde\303"
         "\244"),
    };
    size_t i;

    for (i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
        CHECK(name_is(good[i]), "%s", good[i]);
    }
    for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        CHECK(!name_is(bad[i]), "%zu: %s", i, bad[i]);
    }
    CHECK(!wsig_name_valid((wsig_text_t){NULL, 0}));
    CHECK(!wsig_name_valid((wsig_text_t){"a\0b", 3}));
}

/* Refused exactly at the first byte after which nothing valid can follow, and
 * complete exactly where a text may end. */
static void
check_bytes(const uint8_t *bytes, size_t size)
{
    uint32_t state = 0;
    size_t from = 0; /* of the current character */
    size_t i;

    for (i = 0; i < size; i++) {
        bool whole;
        bool expected = may_continue(bytes + from, i + 1 - from, &whole);

        CHECK(wsig_utf8_check(&state, bytes + i, 1) == expected,
              "byte %zu of %02x %02x %02x", i, bytes[0], bytes[1], bytes[2]);
        if (!expected) {
            break;
        }
        CHECK((state == 0) == whole, "byte %zu of %02x %02x %02x", i, bytes[0],
              bytes[1], bytes[2]);
        from = whole ? i + 1 : from;
    }
    CHECK(wsig_utf8_valid((wsig_text_t){(const char *) bytes, size}) ==
          (i == size && from == size));
}

/* By arithmetic: may these bytes begin (or be) a character?  They stand for all
 * code points that some end makes of them. */
static bool
may_continue(const uint8_t *bytes, size_t size, bool *whole)
{
    static const uint32_t least[] = {0, 0, 0x80, 0x800, 0x10000};
    size_t length = bytes[0] < 0x80   ? 1
                    : bytes[0] < 0xc0 ? 0
                    : bytes[0] < 0xe0 ? 2
                    : bytes[0] < 0xf0 ? 3
                    : bytes[0] < 0xf8 ? 4
                                      : 0;
    uint32_t low, high;
    size_t i;

    if (length == 0 || size > length) {
        return false;
    }
    low = length == 1 ? bytes[0] : bytes[0] & (0x7f >> length);
    for (i = 1; i < size; i++) {
        if ((bytes[i] & 0xc0) != 0x80) {
            return false;
        }
        low = low << 6 | (bytes[i] & 0x3f);
    }
    high = low;
    for (; i < length; i++) {
        low = low << 6;
        high = high << 6 | 0x3f;
    }
    low = low < least[length] ? least[length] : low;
    high = high > LAST ? LAST : high;
    *whole = size == length;
    return low <= high && !(low >= 0xd800 && high <= 0xdfff);
}

static size_t
encode(uint32_t c, char *out)
{
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

static bool
name_is(const char *name)
{
    return wsig_name_valid((wsig_text_t){name, strlen(name)});
}
