#include "wsig.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
    SECOND = 1000,
    MINUTE = 60 * SECOND,
    HOUR = 60 * MINUTE,
    DAY = 24 * HOUR,

    KILO = 1024,
    MEGA = 1024 * KILO,

    PEERS_MAX = 100000000,
    RATE_MAX = 1000000,
    BURST_OF_RATE = 4, /* where only the rate is given */
    SECRET_MIN = 16,   /* bytes */
    SECRET_MAX = 512,
    SECRET_FILE_MAX = 64 * KILO,
    QUOTED_MAX = 128 /* bytes of a wrong value that an error repeats */
};

typedef struct unit_s {
    const char *name;
    uint64_t factor;
} unit_t;

/* The names that errors use come last, ascending: a bound is shown in the
 * largest unit that divides it. */
static const unit_t size_units[] = {
    {"K", KILO}, {"M", MEGA}, {"G", (uint64_t) 1 << 30}, {"", 1},
    {"k", KILO}, {"m", MEGA}, {"g", (uint64_t) 1 << 30}};
static const unit_t time_units[] = {
    {"ms", 1}, {"s", SECOND}, {"m", MINUTE}, {"h", HOUR}, {"d", DAY}};

#define LENGTH(array) (sizeof(array) / sizeof((array)[0]))

static const char *set_size(wsig_text_t value, size_t min, size_t max,
                            size_t *size, const wsig_pool_t *pool);
static const char *set_time(wsig_text_t value, int64_t min, int64_t max,
                            int64_t *time, const wsig_pool_t *pool);
static const char *set_guests(wsig_conf_t *conf, wsig_text_t value,
                              const wsig_pool_t *pool);
static const char *set_origin(wsig_conf_t *conf, const wsig_text_t *values,
                              size_t n, const wsig_pool_t *pool);
static const char *set_max_peers(wsig_conf_t *conf, wsig_text_t value,
                                 const wsig_pool_t *pool);
static const char *set_rate(wsig_conf_t *conf, const wsig_text_t *values,
                            size_t n, const wsig_pool_t *pool);
static const char *set_resume(wsig_conf_t *conf, wsig_text_t value,
                              const wsig_pool_t *pool);
static const char *set_ice_servers(wsig_conf_t *conf, const wsig_text_t *values,
                                   size_t n, const wsig_pool_t *pool);
static const char *set_secrets(wsig_conf_t *conf, wsig_text_t path,
                               const wsig_pool_t *pool);
static void copy_setting(wsig_conf_t *conf, const wsig_conf_t *from,
                         wsig_setting_t setting);
static const char *read_secrets(int file, const char *path, wsig_text_t *text,
                                const wsig_pool_t *pool);
static const char *split_secrets(wsig_conf_t *conf, wsig_text_t text,
                                 const char *path, const wsig_pool_t *pool);
static bool is_secret(wsig_text_t text);
static bool copy_origin(wsig_text_t value, wsig_text_t *origin,
                        const wsig_pool_t *pool);
static bool is_ice_url(wsig_text_t url);
static bool take_host(wsig_text_t *rest);
static bool take_port(wsig_text_t *rest);
static bool take_number(wsig_text_t *rest, uint64_t max, uint64_t *number);
static bool take_unit(wsig_text_t value, const unit_t *units, size_t n_units,
                      const char *plain, uint64_t *amount);
static bool take_words(wsig_text_t *rest, const char *words);
static bool is(wsig_text_t text, const char *words);
static const char *show(uint64_t amount, const unit_t *units, size_t n_units,
                        char out[32]);
static const char *invalid(const wsig_pool_t *pool, wsig_text_t value,
                           const char *format, ...);
static const char *complain(const wsig_pool_t *pool, const char *format, ...);
static const char *complain_list(const wsig_pool_t *pool, const char *format,
                                 va_list list);
static bool copy_text(wsig_text_t from, wsig_text_t *to,
                      const wsig_pool_t *pool);

