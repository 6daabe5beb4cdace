/*
 * Settings: every value that is taken or refused, with what the error says;
 * how levels merge; files of secrets; and each allocation failing in turn.
 */

#include "alloc.h"
#include "check.h"
#include "wsig.h"

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
    BLOCKS_MAX = 4096,
    VALUES_MAX = 8
};

static void *blocks[BLOCKS_MAX];
static size_t n_blocks;
static char folder[] = "/tmp/wsig-conf-XXXXXX";

static void *
pool_alloc(void *pool, size_t size)
{
    void *block = malloc(size);

    (void) pool;
    if (block != NULL) {
        CHECK(n_blocks < BLOCKS_MAX);
        blocks[n_blocks++] = block;
    }
    return block;
}

static const wsig_pool_t pool = {pool_alloc, NULL};

static void
pool_clear(void)
{
    while (n_blocks > 0) {
        free(blocks[--n_blocks]);
    }
}

static wsig_text_t
text(const char *words)
{
    return (wsig_text_t){words, strlen(words)};
}

/* Set it to the words of a line; each stands in a block of its own size, so
 * that a byte read behind it is seen. */
static const char *
set(wsig_conf_t *conf, wsig_setting_t setting, const char *line)
{
    wsig_text_t values[VALUES_MAX];
    const char *error;
    size_t n = 0;
    size_t i;

    for (;;) {
        size_t size = strcspn(line, " ");
        char *copy = malloc(size == 0 ? 1 : size);

        CHECK(copy != NULL && n < VALUES_MAX);
        memcpy(copy, line, size);
        values[n++] = (wsig_text_t){copy, size};
        if (line[size] == '\0') {
            break;
        }
        line += size + 1;
    }
    error = wsig_conf_set(conf, setting, values, n, &pool);
    for (i = 0; i < n; i++) {
        free((char *) values[i].data);
    }
    return error;
}

static void
takes(wsig_conf_t *conf, wsig_setting_t setting, const char *line)
{
    const char *error = set(conf, setting, line);

    CHECK(error == NULL, "%s: %s", line, error);
    CHECK(conf->given & 1u << setting, "%s", line);
}

static void
refuses(wsig_setting_t setting, const char *line, const char *expected)
{
    wsig_conf_t conf = {0};
    const char *error = set(&conf, setting, line);

    CHECK(error != NULL, "%s was taken", line);
    CHECK(strcmp(error, expected) == 0, "\n  got      %s\n  expected %s", error,
          expected);
    CHECK(conf.given == 0, "%s", line);
}

static void
is_text(wsig_text_t got, const char *expected)
{
    CHECK(got.size == strlen(expected) &&
              memcmp(got.data, expected, got.size) == 0,
          "\"%.*s\" is not \"%s\"", (int) got.size, got.data, expected);
}

static void
sizes(void)
{
    static const struct {
        const char *value;
        size_t size;
    } good[] = {{"1k", 1024},       {"1024", 1024},     {"64k", 65536},
                {"256k", 262144},   {"262144", 262144}, {"65537", 65537},
                {"000064k", 65536}, {"64K", 65536}};
    static const char *const bad[] = {"",
                                      "0",
                                      "k",
                                      "1023",
                                      "257k",
                                      "262145",
                                      "1m",
                                      "12q",
                                      "64kb",
                                      "64 k",
                                      "-64k",
                                      "+64k",
                                      "0x400",
                                      " 64k",
                                      "64k ",
                                      "6.4k",
                                      "1e5",
                                      "99999999999999999999",
                                      "18446744073709551616",
                                      "18446744073709617152",
                                      "9007199254740992k",
                                      "8388608g"};
    size_t i;

    for (i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
        wsig_conf_t conf = {0};

        takes(&conf, WSIG_SET_MAX_MESSAGE, good[i].value);
        CHECK(conf.max_message == good[i].size, "%s", good[i].value);
    }
    for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        wsig_conf_t conf = {.max_message = 7};
        wsig_text_t value = text(bad[i]);
        const char *error =
            wsig_conf_set(&conf, WSIG_SET_MAX_MESSAGE, &value, 1, &pool);
        char expected[256];

        snprintf(expected, sizeof(expected),
                 "invalid value \"%s\": a size such as 64k is expected, at "
                 "least 1k and at most 256k",
                 bad[i]);
        CHECK(error != NULL, "\"%s\" was taken", bad[i]);
        CHECK(strcmp(error, expected) == 0, "%s", error);
        CHECK(conf.max_message == 7, "%s", bad[i]);
    }
}

