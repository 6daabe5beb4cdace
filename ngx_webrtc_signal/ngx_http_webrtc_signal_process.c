
#include "ngx_http_webrtc_signal.h"


#define NGX_HTTP_WEBRTC_SIGNAL_STAY_TICK      500   /* ms */
#define NGX_HTTP_WEBRTC_SIGNAL_LOG_INTERVAL   60    /* s */
#define NGX_HTTP_WEBRTC_SIGNAL_RETRY          1     /* s */
#define NGX_HTTP_WEBRTC_SIGNAL_ERROR          512


typedef struct {
    wsig_worker_t              *worker;       /* NULL: no slot was free */
    int64_t                     drain;
    ngx_connection_t           *doorbell;
    ngx_event_t                 timer;
    ngx_event_t                 stay;         /* keeps a leaving process */
    void                       *ident[4];     /* for the debug log of timers */
    time_t                      tried;        /* to start the worker */
    time_t                      logged;       /* a connection refused */
    ngx_msec_t                  asked;        /* to leave */
    unsigned                    quit:1;
} ngx_http_webrtc_signal_process_t;


static void ngx_http_webrtc_signal_zone_warn(void *ctx, const char *text);
static void ngx_http_webrtc_signal_zone_cleanup(void *data);
static ngx_int_t ngx_http_webrtc_signal_start(
    ngx_http_webrtc_signal_main_conf_t *wmcf, ngx_log_t *log);
static void ngx_http_webrtc_signal_init_event(ngx_event_t *ev,
    ngx_event_handler_pt handler, ngx_log_t *log);
static void ngx_http_webrtc_signal_stop(void);
static ngx_connection_t *ngx_http_webrtc_signal_watch(int fd, ngx_log_t *log);
static void ngx_http_webrtc_signal_doorbell_handler(ngx_event_t *rev);
static void ngx_http_webrtc_signal_timer_handler(ngx_event_t *ev);
static void ngx_http_webrtc_signal_stay_handler(ngx_event_t *ev);
static void ngx_http_webrtc_signal_timer(void *host, int64_t delay);
static void ngx_http_webrtc_signal_log(void *host, wsig_level_t level,
    const char *text);


static const wsig_host_t  ngx_http_webrtc_signal_host = {
    ngx_http_webrtc_signal_write,
    ngx_http_webrtc_signal_close,
    ngx_http_webrtc_signal_hold,
    ngx_http_webrtc_signal_timer,
    ngx_http_webrtc_signal_log
};


static ngx_http_webrtc_signal_process_t  ngx_http_webrtc_signal_process;


ngx_int_t
ngx_http_webrtc_signal_init_zone(ngx_cycle_t *cycle)
{
    int                                  rc;
    char                                 error[NGX_HTTP_WEBRTC_SIGNAL_ERROR];
    ngx_core_conf_t                     *ccf;
    ngx_pool_cleanup_t                  *cln;
    wsig_zone_options_t                  options;
    ngx_http_webrtc_signal_main_conf_t  *wmcf;

    wmcf = ngx_http_cycle_get_module_main_conf(cycle,
                                               ngx_http_webrtc_signal_module);

    /* a process that only sends a signal uses no zone */

    if (wmcf == NULL || !wmcf->used || ngx_process == NGX_PROCESS_SIGNALLER) {
        return NGX_OK;
    }

    options.path = (const char *) wmcf->path.data;
    options.size = wmcf->size;
    options.uid = geteuid();
    options.gid = getegid();
    options.instance = (const char *) cycle->conf_file.data;
    options.warn = ngx_http_webrtc_signal_zone_warn;
    options.ctx = cycle->log;

    ccf = (ngx_core_conf_t *) ngx_get_conf(cycle->conf_ctx, ngx_core_module);

    /* the only process keeps its rights */

    if (options.uid == 0 && ccf->master) {
        options.uid = ccf->user;
        options.gid = ccf->group;
    }

    if (ngx_test_config) {
        rc = wsig_zone_check(&options, error, sizeof(error));

    } else {
        cln = ngx_pool_cleanup_add(cycle->pool, 0);
        if (cln == NULL) {
            return NGX_ERROR;
        }

        cln->handler = ngx_http_webrtc_signal_zone_cleanup;

        rc = wsig_zone_open(&wmcf->zone, &options, error, sizeof(error));

        cln->data = wmcf->zone;
    }

    if (rc != WSIG_OK) {
        ngx_log_error(NGX_LOG_EMERG, cycle->log, 0,
                      "\"webrtc_signal_zone\": %s", error);
        return NGX_ERROR;
    }

    return NGX_OK;
}


static void
ngx_http_webrtc_signal_zone_warn(void *ctx, const char *text)
{
    ngx_log_error(NGX_LOG_WARN, (ngx_log_t *) ctx, 0,
                  "\"webrtc_signal_zone\": %s", text);
}


