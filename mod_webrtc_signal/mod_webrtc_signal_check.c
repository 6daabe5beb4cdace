/*
 * What can be known of a configuration before it serves anybody.  Sections
 * are merged by httpd at each request only, so this is done once for each that
 * has one of our handlers, with the sections that stand around it.
 */

#include "mod_webrtc_signal.h"

#include <ap_mpm.h>
#include <apr_strings.h>
#include <http_core.h>
#include <http_log.h>

APLOG_USE_MODULE(webrtc_signal);

typedef struct {
    apr_pool_t *p;
    int failed;
    int unnamed; /* servers with an endpoint and without a name */
    server_rec *which[2];
} check_t;

static const char *place(apr_pool_t *p, server_rec *s);
static const char *known_mpm(void);
static void check_server(check_t *check, server_rec *s);
static void check_sections(check_t *check, server_rec *s,
                           const apr_array_header_t *sections);
static void check_conf(check_t *check, server_rec *s, ap_conf_vector_t *section,
                       const webrtc_signal_dir_t *conf);
static int is(ap_conf_vector_t *section, const char *handler);
static int surrounds(const core_dir_config *outer,
                     const core_dir_config *inner);
static int says(const ap_directive_t *tree, const char *directive,
                const char *value);

int webrtc_signal_check(apr_pool_t *pconf, apr_pool_t *plog, apr_pool_t *ptemp,
                        server_rec *main_server)
{
    const int test = ap_state_query(AP_SQ_RUN_MODE) == AP_SQ_RM_CONFIG_TEST;
    check_t check = {.p = ptemp};
    wsig_zone_options_t options;
    const char *mpm = known_mpm();
    char error[512];
    server_rec *s;

    if (mpm != NULL) {
        ap_log_error(APLOG_MARK, APLOG_EMERG, 0, main_server,
                     "webrtc signal cannot run in the MPM %s, whose children "
                     "come and go with their connections: use the MPM event "
                     "(or worker)",
                     mpm);
        return HTTP_INTERNAL_SERVER_ERROR;
    }
    for (s = main_server; s != NULL; s = s->next) {
        check_server(&check, s);
    }
    /* otherwise the users of unrelated sites would meet in one realm */
    if (check.unnamed > 1) {
        ap_log_error(APLOG_MARK, APLOG_EMERG, 0, main_server,
                     "%d servers with \"SetHandler webrtc-signal\" have no "
                     "usable \"ServerName\", %s and %s among them: say with "
                     "\"WebrtcSignalRealm\" whose users may meet",
                     check.unnamed, place(ptemp, check.which[0]),
                     place(ptemp, check.which[1]));
        check.failed = 1;
    }
    if (test) { /* a start does both when it has a log */
        webrtc_signal_warn(main_server);
        webrtc_signal_zone_options(main_server, ptemp, &options);
        if (wsig_zone_check(&options, error, sizeof(error)) != WSIG_OK) {
            ap_log_error(APLOG_MARK, APLOG_EMERG, 0, main_server,
                         "\"WebrtcSignalZone\": %s", error);
            check.failed = 1;
        }
    }
    return check.failed ? HTTP_INTERNAL_SERVER_ERROR : OK;
}

/* Where a server stands in the configuration, in words. */
static const char *place(apr_pool_t *p, server_rec *s)
{
    return s->defn_name == NULL
               ? "the main server"
               : apr_psprintf(p, "the host in %s:%u", s->defn_name,
                              s->defn_line_number);
}

/* NULL: it will do. */
static const char *known_mpm(void)
{
    int threads = 0;

    if (ap_mpm_query(AP_MPMQ_IS_THREADED, &threads) == APR_SUCCESS &&
        threads == AP_MPMQ_STATIC) {
        return NULL;
    }
    return ap_show_mpm();
}

static void check_server(check_t *check, server_rec *s)
{
    const core_server_config *core =
        ap_get_core_module_config(s->module_config);
    int unnamed = check->unnamed;

    check_conf(check, s, s->lookup_defaults,
               webrtc_signal_dir(s->lookup_defaults));
    check_sections(check, s, core->sec_url);
    check_sections(check, s, core->sec_dir);
    if (check->unnamed > unnamed) {
        check->unnamed = unnamed + 1;
    }
}

