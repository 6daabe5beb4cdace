/*
 * wsig_flow.h: the order of texts between two peers.
 *
 * Texts to a peer that moves to another worker go two ways for a moment: what
 * was posted to the old worker is passed on, what is posted now goes straight.
 * The same holds where the sender moves.  So the sender numbers what it says to
 * a peer, and the receiver keeps what comes too early.
 *
 * Who has lost its session, numbers anew: in a stream of a higher number, which
 * is that of its token.
 */

#ifndef WSIG_FLOW_H
#define WSIG_FLOW_H

#include "wsig_frame.h"

#define WSIG_FLOW_WAIT 2000 /* ms for what is due */

typedef struct wsig_early_s {
    struct wsig_early_s *next;
    uint32_t number;
    wsig_frame_t *frame;
} wsig_early_t;

typedef struct wsig_flow_s {
    uint32_t sent;       /* the number of the last text that we sent */
    uint32_t stream;     /* of those that came; 0: none came yet */
    uint32_t due;        /* the number of the next to come; 0: any */
    uint32_t early_size; /* bytes */
    int64_t since;       /* when it began to wait for due; 0: it does not */
    wsig_early_t *early; /* in order of their numbers */
} wsig_flow_t;

/* A zeroed flow, but for due: 1 where all will come, 0 where something may
 * have been lost before. */

/* The number that comes next; 0 is none. */
static inline uint32_t
wsig_flow_after(uint32_t number)
{
    return number + 1 != 0 ? number + 1 : 1;
}

/* A text came.  WSIG_OK: pass it on, and then those of wsig_flow_next.
 * WSIG_AGAIN: too early, the flow keeps it with a reference of its own.
 * WSIG_ABSENT: it came before, or is of an old stream.  WSIG_FULL, WSIG_NOMEM:
 * it cannot be kept. */
int wsig_flow_take(wsig_flow_t *flow, uint32_t stream, uint32_t number,
                   wsig_frame_t *frame, int64_t now);

/* The next one that waited and is due now, with a reference for the caller;
 * NULL: none. */
wsig_frame_t *wsig_flow_next(wsig_flow_t *flow, int64_t now);

/* Has it waited too long? */
static inline bool
wsig_flow_stuck(const wsig_flow_t *flow, int64_t now)
{
    return flow->since != 0 && now >= flow->since + WSIG_FLOW_WAIT;
}

/* Something was lost: forget what waits, begin with what comes next. */
void wsig_flow_reset(wsig_flow_t *flow);

/* Keep one that is not due; for a flow that is read again from a record.  The
 * frame is the flow's then.  WSIG_NOMEM: it was released. */
int wsig_flow_keep(wsig_flow_t *flow, uint32_t number, wsig_frame_t *frame);

#endif
