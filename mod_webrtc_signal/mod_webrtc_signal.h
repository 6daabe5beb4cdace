/*
 * mod_webrtc_signal.h: what the files of the module share.
 *
 *   mod_webrtc_signal.c             directives, configurations, hooks
 *   mod_webrtc_signal_check.c       what can be known of them at start-up
 *   mod_webrtc_signal_handler.c     the endpoints
 *   mod_webrtc_signal_detach.c      taking a connection away from httpd
 *   mod_webrtc_signal_tls.c         all that needs OpenSSL
 *   mod_webrtc_signal_process.c     the zone of the server; the loop of a child
 *   mod_webrtc_signal_connection.c  a connection after its request
 *   mod_webrtc_signal_status.c      a line for mod_status
 *
 * Requests run on httpd's worker threads.  A connection that has left httpd
 * belongs to the one loop thread of its child, and so does the core's worker.
 * Between the two goes a handover, and nothing else: no pool, no bucket, no
 * filter.
 */

#ifndef MOD_WEBRTC_SIGNAL_H
#define MOD_WEBRTC_SIGNAL_H

#include <httpd.h>
#include <http_config.h>
#include <ap_expr.h>
#include <wsig.h>

#if !AP_MODULE_MAGIC_AT_LEAST(20120211, 110)
#error "httpd 2.4.49 or later is needed: it tells a child that it has to stop"
#endif

#define WEBRTC_SIGNAL_HANDLER "webrtc-signal"
#define WEBRTC_SIGNAL_ICE_HANDLER "webrtc-signal-ice"
#define WEBRTC_SIGNAL_STATUS_HANDLER "webrtc-signal-status"

struct ssl_st;

/* Of a virtual host; what stands below `named` is the main server's only. */
typedef struct {
    int named;             /* it has a ServerName */
    const char *zone_path; /* NULL: not given */
    size_t zone_size;
    int64_t drain;       /* ms; -1: not given */
    int max_connections; /* of a child; 0: not given */
    wsig_zone_t *zone;   /* NULL while the configuration is only tested */
} webrtc_signal_server_t;

/* Of a directory or location.  Merged at each request, so it dies with it. */
typedef struct {
    wsig_conf_t core;
    const ap_expr_info_t *realm;    /* NULL: the name of the server */
    const ap_expr_info_t *identity; /* NULL: none */
    int identity_given;             /* NULL was said */
    const char *handler;            /* what SetHandler says at this level */
} webrtc_signal_dir_t;

/* What a connection takes along from httpd, in one block of malloc. */
typedef struct webrtc_signal_handover_s {
    struct webrtc_signal_handover_s *next;
    int fd;             /* -1: none */
    struct ssl_st *ssl; /* a reference; NULL: no TLS */
    wsig_conf_t *conf;  /* of malloc */
    wsig_dialect_t dialect;
    wsig_text_t realm; /* these stand behind it */
    wsig_text_t identity;
    wsig_text_t early; /* what came behind the handshake */
} webrtc_signal_handover_t;

extern module AP_MODULE_DECLARE_DATA webrtc_signal_module;

webrtc_signal_server_t *webrtc_signal_server(server_rec *s);
webrtc_signal_dir_t *webrtc_signal_dir(ap_conf_vector_t *vector);
void *webrtc_signal_dir_merge(apr_pool_t *p, void *base, void *add);
const char *webrtc_signal_directive(wsig_setting_t setting);
wsig_pool_t webrtc_signal_pool(apr_pool_t *p);
wsig_text_t webrtc_signal_text(const char *words);
int webrtc_signal_log_level(wsig_level_t level); /* APLOG_... */

/* check.c: a hook of check_config */
int webrtc_signal_check(apr_pool_t *pconf, apr_pool_t *plog, apr_pool_t *ptemp,
                        server_rec *s);

/* What works, but less well than it could. */
void webrtc_signal_warn(server_rec *s);

/* handler.c */
int webrtc_signal_handler(request_rec *r);

/*
 * detach.c
 */

/* Hooks: of pre_connection and, last of all, of log_transaction. */
int webrtc_signal_pre_connection(conn_rec *c, void *csd);
int webrtc_signal_log_transaction(request_rec *r);

/* A line why a WebSocket was refused; once a minute, since all are then. */
void webrtc_signal_log_refusal(request_rec *r, const char *why);