static void
zones(void)
{
    char path[WSIG_PATH_MAX + 2];
    size_t size = 7;
    const char *error;

    memset(path, 'a', sizeof(path));
    path[0] = '/';
    path[sizeof(path) - 1] = '\0';
    error = wsig_conf_zone(text(path), text("8g"), &size, &pool);
    CHECK(strncmp(error, "invalid value \"/aaa", 19) == 0, "%s", error);
    CHECK(strstr(error, "\": a path of at most 80 bytes is expected"), "%s",
          error);
    CHECK(size == 7);
    path[WSIG_PATH_MAX] = '\0';
    CHECK(wsig_conf_zone(text(path), text("8g"), &size, &pool) == NULL);
    CHECK(size == WSIG_ZONE_MAX);
    CHECK(wsig_conf_zone(text(path), text("512k"), &size, &pool) == NULL);
    CHECK(size == WSIG_ZONE_MIN);
    CHECK(wsig_conf_zone(text("/a"), text("8589934592"), &size, &pool) == NULL);
    CHECK(size == WSIG_ZONE_MAX);
    CHECK(wsig_conf_zone(text("/a"), text("8589934593"), &size, &pool) != NULL);
    CHECK(strcmp(wsig_conf_zone(text("/a"), text("1"), &size, &pool),
                 "invalid value \"1\": a size such as 64k is expected, at "
                 "least 512k and at most 8g") == 0);
    CHECK(size == WSIG_ZONE_MAX);
}

static void
times(void)
{
    static const struct {
        const char *value;
        int64_t ms;
    } good[] = {{"30", 30000},     {"30s", 30000}, {"500ms", 500},
                {"1ms", 1},        {"5m", 300000}, {"1h", 3600000},
                {"7d", 604800000}, {"0", 0},       {"0ms", 0}};
    static const char *const bad[] = {"",
                                      "s",
                                      "30sec",
                                      "-1s",
                                      "1.5m",
                                      "8d",
                                      "169h",
                                      "1h30m",
                                      "never",
                                      "30S",
                                      "1w",
                                      "30 s",
                                      "99999999999999999999ms"};
    int64_t ms;
    size_t i;

    for (i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
        const char *error = wsig_conf_drain(text(good[i].value), &ms, &pool);

        CHECK(error == NULL, "%s: %s", good[i].value, error);
        CHECK(ms == good[i].ms, "%s", good[i].value);
    }
    for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        CHECK(wsig_conf_drain(text(bad[i]), &ms, &pool) != NULL,
              "\"%s\" was taken", bad[i]);
    }
    CHECK(strcmp(wsig_conf_drain(text("8d"), &ms, &pool),
                 "invalid value \"8d\": a time such as 30s is expected, at "
                 "least 0ms and at most 7d") == 0);
    refuses(WSIG_SET_PING, "999ms",
            "invalid value \"999ms\": a time such as 30s is expected, at "
            "least 1s and at most 1h");
    refuses(WSIG_SET_HELLO_TIMEOUT, "99ms",
            "invalid value \"99ms\": a time such as 30s is expected, at least "
            "100ms and at most 1h");
    refuses(WSIG_SET_RING_TIMEOUT, "61m",
            "invalid value \"61m\": a time such as 30s is expected, at least "
            "1s and at most 1h");
    refuses(WSIG_SET_TURN_TTL, "0",
            "invalid value \"0\": a time such as 30s is expected, at least 1s "
            "and at most 7d");
}

