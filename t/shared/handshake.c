/* The handshake: one header changed at a time. */

#include "wsig.h"

#include "check.h"
#include "frames.h"

#include <openssl/evp.h>
#include <string.h>

/* RFC 6455, section 1.3. */
#define KEY "dGhlIHNhbXBsZSBub25jZQ=="
#define ACCEPT "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="

typedef struct header_case_s {
    const char *value; /* NULL: no such header */
    int status;
} header_case_t;

typedef struct origin_case_s {
    const char *host;
    const char *origin;
    int status;
} origin_case_t;

static const header_case_t hosts[] = {
    {NULL, 400},       {"", 400},          {" ", 400},
    {"a", 101},        {"a:8443", 101},    {"[::1]:80", 101},
    {"[::1]", 101},    {"127.0.0.1", 101}, {"a_b.example", 101},
    {"a, b", 400},     {"a b", 400},       {"a:", 400},
    {"a:0", 400},      {"a:65535", 101},   {"a:65536", 400},
    {"a:999999", 400}, {"a:+1", 400},      {"a:1:2", 400},
    {"http://a", 400}, {"a/", 400},        {"u@a", 400},
    {"[::1", 400},     {"[]", 400},        {"[::1]x", 400},
    {"::1", 400},
};

static const header_case_t upgrades[] = {
    {NULL, 426},
    {"", 400},
    {"websocket", 101},
    {"WebSocket", 101},
    {"WEBSOCKET\t", 101},
    {"h2c, websocket", 101},
    {"websocket,h2c", 101},
    {",, websocket ,", 101},
    {"websockets", 400},
    {"web socket", 400},
    {"xwebsocket", 400},
    {"websocket/13", 400},
    {"\"websocket\"", 400},
    {"h2c", 400},
};

static const header_case_t connections[] = {
    {NULL, 400},
    {"", 400},
    {"Upgrade", 101},
    {"upgrade", 101},
    {"keep-alive, Upgrade", 101},
    {"keep-alive,\tUPGRADE\t, x", 101},
    {"keep-alive", 400},
    {"upgraded", 400},
    {"keep-alive Upgrade", 400},
};

static const header_case_t versions[] = {
    {NULL, 426},   {"", 426},    {"13", 101},    {" 13\t", 101}, {"8", 426},
    {"0", 426},    {"14", 426},  {"13, 8", 426}, {"013", 426},   {"1 3", 426},
    {"13.0", 426}, {"130", 426}, {"-13", 426},
};

static const header_case_t keys[] = {
    {NULL, 400},
    {"", 400},
    {KEY, 101},
    {" " KEY " ", 101},
    {KEY ", " KEY, 400},
    {"AAAAAAAAAAAAAAAAAAAAAA==", 101},
    {"++++++++++++++++++++/w==", 101},
    {"AAAAAAAAAAAAAAAAAAAAAg==", 101},
    {"AAAAAAAAAAAAAAAAAAAAAB==", 400}, /* more than 16 bytes' bits */
    {"AAAAAAAAAAAAAAAAAAAAAR==", 400},
    {"AAAAAAAAAAAAAAAAAAAAAAA=", 400}, /* 17 bytes */
    {"AAAAAAAAAAAAAAAAAAAAAAAA", 400}, /* 18 */
    {"AAAAAAAAAAAAAAAAAAAA", 400},     /* 15 */
    {"AAAAAAAAAAAAAAAAAAAAAA", 400},   /* no padding */
    {"AAAAAAAAAAAAAAAAAAAAAA=", 400},
    {"AAAAAAAAAAAAAAAAAAAAAA===", 400},
    {"AAAAAAAAAAA=AAAAAAAAAA==", 400},
    {"AAAAAAAAAA-AAAAAAAAAAA==", 400}, /* base64url */
    {"AAAAAAAAAA AAAAAAAAAAA==", 400},
};

