/*
 * Taking a connection away from httpd.
 *
 *   the handler     reads what has come already, sends the 101, duplicates the
 *                   descriptor and takes a reference to the TLS session
 *   log_transaction after the request was logged: the connection is marked as
 *                   aborted, so that httpd closes its own descriptor and
 *                   neither shuts the socket down nor ends the TLS session
 *   a clean-up of the connection's pool, the last one: nobody else holds the
 *                   session or the socket any more; over to the loop
 */

#include "mod_webrtc_signal.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/resource.h>
#include <unistd.h>

#include <apr_atomic.h>
#include <apr_portable.h>
#include <apr_strings.h>
#include <http_connection.h>
#include <http_core.h>
#include <http_log.h>
#include <http_protocol.h>
#include <http_ssl.h>

APLOG_USE_MODULE(webrtc_signal);

/* A client must not send before it has the 101 (RFC 6455, 4.1); some do, since
 * they are sure of it. */
#define EARLY_MAX (256 * 1024)

#define LOG_INTERVAL apr_time_from_sec(60)

typedef struct {
    struct ssl_st *ssl;                 /* httpd's; NULL: none */
    webrtc_signal_handover_t *handover; /* NULL: it stays httpd's */
} detach_t;

/* Filters that keep no bytes of their own once they were asked for all. */
static const char *const known_input[] = {"ssl/tls filter", "reqtimeout",
                                          "log_input_output", "remoteip_input",
                                          "core_in"};
static const char *const known_output[] = {"ssl/tls coalescing filter",
                                           "ssl/tls filter", "reqtimeout",
                                           "log_input_output", "core"};

static apr_status_t cleanup(void *data);
static int detachable(request_rec *r, const detach_t *detach);
static const char *unknown_filter(const ap_filter_t *filter,
                                  const char *const *known, size_t n);
static int unavailable(request_rec *r, const char *why);
static int read_early(request_rec *r, apr_bucket_brigade *early,
                      apr_off_t *size);
static webrtc_signal_handover_t *pack(const wsig_conf_t *conf,
                                      wsig_text_t realm, wsig_text_t identity,
                                      apr_bucket_brigade *early,
                                      apr_size_t early_size);
static wsig_text_t append(char **place, wsig_text_t text);
static int duplicate(conn_rec *c);
static int switch_protocols(request_rec *r, const wsig_reply_t *reply);
static int write_header(void *brigade, const char *name, const char *value);

int webrtc_signal_pre_connection(conn_rec *c, void *csd)
{
    detach_t *detach;

    if (c->master != NULL) {
        return OK; /* a stream of HTTP/2 */
    }
    detach = apr_pcalloc(c->pool, sizeof(*detach));
    ap_set_module_config(c->conn_config, &webrtc_signal_module, detach);
    apr_pool_cleanup_register(c->pool, detach, cleanup, apr_pool_cleanup_null);
    return OK;
}

void webrtc_signal_remember_session(conn_rec *c, struct ssl_st *ssl)
{
    detach_t *detach =
        ap_get_module_config(c->conn_config, &webrtc_signal_module);

    if (detach != NULL) {
        detach->ssl = ssl;
    }
}

int webrtc_signal_detach(request_rec *r, const wsig_conf_t *conf,
                         wsig_text_t realm, wsig_text_t identity,
                         const wsig_reply_t *reply)
{
    conn_rec *c = r->connection;
    detach_t *detach =
        ap_get_module_config(c->conn_config, &webrtc_signal_module);
    webrtc_signal_handover_t *handover;
    apr_bucket_brigade *early = apr_brigade_create(r->pool, c->bucket_alloc);
    apr_off_t size = 0;
    const char *why;
    int status;

    status = detachable(r, detach);
    if (status != OK) {
        return status;
    }
    why = webrtc_signal_reserve();
    if (why != NULL) {
        return unavailable(r, why);
    }
    status = read_early(r, early, &size);
    if (status != OK) {
        webrtc_signal_release();
        return status;
    }
    handover = pack(conf, realm, identity, early, (apr_size_t) size);
    if (handover == NULL) {
        webrtc_signal_release();
        return unavailable(r, "out of memory");
    }
    handover->dialect = reply->dialect;
    handover->fd = duplicate(c);
    if (handover->fd == -1) {
        webrtc_signal_handover_free(handover);
        return unavailable(r, "less than an eighth of the descriptors of this "
                              "child is free");
    }
    if (detach->ssl != NULL) {
        handover->ssl = detach->ssl;
        webrtc_signal_tls_hold(handover->ssl);
    }
    /* Whether or not it is sent: nothing else may follow on it. */
    status = switch_protocols(r, reply);
    if (status != OK) {
        webrtc_signal_handover_free(handover);
        return status;
    }
    detach->handover = handover;
    return OK;
}

