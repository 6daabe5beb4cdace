#include "wsig.h"

#include "wsig_name.h"

#include <openssl/evp.h>
#include <string.h>

#define NATIVE_PROTOCOL "webrtc-signal.v1"

/* RFC 6455, section 1.3. */
#define KEY_SUFFIX "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"

enum {
    KEY_SIZE = 24, /* base64 of 16 bytes */
    PORT_HTTP = 80,
    PORT_HTTPS = 443
};

/* The authority of a URL (RFC 3986, 3.2): host, and port if given. */
typedef struct authority_s {
    wsig_text_t host;
    uint32_t port;
} authority_t;

static int check(const wsig_request_t *request, const wsig_conf_t *conf,
                 wsig_reply_t *reply);
static void put_headers(wsig_reply_t *reply);
static int check_upgrade(const wsig_request_t *request, const char **why);
static int choose_dialect(wsig_text_t protocols, wsig_reply_t *reply);
static int check_origin(const wsig_request_t *request, const wsig_conf_t *conf,
                        const char **why);
static bool origin_is_same(wsig_text_t origin, wsig_text_t host);
static bool origin_is_listed(wsig_text_t origin, const wsig_conf_t *conf);
static bool parse_authority(wsig_text_t text, uint32_t default_port,
                            authority_t *authority);
static bool parse_port(wsig_text_t digits, uint32_t *port);
static bool is_host(wsig_text_t host);
static bool key_is_valid(wsig_text_t key);
static bool make_accept(wsig_text_t key, char accept[32]);
static bool list_has(wsig_text_t list, const char *token);
static bool list_next(wsig_text_t *list, wsig_text_t *item);
static bool is_token(wsig_text_t text);
static bool is_alnum(char c);
static bool is_in(char c, const char *set);
static bool starts_with(wsig_text_t text, const char *start);
static bool equal(wsig_text_t a, wsig_text_t b);
static char lower(char c);
static wsig_text_t trim(wsig_text_t text);
static wsig_text_t words(const char *text);

void
wsig_handshake(const wsig_request_t *request, const wsig_conf_t *conf,
               wsig_reply_t *reply)
{
    *reply = (wsig_reply_t){.level = WSIG_LOG_INFO};
    reply->status = check(request, conf, reply);
    if (reply->status == 403 || reply->status >= 500) {
        reply->level = WSIG_LOG_ERROR;
    }
    put_headers(reply);
}

static int
check(const wsig_request_t *request, const wsig_conf_t *conf,
      wsig_reply_t *reply)
{
    int status = check_upgrade(request, &reply->why);

    if (status == 101) {
        status = choose_dialect(request->protocol, reply);
    }
    if (status == 101) {
        status = check_origin(request, conf, &reply->why);
    }
    if (status != 101) {
        return status;
    }
    if (request->identity.size > 0 && !wsig_name_valid(request->identity)) {
        reply->why = "the identity is not a valid name";
        return 403;
    }
    if (request->body) {
        reply->why = "the request has a body";
        return 400;
    }
    if (!make_accept(trim(request->key), reply->accept)) {
        reply->why = "SHA-1 failed";
        return 500;
    }
    return 101;
}

/* What the status demands: RFC 6455, 4.2.2 and 4.4; RFC 9110, 15.5.6 and
 * 15.5.22. */
static void
put_headers(wsig_reply_t *reply)
{
    wsig_header_t *header = reply->headers;

    switch (reply->status) {
    case 101:
        *header++ = (wsig_header_t){"Upgrade", "websocket"};
        *header++ = (wsig_header_t){"Sec-WebSocket-Accept", reply->accept};
        if (reply->dialect == WSIG_NATIVE) {
            *header++ =
                (wsig_header_t){"Sec-WebSocket-Protocol", NATIVE_PROTOCOL};
        }
        break;
    case 405:
        *header++ = (wsig_header_t){"Allow", "GET"};
        break;
    case 426:
        *header++ = (wsig_header_t){"Connection", "upgrade"};
        *header++ = (wsig_header_t){"Upgrade", "websocket"};
        *header++ = (wsig_header_t){"Sec-WebSocket-Version", "13"};
        break;
    }
}

