/*
 * wsig_frame.h: what goes out.  A frame is a text or a control payload with
 * its WebSocket header before it, counted by reference, so that one rendering
 * serves many peers; a queue holds the frames that one peer has still to send.
 */

#ifndef WSIG_FRAME_H
#define WSIG_FRAME_H

#include "wsig_json.h"
#include "wsig_ws.h"

typedef struct wsig_frame_s wsig_frame_t;

/* Begin a text: the buffer gets room for the frame around it. */
void wsig_frame_begin(wsig_buffer_t *buffer);

/* The frame of what was put since wsig_frame_begin, with one reference; takes
 * the buffer's memory, and leaves it empty.  NULL: memory was short. */
wsig_frame_t *wsig_frame_end(wsig_buffer_t *buffer, int opcode);

/* The frame of these bytes. */
wsig_frame_t *wsig_frame_of(int opcode, const void *data, size_t size);

void wsig_frame_release(wsig_frame_t *frame); /* may be NULL */

/* The same frame, with one more reference. */
wsig_frame_t *wsig_frame_share(wsig_frame_t *frame);

/* The text itself, without its header. */
wsig_text_t wsig_frame_text(const wsig_frame_t *frame);

typedef struct wsig_link_s wsig_link_t;

typedef struct wsig_queue_s {
    wsig_link_t *last;    /* of a ring, so that the first is next to it */
    uint32_t bytes;       /* that are still to go */
    uint32_t offset : 31; /* of them in first that went */
    bool pinned : 1; /* first was tried: TLS may hold it, so it stays first */
} wsig_queue_t;

static inline bool
wsig_queue_empty(const wsig_queue_t *queue)
{
    return queue->last == NULL;
}

/* Append; the queue takes a reference of its own.  WSIG_NOMEM. */
int wsig_queue_add(wsig_queue_t *queue, wsig_frame_t *frame);

/* The bytes to write next, now; size 0: none. */
wsig_text_t wsig_queue_next(wsig_queue_t *queue);

/* So many of them went. */
void wsig_queue_went(wsig_queue_t *queue, size_t n);

/* For queues that keep frames and write none: the first is dropped; and each
 * in turn, from *position NULL on, NULL behind the last. */
void wsig_queue_drop(wsig_queue_t *queue);
wsig_frame_t *wsig_queue_each(const wsig_queue_t *queue,
                              const wsig_link_t **position);

/* Frames that nobody tried to write yet are dropped. */
void wsig_queue_cut(wsig_queue_t *queue);
void wsig_queue_free(wsig_queue_t *queue);

#endif
