#include <stdlib.h>

#include "wsig_flow.h"

#define EARLY_MAX (512 * 1024) /* bytes that wait */

/* Is a later than b?  The numbers may go round. */
static bool
wsig_flow_later(uint32_t a, uint32_t b)
{
    return (int32_t) (a - b) > 0;
}

int
wsig_flow_keep(wsig_flow_t *flow, uint32_t number, wsig_frame_t *frame)
{
    wsig_early_t *early = malloc(sizeof(*early)), **link = &flow->early;

    if (early == NULL) {
        wsig_frame_release(frame);
        return WSIG_NOMEM;
    }
    while (*link != NULL && wsig_flow_later(number, (*link)->number)) {
        link = &(*link)->next;
    }
    early->number = number;
    early->frame = frame;
    early->next = *link;
    *link = early;
    flow->early_size += (uint32_t) wsig_frame_text(frame).size;
    return WSIG_OK;
}

int
wsig_flow_take(wsig_flow_t *flow, uint32_t stream, uint32_t number,
               wsig_frame_t *frame, int64_t now)
{
    int rc;

    if (stream != flow->stream) {
        if (flow->stream != 0) {
            if (!wsig_flow_later(stream, flow->stream)) {
                return WSIG_ABSENT;
            }
            wsig_flow_reset(flow);
            flow->due = 1;
        }
        flow->stream = stream;
    }
    if (flow->due == 0 || number == flow->due) {
        flow->due = wsig_flow_after(number);
        flow->since = 0;
        return WSIG_OK;
    }
    if (!wsig_flow_later(number, flow->due)) {
        return WSIG_ABSENT;
    }
    if (flow->early_size + wsig_frame_text(frame).size > EARLY_MAX) {
        return WSIG_FULL;
    }
    rc = wsig_flow_keep(flow, number, wsig_frame_share(frame));
    if (rc != WSIG_OK) {
        return rc;
    }
    if (flow->since == 0) {
        flow->since = now;
    }
    return WSIG_AGAIN;
}

wsig_frame_t *
wsig_flow_next(wsig_flow_t *flow, int64_t now)
{
    wsig_early_t *early = flow->early;
    wsig_frame_t *frame;

    if (early == NULL) {
        flow->since = 0;
        return NULL;
    }
    if (early->number != flow->due) {
        flow->since = now; /* the next gap */
        return NULL;
    }
    frame = early->frame;
    flow->early = early->next;
    flow->early_size -= (uint32_t) wsig_frame_text(frame).size;
    flow->due = wsig_flow_after(early->number);
    free(early);
    return frame;
}

void
wsig_flow_reset(wsig_flow_t *flow)
{
    wsig_early_t *early;

    while ((early = flow->early) != NULL) {
        flow->early = early->next;
        wsig_frame_release(early->frame);
        free(early);
    }
    flow->early_size = 0;
    flow->since = 0;
    flow->due = 0;
}