static void
resume(void)
{
    static const struct {
        const char *value;
        int64_t ms;
    } good[] = {{"0", 0},         {"0ms", 0},   {"0s", 0},
                {"1s", 1000},     {"1000ms", 1000}, {"15", 15000},
                {"1h", 3600000},  {"3600", 3600000}};
    static const char *const bad[] = {"", "off", "-1s", "1ms", "999ms",
                                      "61m", "3600001ms", "1d", "0x", "1s 2s"};
    size_t i;

    for (i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
        wsig_conf_t conf = {.resume = 7};

        takes(&conf, WSIG_SET_RESUME, good[i].value);
        CHECK(conf.resume == good[i].ms, "%s", good[i].value);
    }
    for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        wsig_conf_t conf = {.resume = 7};
        wsig_text_t value = text(bad[i]);
        char expected[256];
        const char *error =
            wsig_conf_set(&conf, WSIG_SET_RESUME, &value, 1, &pool);

        snprintf(expected, sizeof(expected),
                 "invalid value \"%s\": 0 alone, or a time such as 30s is "
                 "expected, at least 1s and at most 1h",
                 bad[i]);
        CHECK(error != NULL, "\"%s\" was taken", bad[i]);
        CHECK(strcmp(error, expected) == 0, "%s", error);
        CHECK(conf.resume == 7 && conf.given == 0, "%s", bad[i]);
    }
}

static void
words_and_numbers(void)
{
    wsig_conf_t conf = {0};

    takes(&conf, WSIG_SET_GUESTS, "off");
    CHECK(conf.guests == WSIG_GUESTS_OFF);
    takes(&conf, WSIG_SET_GUESTS, "call");
    CHECK(conf.guests == WSIG_GUESTS_CALL);
    takes(&conf, WSIG_SET_GUESTS, "all");
    CHECK(conf.guests == WSIG_GUESTS_ALL);
    refuses(WSIG_SET_GUESTS, "al",
            "invalid value \"al\": off, call or all is expected");
    refuses(WSIG_SET_GUESTS, "",
            "invalid value \"\": off, call or all is expected");
    takes(&conf, WSIG_SET_MAX_PEERS, "0");
    CHECK(conf.max_peers == 0);
    takes(&conf, WSIG_SET_MAX_PEERS, "100000000");
    CHECK(conf.max_peers == 100000000);
    refuses(WSIG_SET_MAX_PEERS, "100000001",
            "invalid value \"100000001\": a number from 0 to 100000000 is "
            "expected");
    refuses(WSIG_SET_MAX_PEERS, "1k",
            "invalid value \"1k\": a number from 0 to 100000000 is expected");
}

static void
rates(void)
{
    static const char *const bad[] = {"",
                                      "50",
                                      "50/m",
                                      "/s",
                                      "0/s",
                                      "-1/s",
                                      "50/s ",
                                      "50/s burst",
                                      "50/s burst=",
                                      "50/s burst=0",
                                      "50/s burst=1x",
                                      "0 burst=1",
                                      "1000001/s",
                                      "50/s 200"};
    wsig_conf_t conf = {0};
    size_t i;

    takes(&conf, WSIG_SET_RATE, "20/s burst=7");
    CHECK(conf.rate == 20 && conf.burst == 7);
    takes(&conf, WSIG_SET_RATE, "20/s");
    CHECK(conf.rate == 20 && conf.burst == 80);
    takes(&conf, WSIG_SET_RATE, "0");
    CHECK(conf.rate == 0);
    for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        conf = (wsig_conf_t){0};
        CHECK(set(&conf, WSIG_SET_RATE, bad[i]) != NULL, "\"%s\" was taken",
              bad[i]);
        CHECK(conf.given == 0);
    }
    refuses(WSIG_SET_RATE, "50/s burst=x",
            "invalid value \"burst=x\": burst=N is expected, N from 1 to "
            "1000000");
}

