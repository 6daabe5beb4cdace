
#include "ngx_http_webrtc_signal.h"


#define NGX_HTTP_WEBRTC_SIGNAL_DRAIN  (3600 * 1000)

#define NGX_HTTP_WEBRTC_SIGNAL_CONF                                           \
    (NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF)


static void *ngx_http_webrtc_signal_create_main_conf(ngx_conf_t *cf);
static char *ngx_http_webrtc_signal_init_main_conf(ngx_conf_t *cf,
    void *conf);
static void *ngx_http_webrtc_signal_create_loc_conf(ngx_conf_t *cf);
static char *ngx_http_webrtc_signal_merge_loc_conf(ngx_conf_t *cf,
    void *parent, void *child);
static ngx_int_t ngx_http_webrtc_signal_add_unnamed(ngx_conf_t *cf,
    ngx_http_webrtc_signal_main_conf_t *wmcf);
static char *ngx_http_webrtc_signal_endpoint(ngx_conf_t *cf,
    ngx_command_t *cmd, void *conf);
static char *ngx_http_webrtc_signal_setting(ngx_conf_t *cf,
    ngx_command_t *cmd, void *conf);
static char *ngx_http_webrtc_signal_zone(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);
static char *ngx_http_webrtc_signal_drain(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);
static char *ngx_http_webrtc_signal_invalid(ngx_conf_t *cf,
    ngx_command_t *cmd, const char *error);
static wsig_pool_t ngx_http_webrtc_signal_pool(ngx_conf_t *cf);
static void *ngx_http_webrtc_signal_palloc(void *pool, size_t size);
static ngx_int_t ngx_http_webrtc_signal_init(ngx_conf_t *cf);
static char *ngx_http_webrtc_signal_init_core_conf(ngx_cycle_t *cycle,
    void *conf);


/* "offset" of a plain setting is its wsig_setting_t */