static void check_sections(check_t *check, server_rec *s,
                           const apr_array_header_t *sections)
{
    ap_conf_vector_t **vectors = (ap_conf_vector_t **) sections->elts;
    const core_dir_config *own;
    webrtc_signal_dir_t *section, *conf;
    int i, number;

    for (number = 0; number < sections->nelts; number++) {
        own = ap_get_core_module_config(vectors[number]);
        conf = webrtc_signal_dir(s->lookup_defaults);
        for (i = 0; i <= number; i++) {
            section = webrtc_signal_dir(vectors[i]);
            if (section != NULL && /* NULL: nothing of ours */
                (i == number ||
                 surrounds(ap_get_core_module_config(vectors[i]), own))) {
                conf = webrtc_signal_dir_merge(check->p, conf, section);
            }
        }
        check_conf(check, s, vectors[number], conf);
    }
}

/* A section that has one of our handlers, and all that holds in it. */
static void check_conf(check_t *check, server_rec *s, ap_conf_vector_t *section,
                       const webrtc_signal_dir_t *conf)
{
    const core_dir_config *core = ap_get_core_module_config(section);
    const int endpoint = is(section, WEBRTC_SIGNAL_HANDLER);
    wsig_pool_t pool = webrtc_signal_pool(check->p);
    wsig_conf_t whole = conf->core;
    wsig_setting_t setting;
    const char *error;

    if (!endpoint && !is(section, WEBRTC_SIGNAL_ICE_HANDLER)) {
        return;
    }
    wsig_conf_merge(&whole, NULL);
    error = wsig_conf_check(&whole, &pool, &setting);
    if (error != NULL) {
        ap_log_error(APLOG_MARK, APLOG_EMERG, 0, s,
                     "\"%s\" in location \"%s\" of %s: %s",
                     webrtc_signal_directive(setting),
                     core->d != NULL ? core->d : "/", place(check->p, s),
                     error);
        check->failed = 1;
    }
    if (endpoint && conf->realm == NULL &&
        (!webrtc_signal_server(s)->named ||
         !wsig_realm_usable(webrtc_signal_text(s->server_hostname)))) {
        if (check->unnamed < 2) {
            check->which[check->unnamed] = s;
        }
        check->unnamed++;
    }
}

static int is(ap_conf_vector_t *section, const char *handler)
{
    const webrtc_signal_dir_t *dir = webrtc_signal_dir(section);

    return dir != NULL && dir->handler != NULL &&
           ap_cstr_casecmp(dir->handler, handler) == 0;
}

/* Is the path of the one above that of the other?  A pattern may be: it is
 * taken for one that is not, and the request will show. */
static int surrounds(const core_dir_config *outer, const core_dir_config *inner)
{
    size_t size;

    if (outer->r != NULL || outer->d_is_fnmatch || outer->d == NULL ||
        inner->d == NULL) {
        return 0;
    }
    size = strlen(outer->d);
    return strncmp(outer->d, inner->d, size) == 0 &&
           (size == 0 || outer->d[size - 1] == '/' || inner->d[size] == '/' ||
            inner->d[size] == '\0');
}

void webrtc_signal_warn(server_rec *s)
{
    int limit = 0, needed = 0;

    if (ap_find_linked_module("mod_http2.c") != NULL &&
        says(ap_conftree, "H2WebSockets", "on")) {
        ap_log_error(APLOG_MARK, APLOG_WARNING, 0, s,
                     "webrtc signal cannot take WebSockets from HTTP/2 "
                     "connections: they will be refused with 501 while "
                     "\"H2WebSockets\" is on");
    }
    /* A child that drains keeps its place in the scoreboard of event; that of
     * worker goes to the next child at once. */
    if (strcmp(ap_show_mpm(), "event") == 0 &&
        ap_mpm_query(AP_MPMQ_HARD_LIMIT_DAEMONS, &limit) == APR_SUCCESS &&
        ap_mpm_query(AP_MPMQ_MAX_DAEMONS, &needed) == APR_SUCCESS &&
        limit <= needed) {
        ap_log_error(APLOG_MARK, APLOG_WARNING, 0, s,
                     "webrtc signal: \"ServerLimit\" %d leaves no place for "
                     "children that drain: at a graceful restart their users "
                     "are asked to reconnect at once; more than %d is needed",
                     limit, needed);
    }
}

static int says(const ap_directive_t *tree, const char *directive,
                const char *value)
{
    for (; tree != NULL; tree = tree->next) {
        if ((ap_cstr_casecmp(tree->directive, directive) == 0 &&
             ap_cstr_casecmp(tree->args, value) == 0) ||
            says(tree->first_child, directive, value)) {
            return 1;
        }
    }
    return 0;
}