static void
origins(void)
{
    static const char *const bad[] = {"",
                                      "example.org",
                                      "ftp://a.org",
                                      "https://",
                                      "https://:80",
                                      "https://a.org/",
                                      "https://a.org/path",
                                      "https://a.org:",
                                      "https://a.org:0",
                                      "https://a.org:65536",
                                      "https://a.org:80x",
                                      "https://user@a.org",
                                      "https://[::1",
                                      "https://[]",
                                      "https://b\xc3\xa4r.org",
                                      "https://a.org?",
                                      "same any",
                                      "https://a.org same",
                                      "any https://a.org"};
    wsig_conf_t conf = {0};
    size_t i;

    takes(&conf, WSIG_SET_ORIGIN, "same");
    CHECK(conf.origin == WSIG_ORIGIN_SAME);
    takes(&conf, WSIG_SET_ORIGIN, "any");
    CHECK(conf.origin == WSIG_ORIGIN_ANY);
    takes(&conf, WSIG_SET_ORIGIN,
          "https://Example.ORG http://a.org:8080 https://a.org:443 "
          "http://a.org:80 https://a.org:80 https://[::1]:8443");
    CHECK(conf.origin == WSIG_ORIGIN_LIST && conf.n_origins == 6);
    is_text(conf.origins[0], "https://example.org");
    is_text(conf.origins[1], "http://a.org:8080");
    is_text(conf.origins[2], "https://a.org");
    is_text(conf.origins[3], "http://a.org");
    is_text(conf.origins[4], "https://a.org:80");
    is_text(conf.origins[5], "https://[::1]:8443");
    for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        CHECK(set(&conf, WSIG_SET_ORIGIN, bad[i]) != NULL, "\"%s\" was taken",
              bad[i]);
    }
    refuses(WSIG_SET_ORIGIN, "https://a.org https://b.org/x",
            "invalid value \"https://b.org/x\": same or any alone, or origins "
            "such as https://example.org:8443 (no path) are expected");
}

static void
ice_servers(void)
{
    static const char *const good[] = {"stun:a.org",
                                       "stun:a.org:1",
                                       "stuns:192.0.2.1:65535",
                                       "turn:[2001:db8::1]:3478",
                                       "turn:a.org?transport=udp",
                                       "turns:a.org:5349?transport=tcp",
                                       "turn:[::1]?transport=tcp"};
    static const char *const bad[] = {"",
                                      "stun",
                                      "stun:",
                                      "stun::3478",
                                      "STUN:a.org",
                                      "stun://a.org",
                                      "http:a.org",
                                      "stun:a.org:",
                                      "stun:a.org:0",
                                      "stun:a.org:65536",
                                      "stun:a.org:3478/",
                                      "stun:a.org?transport=udp",
                                      "turn:a.org?transport=sctp",
                                      "turn:a.org?transport=",
                                      "turn:a.org?transport=udpx",
                                      "turn:a.org?x",
                                      "turn:user@a.org",
                                      "turn:a b",
                                      "turn:[::1",
                                      "turn:[a.org]x",
                                      "stun:a.org turn:"};
    wsig_conf_t conf = {0};
    size_t i;

    for (i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
        takes(&conf, WSIG_SET_ICE_SERVER, good[i]);
        CHECK(conf.n_ice_servers == 1);
        is_text(conf.ice_servers[0], good[i]);
    }
    takes(&conf, WSIG_SET_ICE_SERVER, "stun:a.org turn:b.org");
    CHECK(conf.n_ice_servers == 2);
    is_text(conf.ice_servers[1], "turn:b.org");
    for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        CHECK(set(&conf, WSIG_SET_ICE_SERVER, bad[i]) != NULL,
              "\"%s\" was taken", bad[i]);
    }
}

/* A long wrong value is repeated in part, a value without bytes is no
 * pointer. */