static const char no_memory[] = "out of memory";

static const wsig_conf_t defaults = {
    .guests = WSIG_GUESTS_ALL, /* with an identity: off */
    .origin = WSIG_ORIGIN_SAME,
    .max_message = 64 * KILO,
    .max_backlog = 256 * KILO,
    .max_peers = 0,
    .rate = 50,
    .burst = 200,
    .ping = 25 * SECOND,
    .hello_timeout = 10 * SECOND,
    .ring_timeout = 45 * SECOND,
    .resume = 15 * SECOND,
    .turn_ttl = HOUR,
};

const char *
wsig_conf_set(wsig_conf_t *conf, wsig_setting_t setting,
              const wsig_text_t *values, size_t n, const wsig_pool_t *pool)
{
    const char *error = NULL;

    switch (setting) {
    case WSIG_SET_GUESTS:
        error = set_guests(conf, values[0], pool);
        break;
    case WSIG_SET_ORIGIN:
        error = set_origin(conf, values, n, pool);
        break;
    case WSIG_SET_MAX_MESSAGE:
        error = set_size(values[0], KILO, WSIG_MAX_MESSAGE_LIMIT,
                         &conf->max_message, pool);
        break;
    case WSIG_SET_MAX_BACKLOG:
        error = set_size(values[0], KILO, 16 * MEGA, &conf->max_backlog, pool);
        break;
    case WSIG_SET_MAX_PEERS:
        error = set_max_peers(conf, values[0], pool);
        break;
    case WSIG_SET_RATE:
        error = set_rate(conf, values, n, pool);
        break;
    case WSIG_SET_PING:
        error = set_time(values[0], SECOND, HOUR, &conf->ping, pool);
        break;
    case WSIG_SET_HELLO_TIMEOUT:
        error = set_time(values[0], 100, HOUR, &conf->hello_timeout, pool);
        break;
    case WSIG_SET_RING_TIMEOUT:
        error = set_time(values[0], SECOND, HOUR, &conf->ring_timeout, pool);
        break;
    case WSIG_SET_RESUME:
        error = set_resume(conf, values[0], pool);
        break;
    case WSIG_SET_ICE_SERVER:
        error = set_ice_servers(conf, values, n, pool);
        break;
    case WSIG_SET_TURN_SECRET_FILE:
        error = set_secrets(conf, values[0], pool);
        break;
    case WSIG_SET_TURN_TTL:
        error = set_time(values[0], SECOND, 7 * DAY, &conf->turn_ttl, pool);
        break;
    }
    if (error == NULL) {
        conf->given |= 1u << setting;
    }
    return error;
}

/*
 * What an outer level was given counts as given here, so that it goes on to
 * the next level.  A default does not: which one holds for guests is known
 * only at the innermost level, where the identity is.
 */
void
wsig_conf_merge(wsig_conf_t *conf, const wsig_conf_t *outer)
{
    wsig_setting_t setting;

    for (setting = WSIG_SET_GUESTS; setting <= WSIG_SET_TURN_TTL; setting++) {
        uint32_t bit = 1u << setting;

        if (conf->given & bit) {
            continue;
        }
        if (outer != NULL && (outer->given & bit)) {
            copy_setting(conf, outer, setting);
            conf->given |= bit;
        } else {
            copy_setting(conf, &defaults, setting);
        }
    }
    if (conf->identity && !(conf->given & 1u << WSIG_SET_GUESTS)) {
        conf->guests = WSIG_GUESTS_OFF;
    }
}

