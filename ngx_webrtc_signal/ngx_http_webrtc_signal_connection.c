
/*
 * A WebSocket connection after its request: a socket, perhaps a TLS session,
 * and the peer that the core keeps for it.
 *
 *     open ------- the core calls close -------> closing --> lingering
 *       |                                           |            |
 *       +-- end of file, error ------> finalized <--+------------+
 *
 * The core calls close in the midst of anything, so that callback only takes
 * note and posts the read event; what is left to do happens there.
 */


#include "ngx_http_webrtc_signal.h"


#define NGX_HTTP_WEBRTC_SIGNAL_BUFFER  65536
#define NGX_HTTP_WEBRTC_SIGNAL_ROUNDS  4        /* reads in a row */
#define NGX_HTTP_WEBRTC_SIGNAL_RECORD  16384    /* of TLS */
#define NGX_HTTP_WEBRTC_SIGNAL_LINGER  2000


typedef struct {
    ngx_connection_t  *connection;
    wsig_peer_t       *peer;            /* NULL: closing */
    unsigned           held:1;
    unsigned           blocked:1;       /* the last write was refused */
    unsigned           lingering:1;
} ngx_http_webrtc_signal_connection_t;


static void ngx_http_webrtc_signal_leave_request(ngx_http_request_t *r,
    ngx_http_webrtc_signal_connection_t *wc);
static void ngx_http_webrtc_signal_free_memory(ngx_connection_t *c,
    ngx_http_connection_t *hc);
static void ngx_http_webrtc_signal_free_chain(ngx_pool_t *pool,
    ngx_chain_t *cl);
static void ngx_http_webrtc_signal_read_handler(ngx_event_t *rev);
static void ngx_http_webrtc_signal_read(
    ngx_http_webrtc_signal_connection_t *wc);
static void ngx_http_webrtc_signal_write_handler(ngx_event_t *wev);
static void ngx_http_webrtc_signal_lost(
    ngx_http_webrtc_signal_connection_t *wc);
static void ngx_http_webrtc_signal_closing(
    ngx_http_webrtc_signal_connection_t *wc);
static void ngx_http_webrtc_signal_shutdown(
    ngx_http_webrtc_signal_connection_t *wc);
#if (NGX_HTTP_SSL)
static ngx_int_t ngx_http_webrtc_signal_ssl_shutdown(
    ngx_http_webrtc_signal_connection_t *wc);
static void ngx_http_webrtc_signal_ssl_shutdown_handler(ngx_connection_t *c);
#endif
static void ngx_http_webrtc_signal_linger(
    ngx_http_webrtc_signal_connection_t *wc);
static ngx_int_t ngx_http_webrtc_signal_drop(ngx_connection_t *c);
static void ngx_http_webrtc_signal_finalize(
    ngx_http_webrtc_signal_connection_t *wc);
#if (NGX_HTTP_SSL)
static void ngx_http_webrtc_signal_finalize_handler(ngx_connection_t *c);
#endif


/* what is read is dealt with before the next read, of any connection */

static u_char  ngx_http_webrtc_signal_buffer[NGX_HTTP_WEBRTC_SIGNAL_BUFFER];

/* by ngx_connection_t.queue, which is nginx's only while c->reusable is set */

static ngx_queue_t  ngx_http_webrtc_signal_closed = {
    &ngx_http_webrtc_signal_closed, &ngx_http_webrtc_signal_closed
};


