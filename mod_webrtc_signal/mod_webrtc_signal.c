/*
 * mod_webrtc_signal: WebRTC signalling in httpd's own processes.
 */

#include "mod_webrtc_signal.h"

#include <apr_lib.h>
#include <apr_optional_hooks.h>
#include <apr_strings.h>
#include <http_config.h>
#include <http_connection.h>
#include <http_core.h>
#include <http_log.h>
#include <http_protocol.h>
#include <mod_status.h>
#include <mpm_common.h>

/* The operator's alone; and what AllowOverride may leave to .htaccess. */
#define OPERATOR (RSRC_CONF | ACCESS_CONF)

static void *create_server(apr_pool_t *p, server_rec *s)
{
    webrtc_signal_server_t *conf = apr_pcalloc(p, sizeof(*conf));

    conf->zone_size = WSIG_ZONE_SIZE;
    conf->drain = -1;
    return conf;
}

/* Nothing of it is inherited, so each virtual host has to have one of its
 * own: AP_MODULE_FLAG_ALWAYS_MERGE. */
static void *merge_server(apr_pool_t *p, void *base, void *add)
{
    return add;
}

static void *create_dir(apr_pool_t *p, char *dir)
{
    return apr_pcalloc(p, sizeof(webrtc_signal_dir_t));
}

void *webrtc_signal_dir_merge(apr_pool_t *p, void *base_, void *add_)
{
    const webrtc_signal_dir_t *base = base_;
    webrtc_signal_dir_t *conf = apr_pmemdup(p, add_, sizeof(*conf));

    if (conf->realm == NULL) {
        conf->realm = base->realm;
    }
    if (!conf->identity_given) {
        conf->identity = base->identity;
        conf->identity_given = base->identity_given;
    }
    conf->core.identity = conf->identity != NULL;
    wsig_conf_merge(&conf->core, &base->core);
    return conf;
}

webrtc_signal_server_t *webrtc_signal_server(server_rec *s)
{
    return ap_get_module_config(s->module_config, &webrtc_signal_module);
}

webrtc_signal_dir_t *webrtc_signal_dir(ap_conf_vector_t *vector)
{
    return ap_get_module_config(vector, &webrtc_signal_module);
}

static void *alloc(void *pool, size_t size)
{
    return apr_palloc(pool, size);
}

wsig_pool_t webrtc_signal_pool(apr_pool_t *p)
{
    return (wsig_pool_t){alloc, p};
}

int webrtc_signal_log_level(wsig_level_t level)
{
    static const int levels[] = {APLOG_ERR, APLOG_WARNING, APLOG_NOTICE,
                                 APLOG_INFO};

    return levels[level];
}

wsig_text_t webrtc_signal_text(const char *words)
{
    return (wsig_text_t){words, words != NULL ? strlen(words) : 0};
}

static const char *invalid(cmd_parms *cmd, const char *error)
{
    return apr_psprintf(cmd->pool, "\"%s\": %s", cmd->cmd->name, error);
}

/* cmd->info is the wsig_setting_t. */
static const char *set_list(cmd_parms *cmd, void *dir, int argc,
                            char *const argv[])
{
    webrtc_signal_dir_t *conf = dir;
    wsig_setting_t setting = (wsig_setting_t) (intptr_t) cmd->info;
    wsig_pool_t pool = webrtc_signal_pool(cmd->pool);
    wsig_text_t *values;
    const char *error;
    int i;

    if (argc == 0) {
        return apr_pstrcat(cmd->pool, cmd->cmd->name,
                           " takes one argument or more, ", cmd->cmd->errmsg,
                           NULL);
    }
    if (conf->core.given & (uint32_t) 1 << setting) {
        return invalid(cmd, "is duplicate");
    }
    values = apr_palloc(cmd->temp_pool, argc * sizeof(*values));
    for (i = 0; i < argc; i++) {
        values[i] = webrtc_signal_text(apr_pstrdup(cmd->pool, argv[i]));
    }
    error = wsig_conf_set(&conf->core, setting, values, argc, &pool);
    return error != NULL ? invalid(cmd, error) : NULL;
}

static const char *set_one(cmd_parms *cmd, void *dir, const char *value)
{
    return set_list(cmd, dir, 1, (char *const *) &value);
}

static const char *set_two(cmd_parms *cmd, void *dir, const char *one,
                           const char *two)
{
    const char *values[] = {one, two};

    return set_list(cmd, dir, two != NULL ? 2 : 1, (char *const *) values);
}

static const char *set_file(cmd_parms *cmd, void *dir, const char *path)
{
    const char *whole = ap_server_root_relative(cmd->pool, path);

    if (whole == NULL) {
        return invalid(cmd, apr_psprintf(cmd->pool,
                                         "invalid value \"%s\": a path is "
                                         "expected",
                                         path));
    }
    return set_one(cmd, dir, whole);
}