int webrtc_signal_log_transaction(request_rec *r)
{
    detach_t *detach =
        ap_get_module_config(r->connection->conn_config, &webrtc_signal_module);

    if (detach != NULL && detach->handover != NULL) {
        r->connection->aborted = 1;
    }
    return OK;
}

static apr_status_t cleanup(void *data)
{
    detach_t *detach = data;

    if (detach->handover != NULL) {
        if (detach->handover->ssl != NULL) {
            webrtc_signal_tls_orphan(detach->handover->ssl);
        }
        webrtc_signal_give(detach->handover);
        detach->handover = NULL;
    }
    return APR_SUCCESS;
}

/* OK, or 501 and a line that says what is in the way. */
static int detachable(request_rec *r, const detach_t *detach)
{
    conn_rec *c = r->connection;
    const char *filter, *why = NULL;

    if (detach == NULL) {
        why = "the connection was not made by httpd's core";
    } else if (detach->ssl != NULL) {
        why = webrtc_signal_tls_refuse(detach->ssl);
    } else if (ap_ssl_conn_is_ssl(c)) {
        why = "TLS is not done by mod_ssl";
    }
    if (why == NULL) {
        filter = unknown_filter(c->input_filters, known_input,
                                sizeof(known_input) / sizeof(known_input[0]));
        if (filter == NULL) {
            filter =
                unknown_filter(c->output_filters, known_output,
                               sizeof(known_output) / sizeof(known_output[0]));
        }
        if (filter != NULL) {
            why = apr_psprintf(r->pool,
                               "the filter \"%s\" of the connection is not "
                               "known to leave it in peace",
                               filter);
        }
    }
    if (why == NULL) {
        return OK;
    }
    webrtc_signal_log_refusal(r, why);
    return HTTP_NOT_IMPLEMENTED;
}

static const char *unknown_filter(const ap_filter_t *filter,
                                  const char *const *known, size_t n)
{
    size_t i;

    for (; filter != NULL; filter = filter->next) {
        for (i = 0; i < n && strcmp(filter->frec->name, known[i]) != 0; i++) {
        }
        if (i == n) {
            return filter->frec->name;
        }
    }
    return NULL;
}

static int unavailable(request_rec *r, const char *why)
{
    webrtc_signal_log_refusal(r, why);
    return HTTP_SERVICE_UNAVAILABLE;
}

void webrtc_signal_log_refusal(request_rec *r, const char *why)
{
    static apr_uint32_t logged; /* seconds */
    apr_uint32_t now = (apr_uint32_t) apr_time_sec(r->request_time);
    apr_uint32_t last = apr_atomic_read32(&logged);

    if (now - last >= apr_time_sec(LOG_INTERVAL) &&
        apr_atomic_cas32(&logged, now, last) == last) {
        ap_log_rerror(APLOG_MARK, APLOG_ERR, 0, r, "webrtc signal refused: %s",
                      why);
    }
}

/* All that httpd and TLS hold of the input, so that the rest is in the
 * socket. */
