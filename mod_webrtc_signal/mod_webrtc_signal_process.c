/*
 * The zone of the server, which the parent opens, and the loop of a child: one
 * thread that serves all connections that have left httpd.
 *
 *   running --- asked to leave ---> draining --- peers gone ---> left
 *      |                               |
 *      +------ asked to stop ----------+----> all closed ------> left
 *
 * A child that was asked to leave ends its requests first, handshakes that came
 * before it closed its listeners among them; its main thread then waits for the
 * loop before the pool of the child goes.
 */

#include "mod_webrtc_signal.h"

#include <errno.h>
#include <pthread.h>
#include <semaphore.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <unistd.h>

#include <ap_mpm.h>
#include <http_core.h>
#include <http_log.h>
#include <mpm_common.h>
#include <scoreboard.h>
#include <unixd.h>

APLOG_USE_MODULE(webrtc_signal);

#define DRAIN (60 * 1000)
#define MAX_CONNECTIONS 16384
#define EVENTS 256 /* in one round */
#define RETRY 1000 /* ms: to get a worker slot */
#define LOOK 100   /* ms: whether a draining child may still stay */
#define NEVER INT64_MAX

static struct {
    server_rec *server;
    webrtc_signal_server_t *conf;
    int max_connections;
    const char *pid_file;

    /* of all threads */
    _Atomic(const char *) unavailable; /* why nobody is taken; NULL: open */
    atomic_int connections;            /* reserved */
    atomic_bool leave;                 /* asked to, with time to drain */
    atomic_bool stop;                  /* asked to, at once */
    atomic_bool finish;                /* somebody waits for the loop's end */
    int wake;                          /* an eventfd */
    pthread_mutex_t mutex;             /* guards these: */
    webrtc_signal_handover_t *given;
    bool over;

    /* of the main thread */
    bool running;
    pthread_t thread;
    sem_t ready; /* the loop has tried to start */
    struct sigaction sigterm;

    /* of the loop */
    int epoll;
    webrtc_signal_loop_t *loop;
    wsig_worker_t *worker; /* NULL: it could not start */
    int failure;           /* why, the last time */
    int64_t timer_at;
    int64_t retry_at;
    int64_t look_at;
    bool draining;
    bool left;
} child = {
    .unavailable = "it could not start in this child",
    .mutex = PTHREAD_MUTEX_INITIALIZER,
    .timer_at = NEVER,
    .retry_at = NEVER,
    .look_at = NEVER,
};

static void zone_warn(void *server, const char *text);
static apr_status_t zone_close(void *zone);
static void raise_limit(server_rec *s, webrtc_signal_server_t *conf);
static apr_status_t child_exit(void *unused);
static void give_place(void);
static void on_sigterm(int number, siginfo_t *info, void *unused);
static void wake(void);
static bool watch(int fd, void *what);
static void *loop_main(void *unused);
static void start_worker(wsig_time_t now);
static int timeout(void);
static void dispatch(const struct epoll_event *event, wsig_time_t now);
static void take_given(wsig_time_t now);
static void obey(wsig_time_t now);
static bool is_followed(void);
static bool may_stay(void);
static void set_timer(void *host, int64_t delay);
static void write_log(void *host, wsig_level_t level, const char *text);

static const wsig_host_t host = {webrtc_signal_write, webrtc_signal_close,
                                 webrtc_signal_hold, set_timer, write_log};

void webrtc_signal_zone_options(server_rec *s, apr_pool_t *p,
                                wsig_zone_options_t *options)
{
    const webrtc_signal_server_t *conf = webrtc_signal_server(s);
    const int root = geteuid() == 0;
    char *path;

    options->path = conf->zone_path;
    if (options->path == NULL) {
        path = apr_palloc(p, WSIG_PATH_MAX + 1);
        wsig_zone_default_path("apache", path);
        options->path = path;
    }
    options->size = conf->zone_size;
    options->uid = root ? ap_unixd_config.user_id : geteuid();
    options->gid = root ? ap_unixd_config.group_id : getegid();
    options->instance = ap_server_root_relative(p, ap_pid_fname);
    options->warn = zone_warn;
    options->ctx = s;
}

static void zone_warn(void *server, const char *text)
{
    ap_log_error(APLOG_MARK, APLOG_WARNING, 0, (server_rec *) server,
                 "\"WebrtcSignalZone\": %s", text);
}

