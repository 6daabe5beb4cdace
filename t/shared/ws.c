/* Frames: every cut, every header, every failing allocation. */

#include "wsig_ws.h"

#include "alloc.h"
#include "check.h"
#include "frames.h"

#include <string.h>

enum {
    MAX_MESSAGE = 1000,
    LOG_SIZE = 8192,
    MASK = 0x8d01c3f7
};

/* What came out, in words: "text(abc) ping() close(1000,bye) fault(1002)". */
typedef struct log_s {
    char text[LOG_SIZE];
    size_t size;
    bool ended;
} log_t;

#define BYTES(literal) literal, sizeof(literal) - 1

typedef struct frame_s {
    uint8_t first;
    const char *payload;
    size_t size;
} frame_t;

typedef struct frame_case_s {
    const char *expected;
    frame_t frames[6]; /* up to one with payload NULL */
} frame_case_t;

typedef struct raw_case_s {
    const char *expected;
    const char *bytes;
    size_t size;
} raw_case_t;

static const frame_case_t frame_cases[] = {
    {"text(hello)", {{0x81, BYTES("hello")}}},
    {"text()", {{0x81, BYTES("")}}},
    {"text(a) text(b)", {{0x81, BYTES("a")}, {0x81, BYTES("b")}}},
    {"text(hello)", {{0x01, BYTES("hel")}, {0x80, BYTES("lo")}}},
    {"text(hello)",
     {{0x01, BYTES("")},
      {0x00, BYTES("hel")},
      {0x00, BYTES("")},
      {0x00, BYTES("lo")},
      {0x80, BYTES("")}}},
    {"text()", {{0x01, BYTES("")}, {0x80, BYTES("")}}},
    {"text(x)", {{0x01, BYTES("")}, {0x80, BYTES("x")}}},
    {"ping() pong() ping(12345)",
     {{0x89, BYTES("")}, {0x8a, BYTES("")}, {0x89, BYTES("12345")}}},
    {"ping(1) pong(23) text(hello) text(z)",
     {{0x01, BYTES("hel")},
      {0x89, BYTES("1")},
      {0x8a, BYTES("23")},
      {0x80, BYTES("lo")},
      {0x81, BYTES("z")}}},
    {"close(1005,)", {{0x88, BYTES("")}, {0x81, BYTES("dropped")}}},
    {"close(1000,bye)",
     {{0x88, BYTES("\x03\xe8"
                   "bye")}}},
    {"close(4999,)", {{0x01, BYTES("a")}, {0x88, BYTES("\x13\x87")}}},
    {"fault(1002)", {{0x88, BYTES("\x03")}}},
    {"fault(1007)", {{0x88, BYTES("\x03\xe8\xff")}}},
    {"fault(1007)", {{0x88, BYTES("\x03\xe8\xc3")}}},
    {"fault(1007)", {{0x81, BYTES("\xc3")}}},
    {"fault(1007)", {{0x01, BYTES("\xe2\x82")}, {0x80, BYTES("")}}},
    {"text(\xe2\x82\xac)",
     {{0x01, BYTES("\xe2")}, {0x00, BYTES("\x82")}, {0x80, BYTES("\xac")}}},
    {"ping(\xff) text(\xf0\x9f\x98\x80)",
     {{0x01, BYTES("\xf0\x9f")},
      {0x89, BYTES("\xff")},
      {0x80, BYTES("\x98\x80")}}},
    {"fault(1002)", {{0x80, BYTES("a")}}},
    {"fault(1002)", {{0x00, BYTES("a")}}},
    {"text(a) fault(1002)",
     {{0x01, BYTES("")}, {0x80, BYTES("a")}, {0x80, BYTES("b")}}},
    {"fault(1002)", {{0x01, BYTES("a")}, {0x01, BYTES("b")}}},
    {"fault(1002)", {{0x01, BYTES("a")}, {0x81, BYTES("b")}}},
    {"fault(1002)", {{0x01, BYTES("a")}, {0x82, BYTES("b")}}},
    {"fault(1002)", {{0x09, BYTES("a")}}},
    {"text(a) fault(1003)", {{0x81, BYTES("a")}, {0x82, BYTES("")}}},
    {"fault(1003)", {{0x02, BYTES("a")}}},
};