const char *
wsig_conf_check(const wsig_conf_t *conf, const wsig_pool_t *pool,
                wsig_setting_t *setting)
{
    char message[32];
    char backlog[32];
    size_t i;

    *setting = WSIG_SET_MAX_BACKLOG;
    if (conf->max_backlog < conf->max_message) {
        return complain(
            pool,
            "the backlog of %s is smaller than one message, which "
            "may have %s: no text of that size could be sent",
            show(conf->max_backlog, size_units, LENGTH(size_units), backlog),
            show(conf->max_message, size_units, LENGTH(size_units), message));
    }
    *setting = WSIG_SET_ICE_SERVER;
    for (i = 0; conf->n_secrets == 0 && i < conf->n_ice_servers; i++) {
        wsig_text_t url = conf->ice_servers[i];

        if (url.data[0] == 't') {
            return complain(pool,
                            "\"%.*s\" needs a secret to sign credentials with: "
                            "no secret file is given",
                            (int) url.size, url.data);
        }
    }
    return NULL;
}

const char *
wsig_conf_zone(wsig_text_t path, wsig_text_t size, size_t *bytes,
               const wsig_pool_t *pool)
{
    if (path.size > WSIG_PATH_MAX) {
        return invalid(pool, path, "a path of at most %d bytes is expected",
                       WSIG_PATH_MAX);
    }
    return set_size(size, WSIG_ZONE_MIN, WSIG_ZONE_MAX, bytes, pool);
}

const char *
wsig_conf_drain(wsig_text_t value, int64_t *drain, const wsig_pool_t *pool)
{
    return set_time(value, 0, 7 * DAY, drain, pool);
}

static const char *
set_size(wsig_text_t value, size_t min, size_t max, size_t *size,
         const wsig_pool_t *pool)
{
    char low[32];
    char high[32];
    uint64_t bytes;

    if (!take_unit(value, size_units, LENGTH(size_units), "", &bytes) ||
        bytes < min || bytes > max) {
        return invalid(pool, value,
                       "a size such as 64k is expected, at least %s and at "
                       "most %s",
                       show(min, size_units, LENGTH(size_units), low),
                       show(max, size_units, LENGTH(size_units), high));
    }
    *size = bytes;
    return NULL;
}

static const char *
set_time(wsig_text_t value, int64_t min, int64_t max, int64_t *time,
         const wsig_pool_t *pool)
{
    char low[32];
    char high[32];
    uint64_t ms;

    if (!take_unit(value, time_units, LENGTH(time_units), "s", &ms) ||
        ms < (uint64_t) min || ms > (uint64_t) max) {
        return invalid(
            pool, value,
            "a time such as 30s is expected, at least %s and at most %s",
            show((uint64_t) min, time_units, LENGTH(time_units), low),
            show((uint64_t) max, time_units, LENGTH(time_units), high));
    }
    *time = (int64_t) ms;
    return NULL;
}

static const char *
set_guests(wsig_conf_t *conf, wsig_text_t value, const wsig_pool_t *pool)
{
    if (is(value, "off")) {
        conf->guests = WSIG_GUESTS_OFF;
    } else if (is(value, "call")) {
        conf->guests = WSIG_GUESTS_CALL;
    } else if (is(value, "all")) {
        conf->guests = WSIG_GUESTS_ALL;
    } else {
        return invalid(pool, value, "off, call or all is expected");
    }
    return NULL;
}

static const char *
set_origin(wsig_conf_t *conf, const wsig_text_t *values, size_t n,
           const wsig_pool_t *pool)
{
    wsig_text_t *origins;
    size_t i;

    if (n == 1 && is(values[0], "same")) {
        conf->origin = WSIG_ORIGIN_SAME;
        return NULL;
    }
    if (n == 1 && is(values[0], "any")) {
        conf->origin = WSIG_ORIGIN_ANY;
        return NULL;
    }
    origins = pool->alloc(pool->pool, n * sizeof(*origins));
    if (origins == NULL) {
        return no_memory;
    }
    for (i = 0; i < n; i++) {
        if (!copy_origin(values[i], &origins[i], pool)) {
            return invalid(pool, values[i],
                           "same or any alone, or origins such as "
                           "https://example.org:8443 (no path) are expected");
        }
        if (origins[i].data == NULL) {
            return no_memory;
        }
    }
    conf->origin = WSIG_ORIGIN_LIST;
    conf->origins = origins;
    conf->n_origins = n;
    return NULL;
}