ngx_int_t
ngx_http_webrtc_signal_detach(ngx_http_request_t *r, wsig_worker_t *worker,
    wsig_admission_t *admission)
{
    u_char                               *pos, *last;
    ngx_connection_t                     *c;
    ngx_http_connection_t                *hc;
    ngx_http_webrtc_signal_connection_t  *wc;

    c = r->connection;
    hc = r->http_connection;

    wc = ngx_alloc(sizeof(ngx_http_webrtc_signal_connection_t), c->log);
    if (wc == NULL) {
        return NGX_ERROR;
    }

    wc->connection = c;
    wc->held = 0;
    wc->blocked = 0;
    wc->lingering = 0;

    wc->peer = wsig_peer_open(worker, admission, wc, wsig_now());
    if (wc->peer == NULL) {
        ngx_free(wc);
        return NGX_ERROR;
    }

    ngx_http_webrtc_signal_stay();

    /* frames that came with the handshake */

    pos = r->header_in->pos;
    last = r->header_in->last;

    ngx_http_webrtc_signal_leave_request(r, wc);

    if (pos < last) {
        wsig_peer_read(wc->peer, pos, last - pos, wsig_now());
    }

    ngx_http_webrtc_signal_free_memory(c, hc);

    /* what came since, or else the end if the core closed it */

    ngx_post_event(c->read, &ngx_posted_events);

    return NGX_OK;
}


/* compare ngx_http_set_keepalive() */