static void
odd_values(void)
{
    wsig_conf_t conf = {0};
    wsig_text_t empty = {NULL, 0};
    char value[1001];
    const char *error;

    memset(value, 'x', 1000);
    value[1000] = '\0';
    error = set(&conf, WSIG_SET_GUESTS, value);
    CHECK(error != NULL && strlen(error) < 200);
    CHECK(strstr(error, "xxx...\"") != NULL, "%s", error);
    CHECK(wsig_conf_set(&conf, WSIG_SET_GUESTS, &empty, 1, &pool) != NULL);
    CHECK(wsig_conf_set(&conf, WSIG_SET_PING, &empty, 1, &pool) != NULL);
    CHECK(wsig_conf_set(&conf, WSIG_SET_ORIGIN, &empty, 1, &pool) != NULL);
    CHECK(wsig_conf_set(&conf, WSIG_SET_TURN_SECRET_FILE, &empty, 1, &pool) !=
          NULL);
}

static const char *
path_of(const char *name)
{
    static char path[128];

    snprintf(path, sizeof(path), "%s/%s", folder, name);
    return path;
}

/* A user, for root, whom no file is refused. */
#define NOBODY 65534

static void
write_secrets(const char *words, size_t size, mode_t mode)
{
    const char *path = path_of("secret");
    FILE *file = fopen(path, "w");

    CHECK(file != NULL);
    CHECK(fwrite(words, 1, size, file) == size);
    CHECK(fclose(file) == 0);
    CHECK(chmod(path, mode) == 0);
}

/* The error says expected and the path, and nothing of the file. */
static void
refuses_secrets(const char *words, mode_t mode, const char *expected)
{
    wsig_conf_t conf = {0};
    const char *error;

    write_secrets(words, strlen(words), mode);
    error = set(&conf, WSIG_SET_TURN_SECRET_FILE, path_of("secret"));
    CHECK(error != NULL, "\"%s\" was taken", words);
    CHECK(strstr(error, expected) != NULL, "%s", error);
    CHECK(strstr(error, path_of("secret")) != NULL, "%s", error);
    CHECK(strstr(error, "hush") == NULL, "%s", error);
}

static void
takes_secret(const char *words)
{
    wsig_conf_t conf = {0};

    write_secrets(words, strlen(words), 0400);
    takes(&conf, WSIG_SET_TURN_SECRET_FILE, path_of("secret"));
    CHECK(conf.n_secrets == 1);
    is_text(conf.secrets[0], words);
}