/* RFC 6455, 4.2.1. */
static int
check_upgrade(const wsig_request_t *request, const char **why)
{
    authority_t host;

    if (!request->get) {
        *why = "the method is not GET";
        return 405;
    }
    if (!request->http11) {
        *why = "the request is not HTTP/1.1";
        return 400;
    }
    if (request->host.data == NULL) {
        *why = "the Host header is missing";
        return 400;
    }
    if (!parse_authority(trim(request->host), 0, &host)) {
        *why = "the Host header is malformed";
        return 400;
    }
    if (request->upgrade.data == NULL) {
        *why = "the request asks for no upgrade";
        return 426;
    }
    if (!list_has(request->upgrade, "websocket")) {
        *why = "the Upgrade header has no \"websocket\"";
        return 400;
    }
    if (!list_has(request->connection, "upgrade")) {
        *why = "the Connection header has no \"upgrade\"";
        return 400;
    }
    if (!equal(trim(request->version), words("13"))) {
        *why = "Sec-WebSocket-Version is not 13";
        return 426;
    }
    if (!key_is_valid(trim(request->key))) {
        *why = "Sec-WebSocket-Key is missing or malformed";
        return 400;
    }
    return 101;
}

/* Subprotocols are compared exactly (RFC 6455, 4.1). */
static int
choose_dialect(wsig_text_t protocols, wsig_reply_t *reply)
{
    bool native = false;
    wsig_text_t item;

    if (protocols.data == NULL) {
        reply->dialect = WSIG_ARTICLE;
        return 101;
    }
    while (list_next(&protocols, &item)) {
        if (!is_token(item)) {
            reply->why = "Sec-WebSocket-Protocol is malformed";
            return 400;
        }
        if (item.size == strlen(NATIVE_PROTOCOL) &&
            memcmp(item.data, NATIVE_PROTOCOL, item.size) == 0) {
            native = true;
        }
    }
    if (!native) {
        reply->why = "no subprotocol that is spoken here";
        return 400;
    }
    reply->dialect = WSIG_NATIVE;
    return 101;
}

/* Browsers always send one, so a request without it is no page's. */
static int
check_origin(const wsig_request_t *request, const wsig_conf_t *conf,
             const char **why)
{
    wsig_text_t origin = trim(request->origin);
    bool allowed = false;

    if (request->origin.data == NULL) {
        return 101;
    }
    switch (conf->origin) {
    case WSIG_ORIGIN_SAME:
        allowed = origin_is_same(origin, trim(request->host));
        break;
    case WSIG_ORIGIN_ANY:
        allowed = true;
        break;
    case WSIG_ORIGIN_LIST:
        allowed = origin_is_listed(origin, conf);
        break;
    }
    if (!allowed) {
        *why = "the Origin is not allowed";
        return 403;
    }
    return 101;
}

/* A port that is left out is that of the origin's scheme on both sides: behind
 * a proxy that ends TLS the server itself does not know better. */
static bool
origin_is_same(wsig_text_t origin, wsig_text_t host)
{
    authority_t ours, theirs;
    uint32_t port;
    size_t scheme;
    wsig_text_t rest;

    if (starts_with(origin, "https://")) {
        port = PORT_HTTPS;
        scheme = strlen("https://");
    } else if (starts_with(origin, "http://")) {
        port = PORT_HTTP;
        scheme = strlen("http://");
    } else {
        return false;
    }
    rest = (wsig_text_t){origin.data + scheme, origin.size - scheme};

    return parse_authority(rest, port, &theirs) &&
           parse_authority(host, port, &ours) && theirs.port == ours.port &&
           equal(theirs.host, ours.host);
}

/* Scheme and host are the same in either case, and a port has none. */
static bool
origin_is_listed(wsig_text_t origin, const wsig_conf_t *conf)
{
    size_t i;

    for (i = 0; i < conf->n_origins; i++) {
        if (equal(origin, conf->origins[i])) {
            return true;
        }
    }
    return false;
}

/* host, host:port, [v6] or [v6]:port, and nothing else. */
static bool
parse_authority(wsig_text_t text, uint32_t default_port, authority_t *authority)
{
    size_t size = 0;
    wsig_text_t port;

    if (text.size > 0 && text.data[0] == '[') {
        const char *bracket = memchr(text.data, ']', text.size);

        if (bracket == NULL) {
            return false;
        }
        size = (size_t) (bracket - text.data) + 1;
    } else {
        while (size < text.size && text.data[size] != ':') {
            size++;
        }
    }
    authority->host = (wsig_text_t){text.data, size};
    authority->port = default_port;
    if (!is_host(authority->host)) {
        return false;
    }
    if (size == text.size) {
        return true;
    }
    port = (wsig_text_t){text.data + size + 1, text.size - size - 1};
    return text.data[size] == ':' && parse_port(port, &authority->port);
}

static bool
parse_port(wsig_text_t digits, uint32_t *port)
{
    uint32_t number = 0;
    size_t i;

    if (digits.size == 0 || digits.size > 5) {
        return false;
    }
    for (i = 0; i < digits.size; i++) {
        if (digits.data[i] < '0' || digits.data[i] > '9') {
            return false;
        }
        number = number * 10 + (uint32_t) (digits.data[i] - '0');
    }
    *port = number;
    return number >= 1 && number <= 65535;
}