int webrtc_signal_post_config(apr_pool_t *pconf, apr_pool_t *plog,
                              apr_pool_t *ptemp, server_rec *s)
{
    webrtc_signal_server_t *conf = webrtc_signal_server(s);
    wsig_zone_options_t options;
    char error[512];

    if (ap_state_query(AP_SQ_MAIN_STATE) == AP_SQ_MS_CREATE_PRE_CONFIG) {
        return OK; /* all is read once more before it counts */
    }
    webrtc_signal_zone_options(s, ptemp, &options);
    if (wsig_zone_open(&conf->zone, &options, error, sizeof(error)) !=
        WSIG_OK) {
        ap_log_error(APLOG_MARK, APLOG_EMERG, 0, s, "\"WebrtcSignalZone\": %s",
                     error);
        return HTTP_INTERNAL_SERVER_ERROR;
    }
    apr_pool_cleanup_register(pconf, conf->zone, zone_close,
                              apr_pool_cleanup_null);
    if (conf->drain < 0) {
        conf->drain = DRAIN;
    }
    if (conf->max_connections == 0) {
        conf->max_connections = MAX_CONNECTIONS;
    }
    raise_limit(s, conf);
    webrtc_signal_warn(s);
    return OK;
}

static apr_status_t zone_close(void *zone)
{
    wsig_zone_close(zone);
    return APR_SUCCESS;
}

/* An eighth of the descriptors is left to the rest of the site. */
static void raise_limit(server_rec *s, webrtc_signal_server_t *conf)
{
    const rlim_t wanted = (rlim_t) conf->max_connections / 7 * 8 + 64;
    struct rlimit limit, more;

    if (getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur >= wanted) {
        return;
    }
    more.rlim_cur = wanted;
    more.rlim_max = limit.rlim_max > wanted ? limit.rlim_max : wanted;
    if (setrlimit(RLIMIT_NOFILE, &more) == 0) {
        return;
    }
    limit.rlim_cur = limit.rlim_max;
    (void) setrlimit(RLIMIT_NOFILE, &limit);
    ap_log_error(APLOG_MARK, APLOG_WARNING, 0, s,
                 "webrtc signal: with %lu descriptors a child has room for "
                 "less than the %d connections of "
                 "\"WebrtcSignalMaxConnections\"",
                 (unsigned long) limit.rlim_cur, conf->max_connections);
}

void webrtc_signal_child_init(apr_pool_t *pchild, server_rec *s)
{
    sigset_t all, before;
    int rc;

    child.pid_file = ap_server_root_relative(pchild, ap_pid_fname);
    child.server = s;
    child.conf = webrtc_signal_server(s);
    child.max_connections = child.conf->max_connections;
    child.epoll = epoll_create1(EPOLL_CLOEXEC);
    child.wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    child.loop = webrtc_signal_loop_create(child.epoll);
    if (child.epoll == -1 || child.wake == -1 || child.loop == NULL ||
        !watch(child.wake, &child.wake)) {
        ap_log_error(APLOG_MARK, APLOG_ERR, errno, s,
                     "webrtc signal could not start in this child");
        return;
    }
    webrtc_signal_tls_child(pchild, s);
    apr_pool_pre_cleanup_register(pchild, NULL, child_exit);
    sem_init(&child.ready, 0, 0);
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    rc = pthread_create(&child.thread, NULL, loop_main, NULL);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (rc != 0) {
        ap_log_error(APLOG_MARK, APLOG_ERR, rc, s,
                     "webrtc signal could not start in this child");
        return;
    }
    child.running = true;
    while (sem_wait(&child.ready) != 0) {
        /* a signal; nobody is accepted before the loop takes him */
    }
}

void webrtc_signal_child_stopping(apr_pool_t *pchild, int graceful)
{
    struct sigaction action = {.sa_sigaction = on_sigterm,
                               .sa_flags = SA_SIGINFO};

    if (!child.running) {
        return;
    }
    if (graceful) {
        /* httpd's child no longer listens to its parent then */
        sigaction(SIGTERM, &action, &child.sigterm);
        atomic_store(&child.leave, true);
    } else {
        atomic_store(&child.stop, true);
    }
    wake();
}

/* The MPM's own threads send it to wake the main thread. */
static void on_sigterm(int number, siginfo_t *info, void *unused)
{
    if (info->si_pid != getpid()) {
        atomic_store(&child.stop, true);
        wake();
    }
}

/* Of a signal's handler too. */
static void wake(void)
{
    const uint64_t one = 1;
    const int error = errno;

    if (write(child.wake, &one, sizeof(one)) == -1) {
        errno = error; /* it is awake */
    }
}