static const raw_case_t raw_cases[] = {
    /* not masked */
    {"fault(1002)", BYTES("\x81\x01"
                          "a")},
    {"fault(1002)", BYTES("\x82\x01"
                          "a")},
    {"fault(1002)", BYTES("\x89\x00")},
    /* control frames announce more than 125 */
    {"fault(1002)", BYTES("\x89\xfe\x00\x7e")},
    {"fault(1002)", BYTES("\x88\xff\x00\x00\x00\x00\x00\x00\x00\x01")},
    /* not the shortest length; 125, 65535 and 0 */
    {"fault(1002)", BYTES("\x81\xfe\x00\x7d")},
    {"fault(1002)", BYTES("\x81\xff\x00\x00\x00\x00\x00\x00\xff\xff")},
    {"fault(1002)", BYTES("\x81\xff\x00\x00\x00\x00\x00\x00\x00\x00")},
    {"fault(1002)", BYTES("\x82\xfe\x00\x01")},
    /* lengths of 2^63 and above, and below */
    {"fault(1002)", BYTES("\x81\xff\x80\x00\x00\x00\x00\x00\x00\x00")},
    {"fault(1002)", BYTES("\x82\xff\xff\xff\xff\xff\xff\xff\xff\xff")},
    {"fault(1009)", BYTES("\x81\xff\x7f\xff\xff\xff\xff\xff\xff\xff")},
    {"fault(1009)", BYTES("\x01\xff\x00\x00\x00\x00\x00\x01\x00\x00")},
    {"fault(1003)", BYTES("\x82\xff\x7f\xff\xff\xff\xff\xff\xff\xff")},
    /* 1001 of 1000 allowed bytes; after "a", 1000 */
    {"fault(1009)", BYTES("\x81\xfe\x03\xe9")},
    {"fault(1009)", BYTES("\x01\x81\0\0\0\0a\x00\xfe\x03\xe8")},
    {"fault(1009)", BYTES("\x01\x81\0\0\0\0a\x80\xff\x7f\xff\xff\xff\xff\xff"
                          "\xff\xff")},
    /* exactly 1000 may still come */
    {"", BYTES("\x81\xfe\x03\xe8\0\0\0\0")},
    {"", BYTES("\x01\x81\0\0\0\0a\x80\xfe\x03\xe7\0\0\0\0")},
    /* as early as it can be known: a frame of 100 with its first bytes */
    {"fault(1007)", BYTES("\x81\xe4\0\0\0\0abc\xff")},
    {"fault(1007)", BYTES("\x81\xe4\0\0\0\0abc\xe0\x80")},
    {"fault(1007)", BYTES("\x81\xe4\0\0\0\0abc\xed\xa0")},
    {"fault(1007)", BYTES("\x81\xe4\0\0\0\0abc\xf4\x90")},
    {"fault(1007)", BYTES("\x01\x81\0\0\0\0\xed\x00\xe4\0\0\0\0\xa0")},
    {"", BYTES("\x81\xe4\0\0\0\0abc\xf4\x8f\xbf")},
    {"", BYTES("\x89\x85\0\0\0\0abcd")},
};

static void test_cases(void);
static void test_headers(void);
static void test_close_codes(void);
static void test_utf8(void);
static void test_random_fragments(void);
static void test_memory(void);
static void test_written_headers(void);
static void check_all_cuts(const frames_t *frames, const char *expected);
static void check_failing(const frames_t *frames, const char *expected);
static void read_piece(wsig_ws_t *ws, const uint8_t *data, size_t size,
                       log_t *log);
static void read_cut(const frames_t *frames, size_t a, size_t b, log_t *log);
static void log_event(log_t *log, const wsig_ws_event_t *event);

int
main(void)
{
    test_cases();
    test_headers();
    test_close_codes();
    test_utf8();
    test_random_fragments();
    test_memory();
    test_written_headers();
    return 0;
}

