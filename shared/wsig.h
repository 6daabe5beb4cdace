/*
 * wsig.h: the signalling core as its hosts see it.
 *
 * The core owns users, calls and texts; a host (the nginx module, the Apache
 * module, the fake one in t/lib) owns sockets, the event loop and the
 * configuration file.  The host pushes plain data in through the functions
 * below and gives the core a table of callbacks.  The core has no thread, and
 * knows no server.
 *
 * Rules for all of it:
 *  - a worker and its peers are used by one thread, the one that started it;
 *  - a callback must not call back into the core;
 *  - nothing blocks, but the short locks of the zone;
 *  - text is pointer and length (wsig_text_t), UTF-8, without a final NUL;
 *  - sizes are bytes, times are milliseconds, unless a name says otherwise;
 *  - functions that can fail return WSIG_OK or a negative WSIG_ code.
 */

#ifndef WSIG_H
#define WSIG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/types.h>

enum {
    WSIG_OK = 0,
    WSIG_AGAIN = -1,   /* would block: try again when told */
    WSIG_ERROR = -2,   /* the connection or a system call failed */
    WSIG_NOMEM = -3,   /* out of memory */
    WSIG_FULL = -4,    /* a table of the zone has no room */
    WSIG_INVALID = -5, /* not of the required form */
    WSIG_TAKEN = -6,   /* the name belongs to another */
    WSIG_ABSENT = -7,  /* there is no such user, peer or call (any more) */
    WSIG_FORBIDDEN = -8
};

/* What a code means, in lower-case words; never NULL, static. */
const char *wsig_strerror(int code);

typedef struct wsig_text_s {
    const char *data; /* may be NULL if size is 0 */
    size_t size;
} wsig_text_t;

/* The initializer of a wsig_text_t of these words. */
#define WSIG_TEXT(words)                                                       \
    {                                                                          \
        words, sizeof(words) - 1                                               \
    }

static inline bool
wsig_text_same(wsig_text_t a, wsig_text_t b)
{
    return a.size == b.size &&
           (a.size == 0 || memcmp(a.data, b.data, a.size) == 0);
}

typedef struct wsig_header_s {
    const char *name; /* NUL-terminated, both */
    const char *value;
} wsig_header_t;

typedef struct wsig_time_s {
    int64_t mono; /* milliseconds, CLOCK_MONOTONIC: one clock for all workers */
    int64_t wall; /* seconds since 1970, for credentials */
} wsig_time_t;

/* What the system's clocks say (wsig_time.c).  The core itself never asks. */
wsig_time_t wsig_now(void);

typedef enum {
    WSIG_LOG_ERROR,
    WSIG_LOG_WARN,
    WSIG_LOG_NOTICE,
    WSIG_LOG_INFO
} wsig_level_t;

typedef enum {
    WSIG_NATIVE = 1,
    WSIG_ARTICLE = 2
} wsig_dialect_t;

/*
 * Settings (wsig_conf.c).  One wsig_conf_t per location.  The host allocates
 * it zeroed, calls wsig_conf_set for each directive, wsig_conf_merge from the
 * outermost level inwards, and wsig_conf_check once it is complete.  All that
 * it points to comes from the host's pool (wsig_pool_t) and lives with it.
 */

typedef struct wsig_pool_s {
    void *(*alloc)(void *pool, size_t size); /* NULL: out of memory */
    void *pool;
} wsig_pool_t;

/* One for each directive of the table in README.md that takes a plain value.
 * (The endpoint, realm and identity are the hosts' own.) */
typedef enum {
    WSIG_SET_GUESTS,
    WSIG_SET_ORIGIN,
    WSIG_SET_MAX_MESSAGE,
    WSIG_SET_MAX_BACKLOG,
    WSIG_SET_MAX_PEERS,
    WSIG_SET_RATE,
    WSIG_SET_PING,
    WSIG_SET_HELLO_TIMEOUT,
    WSIG_SET_RING_TIMEOUT,
    WSIG_SET_RESUME,
    WSIG_SET_ICE_SERVER,
    WSIG_SET_TURN_SECRET_FILE,
    WSIG_SET_TURN_TTL
} wsig_setting_t;

