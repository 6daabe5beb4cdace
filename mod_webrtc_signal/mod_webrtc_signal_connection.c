/*
 * A WebSocket connection after its request: a socket, perhaps a TLS session,
 * and the peer that the core keeps for it.
 *
 *     open -- the core calls close, --> closing --> lingering --> over
 *             end of file, error           |                        ^
 *                                          +------- broken ---------+
 *
 * The core calls close in the midst of anything, and epoll reports several
 * events in a round; so nothing is freed but in webrtc_signal_loop_settle.
 */

#include "mod_webrtc_signal.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#define BUFFER_SIZE 65536
#define ROUNDS 4 /* reads in a row */
#define LINGER 2000

/* Closing a socket that has unread bytes resets the connection, and a reset
 * may overtake our Close frame: so a closed one is read on for a while. */
typedef enum {
    STATE_OPEN,
    STATE_AGAIN, /* open, and has to be read without an event */
    STATE_CLOSING,
    STATE_LINGERING,
    STATE_OVER
} state_t;

/* Settings of connections, one copy for all that have the same. */
typedef struct kept_s {
    struct kept_s *next;
    wsig_conf_t *conf;
    size_t users;
} kept_t;

struct webrtc_signal_connection_s {
    webrtc_signal_loop_t *loop;
    struct ssl_st *ssl; /* NULL: none */
    wsig_peer_t *peer;  /* NULL from closing on */
    kept_t *kept;
    webrtc_signal_connection_t *next; /* of its state, but open */
    webrtc_signal_connection_t *previous;
    int64_t until; /* of lingering */
    int fd;
    unsigned state : 3;
    unsigned events : 4; /* that epoll looks for */
    unsigned held : 1;
    unsigned blocked : 1;        /* the last write was refused */
    unsigned reading_writes : 1; /* TLS has to write to read on */
    unsigned failed : 1;
};

typedef struct {
    webrtc_signal_connection_t *first;
    webrtc_signal_connection_t *last;
    size_t size;
} list_t;

struct webrtc_signal_loop_s {
    int epoll;
    size_t size;
    list_t lists[STATE_OVER + 1]; /* but for the open ones */
    kept_t *kept;
    uint8_t buffer[BUFFER_SIZE];
};

static kept_t *keep(webrtc_signal_loop_t *loop, wsig_conf_t *conf);
static void let_go(webrtc_signal_loop_t *loop, kept_t *kept);
static void move(webrtc_signal_connection_t *connection, state_t state);
static void read_some(webrtc_signal_connection_t *connection, wsig_time_t now);
static ssize_t receive(webrtc_signal_connection_t *connection);
static void lose(webrtc_signal_connection_t *connection, wsig_time_t now);
static void look_for(webrtc_signal_connection_t *connection);
static void start_linger(webrtc_signal_connection_t *connection,
                         wsig_time_t now);
static void drop(webrtc_signal_connection_t *connection);
static void end(webrtc_signal_connection_t *connection);

webrtc_signal_loop_t *webrtc_signal_loop_create(int epoll)
{
    webrtc_signal_loop_t *loop = calloc(1, sizeof(*loop));

    if (loop != NULL) {
        loop->epoll = epoll;
    }
    return loop;
}

void webrtc_signal_loop_destroy(webrtc_signal_loop_t *loop)
{
    free(loop);
}

size_t webrtc_signal_loop_size(const webrtc_signal_loop_t *loop)
{
    return loop->size;
}

void webrtc_signal_open(webrtc_signal_loop_t *loop, wsig_worker_t *worker,
                        webrtc_signal_handover_t *handover, wsig_time_t now)
{
    wsig_admission_t admission = {.dialect = handover->dialect,
                                  .realm = handover->realm,
                                  .identity = handover->identity};
    struct epoll_event event = {.events = EPOLLIN};
    webrtc_signal_connection_t *connection = calloc(1, sizeof(*connection));

    if (connection == NULL ||
        (handover->ssl != NULL &&
         !webrtc_signal_tls_adopt(handover->ssl, handover->fd)) ||
        (connection->kept = keep(loop, handover->conf)) == NULL) {
        free(connection);
        webrtc_signal_handover_free(handover);
        return;
    }
    handover->conf = NULL;
    connection->loop = loop;
    connection->fd = handover->fd;
    connection->ssl = handover->ssl;
    connection->events = EPOLLIN;
    event.data.ptr = connection;
    admission.conf = connection->kept->conf;
    if (fcntl(connection->fd, F_SETFL, O_NONBLOCK) == 0 &&
        epoll_ctl(loop->epoll, EPOLL_CTL_ADD, connection->fd, &event) == 0) {
        connection->peer = wsig_peer_open(worker, &admission, connection, now);
    }
    if (connection->peer == NULL) {
        (void) epoll_ctl(loop->epoll, EPOLL_CTL_DEL, connection->fd, NULL);
        let_go(loop, connection->kept);
        free(connection);
        webrtc_signal_handover_free(handover);
        return;
    }
    loop->size++;
    if (handover->early.size > 0) {
        wsig_peer_read(connection->peer, (uint8_t *) handover->early.data,
                       handover->early.size, now);
    }
    free(handover); /* the rest of it is ours now */
    if (connection->state == STATE_OPEN) {
        move(connection, STATE_AGAIN); /* what TLS has is not reported */
    }
}