static const char *
set_max_peers(wsig_conf_t *conf, wsig_text_t value, const wsig_pool_t *pool)
{
    wsig_text_t rest = value;
    uint64_t number;

    if (!take_number(&rest, PEERS_MAX, &number) || rest.size != 0) {
        return invalid(pool, value, "a number from 0 to %d is expected",
                       PEERS_MAX);
    }
    conf->max_peers = (uint32_t) number;
    return NULL;
}

static const char *
set_rate(wsig_conf_t *conf, const wsig_text_t *values, size_t n,
         const wsig_pool_t *pool)
{
    wsig_text_t rest = values[0];
    uint64_t rate;
    uint64_t burst;

    if (n == 1 && is(values[0], "0")) {
        conf->rate = 0;
        conf->burst = 0;
        return NULL;
    }
    if (!take_number(&rest, RATE_MAX, &rate) || rate == 0 || !is(rest, "/s")) {
        return invalid(pool, values[0],
                       "0 alone, or a rate such as 50/s is expected, at least "
                       "1/s and at most %d/s",
                       RATE_MAX);
    }
    burst = rate * BURST_OF_RATE;
    if (n > 1) {
        rest = values[1];
        if (!take_words(&rest, "burst=") ||
            !take_number(&rest, RATE_MAX, &burst) || burst == 0 ||
            rest.size != 0) {
            return invalid(pool, values[1],
                           "burst=N is expected, N from 1 to %d", RATE_MAX);
        }
    }
    conf->rate = (uint32_t) rate;
    conf->burst = (uint32_t) burst;
    return NULL;
}

static const char *
set_resume(wsig_conf_t *conf, wsig_text_t value, const wsig_pool_t *pool)
{
    uint64_t ms;

    if (!take_unit(value, time_units, LENGTH(time_units), "s", &ms) ||
        (ms != 0 && (ms < SECOND || ms > HOUR))) {
        return invalid(pool, value,
                       "0 alone, or a time such as 30s is expected, at least "
                       "1s and at most 1h");
    }
    conf->resume = (int64_t) ms;
    return NULL;
}

static const char *
set_ice_servers(wsig_conf_t *conf, const wsig_text_t *values, size_t n,
                const wsig_pool_t *pool)
{
    wsig_text_t *urls = pool->alloc(pool->pool, n * sizeof(*urls));
    size_t i;

    if (urls == NULL) {
        return no_memory;
    }
    for (i = 0; i < n; i++) {
        if (!is_ice_url(values[i])) {
            return invalid(pool, values[i],
                           "a URL such as stun:example.org:3478 or "
                           "turn:example.org:3478?transport=udp is expected: "
                           "stun:, stuns:, turn: or turns:, a host, a port "
                           "from 1 to 65535, for turn: and turns: a transport "
                           "of udp or tcp");
        }
        if (!copy_text(values[i], &urls[i], pool)) {
            return no_memory;
        }
    }
    conf->ice_servers = urls;
    conf->n_ice_servers = n;
    return NULL;
}

