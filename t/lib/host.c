#include "host.h"

#include "alloc.h"
#include "check.h"
#include "frames.h"
#include "wsig_ws.h"

#include <dirent.h>
#include <fcntl.h>
#include <jansson.h>
#include <poll.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
    ROUNDS = 100000, /* of a loop that never rests */
    IN_MAX = 8 * 1024 * 1024
};

static ssize_t host_write(void *connection, const void *data, size_t size);
static void host_close(void *connection);
static void host_hold(void *connection, bool hold);
static void host_set_timer(void *data, int64_t delay);
static void host_log(void *data, wsig_level_t level, const char *text);
static void client_parse(client_t *client);
static void client_frame(client_t *client, int opcode, const char *payload,
                         size_t size);

static const wsig_host_t callbacks = {host_write, host_close, host_hold,
                                      host_set_timer, host_log};

static _Atomic int64_t clock_ms = 1000000;
static _Thread_local bool inside;  /* the core */
static _Thread_local bool calling; /* back */

/* ------------------------------------------------------------ time */

int64_t
host_clock(void)
{
    return atomic_load(&clock_ms);
}

void
host_set_clock(int64_t mono)
{
    atomic_store(&clock_ms, mono);
}

static wsig_time_t
now(void)
{
    int64_t mono = host_clock();

    return (wsig_time_t){mono, 1700000000 + mono / 1000};
}

/* ------------------------------------------------------------ zone */

#define ZONES 16

static struct {
    pid_t pid;
    char folder[64];
} zones[ZONES];

static void
remove_folder(const char *folder)
{
    char path[512];
    struct dirent *entry;
    DIR *dir = opendir(folder);

    if (dir == NULL) {
        return;
    }
    while ((entry = readdir(dir)) != NULL) {
        if (entry->d_name[0] != '.') {
            snprintf(path, sizeof(path), "%s/%s", folder, entry->d_name);
            if (unlink(path) == -1) {
                remove_folder(path);
            }
        }
    }
    closedir(dir);
    rmdir(folder);
}

static void
remove_zones(void)
{
    int i;

    for (i = 0; i < ZONES; i++) {
        if (zones[i].pid == getpid()) {
            remove_folder(zones[i].folder);
        }
    }
}

static void
zone_warned(void *ctx, const char *text)
{
    (void) ctx;
    fprintf(stderr, "%s\n", text);
}

wsig_zone_t *
host_zone(size_t size)
{
    static bool registered;
    static int made;
    char path[WSIG_PATH_MAX + 1], error[256];
    wsig_zone_options_t options = {.path = path,
                                   .size = size,
                                   .uid = geteuid(),
                                   .gid = getegid(),
                                   .warn = zone_warned};
    wsig_zone_t *zone;
    int i = 0;

    if (!registered) {
        registered = true;
        atexit(remove_zones);
    }
    while (i < ZONES && zones[i].pid != 0) {
        i++;
    }
    CHECK(i < ZONES);
    zones[i].pid = getpid();
    snprintf(zones[i].folder, sizeof(zones[i].folder),
             "/dev/shm/wsig-test.%d.%d", (int) getpid(), made++);
    remove_folder(zones[i].folder);
    snprintf(path, sizeof(path), "%s/zone", zones[i].folder);
    CHECK(wsig_zone_open(&zone, &options, error, sizeof(error)) == WSIG_OK,
          "%s", error);
    return zone;
}

void
host_zone_remove(wsig_zone_t *zone)
{
    /* Its path is the core's own: all folders whose zone is gone go. */
    char path[96];
    int i;

    wsig_zone_close(zone);
    for (i = 0; i < ZONES; i++) {
        snprintf(path, sizeof(path), "%s/zone", zones[i].folder);
        if (zones[i].pid == getpid() && access(path, F_OK) == -1) {
            remove_folder(zones[i].folder);
            zones[i].pid = 0;
        }
    }
}

uint64_t
host_zone_seed(void)
{
    const char *seed = getenv("WSIG_SEED");

    return seed != NULL ? strtoull(seed, NULL, 0) : 88172645463325252ull;
}

/* ------------------------------------------------------------ the loop */

static void
enter(const host_t *host)
{
    CHECK(!inside, "the core was entered twice");
    inside = true;
    alloc_spare(host->spared);
}

static void
leave(void)
{
    alloc_spare(true);
    inside = false;
}

int
host_start(host_t *host, wsig_zone_t *zone)
{
    bool spared = host->spared;
    int rc;

    *host = (host_t){.zone = zone, .due = INT64_MAX, .spared = spared};
    enter(host);
    rc = wsig_worker_start(&host->worker, zone, &callbacks, host, now());
    leave();
    return rc;
}