static apr_status_t child_exit(void *unused)
{
    if (!child.running) {
        return APR_SUCCESS;
    }
    if (!atomic_load(&child.leave)) {
        atomic_store(&child.stop, true);
    }
    atomic_store(&child.finish, true);
    wake();
    give_place();
    pthread_join(child.thread, NULL);
    child.running = false;
    if (atomic_load(&child.leave)) {
        sigaction(SIGTERM, &child.sigterm, NULL);
    }
    return APR_SUCCESS;
}

/*
 * The MPM worker gives the place of a child that ends to the next one as soon
 * as one of its threads is dead; but those that ended a moment before the
 * child's listener did are left as "graceful", which may be all.  By now all
 * have ended.
 */
static void give_place(void)
{
    apr_proc_t self = {.pid = getpid()};
    const int slot = ap_find_child_by_pid(&self);
    int i, threads;

    if (slot < 0 || strcmp(ap_show_mpm(), "worker") != 0 ||
        ap_mpm_query(AP_MPMQ_MAX_THREADS, &threads) != APR_SUCCESS) {
        return;
    }
    for (i = 0; i < threads; i++) {
        if (ap_scoreboard_image->servers[slot][i].status == SERVER_GRACEFUL) {
            ap_update_child_status_from_indexes(slot, i, SERVER_DEAD, NULL);
        }
    }
}

const char *webrtc_signal_reserve(void)
{
    const char *why = atomic_load(&child.unavailable);

    if (why == NULL &&
        atomic_fetch_add(&child.connections, 1) >= child.max_connections) {
        webrtc_signal_release();
        why = "\"WebrtcSignalMaxConnections\" is reached in this child";
    }
    return why;
}

void webrtc_signal_release(void)
{
    atomic_fetch_sub(&child.connections, 1);
}

void webrtc_signal_give(webrtc_signal_handover_t *handover)
{
    bool over, first;

    pthread_mutex_lock(&child.mutex);
    over = child.over;
    first = child.given == NULL;
    if (!over) {
        handover->next = child.given;
        child.given = handover;
    }
    pthread_mutex_unlock(&child.mutex);
    if (over) {
        webrtc_signal_handover_free(handover);
    } else if (first) {
        wake();
    }
}

void webrtc_signal_handover_free(webrtc_signal_handover_t *handover)
{
    if (handover->ssl != NULL) {
        webrtc_signal_tls_free(handover->ssl);
    }
    if (handover->fd != -1) {
        close(handover->fd);
    }
    free(handover->conf);
    free(handover);
    webrtc_signal_release();
}

static bool watch(int fd, void *what)
{
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = what};

    return epoll_ctl(child.epoll, EPOLL_CTL_ADD, fd, &event) == 0;
}

static void *loop_main(void *unused)
{
    struct epoll_event events[EVENTS];
    wsig_time_t now = wsig_now();
    int i, n;

    start_worker(now);
    sem_post(&child.ready);
    while (!child.left) {
        n = epoll_wait(child.epoll, events, EVENTS, timeout());
        now = wsig_now();
        for (i = 0; i < n; i++) {
            dispatch(&events[i], now);
        }
        if (now.mono >= child.timer_at) {
            child.timer_at = NEVER;
            wsig_worker_timer(child.worker, now);
        }
        webrtc_signal_loop_settle(child.loop, false, now);
        obey(now);
    }
    pthread_mutex_lock(&child.mutex);
    child.over = true;
    pthread_mutex_unlock(&child.mutex);
    take_given(now);
    webrtc_signal_loop_destroy(child.loop);
    return NULL;
}

static void start_worker(wsig_time_t now)
{
    int rc =
        wsig_worker_start(&child.worker, child.conf->zone, &host, NULL, now);

    if (rc == WSIG_OK &&
        !watch(wsig_worker_doorbell(child.worker), &child.worker)) {
        wsig_worker_free(child.worker, now);
        rc = WSIG_ERROR;
    }
    if (rc == WSIG_OK) {
        child.retry_at = NEVER;
        atomic_store(&child.unavailable, NULL);
        return;
    }
    child.worker = NULL;
    child.timer_at = NEVER;
    child.retry_at = now.mono + RETRY;
    if (rc != child.failure) {
        child.failure = rc;
        atomic_store(&child.unavailable,
                     rc == WSIG_FULL ? "the zone has no free worker slot"
                                     : "it could not start in this child");
        ap_log_error(APLOG_MARK, APLOG_ERR, 0, child.server,
                     "webrtc signal could not start in this child: %s",
                     wsig_strerror(rc));
    }
}