static void
test_cases(void)
{
    size_t i, k;

    for (i = 0; i < sizeof(frame_cases) / sizeof(frame_cases[0]); i++) {
        const frame_case_t *c = &frame_cases[i];
        frames_t frames = {0};

        for (k = 0; k < 6 && c->frames[k].payload != NULL; k++) {
            frames_add(&frames, c->frames[k].first, c->frames[k].payload,
                       c->frames[k].size, MASK);
        }
        check_all_cuts(&frames, c->expected);
        free(frames.data);
    }
    for (i = 0; i < sizeof(raw_cases) / sizeof(raw_cases[0]); i++) {
        frames_t frames = {0};

        frames_add_bytes(&frames, raw_cases[i].bytes, raw_cases[i].size);
        check_all_cuts(&frames, raw_cases[i].expected);
        free(frames.data);
    }
}

/* Every first byte, outside and inside a message, masked or not. */
static void
test_headers(void)
{
    int first, inside, masked;

    for (first = 0; first < 256; first++) {
        for (inside = 0; inside < 2; inside++) {
            for (masked = 0; masked < 2; masked++) {
                const uint8_t bytes[] = {
                    (uint8_t) first, masked ? 0x80 : 0, 0, 0, 0, 0};
                int opcode = first & 15;
                bool fin = first & 0x80;
                const char *expected = "fault(1002)";
                frames_t frames = {0};

                if ((first & 0x70) == 0 && masked) {
                    if (opcode == 0 && inside) {
                        expected = fin ? "text(ab)" : "";
                    } else if (opcode == 1 && !inside) {
                        expected = fin ? "text()" : "";
                    } else if (opcode == 2 && !inside) {
                        expected = "fault(1003)";
                    } else if (opcode == 8 && fin) {
                        expected = "close(1005,)";
                    } else if (opcode == 9 && fin) {
                        expected = "ping()";
                    } else if (opcode == 10 && fin) {
                        expected = "pong()";
                    }
                }
                if (inside) {
                    frames_add(&frames, 0x01, "ab", 2, MASK);
                }
                frames_add_bytes(&frames, bytes, sizeof(bytes));
                check_all_cuts(&frames, expected);
                free(frames.data);
            }
        }
    }
}

static void
test_close_codes(void)
{
    unsigned code;

    for (code = 0; code < 65536; code++) {
        uint8_t payload[] = {(uint8_t) (code >> 8), (uint8_t) code};
        bool valid = (code >= 1000 && code <= 1014 && code != 1004 &&
                      code != 1005 && code != 1006) ||
                     (code >= 3000 && code <= 4999);
        frames_t frames = {0};
        log_t log = {0};
        char expected[32];

        snprintf(expected, sizeof(expected),
                 valid ? "close(%u,)" : "fault(1002)", code);
        frames_add(&frames, 0x88, payload, sizeof(payload), code * MASK);
        read_cut(&frames, code % 9, 8, &log);
        CHECK(strcmp(log.text, expected) == 0, "%s, not %s", log.text,
              expected);
        free(frames.data);
    }
}

/* Texts in two fragments, split anywhere; where one is invalid, the byte that
 * shows it is the last one that is needed. */