static int read_early(request_rec *r, apr_bucket_brigade *early,
                      apr_off_t *size)
{
    conn_rec *c = r->connection;
    apr_bucket_brigade *bb = apr_brigade_create(r->pool, c->bucket_alloc);
    apr_off_t before;
    apr_status_t rv;
    apr_bucket *b;

    do {
        before = *size;
        rv = ap_get_brigade(c->input_filters, bb, AP_MODE_READBYTES,
                            APR_NONBLOCK_READ, EARLY_MAX - *size);
        for (b = APR_BRIGADE_FIRST(bb);
             rv == APR_SUCCESS && b != APR_BRIGADE_SENTINEL(bb);
             b = APR_BUCKET_NEXT(b)) {
            rv =
                apr_bucket_setaside(b, r->pool); /* TLS uses its buffer again */
        }
        APR_BRIGADE_CONCAT(early, bb);
        (void) apr_brigade_length(early, 0, size);
    } while (rv == APR_SUCCESS && *size > before && *size < EARLY_MAX);

    /* an end or an error is there for the loop, too */
    if (*size < EARLY_MAX) {
        return OK;
    }
    ap_log_rerror(APLOG_MARK, APLOG_INFO, 0, r,
                  "webrtc signal refused: too much came before the handshake "
                  "was answered");
    c->keepalive = AP_CONN_CLOSE;
    return HTTP_BAD_REQUEST;
}

static webrtc_signal_handover_t *pack(const wsig_conf_t *conf,
                                      wsig_text_t realm, wsig_text_t identity,
                                      apr_bucket_brigade *early,
                                      apr_size_t early_size)
{
    webrtc_signal_handover_t *handover;
    char *place;

    handover =
        malloc(sizeof(*handover) + realm.size + identity.size + early_size);
    if (handover == NULL) {
        return NULL;
    }
    *handover = (webrtc_signal_handover_t){.fd = -1};
    place = (char *) (handover + 1);
    handover->realm = append(&place, realm);
    handover->identity = append(&place, identity);
    handover->early = (wsig_text_t){place, early_size};
    handover->conf = wsig_conf_copy(conf);
    if (handover->conf == NULL ||
        apr_brigade_flatten(early, place, &early_size) != APR_SUCCESS ||
        early_size != handover->early.size) {
        free(handover->conf);
        free(handover);
        return NULL;
    }
    return handover;
}

static wsig_text_t append(char **place, wsig_text_t text)
{
    wsig_text_t copy = {*place, text.size};

    if (text.size > 0) {
        memcpy(*place, text.data, text.size);
    }
    *place += text.size;
    return copy;
}

/* A descriptor of our own for the socket, or -1.  The lowest free number
 * tells how many are in use: sockets that httpd no longer knows of must not
 * use up those of the rest of the site. */
static int duplicate(conn_rec *c)
{
    struct rlimit limit;
    apr_os_sock_t socket;
    int fd;

    if (apr_os_sock_get(&socket, ap_get_conn_socket(c)) != APR_SUCCESS) {
        return -1;
    }
    fd = fcntl(socket, F_DUPFD_CLOEXEC, 0);
    if (fd == -1) {
        return -1;
    }
    if (getrlimit(RLIMIT_NOFILE, &limit) == 0 &&
        limit.rlim_cur != RLIM_INFINITY &&
        (rlim_t) fd >= limit.rlim_cur - limit.rlim_cur / 8) {
        close(fd);
        return -1;
    }
    return fd;
}

/* Past the filters of the request, which know of ordinary answers only; what
 * modules have set so that every answer has it goes along. */
static int switch_protocols(request_rec *r, const wsig_reply_t *reply)
{
    conn_rec *c = r->connection;
    apr_bucket_brigade *bb = apr_brigade_create(r->pool, c->bucket_alloc);
    const wsig_header_t *header;

    r->status = HTTP_SWITCHING_PROTOCOLS;
    r->status_line = "101 Switching Protocols";
    r->eos_sent = 1;
    c->keepalive = AP_CONN_CLOSE;

    apr_brigade_puts(bb, NULL, NULL,
                     "HTTP/1.1 101 Switching Protocols" CRLF
                     "Connection: upgrade" CRLF);
    for (header = reply->headers; header->name != NULL; header++) {
        write_header(bb, header->name, header->value);
    }
    apr_table_do(write_header, bb, r->err_headers_out, NULL);
    apr_brigade_puts(bb, NULL, NULL, CRLF);
    if (ap_fflush(c->output_filters, bb) != APR_SUCCESS || c->aborted) {
        c->aborted = 1;
        return AP_FILTER_ERROR;
    }
    return OK;
}

static int write_header(void *brigade, const char *name, const char *value)
{
    apr_brigade_putstrs(brigade, NULL, NULL, name, ": ", value, CRLF, NULL);
    return 1;
}