static void
secrets(void)
{
    static const char many[] = "\r\n\nhush-0123456789ab\r\n\n"
                               "hush-of-another-time";
    static char large[70000];
    char wide[514] = {0};
    wsig_conf_t conf = {0};
    const char *error;

    write_secrets(many, sizeof(many) - 1, 0640);
    takes(&conf, WSIG_SET_TURN_SECRET_FILE, path_of("secret"));
    CHECK(conf.n_secrets == 2);
    is_text(conf.secrets[0], "hush-0123456789ab");
    is_text(conf.secrets[1], "hush-of-another-time");
    takes_secret("sixteen bytes ok");

    refuses_secrets("", 0600, "holds no secret");
    refuses_secrets("\n\r\n", 0600, "holds no secret");
    refuses_secrets("hush-15-bytes-1\n", 0600, "line 1 of \"");
    refuses_secrets("hush-0123456789ab\n\nhush\n", 0600, "line 3 of \"");
    refuses_secrets("hush-0123456789ab\n", 0644, "owner and group only");
    refuses_secrets("hush-0123456789ab\n", 0602, "owner and group only");
    refuses_secrets("hush-0123456789ab\n", 0601, "(mode 601)");
    memset(large, 'h', sizeof(large) - 1);
    refuses_secrets(large, 0600, "too large");

    takes_secret("of \303\274 and # and = and ; inside=\"");
    refuses_secrets("static-auth-secret=0123456789abcdef\n", 0600, "option");
    refuses_secrets("0123456789abcdef\n#0123456789abcdef", 0600, "line 2");
    refuses_secrets("=0123456789abcdef\n", 0600, "no secret that coturn");
    refuses_secrets("\"0123456789abcdef\n", 0600, "no secret that coturn");
    refuses_secrets("0123456789abcdef;\n", 0600, "no secret that coturn");
    refuses_secrets(" 0123456789abcdef\n", 0600, "no secret that coturn");
    refuses_secrets("0123456789abcdef \n", 0600, "no secret that coturn");
    refuses_secrets("01234567\t89abcdef\n", 0600, "no secret that coturn");
    refuses_secrets("0123456789abcdef\177\n", 0600, "no secret that coturn");
    memset(wide, 'x', 512);
    takes_secret(wide);
    wide[512] = 'x';
    refuses_secrets(wide, 0600, "at most 512 bytes");

    error = set(&conf, WSIG_SET_TURN_SECRET_FILE, path_of("none"));
    CHECK(error != NULL && strstr(error, "/none\": No such file") != NULL, "%s",
          error);
    error = set(&conf, WSIG_SET_TURN_SECRET_FILE, folder);
    CHECK(error != NULL && strstr(error, "is not a file") != NULL, "%s", error);
    CHECK(mkfifo(path_of("pipe"), 0600) == 0);
    error = set(&conf, WSIG_SET_TURN_SECRET_FILE, path_of("pipe"));
    CHECK(error != NULL && strstr(error, "is not a file") != NULL, "%s", error);
    CHECK(unlink(path_of("pipe")) == 0);
    write_secrets("hush-0123456789ab\n", 18, 0);
    CHECK(geteuid() != 0 || seteuid(NOBODY) == 0);
    error = set(&conf, WSIG_SET_TURN_SECRET_FILE, path_of("secret"));
    CHECK(error != NULL && strstr(error, "Permission") != NULL);
    CHECK(geteuid() != NOBODY || seteuid(getuid()) == 0);
}

static void
merging(void)
{
    wsig_conf_t http = {0};
    wsig_conf_t server = {0};
    wsig_conf_t location = {0};

    wsig_conf_merge(&location, NULL);
    CHECK(location.guests == WSIG_GUESTS_ALL);
    CHECK(location.origin == WSIG_ORIGIN_SAME);
    CHECK(location.max_message == 65536 && location.max_backlog == 262144);
    CHECK(location.max_peers == 0);
    CHECK(location.rate == 50 && location.burst == 200);
    CHECK(location.ping == 25000 && location.hello_timeout == 10000);
    CHECK(location.ring_timeout == 45000 && location.turn_ttl == 3600000);
    CHECK(location.resume == 15000);
    CHECK(location.n_ice_servers == 0 && location.n_secrets == 0);

    location = (wsig_conf_t){0};
    takes(&http, WSIG_SET_MAX_MESSAGE, "1k");
    takes(&http, WSIG_SET_RATE, "1/s burst=2");
    takes(&http, WSIG_SET_ICE_SERVER, "stun:a.org");
    takes(&http, WSIG_SET_ORIGIN, "https://a.org");
    takes(&server, WSIG_SET_RATE, "0");
    takes(&server, WSIG_SET_RESUME, "0");
    takes(&server, WSIG_SET_ORIGIN, "any");
    takes(&location, WSIG_SET_PING, "5s");
    wsig_conf_merge(&server, &http);
    wsig_conf_merge(&location, &server);
    CHECK(location.max_message == 1024);
    CHECK(location.rate == 0);
    CHECK(location.ping == 5000);
    CHECK(location.ring_timeout == 45000);
    CHECK(location.resume == 0);
    CHECK(location.origin == WSIG_ORIGIN_ANY);
    CHECK(location.n_ice_servers == 1);
    is_text(location.ice_servers[0], "stun:a.org");
}

/* The identity may come at an inner level: what the outer level would do
 * about guests by default does not count there, what it says does. */
