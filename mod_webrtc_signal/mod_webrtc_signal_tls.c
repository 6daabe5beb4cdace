/*
 * TLS sessions that mod_ssl has made.  httpd's connection is gone when its
 * session is adopted here, but mod_ssl's callbacks stay in it, and some look
 * at the connection.
 */

#include "mod_webrtc_signal.h"

#include <dlfcn.h>

#include <apr_optional_hooks.h>
#include <http_log.h>
#include <mod_ssl_openssl.h>
#include <openssl/err.h>

APLOG_USE_MODULE(webrtc_signal);

/* OpenSSL does not tell how many records of a larger write went out. */
#define RECORD_SIZE 16384

/* What the sessions of this child have in place of their connections: enough
 * for the callback that logs keys. */
static conn_rec nobody;

static int init_server(server_rec *s, apr_pool_t *p, int is_proxy,
                       SSL_CTX *context);
static int pre_handshake(conn_rec *c, SSL *ssl, int is_proxy);
static int is_ours(const void *of_theirs, const char **path);
static void ignore(const SSL *ssl, int where, int code);

void webrtc_signal_tls_hooks(void)
{
    APR_OPTIONAL_HOOK(ssl, init_server, init_server, NULL, NULL,
                      APR_HOOK_MIDDLE);
    APR_OPTIONAL_HOOK(ssl, pre_handshake, pre_handshake, NULL, NULL,
                      APR_HOOK_MIDDLE);
}

void webrtc_signal_tls_child(apr_pool_t *p, server_rec *s)
{
    nobody.pool = p;
    nobody.base_server = s;
    nobody.conn_config = ap_create_conn_config(p);
}

/* At start-up: one libssl has to do for both. */
static int init_server(server_rec *s, apr_pool_t *p, int is_proxy,
                       SSL_CTX *context)
{
    const char *path = "another library";

    if (!is_proxy && !is_ours(SSL_CTX_get_ssl_method(context), &path)) {
        ap_log_error(APLOG_MARK, APLOG_WARNING, 0, s,
                     "webrtc signal cannot take over TLS connections: mod_ssl "
                     "uses %s, and this module was linked with %s; they will "
                     "be refused with 501",
                     path, OpenSSL_version(OPENSSL_VERSION));
    }
    return OK;
}

static int pre_handshake(conn_rec *c, SSL *ssl, int is_proxy)
{
    if (!is_proxy) {
        webrtc_signal_remember_session(c, ssl);
    }
    return OK;
}

const char *webrtc_signal_tls_refuse(const SSL *ssl)
{
    const char *path;

    return is_ours(SSL_get_ssl_method(ssl), &path)
               ? NULL
               : "mod_ssl uses another libssl than this module";
}

/* A session's method stands in the library that made the session. */
static int is_ours(const void *of_theirs, const char **path)
{
    Dl_info ours, theirs;

    if (dladdr(of_theirs, &theirs) == 0) {
        return 0;
    }
    *path = theirs.dli_fname;
    return dladdr(TLS_method(), &ours) != 0 &&
           ours.dli_fbase == theirs.dli_fbase;
}

void webrtc_signal_tls_hold(SSL *ssl)
{
    SSL_up_ref(ssl);
}

/* mod_ssl has callbacks on its BIOs, too, which look at the connection even
 * while they are freed. */
void webrtc_signal_tls_orphan(SSL *ssl)
{
    SSL_set_app_data(ssl, NULL);
}

/* As ended in good order, or the session would go from mod_ssl's cache. */
void webrtc_signal_tls_free(SSL *ssl)
{
    SSL_set_shutdown(ssl, SSL_SENT_SHUTDOWN | SSL_RECEIVED_SHUTDOWN);
    SSL_free(ssl);
}

bool webrtc_signal_tls_adopt(SSL *ssl, int fd)
{
    BIO *bio = BIO_new_socket(fd, BIO_NOCLOSE);

    if (bio == NULL) {
        return false;
    }
    SSL_set_bio(ssl, bio, bio); /* frees mod_ssl's */
    SSL_set_shutdown(ssl, 0);   /* mod_ssl has ended it, unsent */
    SSL_set_app_data(ssl, &nobody);
    SSL_set_info_callback(ssl, ignore);
    SSL_set_options(ssl, SSL_OP_NO_RENEGOTIATION);
    SSL_set_mode(ssl, SSL_MODE_RELEASE_BUFFERS | SSL_MODE_ENABLE_PARTIAL_WRITE |
                          SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
    return true;
}

/* In the place of mod_ssl's, which looks at the connection. */
static void ignore(const SSL *ssl, int where, int code)
{
}

ssize_t webrtc_signal_tls_read(SSL *ssl, void *data, size_t size, bool *writing)
{
    size_t n;

    *writing = false;
    ERR_clear_error();
    if (SSL_read_ex(ssl, data, size, &n) == 1) {
        return (ssize_t) n;
    }
    switch (SSL_get_error(ssl, 0)) {
    case SSL_ERROR_WANT_READ:
        return WSIG_AGAIN;
    case SSL_ERROR_WANT_WRITE:
        *writing = true;
        return WSIG_AGAIN;
    case SSL_ERROR_ZERO_RETURN:
        return 0;
    default:
        return WSIG_ERROR;
    }
}

ssize_t webrtc_signal_tls_write(SSL *ssl, const void *data, size_t size)
{
    size_t n;

    ERR_clear_error();
    if (SSL_write_ex(ssl, data, size < RECORD_SIZE ? size : RECORD_SIZE, &n) ==
        1) {
        return (ssize_t) n;
    }
    switch (SSL_get_error(ssl, 0)) {
    case SSL_ERROR_WANT_READ:
    case SSL_ERROR_WANT_WRITE:
        return WSIG_AGAIN;
    default:
        return WSIG_ERROR;
    }
}

void webrtc_signal_tls_shutdown(SSL *ssl)
{
    ERR_clear_error();
    (void) SSL_shutdown(ssl);
    ERR_clear_error();
}
