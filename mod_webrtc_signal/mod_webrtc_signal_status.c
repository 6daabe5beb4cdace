/*
 * A line in mod_status' page: the scoreboard does not know of our sockets.
 */

#include "mod_webrtc_signal.h"

#include <http_core.h>
#include <http_main.h>
#include <http_protocol.h>
#include <mod_status.h>

int webrtc_signal_status_hook(request_rec *r, int flags)
{
    wsig_zone_t *zone = webrtc_signal_server(ap_server_conf)->zone;
    wsig_numbers_t n;

    if (zone == NULL) {
        return DECLINED;
    }
    wsig_status_numbers(zone, &n);
    if (flags & AP_STATUS_SHORT) {
        ap_rprintf(r,
                   "WebrtcSignalPeers: %" APR_UINT64_T_FMT "\n"
                   "WebrtcSignalCallsRinging: %" APR_UINT64_T_FMT "\n"
                   "WebrtcSignalCallsActive: %" APR_UINT64_T_FMT "\n"
                   "WebrtcSignalWorkers: %" APR_UINT64_T_FMT "\n",
                   n.peers, n.calls_ringing, n.calls_active, n.workers);
        return OK;
    }
    ap_rprintf(r,
               "<hr>\n<h2>WebRTC signalling</h2>\n"
               "<p>%" APR_UINT64_T_FMT " WebSockets that the scoreboard does "
               "not show have joined, in %" APR_UINT64_T_FMT " children; "
               "%" APR_UINT64_T_FMT " calls ring, %" APR_UINT64_T_FMT
               " are answered.</p>\n",
               n.peers, n.workers, n.calls_ringing, n.calls_active);
    return OK;
}