static const char *parse(cmd_parms *cmd, const char *value,
                         const ap_expr_info_t **expression)
{
    const char *error;

    *expression =
        ap_expr_parse_cmd(cmd, value, AP_EXPR_FLAG_STRING_RESULT, &error, NULL);
    if (error != NULL) {
        return invalid(cmd, apr_psprintf(cmd->pool,
                                         "invalid value \"%s\": an expression "
                                         "such as %%{REMOTE_USER} is expected: "
                                         "%s",
                                         value, error));
    }
    return NULL;
}

static const char *set_realm(cmd_parms *cmd, void *dir, const char *value)
{
    webrtc_signal_dir_t *conf = dir;

    if (conf->realm != NULL) {
        return invalid(cmd, "is duplicate");
    }
    return parse(cmd, value, &conf->realm);
}

/* Of raw arguments, since TAKE1 takes "" for nothing at all: that takes an
 * inherited identity back. */
static const char *set_identity(cmd_parms *cmd, void *dir, const char *args)
{
    webrtc_signal_dir_t *conf = dir;
    const char *value;

    if (*args == '\0' || (value = ap_getword_conf(cmd->pool, &args), *args)) {
        return apr_pstrcat(cmd->pool, cmd->cmd->name, " takes one argument, ",
                           cmd->cmd->errmsg, NULL);
    }
    if (conf->identity_given) {
        return invalid(cmd, "is duplicate");
    }
    conf->identity_given = 1;
    if (*value == '\0') {
        return NULL;
    }
    conf->core.identity = true;
    return parse(cmd, value, &conf->identity);
}

static const char *set_zone(cmd_parms *cmd, void *dir, const char *path,
                            const char *size)
{
    webrtc_signal_server_t *conf = webrtc_signal_server(cmd->server);
    wsig_pool_t pool = webrtc_signal_pool(cmd->pool);
    const char *error = ap_check_cmd_context(cmd, GLOBAL_ONLY);

    if (error != NULL) {
        return error;
    }
    if (conf->zone_path != NULL) {
        return invalid(cmd, "is duplicate");
    }
    conf->zone_path = ap_server_root_relative(cmd->pool, path);
    if (conf->zone_path == NULL) {
        conf->zone_path = path;
    }
    error = wsig_conf_zone(webrtc_signal_text(conf->zone_path),
                           webrtc_signal_text(size), &conf->zone_size, &pool);
    return error != NULL ? invalid(cmd, error) : NULL;
}

static const char *set_drain(cmd_parms *cmd, void *dir, const char *value)
{
    webrtc_signal_server_t *conf = webrtc_signal_server(cmd->server);
    wsig_pool_t pool = webrtc_signal_pool(cmd->pool);
    const char *error = ap_check_cmd_context(cmd, GLOBAL_ONLY);

    if (error != NULL) {
        return error;
    }
    if (conf->drain >= 0) {
        return invalid(cmd, "is duplicate");
    }
    error = wsig_conf_drain(webrtc_signal_text(value), &conf->drain, &pool);
    return error != NULL ? invalid(cmd, error) : NULL;
}

static const char *set_max_connections(cmd_parms *cmd, void *dir,
                                       const char *value)
{
    webrtc_signal_server_t *conf = webrtc_signal_server(cmd->server);
    const char *error = ap_check_cmd_context(cmd, GLOBAL_ONLY);
    apr_int64_t n;
    char *end;

    if (error != NULL) {
        return error;
    }
    if (conf->max_connections > 0) {
        return invalid(cmd, "is duplicate");
    }
    n = apr_strtoi64(value, &end, 10);
    if (!apr_isdigit(*value) || *end != '\0' || n < 1 || n > 1000000) {
        return invalid(cmd, apr_psprintf(cmd->pool,
                                         "invalid value \"%s\": a number from "
                                         "1 to 1000000 is expected",
                                         value));
    }
    conf->max_connections = (int) n;
    return NULL;
}

/*
 * Two beside the core's own: httpd calls all that a directive has.  A server
 * without a ServerName gets one that was guessed, which makes no realm; and
 * what SetHandler says becomes an expression that only a request can read.
 */
static const char *note_name(cmd_parms *cmd, void *dir, const char *value)
{
    webrtc_signal_server(cmd->server)->named = 1;
    return DECLINE_CMD;
}

static const char *note_handler(cmd_parms *cmd, void *dir, const char *value)
{
    webrtc_signal_dir_t *conf = dir;

    conf->handler = apr_pstrdup(cmd->pool, value);
    return DECLINE_CMD;
}

#define SETTING(setting) ((void *) (intptr_t) (setting))