static ngx_command_t  ngx_http_webrtc_signal_commands[] = {

    { ngx_string("webrtc_signal"),
      NGX_HTTP_LOC_CONF|NGX_CONF_NOARGS,
      ngx_http_webrtc_signal_endpoint,
      NGX_HTTP_LOC_CONF_OFFSET,
      0,
      ngx_http_webrtc_signal_handler },

    { ngx_string("webrtc_signal_ice"),
      NGX_HTTP_LOC_CONF|NGX_CONF_NOARGS,
      ngx_http_webrtc_signal_endpoint,
      NGX_HTTP_LOC_CONF_OFFSET,
      0,
      ngx_http_webrtc_signal_ice_handler },

    { ngx_string("webrtc_signal_status"),
      NGX_HTTP_LOC_CONF|NGX_CONF_NOARGS,
      ngx_http_webrtc_signal_endpoint,
      NGX_HTTP_LOC_CONF_OFFSET,
      0,
      ngx_http_webrtc_signal_status_handler },

    { ngx_string("webrtc_signal_zone"),
      NGX_HTTP_MAIN_CONF|NGX_CONF_TAKE2,
      ngx_http_webrtc_signal_zone,
      NGX_HTTP_MAIN_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("webrtc_signal_drain"),
      NGX_HTTP_MAIN_CONF|NGX_CONF_TAKE1,
      ngx_http_webrtc_signal_drain,
      NGX_HTTP_MAIN_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("webrtc_signal_realm"),
      NGX_HTTP_WEBRTC_SIGNAL_CONF|NGX_CONF_TAKE1,
      ngx_http_set_complex_value_slot,
      NGX_HTTP_LOC_CONF_OFFSET,
      offsetof(ngx_http_webrtc_signal_loc_conf_t, realm),
      NULL },

    { ngx_string("webrtc_signal_identity"),
      NGX_HTTP_WEBRTC_SIGNAL_CONF|NGX_CONF_TAKE1,
      ngx_http_set_complex_value_slot,
      NGX_HTTP_LOC_CONF_OFFSET,
      offsetof(ngx_http_webrtc_signal_loc_conf_t, identity),
      NULL },

    { ngx_string("webrtc_signal_guests"),
      NGX_HTTP_WEBRTC_SIGNAL_CONF|NGX_CONF_TAKE1,
      ngx_http_webrtc_signal_setting,
      NGX_HTTP_LOC_CONF_OFFSET,
      WSIG_SET_GUESTS,
      NULL },

    { ngx_string("webrtc_signal_origin"),
      NGX_HTTP_WEBRTC_SIGNAL_CONF|NGX_CONF_1MORE,
      ngx_http_webrtc_signal_setting,
      NGX_HTTP_LOC_CONF_OFFSET,
      WSIG_SET_ORIGIN,
      NULL },

    { ngx_string("webrtc_signal_max_message"),
      NGX_HTTP_WEBRTC_SIGNAL_CONF|NGX_CONF_TAKE1,
      ngx_http_webrtc_signal_setting,
      NGX_HTTP_LOC_CONF_OFFSET,
      WSIG_SET_MAX_MESSAGE,
      NULL },

    { ngx_string("webrtc_signal_max_backlog"),
      NGX_HTTP_WEBRTC_SIGNAL_CONF|NGX_CONF_TAKE1,
      ngx_http_webrtc_signal_setting,
      NGX_HTTP_LOC_CONF_OFFSET,
      WSIG_SET_MAX_BACKLOG,
      NULL },

    { ngx_string("webrtc_signal_max_peers"),
      NGX_HTTP_WEBRTC_SIGNAL_CONF|NGX_CONF_TAKE1,
      ngx_http_webrtc_signal_setting,
      NGX_HTTP_LOC_CONF_OFFSET,
      WSIG_SET_MAX_PEERS,
      NULL },

    { ngx_string("webrtc_signal_rate"),
      NGX_HTTP_WEBRTC_SIGNAL_CONF|NGX_CONF_TAKE12,
      ngx_http_webrtc_signal_setting,
      NGX_HTTP_LOC_CONF_OFFSET,
      WSIG_SET_RATE,
      NULL },

    { ngx_string("webrtc_signal_ping"),
      NGX_HTTP_WEBRTC_SIGNAL_CONF|NGX_CONF_TAKE1,
      ngx_http_webrtc_signal_setting,
      NGX_HTTP_LOC_CONF_OFFSET,
      WSIG_SET_PING,
      NULL },

    { ngx_string("webrtc_signal_hello_timeout"),
      NGX_HTTP_WEBRTC_SIGNAL_CONF|NGX_CONF_TAKE1,
      ngx_http_webrtc_signal_setting,
      NGX_HTTP_LOC_CONF_OFFSET,
      WSIG_SET_HELLO_TIMEOUT,
      NULL },

    { ngx_string("webrtc_signal_ring_timeout"),
      NGX_HTTP_WEBRTC_SIGNAL_CONF|NGX_CONF_TAKE1,
      ngx_http_webrtc_signal_setting,
      NGX_HTTP_LOC_CONF_OFFSET,
      WSIG_SET_RING_TIMEOUT,
      NULL },

    { ngx_string("webrtc_signal_resume"),
      NGX_HTTP_WEBRTC_SIGNAL_CONF|NGX_CONF_TAKE1,
      ngx_http_webrtc_signal_setting,
      NGX_HTTP_LOC_CONF_OFFSET,
      WSIG_SET_RESUME,
      NULL },

    { ngx_string("webrtc_signal_ice_server"),
      NGX_HTTP_WEBRTC_SIGNAL_CONF|NGX_CONF_1MORE,
      ngx_http_webrtc_signal_setting,
      NGX_HTTP_LOC_CONF_OFFSET,
      WSIG_SET_ICE_SERVER,
      NULL },

    { ngx_string("webrtc_signal_turn_secret_file"),
      NGX_HTTP_WEBRTC_SIGNAL_CONF|NGX_CONF_TAKE1,
      ngx_http_webrtc_signal_setting,
      NGX_HTTP_LOC_CONF_OFFSET,
      WSIG_SET_TURN_SECRET_FILE,
      NULL },

    { ngx_string("webrtc_signal_turn_ttl"),
      NGX_HTTP_WEBRTC_SIGNAL_CONF|NGX_CONF_TAKE1,
      ngx_http_webrtc_signal_setting,
      NGX_HTTP_LOC_CONF_OFFSET,
      WSIG_SET_TURN_TTL,
      NULL },

      ngx_null_command
};


static ngx_http_module_t  ngx_http_webrtc_signal_module_ctx = {
    NULL,                                    /* preconfiguration */
    ngx_http_webrtc_signal_init,             /* postconfiguration */

    ngx_http_webrtc_signal_create_main_conf, /* create main configuration */
    ngx_http_webrtc_signal_init_main_conf,   /* init main configuration */

    NULL,                                    /* create server configuration */
    NULL,                                    /* merge server configuration */

    ngx_http_webrtc_signal_create_loc_conf,  /* create location configuration */
    ngx_http_webrtc_signal_merge_loc_conf    /* merge location configuration */
};


