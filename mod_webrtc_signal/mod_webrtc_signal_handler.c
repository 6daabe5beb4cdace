/*
 * The endpoints.  They run on httpd's worker threads, and touch the zone only.
 */

#include "mod_webrtc_signal.h"

#include <apr_strings.h>
#include <http_core.h>
#include <http_log.h>
#include <http_main.h>
#include <http_protocol.h>
#include <http_request.h>

APLOG_USE_MODULE(webrtc_signal);

static int serve_signal(request_rec *r);
static int serve_ice(request_rec *r);
static int serve_status(request_rec *r);
static int settings(request_rec *r, wsig_conf_t *conf);
static int from_http2(request_rec *r);
static wsig_text_t header(request_rec *r, const char *name);
static int has_body(request_rec *r);
static int identity(request_rec *r, wsig_text_t *text);
static int realm(request_rec *r, wsig_text_t *text);
static int evaluate(request_rec *r, const ap_expr_info_t *expression,
                    const char *directive, wsig_text_t *text);
static int refuse(request_rec *r, const wsig_request_t *request,
                  const wsig_reply_t *reply);
static int plain_request(request_rec *r);
static int answer(request_rec *r, int code, char *text, size_t size);

int webrtc_signal_handler(request_rec *r)
{
    if (r->handler == NULL) {
        return DECLINED;
    }
    if (strcmp(r->handler, WEBRTC_SIGNAL_HANDLER) == 0) {
        return serve_signal(r);
    }
    if (strcmp(r->handler, WEBRTC_SIGNAL_ICE_HANDLER) == 0) {
        return serve_ice(r);
    }
    if (strcmp(r->handler, WEBRTC_SIGNAL_STATUS_HANDLER) == 0) {
        return serve_status(r);
    }
    return DECLINED;
}

static int serve_signal(request_rec *r)
{
    wsig_request_t request = {
        .get = r->method_number == M_GET && !r->header_only,
        .http11 = r->proto_num == HTTP_VERSION(1, 1),
        .body = has_body(r),
        .host = header(r, "Host"),
        .upgrade = header(r, "Upgrade"),
        .connection = header(r, "Connection"),
        .version = header(r, "Sec-WebSocket-Version"),
        .key = header(r, "Sec-WebSocket-Key"),
        .protocol = header(r, "Sec-WebSocket-Protocol"),
        .origin = header(r, "Origin"),
    };
    wsig_text_t name;
    wsig_reply_t reply;
    wsig_conf_t conf;
    int status;

    if (r->main != NULL) {
        ap_log_rerror(APLOG_MARK, APLOG_ERR, 0, r,
                      "webrtc signal cannot serve a subrequest");
        return HTTP_INTERNAL_SERVER_ERROR;
    }
    status = from_http2(r);
    if (status == OK) {
        status = settings(r, &conf);
    }
    if (status == OK) {
        status = identity(r, &request.identity);
    }
    if (status != OK) {
        return status;
    }
    wsig_handshake(&request, &conf, &reply);
    if (reply.status != HTTP_SWITCHING_PROTOCOLS) {
        return refuse(r, &request, &reply);
    }
    status = realm(r, &name);
    if (status != OK) {
        return status;
    }
    return webrtc_signal_detach(r, &conf, name, request.identity, &reply);
}

static int serve_ice(request_rec *r)
{
    wsig_text_t place, name;
    wsig_conf_t conf;
    char *text = NULL;
    size_t size = 0;
    int code, status;

    status = plain_request(r);
    if (status == OK) {
        status = settings(r, &conf);
    }
    if (status == OK) {
        status = realm(r, &place);
    }
    if (status == OK) {
        status = identity(r, &name);
    }
    if (status != OK) {
        return status;
    }
    apr_table_setn(r->headers_out, "Cache-Control", "no-store");
    ap_set_content_type(r, "application/json");
    code = wsig_ice_text(&conf, place, name, wsig_now().wall, &text, &size);
    return answer(r, code, text, size);
}

static int serve_status(request_rec *r)
{
    wsig_zone_t *zone = webrtc_signal_server(ap_server_conf)->zone;
    char *text = NULL;
    size_t size = 0;
    int code, status;

    status = plain_request(r);
    if (status != OK) {
        return status;
    }
    ap_set_content_type(r, "text/plain; version=0.0.4");
    code = wsig_status_text(zone, &text, &size);
    return answer(r, code, text, size);
}

/* All that applies to this request, with the defaults.  What only meets here,
 * from several sections, could not be checked before. */