static void
ngx_http_webrtc_signal_leave_request(ngx_http_request_t *r,
    ngx_http_webrtc_signal_connection_t *wc)
{
    ngx_event_t       *rev, *wev;
    ngx_connection_t  *c;

    c = r->connection;
    rev = c->read;
    wev = c->write;

    /* writes the access log, ends what limit_conn and others count */

    ngx_http_free_request(r, 0);

    c->destroyed = 0;
    c->data = wc;
    c->log->action = "serving webrtc signal";

    if (rev->timer_set) {
        ngx_del_timer(rev);
    }

    if (wev->timer_set) {
        ngx_del_timer(wev);
    }

    wev->delayed = 0;

    rev->handler = ngx_http_webrtc_signal_read_handler;
    wev->handler = ngx_http_webrtc_signal_write_handler;

    ngx_reusable_connection(c, 0);

    /* nginx calls the read handler with c->close when the process has to end */

    c->idle = 1;

    if (c->tcp_nopush == NGX_TCP_NOPUSH_SET) {
        if (ngx_tcp_push(c->fd) == -1) {
            ngx_connection_error(c, ngx_socket_errno,
                                 ngx_tcp_push_n " failed");
        }

        c->tcp_nopush = NGX_TCP_NOPUSH_UNSET;
    }

    /* a failure is logged; reading will meet whatever is wrong */

    (void) ngx_tcp_nodelay(c);

#if (NGX_HTTP_SSL)

    /* the core repeats a write from wherever its bytes stand then */

    if (c->ssl) {
        SSL_set_mode(c->ssl->connection, SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
    }

#endif
}


/* TLS needs the pool: ngx_ssl_connection_t stands in it */

static void
ngx_http_webrtc_signal_free_memory(ngx_connection_t *c,
    ngx_http_connection_t *hc)
{
    ngx_pool_t  *pool;

    pool = c->pool;

#if (NGX_HTTP_SSL)

    if (c->ssl) {
        ngx_pfree(pool, c->buffer->start);
        c->buffer = NULL;

        ngx_http_webrtc_signal_free_chain(pool, hc->free);
        ngx_http_webrtc_signal_free_chain(pool, hc->busy);

        hc->free = NULL;
        hc->busy = NULL;
        hc->nbusy = 0;

        ngx_ssl_free_buffer(c);

        return;
    }

#endif

    /* all that stands in the pool */

    c->log = ngx_cycle->log;
    c->read->log = c->log;
    c->write->log = c->log;

    c->pool = NULL;
    c->buffer = NULL;
    c->sockaddr = NULL;
    c->socklen = 0;
    ngx_str_null(&c->addr_text);
    c->local_sockaddr = NULL;
    c->local_socklen = 0;
    c->proxy_protocol = NULL;

    ngx_destroy_pool(pool);
}


static void
ngx_http_webrtc_signal_free_chain(ngx_pool_t *pool, ngx_chain_t *cl)
{
    ngx_chain_t  *ln;

    while (cl) {
        ln = cl;
        cl = cl->next;

        ngx_pfree(pool, ln->buf->start);
        ngx_free_chain(pool, ln);
    }
}


/*
 * The handlers stay the same for life: where TLS wants to write before it can
 * read, or the other way round, nginx puts handlers of its own in their place
 * and these back later (saved_read_handler, saved_write_handler).
 */

static void
ngx_http_webrtc_signal_read_handler(ngx_event_t *rev)
{
    ngx_connection_t                     *c;
    ngx_http_webrtc_signal_connection_t  *wc;

    c = rev->data;
    wc = c->data;

    if (c->close && c->error) {

        /* worker_shutdown_timeout */

        if (wc->peer) {
            ngx_http_webrtc_signal_lost(wc);

        } else {
            ngx_http_webrtc_signal_finalize(wc);
        }

        return;
    }

    if (c->close) {

        /* the process has to leave; the core decides when the peers do */

        c->close = 0;
        ngx_http_webrtc_signal_quit();
        return;
    }

    if (wc->peer) {
        ngx_http_webrtc_signal_read(wc);

    } else if (wc->lingering) {
        ngx_http_webrtc_signal_linger(wc);

    } else {
        ngx_http_webrtc_signal_shutdown(wc);
    }
}


static void
ngx_http_webrtc_signal_read(ngx_http_webrtc_signal_connection_t *wc)
{
    ssize_t            n;
    ngx_uint_t         i;
    ngx_event_t       *rev;
    ngx_connection_t  *c;

    c = wc->connection;
    rev = c->read;

    for (i = 0; i < NGX_HTTP_WEBRTC_SIGNAL_ROUNDS; i++) {

        if (wc->held) {
            return;
        }

        n = c->recv(c, ngx_http_webrtc_signal_buffer,
                    NGX_HTTP_WEBRTC_SIGNAL_BUFFER);

        if (n == NGX_AGAIN) {
            break;
        }

        if (n == NGX_ERROR || n == 0) {
            ngx_http_webrtc_signal_lost(wc);
            return;
        }

        wsig_peer_read(wc->peer, ngx_http_webrtc_signal_buffer, n, wsig_now());

        if (wc->peer == NULL) {
            return;
        }

        if (!rev->ready) {
            break;
        }
    }

    if (ngx_handle_read_event(rev, 0) != NGX_OK) {
        ngx_http_webrtc_signal_lost(wc);
        return;
    }

    /* the others first */

    if (rev->ready) {
        ngx_post_event(rev, &ngx_posted_next_events);
    }
}


static void
ngx_http_webrtc_signal_write_handler(ngx_event_t *wev)
{
    ngx_connection_t                     *c;
    ngx_http_webrtc_signal_connection_t  *wc;

    c = wev->data;
    wc = c->data;

    if (wc->peer == NULL) {
        return;
    }

    wsig_peer_writable(wc->peer, wsig_now());

    if (wc->peer && ngx_handle_write_event(wev, 0) != NGX_OK) {
        ngx_http_webrtc_signal_lost(wc);
    }
}


ssize_t
ngx_http_webrtc_signal_write(void *connection, const void *data, size_t size)
{
    ngx_http_webrtc_signal_connection_t *wc = connection;

    ssize_t            n;
    ngx_connection_t  *c;

    c = wc->connection;

#if (NGX_HTTP_SSL)

    /* OpenSSL does not tell how many records of a larger write went out */

    if (c->ssl && size > NGX_HTTP_WEBRTC_SIGNAL_RECORD) {
        size = NGX_HTTP_WEBRTC_SIGNAL_RECORD;
    }

#endif

    n = c->send(c, (u_char *) data, size);

    wc->blocked = (n <= 0);

    if (n > 0) {
        return n;
    }

    if (n == NGX_ERROR || ngx_handle_write_event(c->write, 0) != NGX_OK) {
        c->error = 1;
        return WSIG_ERROR;
    }

    return WSIG_AGAIN;
}


void
ngx_http_webrtc_signal_hold(void *connection, bool hold)
{
    ngx_http_webrtc_signal_connection_t *wc = connection;

    ngx_event_t  *rev;

    rev = wc->connection->read;
    wc->held = hold;

    if (hold) {
        if (rev->active && (ngx_event_flags & NGX_USE_LEVEL_EVENT)) {
            (void) ngx_del_event(rev, NGX_READ_EVENT, 0);
        }

        return;
    }

    /* an event that came meanwhile, or what TLS has, is not reported again */

    ngx_post_event(rev, &ngx_posted_events);
}


void
ngx_http_webrtc_signal_close(void *connection)
{
    ngx_http_webrtc_signal_connection_t *wc = connection;

    ngx_http_webrtc_signal_closing(wc);

    ngx_post_event(wc->connection->read, &ngx_posted_events);
}


static void
ngx_http_webrtc_signal_lost(ngx_http_webrtc_signal_connection_t *wc)
{
    wsig_peer_t  *peer;

    peer = wc->peer;

    ngx_http_webrtc_signal_closing(wc);

    wsig_peer_lost(peer, wsig_now());

    ngx_http_webrtc_signal_finalize(wc);
}


static void
ngx_http_webrtc_signal_closing(ngx_http_webrtc_signal_connection_t *wc)
{
    ngx_connection_t  *c;

    c = wc->connection;

    wc->peer = NULL;
    c->idle = 0;

    ngx_queue_insert_tail(&ngx_http_webrtc_signal_closed, &c->queue);
}


/*
 * Closing a socket that has unread bytes resets the connection, and a reset
 * may overtake our Close frame: say that nothing follows, and read on for a
 * while.
 */

static void
ngx_http_webrtc_signal_shutdown(ngx_http_webrtc_signal_connection_t *wc)
{
    ngx_event_t       *rev;
    ngx_connection_t  *c;
#if (NGX_HTTP_SSL)
    ngx_int_t          rc;
#endif

    c = wc->connection;
    rev = c->read;

    if (c->error) {
        ngx_http_webrtc_signal_finalize(wc);
        return;
    }

#if (NGX_HTTP_SSL)

    /* the session is done with, what the client still sends is dropped */

    if (c->ssl) {
        rc = ngx_http_webrtc_signal_ssl_shutdown(wc);

        if (rc == NGX_AGAIN) {
            c->ssl->handler = ngx_http_webrtc_signal_ssl_shutdown_handler;
            return;
        }

        if (rc == NGX_ERROR) {
            ngx_http_webrtc_signal_finalize(wc);
            return;
        }
    }

#endif

    if (ngx_shutdown_socket(c->fd, NGX_WRITE_SHUTDOWN) == -1) {
        ngx_connection_error(c, ngx_socket_errno,
                             ngx_shutdown_socket_n " failed");
        ngx_http_webrtc_signal_finalize(wc);
        return;
    }

    wc->lingering = 1;

    rev->handler = ngx_http_webrtc_signal_read_handler;
    c->write->handler = ngx_http_webrtc_signal_write_handler;

    ngx_add_timer(rev, NGX_HTTP_WEBRTC_SIGNAL_LINGER);

    ngx_http_webrtc_signal_linger(wc);
}


#if (NGX_HTTP_SSL)

static ngx_int_t
ngx_http_webrtc_signal_ssl_shutdown(ngx_http_webrtc_signal_connection_t *wc)
{
    ngx_ssl_connection_t  *ssl;

    ssl = wc->connection->ssl;

    ssl->no_wait_shutdown = 1;

    /* an alert cannot follow half a record */

    if (wc->blocked) {
        ssl->no_send_shutdown = 1;
    }

    return ngx_ssl_shutdown(wc->connection);
}


static void
ngx_http_webrtc_signal_ssl_shutdown_handler(ngx_connection_t *c)
{
    if (c->timedout) {
        ngx_http_webrtc_signal_finalize(c->data);
        return;
    }

    if (c->read->timer_set) {
        ngx_del_timer(c->read);
    }

    ngx_http_webrtc_signal_shutdown(c->data);
}

#endif


static void
ngx_http_webrtc_signal_linger(ngx_http_webrtc_signal_connection_t *wc)
{
    ngx_int_t          rc;
    ngx_event_t       *rev;
    ngx_connection_t  *c;

    c = wc->connection;
    rev = c->read;

    if (rev->timedout) {
        ngx_http_webrtc_signal_finalize(wc);
        return;
    }

    rc = ngx_http_webrtc_signal_drop(c);

    if (rc == NGX_DONE || ngx_handle_read_event(rev, 0) != NGX_OK) {
        ngx_http_webrtc_signal_finalize(wc);
        return;
    }

    if (rc == NGX_OK) {
        ngx_post_event(rev, &ngx_posted_next_events);
    }
}


/* NGX_OK: there may be more, NGX_AGAIN: not now, NGX_DONE: that was all */

static ngx_int_t
ngx_http_webrtc_signal_drop(ngx_connection_t *c)
{
    ssize_t     n;
    ngx_uint_t  i;

    for (i = 0; i < NGX_HTTP_WEBRTC_SIGNAL_ROUNDS; i++) {

        n = c->recv(c, ngx_http_webrtc_signal_buffer,
                    NGX_HTTP_WEBRTC_SIGNAL_BUFFER);

        if (n == NGX_AGAIN) {
            return NGX_AGAIN;
        }

        if (n == NGX_ERROR || n == 0) {
            return NGX_DONE;
        }
    }

    return NGX_OK;
}


static void
ngx_http_webrtc_signal_finalize(ngx_http_webrtc_signal_connection_t *wc)
{
    ngx_pool_t        *pool;
    ngx_connection_t  *c;

    c = wc->connection;

#if (NGX_HTTP_SSL)

    if (c->ssl) {
        if (ngx_http_webrtc_signal_ssl_shutdown(wc) == NGX_AGAIN) {
            c->ssl->handler = ngx_http_webrtc_signal_finalize_handler;
            return;
        }
    }

#endif

    ngx_queue_remove(&c->queue);

#if (NGX_STAT_STUB)
    (void) ngx_atomic_fetch_add(ngx_stat_active, -1);
#endif

    pool = c->pool;

    ngx_close_connection(c);

    if (pool) {
        ngx_destroy_pool(pool);
    }

    ngx_free(wc);
}


#if (NGX_HTTP_SSL)

static void
ngx_http_webrtc_signal_finalize_handler(ngx_connection_t *c)
{
    ngx_http_webrtc_signal_finalize(c->data);
}

#endif


void
ngx_http_webrtc_signal_close_all(void)
{
    ngx_queue_t                          *q;
    ngx_connection_t                     *c;
    ngx_http_webrtc_signal_connection_t  *wc;

    while (!ngx_queue_empty(&ngx_http_webrtc_signal_closed)) {

        q = ngx_queue_head(&ngx_http_webrtc_signal_closed);
        c = ngx_queue_data(q, ngx_connection_t, queue);
        wc = c->data;

#if (NGX_HTTP_SSL)

        /* the second call frees the session, whatever became of the first */

        if (c->ssl
            && ngx_http_webrtc_signal_ssl_shutdown(wc) == NGX_AGAIN)
        {
            c->timedout = 1;
            (void) ngx_ssl_shutdown(c);
        }

#endif

        if (ngx_shutdown_socket(c->fd, NGX_WRITE_SHUTDOWN) == 0) {
            (void) ngx_http_webrtc_signal_drop(c);
        }

        ngx_http_webrtc_signal_finalize(wc);
    }
}