/* The file holds one secret a line.  What it says is not repeated in errors. */
static const char *
set_secrets(wsig_conf_t *conf, wsig_text_t path, const wsig_pool_t *pool)
{
    const char *error;
    wsig_text_t name;
    wsig_text_t text = {NULL, 0};
    int file;

    if (path.size == 0) {
        return invalid(pool, path, "the path of a file is expected");
    }
    if (!copy_text(path, &name, pool)) {
        return no_memory;
    }
    /* O_NONBLOCK: a pipe would wait for its writer */
    file = open(name.data, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (file < 0) {
        return complain(pool, "cannot open \"%s\": %s", name.data,
                        strerror(errno));
    }
    error = read_secrets(file, name.data, &text, pool);
    close(file);
    if (error != NULL) {
        return error;
    }
    return split_secrets(conf, text, name.data, pool);
}

static void
copy_setting(wsig_conf_t *conf, const wsig_conf_t *from, wsig_setting_t setting)
{
    switch (setting) {
    case WSIG_SET_GUESTS:
        conf->guests = from->guests;
        break;
    case WSIG_SET_ORIGIN:
        conf->origin = from->origin;
        conf->origins = from->origins;
        conf->n_origins = from->n_origins;
        break;
    case WSIG_SET_MAX_MESSAGE:
        conf->max_message = from->max_message;
        break;
    case WSIG_SET_MAX_BACKLOG:
        conf->max_backlog = from->max_backlog;
        break;
    case WSIG_SET_MAX_PEERS:
        conf->max_peers = from->max_peers;
        break;
    case WSIG_SET_RATE:
        conf->rate = from->rate;
        conf->burst = from->burst;
        break;
    case WSIG_SET_PING:
        conf->ping = from->ping;
        break;
    case WSIG_SET_HELLO_TIMEOUT:
        conf->hello_timeout = from->hello_timeout;
        break;
    case WSIG_SET_RING_TIMEOUT:
        conf->ring_timeout = from->ring_timeout;
        break;
    case WSIG_SET_RESUME:
        conf->resume = from->resume;
        break;
    case WSIG_SET_ICE_SERVER:
        conf->ice_servers = from->ice_servers;
        conf->n_ice_servers = from->n_ice_servers;
        break;
    case WSIG_SET_TURN_SECRET_FILE:
        conf->secrets = from->secrets;
        conf->n_secrets = from->n_secrets;
        break;
    case WSIG_SET_TURN_TTL:
        conf->turn_ttl = from->turn_ttl;
        break;
    }
}

static const char *
read_secrets(int file, const char *path, wsig_text_t *text,
             const wsig_pool_t *pool)
{
    struct stat info;
    char *data;
    ssize_t n;
    size_t size = 0;

    if (fstat(file, &info) != 0) {
        return complain(pool, "cannot look at \"%s\": %s", path,
                        strerror(errno));
    }
    if (!S_ISREG(info.st_mode)) {
        return complain(pool, "\"%s\" is not a file", path);
    }
    if (info.st_mode & 0007) {
        return complain(pool,
                        "\"%s\" is open to every user (mode %03o): a secret "
                        "may be read by its owner and group only",
                        path, (unsigned) info.st_mode & 0777);
    }
    if (info.st_size > SECRET_FILE_MAX) {
        return complain(pool, "\"%s\" is too large for a file of secrets",
                        path);
    }
    data = pool->alloc(pool->pool, (size_t) info.st_size + 1);
    if (data == NULL) {
        return no_memory;
    }
    while (size < (size_t) info.st_size) {
        n = read(file, data + size, (size_t) info.st_size - size);
        if (n < 0 && errno == EINTR) {
            continue;
        }
        if (n < 0) {
            return complain(pool, "cannot read \"%s\": %s", path,
                            strerror(errno));
        }
        if (n == 0) {
            break;
        }
        size += (size_t) n;
    }
    text->data = data;
    text->size = size;
    return NULL;
}

static const char *
split_secrets(wsig_conf_t *conf, wsig_text_t text, const char *path,
              const wsig_pool_t *pool)
{
    const char *at = text.data;
    const char *end = text.data + text.size;
    wsig_text_t *secrets;
    size_t n = 0;
    size_t lines = 1;

    for (; at < end; at++) {
        lines += *at == '\n';
    }
    secrets = pool->alloc(pool->pool, lines * sizeof(*secrets));
    if (secrets == NULL) {
        return no_memory;
    }
    for (at = text.data, lines = 1; at < end; lines++) {
        const char *line = at;
        const char *stop = memchr(at, '\n', (size_t) (end - at));
        size_t size = (size_t) ((stop == NULL ? end : stop) - line);

        at = stop == NULL ? end : stop + 1;
        if (size > 0 && line[size - 1] == '\r') {
            size--;
        }
        if (size == 0) {
            continue;
        }
        if (size < SECRET_MIN) {
            return complain(pool,
                            "line %zu of \"%s\" is too short for a secret: at "
                            "least %d bytes are expected",
                            lines, path, SECRET_MIN);
        }
        if (!is_secret((wsig_text_t){line, size})) {
            return complain(pool,
                            "line %zu of \"%s\" is no secret that coturn "
                            "reads as it stands: at most %d bytes are "
                            "expected, without control characters, a blank at "
                            "either end, one of # = \" at the beginning, a ; "
                            "at the end, or the name of coturn's option",
                            lines, path, SECRET_MAX);
        }
        secrets[n].data = line;
        secrets[n].size = size;
        n++;
    }
    if (n == 0) {
        return complain(pool, "\"%s\" holds no secret", path);
    }
    conf->secrets = secrets;
    conf->n_secrets = n;
    return NULL;
}

/* coturn drops blanks, signs of equality and a quotation mark around a value,
 * and puts a line that ends with a semicolon into its log. */
static bool
is_secret(wsig_text_t text)
{
    static const char option[] = "static-auth-secret";
    const char last = text.data[text.size - 1];
    size_t i;

    for (i = 0; i < text.size; i++) {
        if ((unsigned char) text.data[i] < ' ' || text.data[i] == '\177') {
            return false;
        }
    }
    return text.size <= SECRET_MAX && strchr(" #=\"", text.data[0]) == NULL &&
           last != ' ' && last != ';' &&
           (text.size < sizeof(option) ||
            memcmp(text.data, option, sizeof(option) - 1) != 0);
}

/*
 * An origin as browsers write it (RFC 6454, section 6.2): in lower case,
 * without the scheme's own port.  False where it is none; where memory is
 * short origin->data is NULL.
 */
static bool
copy_origin(wsig_text_t value, wsig_text_t *origin, const wsig_pool_t *pool)
{
    wsig_text_t rest = value;
    const char *own_port;
    char *data;
    size_t size;
    size_t i;

    if (take_words(&rest, "https://")) {
        own_port = ":443";
    } else if (take_words(&rest, "http://")) {
        own_port = ":80";
    } else {
        return false;
    }
    if (!take_host(&rest)) {
        return false;
    }
    size = value.size;
    if (is(rest, own_port)) {
        size -= rest.size;
    } else if (rest.size > 0 && (!take_port(&rest) || rest.size > 0)) {
        return false;
    }
    origin->data = data = pool->alloc(pool->pool, size);
    origin->size = size;
    for (i = 0; data != NULL && i < size; i++) {
        char c = value.data[i];

        data[i] = c >= 'A' && c <= 'Z' ? (char) (c | 0x20) : c;
    }
    return true;
}

/* RFC 7064 and RFC 7065. */
static bool
is_ice_url(wsig_text_t url)
{
    bool turn = false;

    if (take_words(&url, "turn:") || take_words(&url, "turns:")) {
        turn = true;
    } else if (!take_words(&url, "stun:") && !take_words(&url, "stuns:")) {
        return false;
    }
    if (!take_host(&url)) {
        return false;
    }
    if (url.size > 0 && url.data[0] == ':' && !take_port(&url)) {
        return false;
    }
    if (turn && take_words(&url, "?transport=")) {
        return is(url, "udp") || is(url, "tcp");
    }
    return url.size == 0;
}

/* A host name, an IPv4 address, or an IPv6 address in brackets. */
static bool
take_host(wsig_text_t *rest)
{
    static const char name[] = "abcdefghijklmnopqrstuvwxyz"
                               "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-_";
    static const char address[] = "0123456789abcdefABCDEF:.";
    bool bracket = take_words(rest, "[");
    const char *set = bracket ? address : name;
    size_t n = 0;

    while (n < rest->size && rest->data[n] != '\0' &&
           strchr(set, rest->data[n]) != NULL) {
        n++;
    }
    rest->data += n;
    rest->size -= n;
    return n > 0 && (!bracket || take_words(rest, "]"));
}

static bool
take_port(wsig_text_t *rest)
{
    uint64_t port;

    return take_words(rest, ":") && take_number(rest, 65535, &port) && port > 0;
}

static bool
take_number(wsig_text_t *rest, uint64_t max, uint64_t *number)
{
    size_t n = 0;

    *number = 0;
    while (n < rest->size && rest->data[n] >= '0' && rest->data[n] <= '9') {
        *number = *number * 10 + (uint64_t) (rest->data[n] - '0');
        if (*number > max) {
            return false;
        }
        n++;
    }
    rest->data += n;
    rest->size -= n;
    return n > 0;
}

/* A number and the name of a unit, plain where it has none. */
static bool
take_unit(wsig_text_t value, const unit_t *units, size_t n_units,
          const char *plain, uint64_t *amount)
{
    size_t i;

    /* times the largest unit it still fits */
    if (!take_number(&value, (uint64_t) 1 << 33, amount)) {
        return false;
    }
    for (i = 0; i < n_units; i++) {
        if (is(value, units[i].name) ||
            (value.size == 0 && strcmp(units[i].name, plain) == 0)) {
            *amount *= units[i].factor;
            return true;
        }
    }
    return false;
}

static bool
take_words(wsig_text_t *rest, const char *words)
{
    size_t size = strlen(words);

    if (rest->size < size || memcmp(rest->data, words, size) != 0) {
        return false;
    }
    rest->data += size;
    rest->size -= size;
    return true;
}

static bool
is(wsig_text_t text, const char *words)
{
    return take_words(&text, words) && text.size == 0;
}

static const char *
show(uint64_t amount, const unit_t *units, size_t n_units, char out[32])
{
    size_t i = n_units - 1;

    while (units[i].factor != 1 &&
           (amount == 0 || amount % units[i].factor != 0)) {
        i--;
    }
    snprintf(out, 32, "%llu%s", (unsigned long long) (amount / units[i].factor),
             units[i].name);
    return out;
}

static const char *
invalid(const wsig_pool_t *pool, wsig_text_t value, const char *format, ...)
{
    size_t size = value.size < QUOTED_MAX ? value.size : QUOTED_MAX;
    const char *expected;
    va_list list;

    va_start(list, format);
    expected = complain_list(pool, format, list);
    va_end(list);
    return complain(pool, "invalid value \"%.*s%s\": %s", (int) size,
                    value.size > 0 ? value.data : "",
                    size < value.size ? "..." : "", expected);
}

static const char *
complain(const wsig_pool_t *pool, const char *format, ...)
{
    const char *text;
    va_list list;

    va_start(list, format);
    text = complain_list(pool, format, list);
    va_end(list);
    return text;
}

static const char *
complain_list(const wsig_pool_t *pool, const char *format, va_list list)
{
    va_list again;
    char *text;
    int size;

    va_copy(again, list);
    size = vsnprintf(NULL, 0, format, again);
    va_end(again);
    if (size < 0) {
        return format;
    }
    text = pool->alloc(pool->pool, (size_t) size + 1);
    if (text == NULL) {
        return no_memory;
    }
    vsnprintf(text, (size_t) size + 1, format, list);
    return text;
}

/* The copy ends in a NUL that its size does not count. */
static bool
copy_text(wsig_text_t from, wsig_text_t *to, const wsig_pool_t *pool)
{
    char *data = pool->alloc(pool->pool, from.size + 1);

    if (data == NULL) {
        return false;
    }
    memcpy(data, from.data, from.size);
    data[from.size] = '\0';
    to->data = data;
    to->size = from.size;
    return true;
}