typedef enum {
    WSIG_GUESTS_OFF = 1,
    WSIG_GUESTS_CALL = 2, /* may call users with proved names, see nobody */
    WSIG_GUESTS_ALL = 3
} wsig_guests_t;

typedef enum {
    WSIG_ORIGIN_SAME = 1,
    WSIG_ORIGIN_ANY = 2,
    WSIG_ORIGIN_LIST = 3
} wsig_origin_t;

typedef struct wsig_conf_s {
    uint32_t given; /* bit 1 << setting: given at this level */
    bool identity;  /* the host sets it: this location has an identity */
    wsig_guests_t guests;
    wsig_origin_t origin;
    const wsig_text_t *origins; /* of WSIG_ORIGIN_LIST */
    size_t n_origins;
    size_t max_message;
    size_t max_backlog;
    uint32_t max_peers; /* in a realm; 0: what the zone holds */
    uint32_t rate;      /* texts a second; 0: off */
    uint32_t burst;
    int64_t ping;
    int64_t hello_timeout;
    int64_t ring_timeout;
    int64_t resume;   /* how long a lost peer keeps its place; 0: off */
    int64_t turn_ttl; /* milliseconds too */
    const wsig_text_t *ice_servers; /* URLs: stun: stuns: turn: turns: */
    size_t n_ice_servers;
    const wsig_text_t *secrets; /* the first signs */
    size_t n_secrets;
} wsig_conf_t;

/* A text of this size at most may be asked for with max_message: a quarter of
 * a mailbox. */
#define WSIG_MAX_MESSAGE_LIMIT (256 * 1024)

#define WSIG_PATH_MAX                                                          \
    80 /* of the zone: a doorbell's name must fit sun_path                     \
        */

/* NULL, or what is wrong with the n values, as a sentence that names the wrong
 * value and what is allowed; it stands in the pool. */
const char *wsig_conf_set(wsig_conf_t *conf, wsig_setting_t setting,
                          const wsig_text_t *values, size_t n,
                          const wsig_pool_t *pool);

/* Fill what conf was not given from the outer level; outer NULL: from the
 * defaults.  (guests: all, or off where conf->identity is set.) */
void wsig_conf_merge(wsig_conf_t *conf, const wsig_conf_t *outer);

/* What is wrong with the whole, after the merge, or NULL: turn: URLs without
 * a secret, say.  *setting is the one to blame. */
const char *wsig_conf_check(const wsig_conf_t *conf, const wsig_pool_t *pool,
                            wsig_setting_t *setting);

/* Settings of the whole server: the zone's absolute path and the size of its
 * user table, and how long a worker that was asked to leave keeps its peers.
 * NULL, or an error as of wsig_conf_set. */
const char *wsig_conf_zone(wsig_text_t path, wsig_text_t size, size_t *bytes,
                           const wsig_pool_t *pool);
const char *wsig_conf_drain(wsig_text_t value, int64_t *drain,
                            const wsig_pool_t *pool);

#define WSIG_ZONE_SIZE (16 * 1024 * 1024) /* default: 131,072 users */
#define WSIG_ZONE_MIN (512 * 1024)
#define WSIG_ZONE_MAX ((size_t) 8 * 1024 * 1024 * 1024)

/* All of it in one block of malloc, lists and texts too; free() releases it.
 * NULL: out of memory.  For hosts whose settings may die before the peer. */
wsig_conf_t *wsig_conf_copy(const wsig_conf_t *conf);

/* Do both mean the same to a peer?  (Where it was given does not count.) */
bool wsig_conf_same(const wsig_conf_t *a, const wsig_conf_t *b);

/*
 * Handshake (wsig_handshake.c; RFC 6455, section 4.2).  Pure: may run on any
 * thread.  The host hands over the header values as they came; of a header
 * that stands several times the values joined with ", " (RFC 9110, 5.3), and
 * NULL data where there is none.
 */