static void
test_utf8(void)
{
    static const struct {
        const char *text;
        size_t fault_at; /* 0: valid */
    } cases[] = {
        {"\xce\xba\xe1\xbd\xb9\xcf\x83\xce\xbc\xce\xb5", 0},
        {"a\xf0\x90\x80\x80z\xf4\x8f\xbf\xbf", 0},
        {"\xed\x9f\xbf\xee\x80\x80\xef\xbf\xbf", 0},
        {"plain ascii of some length, more than a word \xc3\xa9", 0},
        {"plain ascii of some length, more than a word \xc3(x", 47},
        {"ab\x80x", 3},
        {"ab\xc0\xaf", 3},
        {"ab\xc1\xbf", 3},
        {"\xe0\x9f\xbf", 2},
        {"\xed\xa0\x80", 2},
        {"\xed\xbf\xbf", 2},
        {"\xf0\x8f\xbf\xbf", 2},
        {"\xf4\x90\x80\x80", 2},
        {"\xf5\x80\x80\x80", 1},
        {"\xff", 1},
        {"\xe2\x82z", 3},
        {"\xf0\x9f\x98z", 4},
        {"0123456789abcdef0123456789abcdef01234567\xff"
         "89",
         41},
    };
    size_t i, cut;

    for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        const char *text = cases[i].text;
        size_t size = strlen(text);

        for (cut = 0; cut <= size; cut++) {
            frames_t frames = {0};
            char expected[128];

            if (cases[i].fault_at > 0) {
                snprintf(expected, sizeof(expected), "fault(1007)");
            } else {
                snprintf(expected, sizeof(expected), "text(%s)", text);
            }
            frames_add(&frames, 0x01, text, cut, MASK);
            frames_add(&frames, 0x80, text + cut, size - cut, MASK / 3);
            check_all_cuts(&frames, expected);
            free(frames.data);
        }

        if (cases[i].fault_at > 0) {
            frames_t frames = {0};
            wsig_ws_t ws = {0};
            log_t log = {0};

            frames_add_header(&frames, 0x81, 500, 0);
            frames_add_bytes(&frames, text, size);
            read_piece(&ws, frames.data, 8 + cases[i].fault_at - 1, &log);
            CHECK(log.size == 0, "case %zu: too early", i);
            read_piece(&ws, frames.data + 8 + cases[i].fault_at - 1, 1, &log);
            CHECK(strcmp(log.text, "fault(1007)") == 0, "case %zu", i);
            wsig_ws_free(&ws);
            free(frames.data);
        }
    }
}

/* Random texts in random fragments with pings between, in random pieces. */
static void
test_random_fragments(void)
{
    static const char *const letters[] = {"a", "\xc3\xa9", "\xe2\x82\xac",
                                          "\xf0\x9f\x98\x80", "01234567"};
    uint64_t seed = 88172645463325252;
    int round;

    for (round = 0; round < 20000; round++) {
        frames_t frames = {0};
        wsig_ws_t ws = {0};
        log_t expected = {0};
        log_t log = {0};
        size_t at;
        int texts = 1 + (int) random_below(&seed, 3);

        while (texts-- > 0) {
            char text[512];
            size_t size = 0;
            size_t n = random_below(&seed, random_below(&seed, 60) + 1);
            bool fin = false;
            uint8_t opcode = 1;

            while (n-- > 0) {
                const char *letter = letters[random_below(&seed, 5)];

                memcpy(text + size, letter, strlen(letter));
                size += strlen(letter);
            }
            for (at = 0; !fin;) {
                size_t piece = random_below(&seed, (uint32_t) (size - at) + 1);

                fin = random_below(&seed, 3) == 0;
                if (fin) {
                    piece = size - at;
                }
                frames_add(&frames, opcode | (fin ? 0x80 : 0), text + at, piece,
                           random_next(&seed));
                opcode = 0;
                at += piece;
                if (random_below(&seed, 3) == 0) {
                    wsig_ws_event_t ping = {.kind = WSIG_WS_PING,
                                            .data = (uint8_t *) text,
                                            .size = size % 126};

                    if (fin) {
                        continue;
                    }
                    frames_add(&frames, 0x89, text, ping.size,
                               random_next(&seed));
                    log_event(&expected, &ping);
                }
            }
            log_event(&expected, &(wsig_ws_event_t){.kind = WSIG_WS_TEXT,
                                                    .data = (uint8_t *) text,
                                                    .size = size});
        }
        for (at = 0; at < frames.size;) {
            size_t piece = 1 + random_below(&seed, 40);

            if (piece > frames.size - at) {
                piece = frames.size - at;
            }
            read_piece(&ws, frames.data + at, piece, &log);
            at += piece;
        }
        CHECK(strcmp(log.text, expected.text) == 0, "round %d:\n%s\nnot\n%s",
              round, log.text, expected.text);
        wsig_ws_done(&ws);
        CHECK(ws.message == NULL && ws.control == NULL && ws.header_size == 0);
        free(frames.data);
    }
}