ngx_module_t  ngx_http_webrtc_signal_module = {
    NGX_MODULE_V1,
    &ngx_http_webrtc_signal_module_ctx,        /* module context */
    ngx_http_webrtc_signal_commands,           /* module directives */
    NGX_HTTP_MODULE,                           /* module type */
    NULL,                                      /* init master */
    NULL,                                      /* init module */
    ngx_http_webrtc_signal_init_process,       /* init process */
    NULL,                                      /* init thread */
    NULL,                                      /* exit thread */
    ngx_http_webrtc_signal_exit_process,       /* exit process */
    NULL,                                      /* exit master */
    NGX_MODULE_V1_PADDING
};


/*
 * The zone is attached once the whole configuration is known: the "user"
 * directive, whose user owns a part of the zone, may stand after the http
 * block.  That is what init_conf of a core module is for; unlike a failing
 * init_module, its failure leaves a running master as it was.
 */

static ngx_core_module_t  ngx_webrtc_signal_module_ctx = {
    ngx_string("webrtc_signal"),
    NULL,
    ngx_http_webrtc_signal_init_core_conf
};


ngx_module_t  ngx_webrtc_signal_module = {
    NGX_MODULE_V1,
    &ngx_webrtc_signal_module_ctx,             /* module context */
    NULL,                                      /* module directives */
    NGX_CORE_MODULE,                           /* module type */
    NULL,                                      /* init master */
    NULL,                                      /* init module */
    NULL,                                      /* init process */
    NULL,                                      /* init thread */
    NULL,                                      /* exit thread */
    NULL,                                      /* exit process */
    NULL,                                      /* exit master */
    NGX_MODULE_V1_PADDING
};


static void *
ngx_http_webrtc_signal_create_main_conf(ngx_conf_t *cf)
{
    ngx_http_webrtc_signal_main_conf_t  *wmcf;

    wmcf = ngx_pcalloc(cf->pool, sizeof(ngx_http_webrtc_signal_main_conf_t));
    if (wmcf == NULL) {
        return NULL;
    }

    /*
     * set by ngx_pcalloc():
     *
     *     wmcf->path = { 0, NULL };
     *     wmcf->zone = NULL;
     *     wmcf->used = 0;
     */

    wmcf->size = WSIG_ZONE_SIZE;
    wmcf->drain = -1;

    if (ngx_array_init(&wmcf->unnamed, cf->pool, 2,
                       sizeof(ngx_http_core_srv_conf_t *))
        != NGX_OK)
    {
        return NULL;
    }

    return wmcf;
}


static char *
ngx_http_webrtc_signal_init_main_conf(ngx_conf_t *cf, void *conf)
{
    ngx_http_webrtc_signal_main_conf_t *wmcf = conf;

    if (wmcf->path.data == NULL) {
        wmcf->path.data = ngx_pnalloc(cf->pool, WSIG_PATH_MAX + 1);
        if (wmcf->path.data == NULL) {
            return NGX_CONF_ERROR;
        }

        wsig_zone_default_path("nginx", (char *) wmcf->path.data);
        wmcf->path.len = ngx_strlen(wmcf->path.data);
    }

    if (wmcf->drain == -1) {
        wmcf->drain = NGX_HTTP_WEBRTC_SIGNAL_DRAIN;
    }

    return NGX_CONF_OK;
}


static void *
ngx_http_webrtc_signal_create_loc_conf(ngx_conf_t *cf)
{
    /*
     * set by ngx_pcalloc():
     *
     *     wlcf->core = { 0 };
     *     wlcf->realm = NULL;
     *     wlcf->identity = NULL;
     *     wlcf->endpoint = NULL;
     */

    return ngx_pcalloc(cf->pool, sizeof(ngx_http_webrtc_signal_loc_conf_t));
}