static void
ngx_http_webrtc_signal_zone_cleanup(void *data)
{
    /* in a worker this comes after exit_process */

    wsig_zone_close(data);
}


ngx_int_t
ngx_http_webrtc_signal_init_process(ngx_cycle_t *cycle)
{
    ngx_http_webrtc_signal_main_conf_t  *wmcf;

    /* the cache manager and loader serve nobody */

    if (ngx_process != NGX_PROCESS_WORKER && ngx_process != NGX_PROCESS_SINGLE)
    {
        return NGX_OK;
    }

    wmcf = ngx_http_cycle_get_module_main_conf(cycle,
                                               ngx_http_webrtc_signal_module);

    if (wmcf == NULL || wmcf->zone == NULL) {
        return NGX_OK;
    }

    /* the rest of the site works without it, and a handshake tries again */

    (void) ngx_http_webrtc_signal_start(wmcf, cycle->log);

    return NGX_OK;
}


void
ngx_http_webrtc_signal_exit_process(ngx_cycle_t *cycle)
{
    ngx_http_webrtc_signal_stop();
}


wsig_worker_t *
ngx_http_webrtc_signal_worker(ngx_http_request_t *r)
{
    const char                          *why;
    ngx_http_webrtc_signal_process_t    *process;
    ngx_http_webrtc_signal_main_conf_t  *wmcf;

    process = &ngx_http_webrtc_signal_process;

    if (process->worker == NULL
        && ngx_time() - process->tried >= NGX_HTTP_WEBRTC_SIGNAL_RETRY)
    {
        wmcf = ngx_http_get_module_main_conf(r, ngx_http_webrtc_signal_module);

        (void) ngx_http_webrtc_signal_start(wmcf, ngx_cycle->log);
    }

    if (ngx_exiting || ngx_terminate) {
        return NULL;
    }

    /*
     * connections that were taken away from their requests are not reusable:
     * they must not use up those of the rest of the site
     */

    if (process->worker == NULL) {
        why = "the zone has no free worker slot";

    } else if (ngx_cycle->free_connection_n + ngx_cycle->reusable_connections_n
               < ngx_cycle->connection_n / 8)
    {
        why = "less than an eighth of worker_connections is free";

    } else {
        return process->worker;
    }

    if (ngx_time() - process->logged >= NGX_HTTP_WEBRTC_SIGNAL_LOG_INTERVAL) {
        process->logged = ngx_time();

        ngx_log_error(NGX_LOG_ERR, r->connection->log, 0,
                      "webrtc signal refused: %s", why);
    }

    return NULL;
}


static ngx_int_t
ngx_http_webrtc_signal_start(ngx_http_webrtc_signal_main_conf_t *wmcf,
    ngx_log_t *log)
{
    int                                rc;
    ngx_http_webrtc_signal_process_t  *process;

    process = &ngx_http_webrtc_signal_process;

    process->tried = ngx_time();

    ngx_http_webrtc_signal_init_event(&process->timer,
                                      ngx_http_webrtc_signal_timer_handler,
                                      log);
    process->timer.cancelable = 1;

    ngx_http_webrtc_signal_init_event(&process->stay,
                                      ngx_http_webrtc_signal_stay_handler,
                                      log);

    rc = wsig_worker_start(&process->worker, wmcf->zone,
                           &ngx_http_webrtc_signal_host, NULL, wsig_now());
    if (rc != WSIG_OK) {
        process->worker = NULL;

        ngx_log_error(NGX_LOG_ERR, log, 0,
                      "webrtc signal could not start in this process: %s",
                      wsig_strerror(rc));
        return NGX_ERROR;
    }

    process->drain = wmcf->drain;

    process->doorbell = ngx_http_webrtc_signal_watch(
                                       wsig_worker_doorbell(process->worker),
                                       log);

    if (process->doorbell == NULL) {
        ngx_http_webrtc_signal_stop();
        return NGX_ERROR;
    }

    return NGX_OK;
}


static void
ngx_http_webrtc_signal_init_event(ngx_event_t *ev,
    ngx_event_handler_pt handler, ngx_log_t *log)
{
    ngx_http_webrtc_signal_process_t  *process;

    process = &ngx_http_webrtc_signal_process;

    /* where an ngx_connection_t has its descriptor */

    process->ident[3] = (void *) -1;

    ngx_memzero(ev, sizeof(ngx_event_t));

    ev->handler = handler;
    ev->data = process->ident;
    ev->log = log;
}