static const origin_case_t same[] = {
    {"a", NULL, 101},
    {"a", "https://a", 101},
    {"a", "http://a", 101},
    {"a", "https://a:443", 101},
    {"a:443", "https://a", 101},
    {"a:443", "https://a:443", 101},
    {"a", "http://a:80", 101},
    {"a:80", "http://a", 101},
    {"a:8443", "https://a:8443", 101},
    {"A.Example", "HTTPS://a.eXAMPLE", 101},
    {"[::1]:8443", "https://[::1]:8443", 101},
    {"[::1]", "https://[::1]", 101},
    {"a", "https://b", 403},
    {"a", "https://a:8443", 403},
    {"a:8443", "https://a", 403},
    {"a:80", "https://a", 403},
    {"a:443", "http://a", 403},
    {"a", "https://a.b", 403},
    {"a.b", "https://a", 403},
    {"a", "https://aa", 403},
    {"a", "null", 403},
    {"null", "null", 403},
    {"a", "", 403},
    {"a", "a", 403},
    {"a", "//a", 403},
    {"a", "https:a", 403},
    {"a", "https:/a", 403},
    {"a", "https://", 403},
    {"a", "https://a/", 403},
    {"a", "https://a:", 403},
    {"a", "https://a:443x", 403},
    {"a", "https://a:0443443", 403},
    {"a", "https://u@a", 403},
    {"a", "https://a?", 403},
    {"a", "https://a#", 403},
    {"a", "https://a, https://a", 403},
    {"a", "https://a https://a", 403},
    {"a", "ftp://a", 403},
    {"a", "ws://a", 403},
    {"a", "chrome-extension://a", 403},
    {"a", "https://[a", 403},
};

static const origin_case_t listed[] = {
    {"a", NULL, 101},
    {"a", "https://one.example", 101},
    {"a", "HTTPS://ONE.example", 101},
    {"a", "http://two.example:8080", 101},
    {"a", "https://one.example:443", 403},
    {"a", "http://one.example", 403},
    {"a", "https://one.example:8443", 403},
    {"a", "https://one.example.evil", 403},
    {"a", "https://x.one.example", 403},
    {"a", "http://two.example", 403},
    {"a", "https://a", 403},
    {"a", "null", 403},
    {"a", "", 403},
};

static const struct {
    const char *value;
    int status;
    wsig_dialect_t dialect;
} protocols[] = {
    {NULL, 101, WSIG_ARTICLE},
    {"webrtc-signal.v1", 101, WSIG_NATIVE},
    {"x, webrtc-signal.v1", 101, WSIG_NATIVE},
    {"webrtc-signal.v1,x", 101, WSIG_NATIVE},
    {", webrtc-signal.v1 ,\ty", 101, WSIG_NATIVE},
    {"webrtc-signal.v2, webrtc-signal.v1", 101, WSIG_NATIVE},
    {"", 400, 0},
    {" , ", 400, 0},
    {"x", 400, 0},
    {"WebRTC-signal.v1", 400, 0},
    {"webrtc-signal.v11", 400, 0},
    {"webrtc-signal.v1 x", 400, 0},
    {"x y, webrtc-signal.v1", 400, 0},
    {"\"webrtc-signal.v1\"", 400, 0},
};

static void test_accept(void);
static void test_random_keys(void);
static void test_method(void);
static void test_headers(void);
static void test_protocols(void);
static void test_origins(void);
static void test_identities(void);
static void test_bodies(void);
static void test_answers(void);
static void test_realms(void);
static const char *answer(const wsig_reply_t *reply, const char *name);
static int status_of(const wsig_request_t *request, const wsig_conf_t *conf);
static wsig_request_t good_request(void);
static wsig_text_t words(const char *text);

static const wsig_conf_t any = {.origin = WSIG_ORIGIN_ANY};

int
main(void)
{
    test_accept();
    test_random_keys();
    test_method();
    test_headers();
    test_protocols();
    test_origins();
    test_identities();
    test_bodies();
    test_answers();
    test_realms();
    return 0;
}

static void
test_accept(void)
{
    wsig_request_t request = good_request();
    wsig_reply_t reply;

    wsig_handshake(&request, &any, &reply);
    CHECK(reply.status == 101 && reply.why == NULL);
    CHECK(strcmp(reply.accept, ACCEPT) == 0, "%s", reply.accept);
    CHECK(reply.dialect == WSIG_ARTICLE);
}

/* Whatever 16 bytes a client takes; and one character of the key changed to
 * anything is right exactly where it still decodes to 16 bytes. */
static void
test_random_keys(void)
{
    uint64_t seed = 1234567;
    int round, i, c;

    for (round = 0; round < 300; round++) {
        wsig_request_t request = good_request();
        unsigned char bytes[16];
        char key[32];

        for (i = 0; i < 16; i++) {
            bytes[i] = (unsigned char) random_next(&seed);
        }
        EVP_EncodeBlock((unsigned char *) key, bytes, 16);
        request.key = words(key);
        CHECK(status_of(&request, &any) == 101, "%s", key);
    }
    for (i = 0; i < 24; i++) {
        for (c = 1; c < 256; c++) {
            wsig_request_t request = good_request();
            char key[] = KEY;
            bool expected;

            key[i] = (char) c;
            expected = strchr("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstu"
                              "vwxyz0123456789+/",
                              c) != NULL;
            if (i == 21) {
                expected = strchr("AQgw", c) != NULL;
            } else if (i > 21) {
                expected = c == '=';
            }
            request.key = words(key);
            CHECK(status_of(&request, &any) == (expected ? 101 : 400), "%s",
                  key);
        }
    }
}