static const command_rec commands[] = {
    AP_INIT_TAKE2("WebrtcSignalZone", set_zone, NULL, RSRC_CONF,
                  "path and size of the memory that the children share"),
    AP_INIT_TAKE1("WebrtcSignalDrain", set_drain, NULL, RSRC_CONF,
                  "how long users stay in a child that has to leave"),
    AP_INIT_TAKE1("WebrtcSignalMaxConnections", set_max_connections, NULL,
                  RSRC_CONF, "how many WebSockets a child holds"),
    AP_INIT_TAKE1("WebrtcSignalRealm", set_realm, NULL, OPERATOR,
                  "an expression: who can see and call one another"),
    AP_INIT_RAW_ARGS("WebrtcSignalIdentity", set_identity, NULL,
                     OPERATOR | OR_AUTHCFG,
                     "an expression: the name that the server has proved"),
    AP_INIT_TAKE1("WebrtcSignalGuests", set_one, SETTING(WSIG_SET_GUESTS),
                  OPERATOR | OR_AUTHCFG, "off, call or all"),
    AP_INIT_TAKE_ARGV("WebrtcSignalOrigin", set_list, SETTING(WSIG_SET_ORIGIN),
                      OPERATOR | OR_LIMIT, "same, any or origins"),
    AP_INIT_TAKE1("WebrtcSignalMaxMessage", set_one,
                  SETTING(WSIG_SET_MAX_MESSAGE), OPERATOR,
                  "the size of a text from a client"),
    AP_INIT_TAKE1("WebrtcSignalMaxBacklog", set_one,
                  SETTING(WSIG_SET_MAX_BACKLOG), OPERATOR,
                  "how much may wait for a client that reads slowly"),
    AP_INIT_TAKE1("WebrtcSignalMaxPeers", set_one, SETTING(WSIG_SET_MAX_PEERS),
                  OPERATOR, "how many connections a realm has"),
    AP_INIT_TAKE12("WebrtcSignalRate", set_two, SETTING(WSIG_SET_RATE),
                   OPERATOR, "texts a second of one client, and its burst"),
    AP_INIT_TAKE1("WebrtcSignalPing", set_one, SETTING(WSIG_SET_PING), OPERATOR,
                  "how often a client is pinged"),
    AP_INIT_TAKE1("WebrtcSignalHelloTimeout", set_one,
                  SETTING(WSIG_SET_HELLO_TIMEOUT), OPERATOR,
                  "how long a client has for its first text"),
    AP_INIT_TAKE1("WebrtcSignalRingTimeout", set_one,
                  SETTING(WSIG_SET_RING_TIMEOUT), OPERATOR,
                  "how long a call rings"),
    AP_INIT_TAKE1("WebrtcSignalResume", set_one, SETTING(WSIG_SET_RESUME),
                  OPERATOR, "how long a lost user keeps its place"),
    AP_INIT_TAKE_ARGV("WebrtcSignalIceServer", set_list,
                      SETTING(WSIG_SET_ICE_SERVER), OPERATOR | OR_FILEINFO,
                      "stun:, stuns:, turn: and turns: URLs"),
    AP_INIT_TAKE1("WebrtcSignalTurnSecretFile", set_file,
                  SETTING(WSIG_SET_TURN_SECRET_FILE), OPERATOR,
                  "the file of the secrets that the TURN server has too"),
    AP_INIT_TAKE1("WebrtcSignalTurnTTL", set_one, SETTING(WSIG_SET_TURN_TTL),
                  OPERATOR, "how long TURN credentials last"),
    AP_INIT_TAKE1("ServerName", note_name, NULL, RSRC_CONF,
                  "the name of the server, which is its realm"),
    AP_INIT_TAKE1("SetHandler", note_handler, NULL, OR_FILEINFO,
                  "webrtc-signal, webrtc-signal-ice, webrtc-signal-status"),
    {NULL}};

/* The name of a setting's directive. */
const char *webrtc_signal_directive(wsig_setting_t setting)
{
    const command_rec *cmd;

    for (cmd = commands; cmd->name != NULL; cmd++) {
        if (cmd->cmd_data == SETTING(setting) &&
            (cmd->AP_TAKE1 == set_one || cmd->AP_TAKE1 == set_file ||
             cmd->AP_TAKE2 == set_two || cmd->AP_TAKE_ARGV == set_list)) {
            break;
        }
    }
    return cmd->name;
}

static void register_hooks(apr_pool_t *p)
{
    ap_hook_check_config(webrtc_signal_check, NULL, NULL, APR_HOOK_LAST);
    ap_hook_post_config(webrtc_signal_post_config, NULL, NULL, APR_HOOK_LAST);
    ap_hook_child_init(webrtc_signal_child_init, NULL, NULL, APR_HOOK_LAST);
    ap_hook_child_stopping(webrtc_signal_child_stopping, NULL, NULL,
                           APR_HOOK_MIDDLE);
    /* First, so that its clean-up of the connection is the last to run. */
    ap_hook_pre_connection(webrtc_signal_pre_connection, NULL, NULL,
                           APR_HOOK_REALLY_FIRST);
    ap_hook_handler(webrtc_signal_handler, NULL, NULL, APR_HOOK_MIDDLE);
    ap_hook_log_transaction(webrtc_signal_log_transaction, NULL, NULL,
                            APR_HOOK_REALLY_LAST);
    webrtc_signal_tls_hooks();
    APR_OPTIONAL_HOOK(ap, status_hook, webrtc_signal_status_hook, NULL, NULL,
                      APR_HOOK_MIDDLE);
}

AP_DECLARE_MODULE(webrtc_signal) = {STANDARD20_MODULE_STUFF,
                                    create_dir,
                                    webrtc_signal_dir_merge,
                                    create_server,
                                    merge_server,
                                    commands,
                                    register_hooks,
                                    AP_MODULE_FLAG_ALWAYS_MERGE};