static void
guests_of_levels(void)
{
    wsig_conf_t outer = {0};
    wsig_conf_t middle = {0};
    wsig_conf_t inner = {0};

    wsig_conf_merge(&outer, NULL);
    middle.identity = true;
    wsig_conf_merge(&middle, &outer);
    CHECK(middle.guests == WSIG_GUESTS_OFF);
    wsig_conf_merge(&inner, &middle);
    CHECK(inner.guests == WSIG_GUESTS_ALL); /* the identity was taken back */

    outer = middle = inner = (wsig_conf_t){0};
    takes(&outer, WSIG_SET_GUESTS, "call");
    wsig_conf_merge(&middle, &outer);
    inner.identity = true;
    wsig_conf_merge(&inner, &middle);
    CHECK(inner.guests == WSIG_GUESTS_CALL);
}

static void
the_whole(void)
{
    wsig_conf_t conf = {0};
    wsig_setting_t setting;
    const char *error;

    wsig_conf_merge(&conf, NULL);
    CHECK(wsig_conf_check(&conf, &pool, &setting) == NULL);
    takes(&conf, WSIG_SET_ICE_SERVER, "stun:a.org");
    CHECK(wsig_conf_check(&conf, &pool, &setting) == NULL);
    takes(&conf, WSIG_SET_ICE_SERVER, "stun:a.org turns:a.org");
    error = wsig_conf_check(&conf, &pool, &setting);
    CHECK(error != NULL && strstr(error, "\"turns:a.org\" needs a secret"),
          "%s", error);
    CHECK(setting == WSIG_SET_ICE_SERVER);
    write_secrets("hush-0123456789ab\n", 18, 0600);
    takes(&conf, WSIG_SET_TURN_SECRET_FILE, path_of("secret"));
    CHECK(wsig_conf_check(&conf, &pool, &setting) == NULL);
    takes(&conf, WSIG_SET_MAX_BACKLOG, "64k");
    CHECK(wsig_conf_check(&conf, &pool, &setting) == NULL);
    takes(&conf, WSIG_SET_MAX_BACKLOG, "65535");
    error = wsig_conf_check(&conf, &pool, &setting);
    CHECK(error != NULL && strstr(error, "backlog of 65535") != NULL, "%s",
          error);
}

/* A sentence comes out in every case, and nothing is half set. */
static void
short_of_memory(void)
{
    static const struct {
        wsig_setting_t setting;
        const char *value;
        bool good;
    } cases[] = {{WSIG_SET_ORIGIN, "https://a.org https://b.org", true},
                 {WSIG_SET_ORIGIN, "https://a.org b.org", false},
                 {WSIG_SET_ICE_SERVER, "stun:a.org turn:b.org", true},
                 {WSIG_SET_ICE_SERVER, "stun:a.org b.org", false},
                 {WSIG_SET_PING, "x", false},
                 {WSIG_SET_MAX_MESSAGE, "x", false},
                 {WSIG_SET_RATE, "x", false},
                 {WSIG_SET_TURN_SECRET_FILE, "secret", true},
                 {WSIG_SET_TURN_SECRET_FILE, "none", false}};
    size_t i;
    long n;

    write_secrets("hush-0123456789ab\n", 18, 0600);
    for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        wsig_text_t values[2];
        size_t n_values = 1;
        bool failed = true;

        values[0] = text(cases[i].value);
        if (cases[i].setting == WSIG_SET_TURN_SECRET_FILE) {
            values[0] = text(path_of(cases[i].value));
        } else if (strchr(cases[i].value, ' ') != NULL) {
            values[0].size = strcspn(cases[i].value, " ");
            values[1] = text(cases[i].value + values[0].size + 1);
            n_values = 2;
        }
        for (n = 1; failed; n++) {
            wsig_conf_t conf = {0};
            const char *error;

            alloc_fail(n, false);
            error =
                wsig_conf_set(&conf, cases[i].setting, values, n_values, &pool);
            failed = alloc_failed();
            alloc_fail(0, false);
            CHECK((error == NULL) == (cases[i].good && !failed), "%s, %ld",
                  cases[i].value, n);
            CHECK((error == NULL) == (conf.given != 0));
        }
        CHECK(n > 2, "%s: nothing was allocated", cases[i].value);
    }
}