void
host_stop(host_t *host)
{
    client_t *client;

    enter(host);
    wsig_worker_free(host->worker, now());
    leave();
    host->worker = NULL;
    while ((client = host->clients) != NULL) {
        CHECK(client->closed || client->peer == NULL,
              "%s was kept by a freed worker", client->name);
        client_free(client);
    }
}

bool
host_ring(host_t *host)
{
    struct pollfd bell = {wsig_worker_doorbell(host->worker), POLLIN, 0};

    if (poll(&bell, 1, 0) != 1) {
        return false;
    }
    enter(host);
    wsig_worker_ring(host->worker, now());
    leave();
    return true;
}

bool
host_timer(host_t *host)
{
    if (host->due > host_clock()) {
        return false;
    }
    host->due = INT64_MAX;
    enter(host);
    wsig_worker_timer(host->worker, now());
    leave();
    return true;
}

bool
host_sockets(host_t *host)
{
    client_t *client;
    uint8_t *out;
    size_t size;
    bool any = false;

    for (client = host->clients; client != NULL; client = client->next) {
        if (client->blocked && client->takes > 0 && client->peer != NULL) {
            client->blocked = false;
            any = true;
            enter(host);
            wsig_peer_writable(client->peer, now());
            leave();
            client_parse(client);
        }
        if (client->out_size > 0 && !client->held && client->peer != NULL) {
            /* a copy that ends where the data ends, for the sanitizer */
            out = malloc(client->out_size);
            CHECK(out != NULL);
            memcpy(out, client->out, client->out_size);
            size = client->out_size;
            client->out_size = 0;
            any = true;
            enter(host);
            wsig_peer_read(client->peer, out, size, now());
            leave();
            free(out);
        }
        client_parse(client); /* which may make it answer */
        any |= client->out_size > 0 && !client->held && client->peer != NULL;
    }
    return any;
}

void
host_settle(host_t *const *hosts, size_t n)
{
    bool any = true;
    int rounds = 0;
    size_t i;

    while (any) {
        CHECK(rounds++ < ROUNDS, "the loop never rests");
        any = false;
        for (i = 0; i < n; i++) {
            any |= host_ring(hosts[i]);
            any |= host_timer(hosts[i]);
            any |= host_sockets(hosts[i]);
        }
    }
}

void
host_pass(host_t *const *hosts, size_t n, int64_t ms)
{
    int64_t end = host_clock() + ms, due;
    size_t i;

    host_settle(hosts, n);
    while (host_clock() < end) {
        due = end;
        for (i = 0; i < n; i++) {
            if (hosts[i]->due < due) {
                due = hosts[i]->due;
            }
        }
        CHECK(due > host_clock());
        host_set_clock(due);
        host_settle(hosts, n);
    }
}

void
host_quit(host_t *host, int64_t drain, bool followed)
{
    enter(host);
    wsig_worker_quit(host->worker, drain, followed, now());
    leave();
}

/* ------------------------------------------------------------ callbacks */

/* Around each callback: what the host allocates does not count. */
static void
called(const host_t *host, bool begins)
{
    CHECK(inside && calling != begins);
    calling = begins;
    alloc_spare(begins || host->spared);
}

static void *
grown(void *data, size_t size)
{
    data = realloc(data, size > 0 ? size : 1);
    CHECK(data != NULL);
    return data;
}

static ssize_t
client_write(client_t *client, const uint8_t *data, size_t size)
{
    size_t n = size;

    CHECK(size > 0);
    CHECK(!client->closed, "%s: written to after close", client->name);
    if (client->offered_size > 0) {
        CHECK(size >= client->offered_size &&
                  memcmp(data, client->offered, client->offered_size) == 0,
              "%s: other bytes after \"again\"", client->name);
        client->offered_size = 0;
    }
    if (client->broken) {
        return WSIG_ERROR;
    }
    if (client->takes == 0) {
        client->blocked = true;
        client->offered = grown(client->offered, size);
        memcpy(client->offered, data, size);
        client->offered_size = size;
        return WSIG_AGAIN;
    }
    n = n < client->chunk ? n : client->chunk;
    n = n < client->takes ? n : client->takes;
    if (client->takes != HOST_UNLIMITED) {
        client->takes -= n;
    }
    CHECK(client->in_size + n <= IN_MAX);
    client->in = grown(client->in, client->in_size + n);
    memcpy(client->in + client->in_size, data, n);
    client->in_size += n;
    client->written += n;
    return (ssize_t) n;
}