static int settings(request_rec *r, wsig_conf_t *conf)
{
    wsig_pool_t pool = webrtc_signal_pool(r->pool);
    wsig_setting_t setting;
    const char *error;

    *conf = webrtc_signal_dir(r->per_dir_config)->core;
    wsig_conf_merge(conf, NULL);
    error = wsig_conf_check(conf, &pool, &setting);
    if (error != NULL) {
        ap_log_rerror(APLOG_MARK, APLOG_ERR, 0, r, "\"%s\": %s",
                      webrtc_signal_directive(setting), error);
        return HTTP_INTERNAL_SERVER_ERROR;
    }
    return OK;
}

/* A stream of a connection cannot be taken away from it. */
static int from_http2(request_rec *r)
{
    if (r->connection->master == NULL ||
        apr_table_get(r->headers_in, "Upgrade") == NULL) {
        return OK;
    }
    webrtc_signal_log_refusal(
        r, "a WebSocket on HTTP/2; \"H2WebSockets\" has to be off");
    return HTTP_NOT_IMPLEMENTED;
}

/* httpd has joined the values of headers that came several times. */
static wsig_text_t header(request_rec *r, const char *name)
{
    return webrtc_signal_text(apr_table_get(r->headers_in, name));
}

static int has_body(request_rec *r)
{
    const char *length = apr_table_get(r->headers_in, "Content-Length");

    return apr_table_get(r->headers_in, "Transfer-Encoding") != NULL ||
           (length != NULL && strspn(length, "0") < strlen(length));
}

static int identity(request_rec *r, wsig_text_t *text)
{
    const webrtc_signal_dir_t *dir = webrtc_signal_dir(r->per_dir_config);

    *text = webrtc_signal_text(NULL);
    return dir->identity == NULL
               ? OK
               : evaluate(r, dir->identity, "WebrtcSignalIdentity", text);
}

static int realm(request_rec *r, wsig_text_t *text)
{
    const webrtc_signal_dir_t *dir = webrtc_signal_dir(r->per_dir_config);
    char *name;
    int status;

    if (dir->realm == NULL) {
        name = apr_pstrdup(r->pool, r->server->server_hostname);
        ap_str_tolower(name);
        *text = webrtc_signal_text(name);
        if (!webrtc_signal_server(r->server)->named ||
            !wsig_realm_usable(*text)) {
            *text = webrtc_signal_text(WSIG_REALM_UNNAMED);
        }
        return OK;
    }
    status = evaluate(r, dir->realm, "WebrtcSignalRealm", text);
    if (status == OK && !wsig_realm_valid(*text)) {
        ap_log_rerror(APLOG_MARK, APLOG_ERR, 0, r,
                      "webrtc signal refused: \"WebrtcSignalRealm\" gives no "
                      "valid realm here");
        return HTTP_FORBIDDEN;
    }
    return status;
}

static int evaluate(request_rec *r, const ap_expr_info_t *expression,
                    const char *directive, wsig_text_t *text)
{
    const char *error = NULL;
    const char *value = ap_expr_str_exec(r, expression, &error);

    if (error != NULL) {
        ap_log_rerror(APLOG_MARK, APLOG_ERR, 0, r, "\"%s\": %s", directive,
                      error);
        return HTTP_INTERNAL_SERVER_ERROR;
    }
    *text = webrtc_signal_text(value);
    return OK;
}

static int refuse(request_rec *r, const wsig_request_t *request,
                  const wsig_reply_t *reply)
{
    const wsig_header_t *header;

    ap_log_rerror(APLOG_MARK, webrtc_signal_log_level(reply->level), 0, r,
                  "webrtc signal refused: %s, origin: \"%.*s\"", reply->why,
                  (int) request->origin.size,
                  request->origin.size > 0 ? request->origin.data : "");
    for (header = reply->headers; header->name != NULL; header++) {
        apr_table_set(r->err_headers_out, header->name, header->value);
    }
    if (reply->status == HTTP_METHOD_NOT_ALLOWED) {
        ap_allow_standard_methods(r, REPLACE_ALLOW, M_GET, -1);
        apr_table_unset(r->err_headers_out, "Allow"); /* httpd writes it */
    }
    return reply->status;
}

static int plain_request(request_rec *r)
{
    if (r->method_number != M_GET) {
        ap_allow_standard_methods(r, REPLACE_ALLOW, M_GET, -1);
        return HTTP_METHOD_NOT_ALLOWED;
    }
    return ap_discard_request_body(r);
}

/* What the core wrote, or the code of why it could not; frees the text. */
static int answer(request_rec *r, int code, char *text, size_t size)
{
    if (code != WSIG_OK) {
        ap_log_rerror(APLOG_MARK, APLOG_ERR, 0, r,
                      "webrtc signal could not answer: %s",
                      wsig_strerror(code));
        return HTTP_INTERNAL_SERVER_ERROR;
    }
    ap_set_content_length(r, size);
    ap_rwrite(text, (int) size, r);
    free(text);
    return OK;
}
