/*
 * host.h: a host for the core that has no socket and no clock of its own.  The
 * test opens clients, says what they say, chooses what their sockets take and
 * when time passes, and reads what the server sent.
 *
 * A host_t is one worker and its loop; it belongs to the thread that started
 * it.  Two of them may live in one thread, which makes every interleaving of
 * two workers a matter of the order of calls.
 *
 * In texts and patterns ' stands for ".  Allocations count for alloc.h only
 * inside the core (and there only where host->spared is not set).
 */

#ifndef HOST_H
#define HOST_H

#include "wsig.h"

#define HOST_UNLIMITED SIZE_MAX

typedef struct client_s client_t;

typedef struct host_s {
    wsig_worker_t *worker;
    wsig_zone_t *zone;
    client_t *clients; /* all that were opened and not freed */
    int64_t due;       /* of the timer; INT64_MAX: not set */
    bool spared;
    int warnings; /* lines of WSIG_LOG_WARN and above */
} host_t;

struct client_s {
    client_t *next;
    host_t *host;
    wsig_peer_t *peer; /* NULL: closed or lost */
    const char *name;  /* for messages */
    /* what its socket does */
    size_t takes; /* bytes until it blocks */
    size_t chunk; /* bytes in one write at most */
    bool broken;  /* writes fail */
    bool mute;    /* answers no ping and no Close */
    /* what became of it */
    bool closed; /* the core gave the connection back */
    bool held;
    bool blocked;  /* waits for wsig_peer_writable */
    uint16_t code; /* of the server's Close; 0: none yet */
    char why[128];
    int pings;
    int pongs;
    size_t written;
    /* between the two */
    char *in; /* from the server, not parsed yet */
    size_t in_size;
    uint8_t *out; /* to the server, not read yet */
    size_t out_size;
    uint8_t *offered; /* what a write refused: it must be offered again */
    size_t offered_size;
    char **texts;
    size_t n_texts;
    size_t n_read;
};

/* One clock for all, in milliseconds; set by hand. */
int64_t host_clock(void);
void host_set_clock(int64_t mono);

/* A zone in a folder of its own, which is removed with it (or at exit). */
wsig_zone_t *host_zone(size_t size);
void host_zone_remove(wsig_zone_t *zone);
uint64_t host_zone_seed(void); /* WSIG_SEED or a fixed number */

/* WSIG_OK, or what wsig_worker_start said. */
int host_start(host_t *host, wsig_zone_t *zone);

/* wsig_worker_free, and free what is left of the clients. */
void host_stop(host_t *host);

/* The loop, one thing at a time; false: there was nothing to do. */
bool host_ring(host_t *host);
bool host_timer(host_t *host);   /* if it is due */
bool host_sockets(host_t *host); /* read and write what can be */

/* All of them until nothing is left to do at this time. */
void host_settle(host_t *const *hosts, size_t n);

/* Let time pass, from timer to timer, settling at each. */
void host_pass(host_t *const *hosts, size_t n, int64_t ms);

void host_quit(host_t *host, int64_t drain, bool followed);

/* identity may be NULL.  Freed by client_free or host_stop. */
client_t *client_open(host_t *host, const char *name, const wsig_conf_t *conf,
                      wsig_dialect_t dialect, const char *realm,
                      const char *identity);
void client_free(client_t *client); /* loses the connection if there is one */

/* Send a text; what it leads to at once has happened on return.  (Held back:
 * it is sent when the core reads again.) */
__attribute__((format(printf, 2, 3))) void client_says(client_t *client,
                                                       const char *format, ...);
void client_sends(client_t *client, uint8_t first, const void *payload,
                  size_t size);
void client_sends_bytes(client_t *client, const void *bytes, size_t size);

/* The connection breaks. */
void client_lost(client_t *client);

/* What the server sent, the next text or NULL: the client's, NUL-terminated. */
const char *client_hears(client_t *client);

/* The next text must be an object that has these members with these values
 * ('*': any, '!': absent); more may stand in it. */
#define EXPECTS(client, ...)                                                   \
    client_expects(client, __FILE__, __LINE__, __VA_ARGS__)
__attribute__((format(printf, 4, 5))) const char *
client_expects(client_t *client, const char *file, int line, const char *format,
               ...);

/* Nothing more was sent. */
#define SILENT(client) client_silent(client, __FILE__, __LINE__)
void client_silent(client_t *client, const char *file, int line);

/* Drop what was sent. */
void client_forget(client_t *client);

/* The string member of a text; static memory, one of 8. */
const char *text_member(const char *text, const char *key);

#endif