static ssize_t
host_write(void *connection, const void *data, size_t size)
{
    client_t *client = connection;
    ssize_t n;

    called(client->host, true);
    n = client_write(client, data, size);
    called(client->host, false);
    return n;
}

static void
host_close(void *connection)
{
    client_t *client = connection;

    called(client->host, true);
    CHECK(!client->closed, "%s: closed twice", client->name);
    client->closed = true;
    client->peer = NULL;
    client->out_size = 0;
    client->blocked = false;
    called(client->host, false);
}

static void
host_hold(void *connection, bool hold)
{
    client_t *client = connection;

    called(client->host, true);
    CHECK(!client->closed);
    client->held = hold;
    called(client->host, false);
}

static void
host_set_timer(void *data, int64_t delay)
{
    host_t *host = data;

    called(host, true);
    CHECK(delay >= 0);
    host->due = host_clock() + delay;
    called(host, false);
}

static void
host_log(void *data, wsig_level_t level, const char *text)
{
    host_t *host = data;

    called(host, true);
    CHECK(strpbrk(text, "\r\n") == NULL, "log line \"%s\"", text);
    host->warnings += level <= WSIG_LOG_WARN;
    if (getenv("WSIG_LOG") != NULL) {
        fprintf(stderr, "%s\n", text);
    }
    called(host, false);
}

/* ------------------------------------------------------------ clients */

client_t *
client_open(host_t *host, const char *name, const wsig_conf_t *conf,
            wsig_dialect_t dialect, const char *realm, const char *identity)
{
    wsig_admission_t admission = {
        .conf = conf,
        .dialect = dialect,
        .realm = {realm, strlen(realm)},
        .identity = {identity, identity != NULL ? strlen(identity) : 0}};
    client_t *client;
    wsig_peer_t *peer;

    alloc_spare(true);
    client = calloc(1, sizeof(*client));
    CHECK(client != NULL);
    client->host = host;
    client->name = name;
    client->takes = HOST_UNLIMITED;
    client->chunk = HOST_UNLIMITED;
    client->next = host->clients;
    host->clients = client;
    enter(host);
    peer = wsig_peer_open(host->worker, &admission, client, now());
    leave();
    if (peer == NULL || client->closed) {
        client->closed = true; /* by us, where memory was short */
    } else {
        client->peer = peer;
    }
    client_parse(client);
    return client;
}

void
client_free(client_t *client)
{
    client_t **link = &client->host->clients;
    size_t i;

    client_lost(client);
    while (*link != client) {
        link = &(*link)->next;
    }
    *link = client->next;
    for (i = 0; i < client->n_texts; i++) {
        free(client->texts[i]);
    }
    free(client->texts);
    free(client->in);
    free(client->out);
    free(client->offered);
    free(client);
}

void
client_lost(client_t *client)
{
    wsig_peer_t *peer = client->peer;

    if (peer != NULL) {
        client->peer = NULL;
        enter(client->host);
        wsig_peer_lost(peer, now());
        leave();
        CHECK(!client->closed, "%s: closed though lost", client->name);
    }
}

static char *
unquoted(const char *format, va_list args)
{
    char *text = NULL, *at;

    CHECK(vasprintf(&text, format, args) >= 0);
    for (at = text; *at != '\0'; at++) {
        if (*at == '\'') {
            *at = '"';
        }
    }
    return text;
}

void
client_says(client_t *client, const char *format, ...)
{
    va_list args;
    char *text;

    va_start(args, format);
    text = unquoted(format, args);
    va_end(args);
    client_sends(client, 0x81, text, strlen(text));
    free(text);
}

void
client_sends(client_t *client, uint8_t first, const void *payload, size_t size)
{
    frames_t frames = {0};

    frames_add(&frames, first, payload, size, 0x9a3c55e1);
    client_sends_bytes(client, frames.data, frames.size);
    free(frames.data);
}

void
client_sends_bytes(client_t *client, const void *bytes, size_t size)
{
    if (client->peer == NULL) {
        return; /* into the void */
    }
    client->out = grown(client->out, client->out_size + size);
    memcpy(client->out + client->out_size, bytes, size);
    client->out_size += size;
    (void) host_sockets(client->host);
}