static void
test_method(void)
{
    wsig_request_t request = good_request();

    request.get = false;
    CHECK(status_of(&request, &any) == 405);
    request = good_request();
    request.http11 = false;
    CHECK(status_of(&request, &any) == 400);
}

static void
test_headers(void)
{
    static const struct {
        const char *name;
        const header_case_t *cases;
        size_t n;
        size_t offset;
    } headers[] = {
        {"Host", hosts, sizeof(hosts) / sizeof(hosts[0]),
         offsetof(wsig_request_t, host)},
        {"Upgrade", upgrades, sizeof(upgrades) / sizeof(upgrades[0]),
         offsetof(wsig_request_t, upgrade)},
        {"Connection", connections,
         sizeof(connections) / sizeof(connections[0]),
         offsetof(wsig_request_t, connection)},
        {"Version", versions, sizeof(versions) / sizeof(versions[0]),
         offsetof(wsig_request_t, version)},
        {"Key", keys, sizeof(keys) / sizeof(keys[0]),
         offsetof(wsig_request_t, key)},
    };
    size_t i, k;

    for (i = 0; i < sizeof(headers) / sizeof(headers[0]); i++) {
        for (k = 0; k < headers[i].n; k++) {
            const header_case_t *c = &headers[i].cases[k];
            wsig_request_t request = good_request();
            wsig_text_t value = words(c->value);
            int status;

            memcpy((char *) &request + headers[i].offset, &value,
                   sizeof(value));
            status = status_of(&request, &any);
            CHECK(status == c->status, "%s \"%s\": %d, not %d", headers[i].name,
                  c->value == NULL ? "(none)" : c->value, status, c->status);
        }
    }
}

static void
test_protocols(void)
{
    size_t i;

    for (i = 0; i < sizeof(protocols) / sizeof(protocols[0]); i++) {
        wsig_request_t request = good_request();
        wsig_reply_t reply;

        request.protocol = words(protocols[i].value);
        wsig_handshake(&request, &any, &reply);
        CHECK(reply.status == protocols[i].status, "\"%s\": %d",
              protocols[i].value, reply.status);
        if (reply.status == 101) {
            CHECK(reply.dialect == protocols[i].dialect);
            const char *protocol = answer(&reply, "Sec-WebSocket-Protocol");

            CHECK((protocol != NULL) == (reply.dialect == WSIG_NATIVE));
            CHECK(protocol == NULL || strcmp(protocol, "webrtc-signal.v1") == 0);
        }
    }
}

static void
test_origins(void)
{
    const wsig_text_t origins[] = {words("https://one.example"),
                                   words("http://Two.Example:8080")};
    const wsig_conf_t confs[] = {
        {.origin = WSIG_ORIGIN_SAME},
        {.origin = WSIG_ORIGIN_LIST, .origins = origins, .n_origins = 2},
    };
    const origin_case_t *cases[] = {same, listed};
    const size_t n[] = {sizeof(same) / sizeof(same[0]),
                        sizeof(listed) / sizeof(listed[0])};
    size_t which, i;

    for (which = 0; which < 2; which++) {
        for (i = 0; i < n[which]; i++) {
            const origin_case_t *c = &cases[which][i];
            wsig_request_t request = good_request();
            int status;

            request.host = words(c->host);
            request.origin = words(c->origin);
            status = status_of(&request, &confs[which]);
            CHECK(status == c->status, "host \"%s\", origin \"%s\": %d",
                  c->host, c->origin == NULL ? "(none)" : c->origin, status);
            CHECK(status_of(&request, &any) == 101);
        }
    }
}

static void
test_identities(void)
{
    static const header_case_t identities[] = {
        {NULL, 101}, {"", 101},    {"alice", 101}, {"J. Smith", 101},
        {" a", 403}, {"a\n", 403}, {"a\xff", 403}, {"a\xe2\x80\x8b", 403},
    };
    size_t i;

    for (i = 0; i < sizeof(identities) / sizeof(identities[0]); i++) {
        wsig_request_t request = good_request();

        request.identity = words(identities[i].value);
        CHECK(status_of(&request, &any) == identities[i].status, "%zu", i);
    }
}

