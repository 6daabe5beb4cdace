/*
 * mod_x_worker.c: says in X-Worker which process has answered, for the tests.
 * mod_headers knows no process, and does not see the answer to a handshake.
 */

#include <unistd.h>

#include "httpd.h"
#include "http_config.h"
#include "http_protocol.h"
#include "apr_strings.h"

static int
tell_worker(request_rec *r)
{
    apr_table_setn(r->err_headers_out, "X-Worker",
                   apr_psprintf(r->pool, "%ld", (long) getpid()));
    return DECLINED;
}

static void
register_hooks(apr_pool_t *pool)
{
    ap_hook_post_read_request(tell_worker, NULL, NULL, APR_HOOK_REALLY_FIRST);
}

AP_DECLARE_MODULE(x_worker) = {
    STANDARD20_MODULE_STUFF, NULL, NULL, NULL, NULL, NULL, register_hooks,
    AP_MODULE_FLAG_NONE
};