typedef struct wsig_request_s {
    bool get;    /* the method is GET */
    bool http11; /* HTTP/1.1, not 1.0, not 2 */
    bool body;   /* Content-Length over 0, or a Transfer-Encoding */
    wsig_text_t host;
    wsig_text_t upgrade;
    wsig_text_t connection;
    wsig_text_t version;  /* Sec-WebSocket-Version */
    wsig_text_t key;      /* Sec-WebSocket-Key */
    wsig_text_t protocol; /* Sec-WebSocket-Protocol */
    wsig_text_t origin;
    wsig_text_t identity; /* evaluated; size 0: none */
} wsig_request_t;

typedef struct wsig_reply_s {
    int status;         /* 101, 400, 403, 405, 426, 500 */
    const char *why;    /* for the error log; NULL at 101 */
    wsig_level_t level; /* of that line: error where the operator can help */
    wsig_dialect_t dialect;
    wsig_header_t headers[4]; /* of the answer, up to a NULL name; the host
                               * adds "Connection: upgrade" itself.  Static,
                               * but for Sec-WebSocket-Accept: */
    char accept[32];
} wsig_reply_t;

/* A realm: 1 to 255 bytes of UTF-8 without control characters.  (An evaluated
 * one may hold anything.) */
bool wsig_realm_valid(wsig_text_t realm);

/* Can a server's first name serve as a realm?  Not "", "_" or "~...", which
 * is a pattern.  The only server without one has the realm below; where there
 * are several, the users of unrelated sites would meet in it. */
bool wsig_realm_usable(wsig_text_t name);
#define WSIG_REALM_UNNAMED "_"

/* reply points into itself: it is not to be copied. */
void wsig_handshake(const wsig_request_t *request, const wsig_conf_t *conf,
                    wsig_reply_t *reply);

/*
 * Zone (wsig_zone.c): the memory that all workers of one server share, a file
 * mapping that outlives reload and binary upgrade.  Opened by the master
 * before it forks; workers inherit it.
 */

typedef struct wsig_zone_s wsig_zone_t;

typedef struct wsig_zone_options_s {
    const char *path; /* NUL-terminated, at most WSIG_PATH_MAX */
    size_t size;      /* of the user table */
    uid_t uid;        /* the workers' user and group: own the doorbells */
    gid_t gid;
    const char *instance; /* which server this is, in words: the path of its
                           * configuration, say; NULL: not told */
    void (*warn)(void *ctx, const char *text); /* may be NULL */
    void *ctx;
} wsig_zone_options_t;

/* Write the default path for "nginx" or "apache" into path. */
void wsig_zone_default_path(const char *server, char path[WSIG_PATH_MAX + 1]);

/* Attach to the zone that a running instance uses, or make one.  On failure
 * error holds a NUL-terminated sentence. */
int wsig_zone_open(wsig_zone_t **zone, const wsig_zone_options_t *options,
                   char *error, size_t error_size);

/* The same checks, without making or opening anything (nginx -t). */
int wsig_zone_check(const wsig_zone_options_t *options, char *error,
                    size_t error_size);

/* Detach.  In the process that opened it: if nobody else uses the zone,
 * remove it.  zone may be NULL. */
void wsig_zone_close(wsig_zone_t *zone);

/*
 * Worker (wsig_worker.c): owns the peers of one process or loop.
 */

typedef struct wsig_worker_s wsig_worker_t;
typedef struct wsig_peer_s wsig_peer_t;

typedef struct wsig_host_s {
    /* Write to the socket without blocking.  Returns how many bytes went (1
     * to size), WSIG_AGAIN (then the host calls wsig_peer_writable once it
     * can), or WSIG_ERROR (then the core calls close).  On a repeated call
     * the bytes are the same, but may stand elsewhere
     * (SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER); size may have grown. */
    ssize_t (*write)(void *connection, const void *data, size_t size);

    /* The core is done with the connection and its peer is dead: send what
     * the kernel has, shut down the sending side, read and drop until the end
     * or 2 s, then close (a lingering close, so that our Close arrives). */
    void (*close)(void *connection);

    /* true: stop reading from this connection; false: read on, and also look
     * at what a TLS layer still has. */
    void (*hold)(void *connection, bool hold);

    /* Call wsig_worker_timer after delay (0: in the next round of the loop);
     * replaces the timer set before. */
    void (*timer)(void *host, int64_t delay);

    /* One line, NUL-terminated, without a line break and without secrets. */
    void (*log)(void *host, wsig_level_t level, const char *text);
} wsig_host_t;