static int timeout(void)
{
    int64_t due = webrtc_signal_loop_due(child.loop);

    due = child.timer_at < due ? child.timer_at : due;
    due = child.retry_at < due ? child.retry_at : due;
    due = child.look_at < due ? child.look_at : due;
    if (due == NEVER) {
        return -1;
    }
    due -= wsig_now().mono;
    return due < 0 ? 0 : due > INT32_MAX ? INT32_MAX : (int) due;
}

static void dispatch(const struct epoll_event *event, wsig_time_t now)
{
    uint64_t count;

    if (event->data.ptr == &child.wake) {
        if (read(child.wake, &count, sizeof(count)) == sizeof(count)) {
            take_given(now);
        }
    } else if (event->data.ptr == &child.worker) {
        wsig_worker_ring(child.worker, now);
    } else {
        webrtc_signal_event(event->data.ptr, event->events, now);
    }
}

static void take_given(wsig_time_t now)
{
    webrtc_signal_handover_t *handover, *next;

    pthread_mutex_lock(&child.mutex);
    handover = child.given;
    child.given = NULL;
    pthread_mutex_unlock(&child.mutex);
    for (; handover != NULL; handover = next) {
        next = handover->next;
        if (child.worker == NULL) {
            webrtc_signal_handover_free(handover);
        } else {
            webrtc_signal_open(child.loop, child.worker, handover, now);
        }
    }
}

static void obey(wsig_time_t now)
{
    if (atomic_load(&child.stop)) {
        atomic_store(&child.unavailable, "this child has to stop");
        wsig_worker_free(child.worker, now);
        child.worker = NULL;
        webrtc_signal_loop_settle(child.loop, true, now);
        child.left = true;
        return;
    }
    if (now.mono >= child.retry_at && !child.draining) {
        start_worker(now);
    }
    if (atomic_load(&child.leave) && !child.draining) {
        child.draining = true;
        child.retry_at = NEVER;
        child.look_at = now.mono;
    }
    if (now.mono >= child.look_at) {
        child.look_at = now.mono + LOOK;
        if (child.worker != NULL) {
            wsig_worker_quit(child.worker, may_stay() ? child.conf->drain : -1,
                             is_followed(), now);
        }
    }
    if (child.draining && atomic_load(&child.finish)) {
        take_given(now); /* nothing is given after that */
        /* the core may await a peer that has lost its connection */
        if (webrtc_signal_loop_size(child.loop) == 0 &&
            (child.worker == NULL || wsig_worker_peers(child.worker) == 0)) {
            wsig_worker_free(child.worker, now);
            child.worker = NULL;
            child.left = true;
        }
    }
}

/*
 * To a child a graceful restart, a graceful stop and its own end after
 * MaxConnectionsPerChild look the same.  But httpd removes its pid file when it
 * stops; else the next children come, if only after seconds.
 */
static bool is_followed(void)
{
    return access(child.pid_file, F_OK) == 0 || errno != ENOENT;
}

/*
 * A child that drains keeps its place in the scoreboard of event.  So only as
 * many drain as there are places beyond those that may be needed to serve; of
 * several generations the youngest stay.  (In worker the next child takes the
 * place at once.)
 */
static bool may_stay(void)
{
    apr_proc_t self = {.pid = getpid()};
    const process_score *own, *other;
    int i, slot, limit, needed, before = 0;

    if (strcmp(ap_show_mpm(), "event") != 0 ||
        ap_mpm_query(AP_MPMQ_HARD_LIMIT_DAEMONS, &limit) != APR_SUCCESS ||
        ap_mpm_query(AP_MPMQ_MAX_DAEMONS, &needed) != APR_SUCCESS) {
        return true;
    }
    slot = ap_find_child_by_pid(&self);
    if (slot < 0) {
        return true;
    }
    own = ap_get_scoreboard_process(slot);
    for (i = 0; i < limit; i++) {
        other = ap_get_scoreboard_process(i);
        if (other->pid != 0 && other->quiescing &&
            (other->generation > own->generation ||
             (other->generation == own->generation && i < slot))) {
            before++;
        }
    }
    return before < limit - needed;
}

static void set_timer(void *host_data, int64_t delay)
{
    child.timer_at = wsig_now().mono + delay;
}

static void write_log(void *host_data, wsig_level_t level, const char *text)
{
    ap_log_error(APLOG_MARK, webrtc_signal_log_level(level), 0, child.server,
                 "webrtc signal: %s", text);
}
