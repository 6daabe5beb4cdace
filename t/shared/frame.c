/*
 * Frames and queues: what goes out in bites of every size is what was put in,
 * whatever is shared, cut off or out of memory meanwhile.
 */

#include "alloc.h"
#include "check.h"
#include "wsig_frame.h"

#include <string.h>

enum {
    FRAMES = 5
};

static const size_t sizes[FRAMES] = {0, 1, 125, 126, 70000};
static char payload[70000];

static wsig_frame_t *
frame_of(int i)
{
    wsig_frame_t *frame = wsig_frame_of(WSIG_WS_OPCODE_TEXT, payload + i,
                                        sizes[i] - (i == 4) * 4);

    CHECK(frame != NULL);
    return frame;
}

static size_t
append(char *to, int i)
{
    size_t size = sizes[i] - (i == 4) * 4;
    size_t header = wsig_ws_header((uint8_t *) to, WSIG_WS_OPCODE_TEXT, size);

    memcpy(to + header, payload + i, size);
    return header + size;
}

static void
bites(size_t bite)
{
    static char expected[200000], got[200000];
    wsig_queue_t queue = {0};
    wsig_frame_t *frame;
    size_t size = 0, at = 0, n;
    wsig_text_t next;
    int i;

    for (i = 0; i < FRAMES; i++) {
        frame = frame_of(i);
        size += append(expected + size, i);
        CHECK(wsig_queue_add(&queue, frame) == WSIG_OK);
        wsig_frame_release(frame);
        CHECK(queue.bytes == size);
    }
    while ((next = wsig_queue_next(&queue)).size > 0) {
        n = next.size < bite ? next.size : bite;
        memcpy(got + at, next.data, n);
        at += n;
        wsig_queue_went(&queue, n);
        CHECK(queue.bytes == size - at);
    }
    CHECK(at == size && memcmp(got, expected, size) == 0, "bites of %zu", bite);
    CHECK(wsig_queue_empty(&queue));
    wsig_queue_free(&queue);
}

/* Cut after so many bytes: what was begun or only offered stays whole. */
static void
cuts(size_t went, bool offered)
{
    wsig_queue_t queue = {0};
    wsig_frame_t *frame;
    wsig_text_t before = {NULL, 0}, next;
    size_t n, left = went;
    int i;

    for (i = 1; i < 4; i++) {
        frame = frame_of(i);
        CHECK(wsig_queue_add(&queue, frame) == WSIG_OK);
        wsig_frame_release(frame);
    }
    while (left > 0) {
        next = wsig_queue_next(&queue);
        n = next.size < left ? next.size : left;
        wsig_queue_went(&queue, n);
        left -= n;
    }
    if (offered) {
        before = wsig_queue_next(&queue);
    }
    wsig_queue_cut(&queue);
    if (offered) {
        next = wsig_queue_next(&queue);
        CHECK(next.data == before.data && next.size == before.size, "%zu",
              went);
        CHECK(queue.bytes == before.size);
    } else if (went == 0) {
        CHECK(queue.bytes == 0 && wsig_queue_next(&queue).size == 0);
    }
    frame = frame_of(1);
    CHECK(wsig_queue_add(&queue, frame) == WSIG_OK);
    wsig_frame_release(frame);
    n = queue.bytes;
    while ((next = wsig_queue_next(&queue)).size > 0) {
        n -= next.size;
        wsig_queue_went(&queue, next.size);
    }
    CHECK(n == 0 && queue.bytes == 0);
    wsig_queue_free(&queue);
}

/* One frame in many queues; freed with the last. */
static void
shared_frames(void)
{
    wsig_queue_t queues[10] = {0};
    wsig_frame_t *frame = frame_of(2);
    int i;

    for (i = 0; i < 10; i++) {
        CHECK(wsig_queue_add(&queues[i], frame) == WSIG_OK);
    }
    wsig_frame_release(frame);
    for (i = 0; i < 9; i++) {
        wsig_queue_free(&queues[i]);
    }
    CHECK(memcmp(wsig_queue_next(&queues[9]).data + 2, payload + 2, 125) == 0);
    wsig_queue_free(&queues[9]);
    wsig_frame_release(NULL);
}

static void
no_memory(void)
{
    wsig_buffer_t buffer = {0};
    wsig_queue_t queue = {0};
    wsig_frame_t *frame = frame_of(3);
    long n;

    alloc_fail(1, false);
    CHECK(wsig_queue_add(&queue, frame) == WSIG_NOMEM);
    CHECK(queue.bytes == 0 && wsig_queue_next(&queue).size == 0);
    wsig_frame_release(frame);
    for (n = 1;; n++) {
        alloc_fail(n, false);
        wsig_frame_begin(&buffer);
        wsig_put(&buffer, payload, 1000);
        wsig_put(&buffer, payload, 50000);
        frame = wsig_frame_end(&buffer, WSIG_WS_OPCODE_TEXT);
        CHECK(buffer.data == NULL && buffer.size == 0 && !buffer.failed);
        if (!alloc_failed()) {
            break;
        }
        CHECK(frame == NULL);
    }
    CHECK(n > 1 && wsig_frame_text(frame).size == 51000);
    alloc_fail(0, false);
    wsig_frame_release(frame);
}

int
main(void)
{
    size_t i;

    for (i = 0; i < sizeof(payload); i++) {
        payload[i] = (char) (i * 7 + i / 251);
    }
    for (i = 1; i < 300; i++) {
        bites(i);
    }
    bites(70000);
    bites(SIZE_MAX);
    for (i = 0; i < 3 + 127 + 129; i++) {
        cuts(i, true);
        cuts(i, false);
    }
    shared_frames();
    no_memory();
    return 0;
}