static bool
is_host(wsig_text_t host)
{
    size_t i;

    if (host.size == 0) {
        return false;
    }
    if (host.data[0] == '[') {
        for (i = 1; i < host.size - 1; i++) {
            if (!is_alnum(host.data[i]) && !is_in(host.data[i], ":.%-_~")) {
                return false;
            }
        }
        return host.size > 2;
    }
    /* Without the comma, which joins two headers. */
    for (i = 0; i < host.size; i++) {
        if (!is_alnum(host.data[i]) &&
            !is_in(host.data[i], "-._~%!$&'()*+;=")) {
            return false;
        }
    }
    return true;
}

/* Base64 of exactly 16 bytes: 22 characters, the last of which carries two
 * bits, and the padding. */
static bool
key_is_valid(wsig_text_t key)
{
    size_t i;

    if (key.size != KEY_SIZE) {
        return false;
    }
    for (i = 0; i < KEY_SIZE - 2; i++) {
        if (!is_alnum(key.data[i]) && !is_in(key.data[i], "+/")) {
            return false;
        }
    }
    return is_in(key.data[KEY_SIZE - 3], "AQgw") &&
           key.data[KEY_SIZE - 2] == '=' && key.data[KEY_SIZE - 1] == '=';
}

static bool
make_accept(wsig_text_t key, char accept[32])
{
    char text[KEY_SIZE + sizeof(KEY_SUFFIX)];
    unsigned char digest[EVP_MAX_MD_SIZE];
    unsigned int size;

    memcpy(text, key.data, KEY_SIZE);
    memcpy(text + KEY_SIZE, KEY_SUFFIX, sizeof(KEY_SUFFIX));
    if (EVP_Digest(text, sizeof(text) - 1, digest, &size, EVP_sha1(), NULL) !=
        1) {
        return false;
    }
    EVP_EncodeBlock((unsigned char *) accept, digest, (int) size);
    return true;
}

static bool
list_has(wsig_text_t list, const char *token)
{
    wsig_text_t item;

    while (list_next(&list, &item)) {
        if (equal(item, words(token))) {
            return true;
        }
    }
    return false;
}

/* The next item of a comma list that is not empty (RFC 9110, 5.6.1); *list is
 * moved over it. */
static bool
list_next(wsig_text_t *list, wsig_text_t *item)
{
    while (list->size > 0) {
        const char *comma = memchr(list->data, ',', list->size);
        size_t size =
            comma != NULL ? (size_t) (comma - list->data) : list->size;
        size_t step = comma != NULL ? size + 1 : size;

        *item = trim((wsig_text_t){list->data, size});
        list->data += step;
        list->size -= step;
        if (item->size > 0) {
            return true;
        }
    }
    return false;
}

/* RFC 9110, 5.6.2. */
static bool
is_token(wsig_text_t text)
{
    size_t i;

    for (i = 0; i < text.size; i++) {
        if (!is_alnum(text.data[i]) &&
            !is_in(text.data[i], "!#$%&'*+-.^_`|~")) {
            return false;
        }
    }
    return text.size > 0;
}

/* Of ASCII, whatever the locale. */
static bool
is_alnum(char c)
{
    return (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') ||
           (c >= 'a' && c <= 'z');
}

static bool
is_in(char c, const char *set)
{
    return c != '\0' && strchr(set, c) != NULL;
}

static bool
starts_with(wsig_text_t text, const char *start)
{
    size_t size = strlen(start);

    return text.size >= size &&
           equal((wsig_text_t){text.data, size}, words(start));
}

/* Whatever the case of ASCII letters. */
static bool
equal(wsig_text_t a, wsig_text_t b)
{
    size_t i;

    if (a.size != b.size) {
        return false;
    }
    for (i = 0; i < a.size; i++) {
        if (lower(a.data[i]) != lower(b.data[i])) {
            return false;
        }
    }
    return true;
}

static char
lower(char c)
{
    return c >= 'A' && c <= 'Z' ? (char) (c - 'A' + 'a') : c;
}

/* Without the spaces and tabs around it, which are not the value's. */
static wsig_text_t
trim(wsig_text_t text)
{
    while (text.size > 0 && is_in(text.data[0], " \t")) {
        text.data++;
        text.size--;
    }
    while (text.size > 0 && is_in(text.data[text.size - 1], " \t")) {
        text.size--;
    }
    return text;
}

static wsig_text_t
words(const char *text)
{
    return (wsig_text_t){text, strlen(text)};
}