/* For tls.c: the TLS session of a connection has been made. */
void webrtc_signal_remember_session(conn_rec *c, struct ssl_st *ssl);

/* Send the reply's 101 and take the connection away.  The handler's result:
 * OK, or the status that refuses it; then nothing was sent. */
int webrtc_signal_detach(request_rec *r, const wsig_conf_t *conf,
                         wsig_text_t realm, wsig_text_t identity,
                         const wsig_reply_t *reply);

/*
 * tls.c: no other file calls OpenSSL.
 */

void webrtc_signal_tls_hooks(void);

/* Once in each child, before its first connection. */
void webrtc_signal_tls_child(apr_pool_t *p, server_rec *s);

/* NULL, or why this session cannot be taken along; static. */
const char *webrtc_signal_tls_refuse(const struct ssl_st *ssl);

/* A reference, which webrtc_signal_tls_free gives back. */
void webrtc_signal_tls_hold(struct ssl_st *ssl);
void webrtc_signal_tls_free(struct ssl_st *ssl);

/* httpd's connection, which made it, goes now. */
void webrtc_signal_tls_orphan(struct ssl_st *ssl);

/* Tie it to the descriptor.  False: no memory. */
bool webrtc_signal_tls_adopt(struct ssl_st *ssl, int fd);

/* Bytes, 0 at the end, WSIG_AGAIN or WSIG_ERROR; *writing: reading has to wait
 * until it can be written. */
ssize_t webrtc_signal_tls_read(struct ssl_st *ssl, void *data, size_t size,
                               bool *writing);

/* Bytes, WSIG_AGAIN or WSIG_ERROR. */
ssize_t webrtc_signal_tls_write(struct ssl_st *ssl, const void *data,
                                size_t size);

/* Say that nothing follows, as far as it can be said at once. */
void webrtc_signal_tls_shutdown(struct ssl_st *ssl);

/*
 * process.c
 */

/* Hooks. */
int webrtc_signal_post_config(apr_pool_t *pconf, apr_pool_t *plog,
                              apr_pool_t *ptemp, server_rec *s);
void webrtc_signal_child_init(apr_pool_t *pchild, server_rec *s);
void webrtc_signal_child_stopping(apr_pool_t *pchild, int graceful);

void webrtc_signal_zone_options(server_rec *s, apr_pool_t *p,
                                wsig_zone_options_t *options);

/* Reserve room for one more connection in this child, to be given back with
 * webrtc_signal_release.  NULL: done; else why there is none, static. */
const char *webrtc_signal_reserve(void);
void webrtc_signal_release(void);

/* To the loop, which owns it and its room from now on. */
void webrtc_signal_give(webrtc_signal_handover_t *handover);

/* With all that it holds, and its room. */
void webrtc_signal_handover_free(webrtc_signal_handover_t *handover);

/*
 * connection.c: on the loop thread only.
 */

typedef struct webrtc_signal_loop_s webrtc_signal_loop_t;
typedef struct webrtc_signal_connection_s webrtc_signal_connection_t;

/* Parts of the wsig_host_t. */
ssize_t webrtc_signal_write(void *connection, const void *data, size_t size);
void webrtc_signal_close(void *connection);
void webrtc_signal_hold(void *connection, bool hold);

/* Its connections; epoll belongs to the caller.  NULL: no memory. */
webrtc_signal_loop_t *webrtc_signal_loop_create(int epoll);

/* All connections have to be closed. */
void webrtc_signal_loop_destroy(webrtc_signal_loop_t *loop);

/* Consumes the handover. */
void webrtc_signal_open(webrtc_signal_loop_t *loop, wsig_worker_t *worker,
                        webrtc_signal_handover_t *handover, wsig_time_t now);

/* What epoll reported. */
void webrtc_signal_event(webrtc_signal_connection_t *connection,
                         uint32_t events, wsig_time_t now);

/* What was put off, after each round of events.  all: do not linger. */
void webrtc_signal_loop_settle(webrtc_signal_loop_t *loop, bool all,
                               wsig_time_t now);

/* When it wants to be settled again, in ms of mono; INT64_MAX: never. */
int64_t webrtc_signal_loop_due(const webrtc_signal_loop_t *loop);

/* Connections, closing ones included. */
size_t webrtc_signal_loop_size(const webrtc_signal_loop_t *loop);

/* status.c */
int webrtc_signal_status_hook(request_rec *r, int flags);

#endif