/* Whatever else is wrong with it is said first. */
static void
test_bodies(void)
{
    wsig_request_t request = good_request();
    wsig_reply_t reply;

    request.body = true;
    wsig_handshake(&request, &any, &reply);
    CHECK(reply.status == 400);
    CHECK(strcmp(reply.why, "the request has a body") == 0, "%s", reply.why);
    request.identity = words(" a");
    CHECK(status_of(&request, &any) == 403);
}

/* What each status carries, and how loudly it is logged. */
static void
test_answers(void)
{
    const wsig_conf_t same_only = {.origin = WSIG_ORIGIN_SAME};
    wsig_request_t request = good_request();
    wsig_reply_t reply;

    request.protocol = words("webrtc-signal.v1");
    wsig_handshake(&request, &any, &reply);
    CHECK(reply.status == 101);
    CHECK(strcmp(answer(&reply, "Upgrade"), "websocket") == 0);
    CHECK(strcmp(answer(&reply, "Sec-WebSocket-Accept"), ACCEPT) == 0);
    CHECK(reply.headers[3].name == NULL);
    request.origin = words("https://b");
    wsig_handshake(&request, &same_only, &reply);
    CHECK(reply.status == 403 && reply.level == WSIG_LOG_ERROR);
    CHECK(reply.headers[0].name == NULL);
    request.key = words("x");
    wsig_handshake(&request, &any, &reply);
    CHECK(reply.status == 400 && reply.level == WSIG_LOG_INFO);
    CHECK(reply.headers[0].name == NULL);
    request.version = words("8");
    wsig_handshake(&request, &any, &reply);
    CHECK(reply.status == 426 && reply.level == WSIG_LOG_INFO);
    CHECK(strcmp(answer(&reply, "Connection"), "upgrade") == 0);
    CHECK(strcmp(answer(&reply, "Upgrade"), "websocket") == 0);
    CHECK(strcmp(answer(&reply, "Sec-WebSocket-Version"), "13") == 0);
    CHECK(reply.headers[3].name == NULL);
    request.get = false;
    wsig_handshake(&request, &any, &reply);
    CHECK(reply.status == 405 && reply.level == WSIG_LOG_INFO);
    CHECK(strcmp(answer(&reply, "Allow"), "GET") == 0);
    CHECK(reply.headers[1].name == NULL);
}

static void
test_realms(void)
{
    CHECK(wsig_realm_usable(words("example.org")));
    CHECK(wsig_realm_usable(words("__")) && wsig_realm_usable(words("a~")));
    CHECK(!wsig_realm_usable(words(NULL)) && !wsig_realm_usable(words("")));
    CHECK(!wsig_realm_usable(words("_")) && !wsig_realm_usable(words("~^a$")));
    CHECK(wsig_realm_valid(words(WSIG_REALM_UNNAMED)));
}

/* NULL: it has no such header. */
static const char *
answer(const wsig_reply_t *reply, const char *name)
{
    const wsig_header_t *header;

    for (header = reply->headers; header->name != NULL; header++) {
        if (strcmp(header->name, name) == 0) {
            return header->value;
        }
    }
    return NULL;
}

/* Each header is in memory of its own, without a NUL, so that reading beyond
 * it shows. */
static int
status_of(const wsig_request_t *request, const wsig_conf_t *conf)
{
    wsig_request_t copy = *request;
    wsig_text_t *texts[] = {&copy.host,    &copy.upgrade, &copy.connection,
                            &copy.version, &copy.key,     &copy.protocol,
                            &copy.origin,  &copy.identity};
    char *memory[8];
    wsig_reply_t reply;
    size_t i;

    for (i = 0; i < 8; i++) {
        memory[i] = NULL;
        if (texts[i]->data != NULL) {
            memory[i] = malloc(texts[i]->size > 0 ? texts[i]->size : 1);
            CHECK(memory[i] != NULL);
            memcpy(memory[i], texts[i]->data, texts[i]->size);
            texts[i]->data = memory[i];
        }
    }
    wsig_handshake(&copy, conf, &reply);
    CHECK((reply.why == NULL) == (reply.status == 101));
    CHECK((strlen(reply.accept) == 28) == (reply.status == 101));
    for (i = 0; i < 8; i++) {
        free(memory[i]);
    }
    return reply.status;
}

static wsig_request_t
good_request(void)
{
    return (wsig_request_t){
        .get = true,
        .http11 = true,
        .host = words("a"),
        .upgrade = words("websocket"),
        .connection = words("Upgrade"),
        .version = words("13"),
        .key = words(KEY),
    };
}

/* NULL: no such header. */
static wsig_text_t
words(const char *text)
{
    return (wsig_text_t){text, text != NULL ? strlen(text) : 0};
}