/* A copy means the same when the first is gone, and any change is seen. */
static void
copies(void)
{
    static const struct {
        wsig_setting_t setting;
        const char *value;
    } changes[] = {{WSIG_SET_GUESTS, "call"},
                   {WSIG_SET_ORIGIN, "any"},
                   {WSIG_SET_ORIGIN, "https://a.org"},
                   {WSIG_SET_ORIGIN, "https://a.org https://b.net"},
                   {WSIG_SET_MAX_MESSAGE, "2k"},
                   {WSIG_SET_MAX_BACKLOG, "2k"},
                   {WSIG_SET_MAX_PEERS, "9"},
                   {WSIG_SET_RATE, "9/s burst=36"},
                   {WSIG_SET_RATE, "5/s burst=9"},
                   {WSIG_SET_PING, "9s"},
                   {WSIG_SET_HELLO_TIMEOUT, "9s"},
                   {WSIG_SET_RING_TIMEOUT, "9s"},
                   {WSIG_SET_RESUME, "9s"},
                   {WSIG_SET_ICE_SERVER, "stun:a.org turn:c.org"},
                   {WSIG_SET_ICE_SERVER, "stun:a.org"},
                   {WSIG_SET_TURN_SECRET_FILE, NULL},
                   {WSIG_SET_TURN_TTL, "9s"}};
    wsig_conf_t conf = {0}, *copy;
    size_t i;

    copy = wsig_conf_copy(&conf); /* without lists */
    CHECK(copy != NULL && wsig_conf_same(copy, &conf));
    free(copy);
    write_secrets("hush-0123456789ab\nhush-0123456789cd\n", 36, 0600);
    takes(&conf, WSIG_SET_ORIGIN, "https://a.org https://b.org");
    takes(&conf, WSIG_SET_ICE_SERVER, "stun:a.org turn:b.org");
    takes(&conf, WSIG_SET_TURN_SECRET_FILE, path_of("secret"));
    takes(&conf, WSIG_SET_RATE, "5/s burst=36");
    wsig_conf_merge(&conf, NULL);
    alloc_fail(1, false);
    CHECK(wsig_conf_copy(&conf) == NULL);
    alloc_fail(0, false);
    copy = wsig_conf_copy(&conf);
    CHECK(copy != NULL && wsig_conf_same(&conf, copy));
    is_text(copy->origins[1], "https://b.org");
    is_text(copy->ice_servers[0], "stun:a.org");
    is_text(copy->ice_servers[1], "turn:b.org");
    is_text(copy->secrets[1], "hush-0123456789cd");
    CHECK(copy->secrets[1].data != conf.secrets[1].data);
    write_secrets("hush-0123456789ab\nhush-0123456789ce\n", 36, 0600);
    for (i = 0; i < sizeof(changes) / sizeof(changes[0]); i++) {
        wsig_conf_t other = conf;
        const char *value = changes[i].value;

        takes(&other, changes[i].setting,
              value != NULL ? value : path_of("secret"));
        CHECK(!wsig_conf_same(copy, &other), "%zu", i);
        CHECK(!wsig_conf_same(&other, copy), "%zu", i);
    }
    conf.identity = true;
    CHECK(!wsig_conf_same(copy, &conf));
    conf = *copy;
    conf.given = 0;
    CHECK(wsig_conf_same(copy, &conf));
    free(copy);
}

int
main(void)
{
    CHECK(mkdtemp(folder) != NULL);
    sizes();
    zones();
    times();
    resume();
    words_and_numbers();
    rates();
    origins();
    ice_servers();
    odd_values();
    secrets();
    merging();
    guests_of_levels();
    the_whole();
    short_of_memory();
    copies();
    pool_clear();
    CHECK(unlink(path_of("secret")) == 0);
    CHECK(rmdir(folder) == 0);
    return 0;
}