static char *
ngx_http_webrtc_signal_merge_loc_conf(ngx_conf_t *cf, void *parent,
    void *child)
{
    ngx_http_webrtc_signal_loc_conf_t *prev = parent;
    ngx_http_webrtc_signal_loc_conf_t *conf = child;

    const char                          *error;
    wsig_pool_t                          pool;
    ngx_command_t                       *cmd;
    wsig_setting_t                       setting;
    ngx_http_core_loc_conf_t            *clcf;
    ngx_http_core_srv_conf_t            *cscf;
    ngx_http_webrtc_signal_main_conf_t  *wmcf;

    if (conf->realm == NULL) {
        conf->realm = prev->realm;
    }

    if (conf->identity == NULL) {
        conf->identity = prev->identity;
    }

    /* "" takes an inherited identity back */

    conf->core.identity = conf->identity != NULL
                          && (conf->identity->lengths != NULL
                              || conf->identity->value.len != 0);

    wsig_conf_merge(&conf->core, &prev->core);

    if (conf->endpoint == NULL) {
        return NGX_CONF_OK;
    }

    wmcf = ngx_http_conf_get_module_main_conf(cf,
                                              ngx_http_webrtc_signal_module);
    wmcf->used = 1;

    if (conf->endpoint == ngx_http_webrtc_signal_status_handler) {
        return NGX_CONF_OK;
    }

    pool = ngx_http_webrtc_signal_pool(cf);

    error = wsig_conf_check(&conf->core, &pool, &setting);

    if (error) {
        clcf = ngx_http_conf_get_module_loc_conf(cf, ngx_http_core_module);
        cscf = ngx_http_conf_get_module_srv_conf(cf, ngx_http_core_module);

        for (cmd = ngx_http_webrtc_signal_commands; cmd->name.len; cmd++) {
            if (cmd->set == ngx_http_webrtc_signal_setting
                && cmd->offset == (ngx_uint_t) setting)
            {
                break;
            }
        }

        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "\"%V\" in location \"%V\" of the server in "
                           "%s:%ui: %s",
                           &cmd->name, &clcf->name, cscf->file_name,
                           cscf->line, error);
        return NGX_CONF_ERROR;
    }

    if (conf->endpoint == ngx_http_webrtc_signal_handler
        && conf->realm == NULL
        && ngx_http_webrtc_signal_add_unnamed(cf, wmcf) != NGX_OK)
    {
        return NGX_CONF_ERROR;
    }

    return NGX_CONF_OK;
}


static ngx_int_t
ngx_http_webrtc_signal_add_unnamed(ngx_conf_t *cf,
    ngx_http_webrtc_signal_main_conf_t *wmcf)
{
    ngx_uint_t                  i;
    ngx_http_core_srv_conf_t   *cscf, **unnamed;

    cscf = ngx_http_conf_get_module_srv_conf(cf, ngx_http_core_module);

    if (wsig_realm_usable(ngx_http_webrtc_signal_text(&cscf->server_name))) {
        return NGX_OK;
    }

    unnamed = wmcf->unnamed.elts;

    for (i = 0; i < wmcf->unnamed.nelts; i++) {
        if (unnamed[i] == cscf) {
            return NGX_OK;
        }
    }

    unnamed = ngx_array_push(&wmcf->unnamed);
    if (unnamed == NULL) {
        return NGX_ERROR;
    }

    *unnamed = cscf;

    return NGX_OK;
}


static char *
ngx_http_webrtc_signal_endpoint(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf)
{
    ngx_http_webrtc_signal_loc_conf_t *wlcf = conf;

    ngx_http_handler_pt        handler;
    ngx_http_core_loc_conf_t  *clcf;

    handler = (ngx_http_handler_pt) cmd->post;

    if (wlcf->endpoint == handler) {
        return "is duplicate";
    }

    if (wlcf->endpoint) {
        return "needs a location of its own: this one is another endpoint "
               "already";
    }

    wlcf->endpoint = handler;

    clcf = ngx_http_conf_get_module_loc_conf(cf, ngx_http_core_module);
    clcf->handler = handler;

    return NGX_CONF_OK;
}