/* NULL: no memory; else conf is the list's. */
static kept_t *keep(webrtc_signal_loop_t *loop, wsig_conf_t *conf)
{
    kept_t *kept;

    for (kept = loop->kept; kept != NULL; kept = kept->next) {
        if (wsig_conf_same(kept->conf, conf)) {
            kept->users++;
            free(conf);
            return kept;
        }
    }
    kept = malloc(sizeof(*kept));
    if (kept != NULL) {
        *kept = (kept_t){loop->kept, conf, 1};
        loop->kept = kept;
    }
    return kept;
}

static void let_go(webrtc_signal_loop_t *loop, kept_t *kept)
{
    kept_t **link;

    if (--kept->users > 0) {
        return;
    }
    for (link = &loop->kept; *link != kept; link = &(*link)->next) {
    }
    *link = kept->next;
    free(kept->conf);
    free(kept);
}

/* Into the list of another state, at its end. */
static void move(webrtc_signal_connection_t *connection, state_t state)
{
    list_t *from = &connection->loop->lists[connection->state];
    list_t *to = &connection->loop->lists[state];

    if (connection->state != STATE_OPEN) {
        *(connection->previous != NULL ? &connection->previous->next
                                       : &from->first) = connection->next;
        *(connection->next != NULL ? &connection->next->previous
                                   : &from->last) = connection->previous;
        from->size--;
    }
    connection->state = state;
    connection->next = NULL;
    connection->previous = NULL;
    if (state != STATE_OPEN) {
        connection->previous = to->last;
        *(to->last != NULL ? &to->last->next : &to->first) = connection;
        to->last = connection;
        to->size++;
    }
}

void webrtc_signal_event(webrtc_signal_connection_t *connection,
                         uint32_t events, wsig_time_t now)
{
    if (connection->state == STATE_LINGERING) {
        drop(connection);
        return;
    }
    /* which epoll reports although nobody reads now, again and again */
    if (connection->peer != NULL && connection->held &&
        (events & (EPOLLERR | EPOLLHUP))) {
        lose(connection, now);
        return;
    }
    if (connection->peer != NULL && connection->blocked &&
        (events & (EPOLLOUT | EPOLLERR | EPOLLHUP))) {
        connection->blocked = 0;
        wsig_peer_writable(connection->peer, now);
    }
    if (connection->peer != NULL &&
        ((events & ~(uint32_t) EPOLLOUT) || connection->reading_writes)) {
        read_some(connection, now);
    }
    look_for(connection);
}

static void read_some(webrtc_signal_connection_t *connection, wsig_time_t now)
{
    ssize_t n;
    int i;

    connection->reading_writes = 0;
    for (i = 0; i < ROUNDS; i++) {
        if (connection->held) {
            return;
        }
        n = receive(connection);
        if (n == WSIG_AGAIN) {
            return;
        }
        if (n <= 0) {
            lose(connection, now);
            return;
        }
        wsig_peer_read(connection->peer, connection->loop->buffer, (size_t) n,
                       now);
        if (connection->peer == NULL) {
            return;
        }
        if (connection->ssl == NULL && n < BUFFER_SIZE) {
            return; /* epoll tells of more */
        }
    }
    move(connection, STATE_AGAIN); /* the others first */
}

/* Bytes in the buffer, 0 at the end, WSIG_AGAIN, WSIG_ERROR. */
static ssize_t receive(webrtc_signal_connection_t *connection)
{
    uint8_t *buffer = connection->loop->buffer;
    bool writing;
    ssize_t n;

    if (connection->ssl != NULL) {
        n = webrtc_signal_tls_read(connection->ssl, buffer, BUFFER_SIZE,
                                   &writing);
        connection->reading_writes = writing;
        return n;
    }
    n = recv(connection->fd, buffer, BUFFER_SIZE, 0);
    if (n >= 0) {
        return n;
    }
    return errno == EAGAIN || errno == EINTR ? WSIG_AGAIN : WSIG_ERROR;
}

static void lose(webrtc_signal_connection_t *connection, wsig_time_t now)
{
    wsig_peer_t *peer = connection->peer;

    connection->peer = NULL;
    connection->failed = 1;
    move(connection, STATE_CLOSING);
    wsig_peer_lost(peer, now);
}