/* Claim a worker slot of the zone and open the doorbell.  WSIG_FULL: no slot
 * is free; handshakes are then answered with 503, and the host may try again
 * later.  Only in processes that serve connections, after the last fork. */
int wsig_worker_start(wsig_worker_t **worker, wsig_zone_t *zone,
                      const wsig_host_t *host, void *host_data,
                      wsig_time_t now);

/* A descriptor to watch for reading; belongs to the worker. */
int wsig_worker_doorbell(const wsig_worker_t *worker);

/* The doorbell is readable; the timer has fired. */
void wsig_worker_ring(wsig_worker_t *worker, wsig_time_t now);
void wsig_worker_timer(wsig_worker_t *worker, wsig_time_t now);

/* How many connections the worker holds (those given to close excepted). */
size_t wsig_worker_peers(const wsig_worker_t *worker);

/* Asked to leave.  While others serve the zone that are not asked to leave (a
 * reload, a process too many), or are promised (followed: they will come), the
 * peers stay for at most drain from now and then get 1012, spread over ten
 * seconds; if there are none for half a second (a stop), all get 1001.  A later
 * call can only shorten the drain; its promise counts from then on.  A negative
 * drain: its place is needed, so they get 1012 now, all at once. */
void wsig_worker_quit(wsig_worker_t *worker, int64_t drain, bool followed,
                      wsig_time_t now);

/* Close everything now (1001, as far as it can be written at once), give the
 * slot back and free the worker.  worker may be NULL. */
void wsig_worker_free(wsig_worker_t *worker, wsig_time_t now);

/*
 * Peer (wsig_peer.c): one connected browser.
 */

typedef struct wsig_admission_s {
    const wsig_conf_t *conf; /* must outlive the peer */
    wsig_dialect_t dialect;
    wsig_text_t realm;    /* copied; wsig_realm_valid */
    wsig_text_t identity; /* copied; as wsig_handshake let it pass */
} wsig_admission_t;

/* After the 101.  NULL: out of memory (the host closes the socket).  The
 * peer lives until the core calls close for its connection, which it does not
 * do in here, or the host calls wsig_peer_lost. */
wsig_peer_t *wsig_peer_open(wsig_worker_t *worker,
                            const wsig_admission_t *admission, void *connection,
                            wsig_time_t now);

/* Bytes that came, 1 or more.  They are altered in place and not kept.  After
 * a call of close or of hold(true) read no further. */
void wsig_peer_read(wsig_peer_t *peer, uint8_t *data, size_t size,
                    wsig_time_t now);

/* The socket takes bytes again. */
void wsig_peer_writable(wsig_peer_t *peer, wsig_time_t now);

/* The connection ended (end of file or error).  The peer is dead after it; the
 * host closes the socket. */
void wsig_peer_lost(wsig_peer_t *peer, wsig_time_t now);

/*
 * Answers to plain requests; may run on any thread.  The text is allocated
 * with malloc; free(*text) is the host's.
 */

/* {"iceServers":[...],"ttl":N} for the name (size 0: a guest).  With
 * conf->identity, guests get no TURN credentials. */
int wsig_ice_text(const wsig_conf_t *conf, wsig_text_t realm, wsig_text_t name,
                  int64_t wall, char **text, size_t *size);

/* Prometheus text, version 0.0.4. */
int wsig_status_text(wsig_zone_t *zone, char **text, size_t *size);

typedef struct wsig_numbers_s {
    uint64_t peers; /* that have joined */
    uint64_t peers_max;
    uint64_t calls_ringing;
    uint64_t calls_active;
    uint64_t rooms;
    uint64_t workers;
} wsig_numbers_t;

/* The same in numbers, of all workers together. */
void wsig_status_numbers(wsig_zone_t *zone, wsig_numbers_t *numbers);

#endif
