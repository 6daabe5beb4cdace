
#include "ngx_http_webrtc_signal.h"


typedef struct {
    ngx_event_t                event;      /* detaches, once posted */
    wsig_admission_t           admission;
} ngx_http_webrtc_signal_ctx_t;


static ngx_int_t ngx_http_webrtc_signal_request(ngx_http_request_t *r,
    wsig_request_t *request);
static ngx_int_t ngx_http_webrtc_signal_header(ngx_http_request_t *r,
    const char *name, wsig_text_t *text);
static ngx_int_t ngx_http_webrtc_signal_identity(ngx_http_request_t *r,
    wsig_text_t *identity);
static ngx_int_t ngx_http_webrtc_signal_realm(ngx_http_request_t *r,
    wsig_text_t *realm);
static ngx_int_t ngx_http_webrtc_signal_refuse(ngx_http_request_t *r,
    wsig_request_t *request, wsig_reply_t *reply);
static ngx_int_t ngx_http_webrtc_signal_switch(ngx_http_request_t *r,
    wsig_reply_t *reply);
static void ngx_http_webrtc_signal_flush(ngx_http_request_t *r);
static void ngx_http_webrtc_signal_post_detach(ngx_http_request_t *r);
static void ngx_http_webrtc_signal_detach_handler(ngx_event_t *ev);
static void ngx_http_webrtc_signal_cleanup(void *data);
static ngx_int_t ngx_http_webrtc_signal_plain_request(ngx_http_request_t *r);
static ngx_int_t ngx_http_webrtc_signal_send(ngx_http_request_t *r, int code,
    char *text, size_t size);
static ngx_int_t ngx_http_webrtc_signal_add_headers(ngx_http_request_t *r,
    const wsig_header_t *headers);
static ngx_int_t ngx_http_webrtc_signal_add_header(ngx_http_request_t *r,
    const char *name, const char *value);