/* A whole text costs no allocation, a cut one what came of it, whatever was
 * announced. */
static void
test_memory(void)
{
    static uint8_t text[60000];
    frames_t frames = {0};
    wsig_ws_t ws = {0};
    wsig_ws_event_t event;
    size_t at;

    memset(text, 'x', sizeof(text));
    frames_add(&frames, 0x81, text, sizeof(text), MASK);
    frames_add(&frames, 0x89, text, 125, MASK);
    alloc_fail(0, false);
    at = wsig_ws_read(&ws, frames.data, frames.size, 65536, &event);
    CHECK(event.kind == WSIG_WS_TEXT && event.size == sizeof(text));
    CHECK(at == 8 + sizeof(text));
    CHECK(event.data == frames.data + 8);
    CHECK(memcmp(event.data, text, sizeof(text)) == 0);
    at = wsig_ws_read(&ws, frames.data + at, frames.size - at, 65536, &event);
    CHECK(event.kind == WSIG_WS_PING && event.size == 125 && at == 131);
    CHECK(alloc_count() == 0);
    frames.size = 0;

    frames_add(&frames, 0x81, text, sizeof(text), MASK);
    for (at = 0; at + 1 < frames.size; at++) {
        CHECK(wsig_ws_read(&ws, frames.data + at, 1, 65536, &event) == 1);
        CHECK(event.kind == WSIG_WS_MORE);
        CHECK(ws.room <= (ws.size == 0    ? 0
                          : ws.size < 128 ? 256
                                          : 2 * ws.size),
              "%u for %u", ws.room, ws.size);
    }
    CHECK(alloc_count() <= 9, "%ld", alloc_count());
    wsig_ws_read(&ws, frames.data + at, 1, 65536, &event);
    CHECK(event.kind == WSIG_WS_TEXT && event.size == sizeof(text));
    CHECK(memcmp(event.data, text, sizeof(text)) == 0);
    wsig_ws_done(&ws);
    CHECK(ws.message == NULL && ws.room == 0);
    free(frames.data);
}

static void
test_written_headers(void)
{
    static const struct {
        uint64_t size;
        const char *bytes;
        size_t n;
    } cases[] = {
        {0, BYTES("\x81\x00")},
        {125, BYTES("\x81\x7d")},
        {126, BYTES("\x81\x7e\x00\x7e")},
        {65535, BYTES("\x81\x7e\xff\xff")},
        {65536, BYTES("\x81\x7f\x00\x00\x00\x00\x00\x01\x00\x00")},
        {UINT64_C(0x7123456789abcdef),
         BYTES("\x81\x7f\x71\x23\x45\x67\x89\xab\xcd\xef")},
    };
    uint8_t header[WSIG_WS_HEADER_MAX];
    size_t i;

    for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        CHECK(wsig_ws_header(header, WSIG_WS_OPCODE_TEXT, cases[i].size) ==
              cases[i].n);
        CHECK(memcmp(header, cases[i].bytes, cases[i].n) == 0, "case %zu", i);
    }
    CHECK(wsig_ws_header(header, WSIG_WS_OPCODE_PONG, 3) == 2);
    CHECK(header[0] == 0x8a && header[1] == 3);
}

/* Whole, cut once, cut twice, and in single bytes. */
static void
check_all_cuts(const frames_t *frames, const char *expected)
{
    size_t a, b, i;
    wsig_ws_t ws = {0};
    log_t log = {0};

    for (a = 0; a <= frames->size; a++) {
        for (b = a; b <= frames->size; b++) {
            log_t cut = {0};

            read_cut(frames, a, b, &cut);
            CHECK(strcmp(cut.text, expected) == 0,
                  "cut at %zu and %zu: %s, not %s", a, b, cut.text, expected);
        }
    }
    for (i = 0; i < frames->size; i++) {
        read_piece(&ws, frames->data + i, 1, &log);
    }
    CHECK(strcmp(log.text, expected) == 0, "bytes: %s, not %s", log.text,
          expected);
    wsig_ws_free(&ws);
    check_failing(frames, expected);
}