static char *
ngx_http_webrtc_signal_setting(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf)
{
    ngx_http_webrtc_signal_loc_conf_t *wlcf = conf;

    ngx_str_t       *value;
    ngx_uint_t       i, n;
    const char      *error;
    wsig_pool_t      pool;
    wsig_text_t     *texts;
    wsig_setting_t   setting;

    setting = (wsig_setting_t) cmd->offset;

    if (wlcf->core.given & (uint32_t) 1 << setting) {
        return "is duplicate";
    }

    value = (ngx_str_t *) cf->args->elts + 1;
    n = cf->args->nelts - 1;

    if (setting == WSIG_SET_TURN_SECRET_FILE
        && ngx_conf_full_name(cf->cycle, value, 1) != NGX_OK)
    {
        return NGX_CONF_ERROR;
    }

    texts = ngx_palloc(cf->temp_pool, n * sizeof(wsig_text_t));
    if (texts == NULL) {
        return NGX_CONF_ERROR;
    }

    for (i = 0; i < n; i++) {
        texts[i] = ngx_http_webrtc_signal_text(&value[i]);
    }

    pool = ngx_http_webrtc_signal_pool(cf);

    error = wsig_conf_set(&wlcf->core, setting, texts, n, &pool);

    if (error) {
        return ngx_http_webrtc_signal_invalid(cf, cmd, error);
    }

    return NGX_CONF_OK;
}


static char *
ngx_http_webrtc_signal_zone(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_http_webrtc_signal_main_conf_t *wmcf = conf;

    ngx_str_t    *value;
    const char   *error;
    wsig_pool_t   pool;

    if (wmcf->path.data) {
        return "is duplicate";
    }

    value = cf->args->elts;

    if (ngx_conf_full_name(cf->cycle, &value[1], 0) != NGX_OK) {
        return NGX_CONF_ERROR;
    }

    pool = ngx_http_webrtc_signal_pool(cf);

    error = wsig_conf_zone(ngx_http_webrtc_signal_text(&value[1]),
                           ngx_http_webrtc_signal_text(&value[2]),
                           &wmcf->size, &pool);
    if (error) {
        return ngx_http_webrtc_signal_invalid(cf, cmd, error);
    }

    wmcf->path = value[1];

    return NGX_CONF_OK;
}


static char *
ngx_http_webrtc_signal_drain(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_http_webrtc_signal_main_conf_t *wmcf = conf;

    ngx_str_t    *value;
    const char   *error;
    wsig_pool_t   pool;

    if (wmcf->drain != -1) {
        return "is duplicate";
    }

    value = cf->args->elts;
    pool = ngx_http_webrtc_signal_pool(cf);

    error = wsig_conf_drain(ngx_http_webrtc_signal_text(&value[1]),
                            &wmcf->drain, &pool);
    if (error) {
        return ngx_http_webrtc_signal_invalid(cf, cmd, error);
    }

    return NGX_CONF_OK;
}


static char *
ngx_http_webrtc_signal_invalid(ngx_conf_t *cf, ngx_command_t *cmd,
    const char *error)
{
    ngx_conf_log_error(NGX_LOG_EMERG, cf, 0, "\"%V\": %s", &cmd->name, error);

    return NGX_CONF_ERROR;
}


static wsig_pool_t
ngx_http_webrtc_signal_pool(ngx_conf_t *cf)
{
    wsig_pool_t  pool;

    pool.alloc = ngx_http_webrtc_signal_palloc;
    pool.pool = cf->pool;

    return pool;
}


static void *
ngx_http_webrtc_signal_palloc(void *pool, size_t size)
{
    return ngx_palloc(pool, size);
}


static ngx_int_t
ngx_http_webrtc_signal_init(ngx_conf_t *cf)
{
    ngx_http_core_srv_conf_t           **unnamed;
    ngx_http_webrtc_signal_main_conf_t  *wmcf;

    wmcf = ngx_http_conf_get_module_main_conf(cf,
                                              ngx_http_webrtc_signal_module);

    /* otherwise the users of unrelated sites would meet in one realm */

    if (wmcf->unnamed.nelts > 1) {
        unnamed = wmcf->unnamed.elts;

        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "%ui servers with \"webrtc_signal\" have no usable "
                           "name as their first \"server_name\", those in "
                           "%s:%ui and %s:%ui among them: say with "
                           "\"webrtc_signal_realm\" whose users may meet",
                           wmcf->unnamed.nelts,
                           unnamed[0]->file_name, unnamed[0]->line,
                           unnamed[1]->file_name, unnamed[1]->line);
        return NGX_ERROR;
    }

    return NGX_OK;
}


static char *
ngx_http_webrtc_signal_init_core_conf(ngx_cycle_t *cycle, void *conf)
{
    if (ngx_http_webrtc_signal_init_zone(cycle) != NGX_OK) {
        return NGX_CONF_ERROR;
    }

    return NGX_CONF_OK;
}
