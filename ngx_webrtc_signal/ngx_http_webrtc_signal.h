
/*
 * What the files of the module share.
 *
 * ngx_http_webrtc_signal_module.c: directives and configurations;
 * ngx_http_webrtc_signal_handler.c: the endpoints, up to the moment when
 *     a connection leaves its request;
 * ngx_http_webrtc_signal_connection.c: a connection after that;
 * ngx_http_webrtc_signal_process.c: the zone of the server, and the worker
 *     of the process, which owns all connections of the second kind.
 */


#ifndef _NGX_HTTP_WEBRTC_SIGNAL_H_INCLUDED_
#define _NGX_HTTP_WEBRTC_SIGNAL_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>
#include <wsig.h>


typedef struct {
    ngx_str_t                  path;      /* of the zone */
    size_t                     size;
    int64_t                    drain;     /* -1: not given */
    wsig_zone_t               *zone;      /* NULL while nginx -t runs */

    ngx_array_t                unnamed;   /* of ngx_http_core_srv_conf_t * */
    unsigned                   used:1;    /* some location is an endpoint */
} ngx_http_webrtc_signal_main_conf_t;


typedef struct {
    wsig_conf_t                core;
    ngx_http_complex_value_t  *realm;     /* NULL: the server's name */
    ngx_http_complex_value_t  *identity;
    ngx_http_handler_pt        endpoint;  /* NULL: none, not inherited */
} ngx_http_webrtc_signal_loc_conf_t;


ngx_int_t ngx_http_webrtc_signal_handler(ngx_http_request_t *r);
ngx_int_t ngx_http_webrtc_signal_ice_handler(ngx_http_request_t *r);
ngx_int_t ngx_http_webrtc_signal_status_handler(ngx_http_request_t *r);

/*
 * Takes the connection away from its request, which ends with this call.
 * NGX_ERROR: nothing was done, the request is the caller's to finalize.
 */
ngx_int_t ngx_http_webrtc_signal_detach(ngx_http_request_t *r,
    wsig_worker_t *worker, wsig_admission_t *admission);

/* parts of the wsig_host_t */
ssize_t ngx_http_webrtc_signal_write(void *connection, const void *data,
    size_t size);
void ngx_http_webrtc_signal_close(void *connection);
void ngx_http_webrtc_signal_hold(void *connection, bool hold);

/* closes what the core gave to ngx_http_webrtc_signal_close(), at once */
void ngx_http_webrtc_signal_close_all(void);


ngx_int_t ngx_http_webrtc_signal_init_zone(ngx_cycle_t *cycle);
ngx_int_t ngx_http_webrtc_signal_init_process(ngx_cycle_t *cycle);
void ngx_http_webrtc_signal_exit_process(ngx_cycle_t *cycle);

/* the worker of this process, NULL if it can take no further connection */
wsig_worker_t *ngx_http_webrtc_signal_worker(ngx_http_request_t *r);

/* the process was asked to leave; may be called again */
void ngx_http_webrtc_signal_quit(void);

/* the worker has got a peer: the process stays while it has any */
void ngx_http_webrtc_signal_stay(void);

ngx_uint_t ngx_http_webrtc_signal_log_level(wsig_level_t level);


static ngx_inline wsig_text_t
ngx_http_webrtc_signal_text(ngx_str_t *value)
{
    wsig_text_t  text;

    text.data = (const char *) value->data;
    text.size = value->len;

    return text;
}


extern ngx_module_t  ngx_http_webrtc_signal_module;


#endif /* _NGX_HTTP_WEBRTC_SIGNAL_H_INCLUDED_ */