/* Single bytes need most allocations; let each fail in turn.  What came before
 * is whole, the rest is dropped. */
static void
check_failing(const frames_t *frames, const char *expected)
{
    long n;
    bool failed = true;

    for (n = 1; failed; n++) {
        wsig_ws_t ws = {0};
        log_t log = {0};
        const char *fault;
        size_t i;

        alloc_fail(n, false);
        for (i = 0; i < frames->size; i++) {
            uint8_t byte = frames->data[i];
            wsig_ws_event_t event;

            CHECK(wsig_ws_read(&ws, &byte, 1, MAX_MESSAGE, &event) == 1);
            log_event(&log, &event);
        }
        failed = alloc_failed();
        alloc_fail(0, false);
        if (failed) {
            fault = strstr(log.text, "fault(1013)");
            CHECK(fault != NULL && strlen(fault) == strlen("fault(1013)"),
                  "allocation %ld: %s", n, log.text);
            CHECK(strncmp(log.text, expected, (size_t) (fault - log.text)) == 0,
                  "allocation %ld: %s, not %s", n, log.text, expected);
            CHECK(ws.message == NULL && ws.control == NULL);
        } else {
            CHECK(strcmp(log.text, expected) == 0);
        }
        wsig_ws_free(&ws);
    }
}

static void
read_cut(const frames_t *frames, size_t a, size_t b, log_t *log)
{
    wsig_ws_t ws = {0};

    read_piece(&ws, frames->data, a, log);
    read_piece(&ws, frames->data + a, b - a, log);
    read_piece(&ws, frames->data + b, frames->size - b, log);
    wsig_ws_free(&ws);
}

/* From memory of its own, so that reading beyond it shows. */
static void
read_piece(wsig_ws_t *ws, const uint8_t *data, size_t size, log_t *log)
{
    uint8_t *copy;
    size_t at = 0;

    if (size == 0) {
        return;
    }
    copy = malloc(size);
    CHECK(copy != NULL);
    memcpy(copy, data, size);
    while (at < size) {
        wsig_ws_event_t event;
        size_t taken;

        taken = wsig_ws_read(ws, copy + at, size - at, MAX_MESSAGE, &event);
        CHECK(taken >= 1 && taken <= size - at);
        CHECK(event.kind != WSIG_WS_MORE || taken == size - at);
        log_event(log, &event);
        at += taken;
        if (at % 2 == 0) {
            wsig_ws_done(ws); /* or the next read does it */
        }
    }
    wsig_ws_done(ws);
    free(copy);
}

static void
log_event(log_t *log, const wsig_ws_event_t *event)
{
    static const char *const names[] = {"",      "text(",  "ping(",
                                        "pong(", "close(", "fault("};
    int n;

    if (event->kind == WSIG_WS_MORE) {
        return;
    }
    CHECK(!log->ended, "an event after the last one");
    n = snprintf(log->text + log->size, LOG_SIZE - log->size, "%s%s",
                 log->size > 0 ? " " : "", names[event->kind]);
    log->size += (size_t) n;
    if (event->kind == WSIG_WS_FAULT) {
        CHECK(event->why != NULL && strlen(event->why) <= 123);
        n = snprintf(log->text + log->size, LOG_SIZE - log->size, "%d)",
                     event->code);
        log->size += (size_t) n;
        log->ended = true;
        return;
    }
    if (event->kind == WSIG_WS_CLOSE) {
        n = snprintf(log->text + log->size, LOG_SIZE - log->size, "%d,",
                     event->code);
        log->size += (size_t) n;
        log->ended = true;
    }
    CHECK(event->data != NULL);
    CHECK(log->size + event->size + 2 < LOG_SIZE);
    memcpy(log->text + log->size, event->data, event->size);
    log->size += event->size;
    log->text[log->size++] = ')';
    log->text[log->size] = '\0';
}
