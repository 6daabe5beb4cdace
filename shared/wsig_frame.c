#include <stdlib.h>
#include <string.h>

#include "wsig_frame.h"

/* In memory: this, room for the longest header, the payload. */
struct wsig_frame_s {
    uint32_t references;
    uint32_t at;      /* where the header begins, from the start of this */
    uint32_t payload; /* where the payload begins */
    uint32_t end;
};

struct wsig_link_s {
    wsig_link_t *next;
    wsig_frame_t *frame;
};

static const char wsig_room[sizeof(wsig_frame_t) + WSIG_WS_HEADER_MAX];

void
wsig_frame_begin(wsig_buffer_t *buffer)
{
    wsig_put(buffer, wsig_room, sizeof(wsig_room));
}

wsig_frame_t *
wsig_frame_end(wsig_buffer_t *buffer, int opcode)
{
    wsig_frame_t *frame = (wsig_frame_t *) buffer->data;
    uint8_t header[WSIG_WS_HEADER_MAX];
    size_t size;

    if (buffer->failed || buffer->size > INT32_MAX) {
        free(buffer->data);
        memset(buffer, 0, sizeof(*buffer));
        return NULL;
    }
    size = wsig_ws_header(header, opcode, buffer->size - sizeof(wsig_room));
    frame->references = 1;
    frame->payload = sizeof(wsig_room);
    frame->at = (uint32_t) (frame->payload - size);
    frame->end = (uint32_t) buffer->size;
    memcpy(buffer->data + frame->at, header, size);
    memset(buffer, 0, sizeof(*buffer));
    return frame;
}

wsig_frame_t *
wsig_frame_of(int opcode, const void *data, size_t size)
{
    wsig_buffer_t buffer = {0};

    wsig_frame_begin(&buffer);
    wsig_put(&buffer, data, size);
    return wsig_frame_end(&buffer, opcode);
}

void
wsig_frame_release(wsig_frame_t *frame)
{
    if (frame != NULL && --frame->references == 0) {
        free(frame);
    }
}

wsig_frame_t *
wsig_frame_share(wsig_frame_t *frame)
{
    frame->references++;
    return frame;
}

wsig_text_t
wsig_frame_text(const wsig_frame_t *frame)
{
    return (wsig_text_t){(const char *) frame + frame->payload,
                         frame->end - frame->payload};
}

int
wsig_queue_add(wsig_queue_t *queue, wsig_frame_t *frame)
{
    wsig_link_t *link = malloc(sizeof(*link));

    if (link == NULL) {
        return WSIG_NOMEM;
    }
    link->frame = wsig_frame_share(frame);
    link->next = link;
    if (queue->last != NULL) {
        link->next = queue->last->next;
        queue->last->next = link;
    }
    queue->last = link;
    queue->bytes += frame->end - frame->at;
    return WSIG_OK;
}

wsig_text_t
wsig_queue_next(wsig_queue_t *queue)
{
    const wsig_frame_t *frame;

    if (queue->last == NULL) {
        return (wsig_text_t){NULL, 0};
    }
    frame = queue->last->next->frame;
    queue->pinned = true;
    return (wsig_text_t){(const char *) frame + frame->at + queue->offset,
                         frame->end - frame->at - queue->offset};
}

void
wsig_queue_went(wsig_queue_t *queue, size_t n)
{
    const wsig_frame_t *frame = queue->last->next->frame;

    queue->offset += (uint32_t) n;
    queue->bytes -= (uint32_t) n;
    if (queue->offset == frame->end - frame->at) {
        queue->bytes += queue->offset;
        wsig_queue_drop(queue);
    }
}

void
wsig_queue_drop(wsig_queue_t *queue)
{
    wsig_link_t *link = queue->last->next;

    queue->bytes -= link->frame->end - link->frame->at;
    queue->offset = 0;
    queue->pinned = false;
    if (link == queue->last) {
        queue->last = NULL;
    } else {
        queue->last->next = link->next;
    }
    wsig_frame_release(link->frame);
    free(link);
}

wsig_frame_t *
wsig_queue_each(const wsig_queue_t *queue, const wsig_link_t **position)
{
    if (queue->last == NULL || *position == queue->last) {
        return NULL;
    }
    *position = *position != NULL ? (*position)->next : queue->last->next;
    return (*position)->frame;
}

void
wsig_queue_cut(wsig_queue_t *queue)
{
    wsig_link_t *first, *link, *next;

    if (queue->last == NULL) {
        return;
    }
    first = queue->last->next;
    queue->last->next = NULL; /* the ring is open */
    link = first;
    queue->last = NULL;
    queue->bytes = 0;
    if (queue->pinned) {
        link = first->next;
        first->next = first;
        queue->last = first;
        queue->bytes = (uint32_t) wsig_queue_next(queue).size;
    }
    for (; link != NULL; link = next) {
        next = link->next;
        wsig_frame_release(link->frame);
        free(link);
    }
}

void
wsig_queue_free(wsig_queue_t *queue)
{
    queue->offset = 0;
    queue->pinned = false;
    wsig_queue_cut(queue);
}