/* Cut what came into frames; one that is not whole waits for the rest. */
static void
client_parse(client_t *client)
{
    const uint8_t *in = (const uint8_t *) client->in;
    size_t at = 0, header, size;
    int i;

    for (;;) {
        if (client->in_size - at < 2) {
            break;
        }
        CHECK((in[at] & 0x70) == 0 && (in[at] & 0x80) && !(in[at + 1] & 0x80),
              "%s: a malformed frame", client->name);
        size = in[at + 1];
        header = size < 126 ? 2 : size == 126 ? 4 : 10;
        if (client->in_size - at < header) {
            break;
        }
        if (header > 2) {
            for (i = 2, size = 0; i < (int) header; i++) {
                size = size << 8 | in[at + i];
            }
        }
        if (client->in_size - at - header < size) {
            break;
        }
        client_frame(client, in[at] & 0x0f, client->in + at + header, size);
        at += header + size;
    }
    if (at > 0) {
        memmove(client->in, client->in + at, client->in_size - at);
        client->in_size -= at;
    }
}

static void
client_frame(client_t *client, int opcode, const char *payload, size_t size)
{
    frames_t frames = {0};
    char *text;

    CHECK(client->code == 0, "%s: a frame after Close", client->name);
    switch (opcode) {
    case WSIG_WS_OPCODE_TEXT:
        text = malloc(size + 1);
        CHECK(text != NULL);
        memcpy(text, payload, size);
        text[size] = '\0';
        client->texts = grown(client->texts,
                              (client->n_texts + 1) * sizeof(*client->texts));
        client->texts[client->n_texts++] = text;
        return;
    case WSIG_WS_OPCODE_PING:
        client->pings++;
        frames_add(&frames, 0x8a, payload, size, 1);
        break;
    case WSIG_WS_OPCODE_PONG:
        client->pongs++;
        return;
    case WSIG_WS_OPCODE_CLOSE:
        client->code = 1005;
        if (size >= 2) {
            client->code =
                (uint16_t) ((uint8_t) payload[0] << 8 | (uint8_t) payload[1]);
            CHECK(size - 2 < sizeof(client->why));
            memcpy(client->why, payload + 2, size - 2);
        }
        frames_add(&frames, 0x88, payload, size >= 2 ? 2 : 0, 1);
        break;
    default:
        CHECK(false, "%s: opcode %d", client->name, opcode);
    }
    if (!client->mute && client->peer != NULL) {
        client->out = grown(client->out, client->out_size + frames.size);
        memcpy(client->out + client->out_size, frames.data, frames.size);
        client->out_size += frames.size;
    }
    free(frames.data);
}

const char *
client_hears(client_t *client)
{
    client_parse(client);
    return client->n_read < client->n_texts ? client->texts[client->n_read++]
                                            : NULL;
}

void
client_forget(client_t *client)
{
    while (client_hears(client) != NULL) {
    }
}

static bool
matches(json_t *actual, json_t *expected)
{
    const char *words = json_string_value(expected);
    const char *key;
    json_t *value;

    if (words != NULL && strcmp(words, "*") == 0) {
        return actual != NULL;
    }
    if (words != NULL && strcmp(words, "!") == 0) {
        return actual == NULL;
    }
    if (actual == NULL || !json_is_object(expected)) {
        return actual != NULL && json_equal(actual, expected);
    }
    json_object_foreach(expected, key, value)
    {
        if (!matches(json_object_get(actual, key), value)) {
            return false;
        }
    }
    return true;
}

const char *
client_expects(client_t *client, const char *file, int line, const char *format,
               ...)
{
    const char *text = client_hears(client);
    json_t *actual, *expected;
    json_error_t error;
    va_list args;
    char *pattern;

    va_start(args, format);
    pattern = unquoted(format, args);
    va_end(args);
    expected = json_loads(pattern, 0, &error);
    CHECK(expected != NULL, "%s:%d: %s", file, line, error.text);
    if (text == NULL) {
        check_failed(file, line, pattern, " %s got nothing (Close %d)",
                     client->name, client->code);
    }
    actual = json_loads(text, 0, &error);
    if (actual == NULL || !matches(actual, expected)) {
        check_failed(file, line, pattern, " %s got %s", client->name, text);
    }
    json_decref(actual);
    json_decref(expected);
    free(pattern);
    return text;
}

void
client_silent(client_t *client, const char *file, int line)
{
    const char *text = client_hears(client);

    if (text != NULL) {
        check_failed(file, line, "silence", " %s got %s", client->name, text);
    }
}

const char *
text_member(const char *text, const char *key)
{
    static _Thread_local char values[8][64];
    static _Thread_local unsigned next;
    json_error_t error;
    json_t *root = json_loads(text, 0, &error);
    const char *value = json_string_value(json_object_get(root, key));
    char *copy = values[next++ % 8];

    CHECK(value != NULL && strlen(value) < sizeof(values[0]), "%s in %s", key,
          text);
    strcpy(copy, value);
    json_decref(root);
    return copy;
}