ssize_t webrtc_signal_write(void *data, const void *bytes, size_t size)
{
    webrtc_signal_connection_t *connection = data;
    ssize_t n;

    if (connection->ssl != NULL) {
        n = webrtc_signal_tls_write(connection->ssl, bytes, size);
    } else {
        n = send(connection->fd, bytes, size, MSG_NOSIGNAL);
        if (n < 0) {
            n = errno == EAGAIN || errno == EINTR ? WSIG_AGAIN : WSIG_ERROR;
        }
    }
    connection->failed = n == WSIG_ERROR;
    connection->blocked = n == WSIG_AGAIN;
    if (connection->blocked) {
        look_for(connection);
    }
    return n;
}

void webrtc_signal_hold(void *data, bool hold)
{
    webrtc_signal_connection_t *connection = data;

    connection->held = hold;
    if (!hold && connection->state == STATE_OPEN) {
        move(connection, STATE_AGAIN);
    }
    look_for(connection);
}

void webrtc_signal_close(void *data)
{
    webrtc_signal_connection_t *connection = data;

    connection->peer = NULL;
    move(connection, STATE_CLOSING);
}

/* Have epoll report what we wait for. */
static void look_for(webrtc_signal_connection_t *connection)
{
    struct epoll_event event = {.data.ptr = connection};

    if (!connection->held) {
        event.events |= EPOLLIN;
    }
    if (connection->blocked || connection->reading_writes) {
        event.events |= EPOLLOUT;
    }
    if (event.events != connection->events) {
        connection->events = event.events & 0xf;
        (void) epoll_ctl(connection->loop->epoll, EPOLL_CTL_MOD, connection->fd,
                         &event);
    }
}

void webrtc_signal_loop_settle(webrtc_signal_loop_t *loop, bool all,
                               wsig_time_t now)
{
    webrtc_signal_connection_t *connection;
    list_t *again = &loop->lists[STATE_AGAIN];
    list_t *closing = &loop->lists[STATE_CLOSING];
    list_t *lingering = &loop->lists[STATE_LINGERING];
    list_t *over = &loop->lists[STATE_OVER];
    size_t n;

    /* those that come to it meanwhile wait for the next round */
    for (n = again->size; n > 0 && !all && again->first != NULL; n--) {
        connection = again->first;
        move(connection, STATE_OPEN);
        read_some(connection, now);
        look_for(connection);
    }
    while ((connection = closing->first) != NULL) {
        start_linger(connection, now);
    }
    while ((connection = lingering->first) != NULL &&
           (all || connection->until <= now.mono)) {
        move(connection, STATE_OVER);
    }
    while ((connection = over->first) != NULL) {
        end(connection);
    }
}

int64_t webrtc_signal_loop_due(const webrtc_signal_loop_t *loop)
{
    if (loop->lists[STATE_AGAIN].first != NULL) {
        return 0;
    }
    if (loop->lists[STATE_LINGERING].first != NULL) {
        return loop->lists[STATE_LINGERING].first->until;
    }
    return INT64_MAX;
}

static void start_linger(webrtc_signal_connection_t *connection,
                         wsig_time_t now)
{
    /* an alert cannot follow half a record */
    if (connection->ssl != NULL && !connection->failed &&
        !connection->blocked) {
        webrtc_signal_tls_shutdown(connection->ssl);
    }
    if (connection->failed || shutdown(connection->fd, SHUT_WR) != 0) {
        move(connection, STATE_OVER);
        return;
    }
    connection->until = now.mono + LINGER;
    connection->held = 0;
    connection->blocked = 0;
    connection->reading_writes = 0;
    move(connection, STATE_LINGERING);
    look_for(connection);
    drop(connection);
}

/* What a client still sends; the session is done with, so this is raw. */
static void drop(webrtc_signal_connection_t *connection)
{
    ssize_t n;
    int i;

    for (i = 0; i < ROUNDS; i++) {
        n = recv(connection->fd, connection->loop->buffer, BUFFER_SIZE, 0);
        if (n == -1 && (errno == EAGAIN || errno == EINTR)) {
            return;
        }
        if (n <= 0) {
            move(connection, STATE_OVER);
            return;
        }
    }
}

static void end(webrtc_signal_connection_t *connection)
{
    webrtc_signal_loop_t *loop = connection->loop;

    move(connection, STATE_OPEN); /* out of all lists */
    /* closing does not do it while httpd has its descriptor still open */
    (void) epoll_ctl(loop->epoll, EPOLL_CTL_DEL, connection->fd, NULL);
    if (connection->ssl != NULL) {
        webrtc_signal_tls_free(connection->ssl);
    }
    close(connection->fd);
    let_go(loop, connection->kept);
    free(connection);
    loop->size--;
    webrtc_signal_release();
}