static void
ngx_http_webrtc_signal_stop(void)
{
    ngx_connection_t                  *c;
    ngx_http_webrtc_signal_process_t  *process;

    process = &ngx_http_webrtc_signal_process;

    if (process->worker == NULL) {
        return;
    }

    c = process->doorbell;

    if (c) {
        if (c->read->active) {
            (void) ngx_del_event(c->read, NGX_READ_EVENT, 0);
        }

        if (c->read->posted) {
            ngx_delete_posted_event(c->read);
        }
    }

    wsig_worker_free(process->worker, wsig_now());

    ngx_http_webrtc_signal_close_all();

    /* the core may have set it until now */

    if (process->timer.timer_set) {
        ngx_del_timer(&process->timer);
    }

    if (process->timer.posted) {
        ngx_delete_posted_event(&process->timer);
    }

    if (process->stay.timer_set) {
        ngx_del_timer(&process->stay);
    }

    if (c) {
        ngx_free_connection(c);
        c->fd = (ngx_socket_t) -1;
    }

    process->worker = NULL;
    process->doorbell = NULL;
}


/* compare ngx_add_channel_event() */

static ngx_connection_t *
ngx_http_webrtc_signal_watch(int fd, ngx_log_t *log)
{
    ngx_connection_t  *c;

    c = ngx_get_connection(fd, log);
    if (c == NULL) {
        return NULL;
    }

    /* no connection of a client: neither an alert nor a timeout at exit */

    c->read->channel = 1;
    c->write->channel = 1;

    c->read->log = log;
    c->write->log = log;
    c->read->handler = ngx_http_webrtc_signal_doorbell_handler;

    /* no NGX_CLEAR_EVENT: the core need not empty it in one go */

    if (ngx_add_event(c->read, NGX_READ_EVENT, 0) != NGX_OK) {
        ngx_free_connection(c);
        c->fd = (ngx_socket_t) -1;
        return NULL;
    }

    return c;
}


static void
ngx_http_webrtc_signal_doorbell_handler(ngx_event_t *rev)
{
    wsig_worker_ring(ngx_http_webrtc_signal_process.worker, wsig_now());
}


static void
ngx_http_webrtc_signal_timer_handler(ngx_event_t *ev)
{
    /*
     * nobody tells a worker without connections of ours; it may stay for
     * other ones, and the peers of the others must not wait for it
     */

    if (ngx_exiting) {
        ngx_http_webrtc_signal_quit();
    }

    wsig_worker_timer(ngx_http_webrtc_signal_process.worker, wsig_now());
}


void
ngx_http_webrtc_signal_quit(void)
{
    ngx_http_webrtc_signal_process_t  *process;

    process = &ngx_http_webrtc_signal_process;

    if (process->worker == NULL || process->quit) {
        return;
    }

    process->quit = 1;
    process->asked = ngx_current_msec;

    wsig_worker_quit(process->worker, process->drain, false, wsig_now());
}


/*
 * nginx ends a process that was asked to leave as soon as no timer is left
 * but cancelable ones.  The core's timer is one of those, as it never stops;
 * this one runs while there are peers, be it without a connection: there may
 * be nothing to start it from when the process is asked.
 */

void
ngx_http_webrtc_signal_stay(void)
{
    ngx_event_t  *ev;

    ev = &ngx_http_webrtc_signal_process.stay;

    if (!ev->timer_set) {
        ngx_add_timer(ev, NGX_HTTP_WEBRTC_SIGNAL_STAY_TICK);
    }
}


static void
ngx_http_webrtc_signal_stay_handler(ngx_event_t *ev)
{
    ngx_core_conf_t                   *ccf;
    ngx_http_webrtc_signal_process_t  *process;

    process = &ngx_http_webrtc_signal_process;

    if (wsig_worker_peers(process->worker) == 0) {
        return;
    }

    /* worker_shutdown_timeout ends connections; it holds for the lost, too */

    ccf = (ngx_core_conf_t *) ngx_get_conf(ngx_cycle->conf_ctx,
                                           ngx_core_module);

    if (process->quit
        && ccf->shutdown_timeout
        && ngx_current_msec - process->asked >= ccf->shutdown_timeout)
    {
        return;
    }

    ngx_http_webrtc_signal_stay();
}


static void
ngx_http_webrtc_signal_timer(void *host, int64_t delay)
{
    ngx_event_t  *ev;

    ev = &ngx_http_webrtc_signal_process.timer;

    if (ev->timer_set) {
        ngx_del_timer(ev);
    }

    if (ev->posted) {
        ngx_delete_posted_event(ev);
    }

    /*
     * a timer of 0 ms that is set while timers expire would expire among
     * them, again and again
     */

    if (delay <= 0) {
        ngx_post_event(ev, &ngx_posted_next_events);
        return;
    }

    ngx_add_timer(ev, (ngx_msec_t) delay);
}


static void
ngx_http_webrtc_signal_log(void *host, wsig_level_t level, const char *text)
{
    ngx_log_error(ngx_http_webrtc_signal_log_level(level), ngx_cycle->log, 0,
                  "webrtc signal: %s", text);
}


ngx_uint_t
ngx_http_webrtc_signal_log_level(wsig_level_t level)
{
    static const ngx_uint_t  levels[] = {
        NGX_LOG_ERR, NGX_LOG_WARN, NGX_LOG_NOTICE, NGX_LOG_INFO
    };

    return levels[level];
}