ngx_int_t
ngx_http_webrtc_signal_handler(ngx_http_request_t *r)
{
    ngx_int_t                           rc;
    wsig_reply_t                        reply;
    wsig_request_t                      request;
    ngx_http_cleanup_t                 *cln;
    ngx_http_webrtc_signal_ctx_t       *ctx;
    ngx_http_webrtc_signal_loc_conf_t  *wlcf;

    if (r != r->main) {
        ngx_log_error(NGX_LOG_ERR, r->connection->log, 0,
                      "webrtc signal cannot serve a subrequest");
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    /* discarding changes what the headers say of the body */

    if (ngx_http_webrtc_signal_request(r, &request) != NGX_OK) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    rc = ngx_http_discard_request_body(r);

    if (rc != NGX_OK) {
        return rc;
    }

    wlcf = ngx_http_get_module_loc_conf(r, ngx_http_webrtc_signal_module);

    wsig_handshake(&request, &wlcf->core, &reply);

    if (reply.status != NGX_HTTP_SWITCHING_PROTOCOLS) {
        return ngx_http_webrtc_signal_refuse(r, &request, &reply);
    }

    ctx = ngx_pcalloc(r->pool, sizeof(ngx_http_webrtc_signal_ctx_t));
    if (ctx == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    ctx->admission.conf = &wlcf->core;
    ctx->admission.dialect = reply.dialect;
    ctx->admission.identity = request.identity;

    rc = ngx_http_webrtc_signal_realm(r, &ctx->admission.realm);

    if (rc != NGX_OK) {
        return rc;
    }

    if (ngx_http_webrtc_signal_worker(r) == NULL) {
        return NGX_HTTP_SERVICE_UNAVAILABLE;
    }

    ctx->event.handler = ngx_http_webrtc_signal_detach_handler;
    ctx->event.data = r;
    ctx->event.log = r->connection->log;

    ngx_http_set_ctx(r, ctx, ngx_http_webrtc_signal_module);

    cln = ngx_http_cleanup_add(r, 0);
    if (cln == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    cln->handler = ngx_http_webrtc_signal_cleanup;
    cln->data = ctx;

    return ngx_http_webrtc_signal_switch(r, &reply);
}


ngx_int_t
ngx_http_webrtc_signal_ice_handler(ngx_http_request_t *r)
{
    int                                 code;
    char                               *text;
    size_t                              size;
    ngx_int_t                           rc;
    wsig_text_t                         realm, identity;
    ngx_http_webrtc_signal_loc_conf_t  *wlcf;

    rc = ngx_http_webrtc_signal_plain_request(r);

    if (rc != NGX_OK) {
        return rc;
    }

    rc = ngx_http_webrtc_signal_realm(r, &realm);

    if (rc != NGX_OK) {
        return rc;
    }

    if (ngx_http_webrtc_signal_identity(r, &identity) != NGX_OK
        || ngx_http_webrtc_signal_add_header(r, "Cache-Control", "no-store")
           != NGX_OK)
    {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    ngx_str_set(&r->headers_out.content_type, "application/json");
    r->headers_out.content_type_len = r->headers_out.content_type.len;

    wlcf = ngx_http_get_module_loc_conf(r, ngx_http_webrtc_signal_module);

    code = wsig_ice_text(&wlcf->core, realm, identity, ngx_time(), &text,
                         &size);

    return ngx_http_webrtc_signal_send(r, code, text, size);
}


ngx_int_t
ngx_http_webrtc_signal_status_handler(ngx_http_request_t *r)
{
    int                                  code;
    char                                *text;
    size_t                               size;
    ngx_int_t                            rc;
    ngx_http_webrtc_signal_main_conf_t  *wmcf;

    rc = ngx_http_webrtc_signal_plain_request(r);

    if (rc != NGX_OK) {
        return rc;
    }

    /* content_type_len differs from content_type.len: no charset is added */

    ngx_str_set(&r->headers_out.content_type, "text/plain; version=0.0.4");
    r->headers_out.content_type_len = sizeof("text/plain") - 1;

    wmcf = ngx_http_get_module_main_conf(r, ngx_http_webrtc_signal_module);

    code = wsig_status_text(wmcf->zone, &text, &size);

    return ngx_http_webrtc_signal_send(r, code, text, size);
}


static ngx_int_t
ngx_http_webrtc_signal_request(ngx_http_request_t *r, wsig_request_t *request)
{
    ngx_uint_t  i;

    struct {
        const char   *name;
        wsig_text_t  *text;
    } headers[] = {
        { "host", &request->host },
        { "upgrade", &request->upgrade },
        { "connection", &request->connection },
        { "sec-websocket-version", &request->version },
        { "sec-websocket-key", &request->key },
        { "sec-websocket-protocol", &request->protocol },
        { "origin", &request->origin }
    };

    request->get = (r->method == NGX_HTTP_GET);
    request->http11 = (r->http_version == NGX_HTTP_VERSION_11);
    request->body = r->headers_in.content_length_n > 0
                    || r->headers_in.chunked;

    for (i = 0; i < sizeof(headers) / sizeof(headers[0]); i++) {
        if (ngx_http_webrtc_signal_header(r, headers[i].name, headers[i].text)
            != NGX_OK)
        {
            return NGX_ERROR;
        }
    }

    return ngx_http_webrtc_signal_identity(r, &request->identity);
}


/* the values of all headers of that name, as wsig_request_t wants them */

static ngx_int_t
ngx_http_webrtc_signal_header(ngx_http_request_t *r, const char *name,
    wsig_text_t *text)
{
    u_char           *p;
    size_t            len;
    ngx_uint_t        i;
    ngx_list_part_t  *part;
    ngx_table_elt_t  *h;

    text->data = NULL;
    text->size = 0;

    len = ngx_strlen(name);

    part = &r->headers_in.headers.part;
    h = part->elts;

    for (i = 0; /* void */; i++) {

        if (i >= part->nelts) {
            if (part->next == NULL) {
                break;
            }

            part = part->next;
            h = part->elts;
            i = 0;
        }

        if (h[i].key.len != len
            || ngx_strncmp(h[i].lowcase_key, name, len) != 0)
        {
            continue;
        }

        if (text->data == NULL) {
            text->data = (const char *) h[i].value.data;
            text->size = h[i].value.len;
            continue;
        }

        p = ngx_pnalloc(r->pool, text->size + 2 + h[i].value.len);
        if (p == NULL) {
            return NGX_ERROR;
        }

        ngx_sprintf(p, "%*s, %V", text->size, text->data, &h[i].value);

        text->data = (const char *) p;
        text->size += 2 + h[i].value.len;
    }

    return NGX_OK;
}


static ngx_int_t
ngx_http_webrtc_signal_identity(ngx_http_request_t *r, wsig_text_t *identity)
{
    ngx_str_t                           value;
    ngx_http_webrtc_signal_loc_conf_t  *wlcf;

    wlcf = ngx_http_get_module_loc_conf(r, ngx_http_webrtc_signal_module);

    ngx_str_null(&value);

    if (wlcf->identity
        && ngx_http_complex_value(r, wlcf->identity, &value) != NGX_OK)
    {
        return NGX_ERROR;
    }

    *identity = ngx_http_webrtc_signal_text(&value);

    return NGX_OK;
}


static ngx_int_t
ngx_http_webrtc_signal_realm(ngx_http_request_t *r, wsig_text_t *realm)
{
    ngx_str_t                           value;
    ngx_http_core_srv_conf_t           *cscf;
    ngx_http_webrtc_signal_loc_conf_t  *wlcf;

    wlcf = ngx_http_get_module_loc_conf(r, ngx_http_webrtc_signal_module);

    if (wlcf->realm) {
        if (ngx_http_complex_value(r, wlcf->realm, &value) != NGX_OK) {
            return NGX_HTTP_INTERNAL_SERVER_ERROR;
        }

    } else {
        cscf = ngx_http_get_module_srv_conf(r, ngx_http_core_module);
        value = cscf->server_name;

        if (!wsig_realm_usable(ngx_http_webrtc_signal_text(&value))) {
            ngx_str_set(&value, WSIG_REALM_UNNAMED);
        }
    }

    *realm = ngx_http_webrtc_signal_text(&value);

    if (!wsig_realm_valid(*realm)) {
        ngx_log_error(NGX_LOG_ERR, r->connection->log, 0,
                      "webrtc signal refused: "
                      "\"webrtc_signal_realm\" gives no valid realm here");
        return NGX_HTTP_FORBIDDEN;
    }

    return NGX_OK;
}


static ngx_int_t
ngx_http_webrtc_signal_refuse(ngx_http_request_t *r, wsig_request_t *request,
    wsig_reply_t *reply)
{
    ngx_log_error(ngx_http_webrtc_signal_log_level(reply->level),
                  r->connection->log, 0,
                  "webrtc signal refused: %s, origin: \"%*s\"", reply->why,
                  request->origin.size, request->origin.data);

    if (ngx_http_webrtc_signal_add_headers(r, reply->headers) != NGX_OK) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    return reply->status;
}


static ngx_int_t
ngx_http_webrtc_signal_switch(ngx_http_request_t *r, wsig_reply_t *reply)
{
    ngx_int_t  rc;

    r->headers_out.status = NGX_HTTP_SWITCHING_PROTOCOLS;
    ngx_str_set(&r->headers_out.status_line, "101 Switching Protocols");

    /* the header filter adds "Connection: upgrade" */

    if (ngx_http_webrtc_signal_add_headers(r, reply->headers) != NGX_OK) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    r->keepalive = 0;
    r->limit_rate = 0;
    r->limit_rate_set = 1;

    rc = ngx_http_send_header(r);

    if (rc == NGX_ERROR || rc > NGX_OK) {
        return rc;
    }

    rc = ngx_http_send_special(r, NGX_HTTP_FLUSH);

    if (rc == NGX_ERROR) {
        return rc;
    }

    /* NGX_DONE gives this reference back */

    r->main->count++;

    r->read_event_handler = ngx_http_block_reading;
    ngx_http_webrtc_signal_flush(r);

    return NGX_DONE;
}


/* the rest of a 101 that was sent in part would be freed with the request */

static void
ngx_http_webrtc_signal_flush(ngx_http_request_t *r)
{
    ngx_int_t                  rc;
    ngx_event_t               *wev;
    ngx_connection_t          *c;
    ngx_http_core_loc_conf_t  *clcf;

    c = r->connection;
    wev = c->write;

    if (wev->timedout) {
        ngx_log_error(NGX_LOG_INFO, c->log, NGX_ETIMEDOUT,
                      "client timed out");
        c->timedout = 1;
        ngx_http_finalize_request(r, NGX_HTTP_REQUEST_TIME_OUT);
        return;
    }

    rc = NGX_OK;

    if (c->buffered || r->out) {
        rc = ngx_http_output_filter(r, NULL);
    }

    if (rc == NGX_ERROR) {
        ngx_http_finalize_request(r, NGX_ERROR);
        return;
    }

    if (!c->buffered && r->out == NULL) {
        ngx_http_webrtc_signal_post_detach(r);
        return;
    }

    clcf = ngx_http_get_module_loc_conf(r, ngx_http_core_module);

    r->write_event_handler = ngx_http_webrtc_signal_flush;
    ngx_add_timer(wev, clcf->send_timeout);

    if (ngx_handle_write_event(wev, clcf->send_lowat) != NGX_OK) {
        ngx_http_finalize_request(r, NGX_ERROR);
    }
}


/*
 * Not at once: whoever called the content handler or an event handler of the
 * request looks at the request again when it returns.
 */

static void
ngx_http_webrtc_signal_post_detach(ngx_http_request_t *r)
{
    ngx_http_webrtc_signal_ctx_t  *ctx;

    ctx = ngx_http_get_module_ctx(r, ngx_http_webrtc_signal_module);

    if (r->connection->write->timer_set) {
        ngx_del_timer(r->connection->write);
    }

    r->write_event_handler = ngx_http_request_empty_handler;

    ngx_post_event(&ctx->event, &ngx_posted_events);
}


static void
ngx_http_webrtc_signal_detach_handler(ngx_event_t *ev)
{
    wsig_worker_t                 *worker;
    ngx_connection_t              *c;
    ngx_http_request_t            *r;
    ngx_http_webrtc_signal_ctx_t  *ctx;

    r = ev->data;
    c = r->connection;
    ctx = ngx_http_get_module_ctx(r, ngx_http_webrtc_signal_module);

    worker = ngx_http_webrtc_signal_worker(r);

    if (worker == NULL
        || ngx_http_webrtc_signal_detach(r, worker, &ctx->admission)
           != NGX_OK)
    {
        ngx_http_finalize_request(r, NGX_ERROR);
        ngx_http_run_posted_requests(c);
    }
}


static void
ngx_http_webrtc_signal_cleanup(void *data)
{
    ngx_http_webrtc_signal_ctx_t *ctx = data;

    if (ctx->event.posted) {
        ngx_delete_posted_event(&ctx->event);
    }
}


static ngx_int_t
ngx_http_webrtc_signal_plain_request(ngx_http_request_t *r)
{
    if (!(r->method & (NGX_HTTP_GET|NGX_HTTP_HEAD))) {

        if (ngx_http_webrtc_signal_add_header(r, "Allow", "GET, HEAD")
            != NGX_OK)
        {
            return NGX_HTTP_INTERNAL_SERVER_ERROR;
        }

        return NGX_HTTP_NOT_ALLOWED;
    }

    return ngx_http_discard_request_body(r);
}


/* what the core wrote, or the code of why it could not; frees the text */

static ngx_int_t
ngx_http_webrtc_signal_send(ngx_http_request_t *r, int code, char *text,
    size_t size)
{
    ngx_int_t    rc;
    ngx_buf_t   *b;
    ngx_chain_t  out;

    if (code != WSIG_OK) {
        ngx_log_error(NGX_LOG_ERR, r->connection->log, 0,
                      "webrtc signal could not answer: %s",
                      wsig_strerror(code));
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    b = ngx_create_temp_buf(r->pool, size);
    if (b == NULL) {
        free(text);
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    b->last = ngx_cpymem(b->last, text, size);
    b->last_buf = (r == r->main) ? 1 : 0;
    b->last_in_chain = 1;

    free(text);

    r->headers_out.status = NGX_HTTP_OK;
    r->headers_out.content_length_n = size;

    rc = ngx_http_send_header(r);

    if (rc == NGX_ERROR || rc > NGX_OK || r->header_only) {
        return rc;
    }

    out.buf = b;
    out.next = NULL;

    return ngx_http_output_filter(r, &out);
}


static ngx_int_t
ngx_http_webrtc_signal_add_headers(ngx_http_request_t *r,
    const wsig_header_t *headers)
{
    for ( /* void */ ; headers->name; headers++) {

        if (ngx_http_webrtc_signal_add_header(r, headers->name, headers->value)
            != NGX_OK)
        {
            return NGX_ERROR;
        }
    }

    return NGX_OK;
}


/* the value must live as long as the request or this call of its handler */

static ngx_int_t
ngx_http_webrtc_signal_add_header(ngx_http_request_t *r, const char *name,
    const char *value)
{
    ngx_table_elt_t  *h;

    h = ngx_list_push(&r->headers_out.headers);
    if (h == NULL) {
        return NGX_ERROR;
    }

    h->hash = 1;
#if (nginx_version >= 1023000)
    h->next = NULL;
#endif

    h->key.data = (u_char *) name;
    h->key.len = ngx_strlen(name);
    h->value.data = (u_char *) value;
    h->value.len = ngx_strlen(value);

    return NGX_OK;
}
