/*
 * frames.h: what a client would send, put together byte by byte, right or
 * wrong; and numbers that look random and are the same in each run.
 */

#ifndef FRAMES_H
#define FRAMES_H

#include <stddef.h>
#include <stdint.h>

typedef struct frames_s {
    uint8_t *data; /* the owner frees it */
    size_t size;
    size_t room;
} frames_t;

/* One masked frame with the shortest header. */
void frames_add(frames_t *frames, uint8_t first, const void *payload,
                size_t size, uint32_t mask);

/* The header alone, of a frame that may never come. */
void frames_add_header(frames_t *frames, uint8_t first, uint64_t size,
                       uint32_t mask);

void frames_add_bytes(frames_t *frames, const void *bytes, size_t size);

/* *state is any number but 0 at first. */
uint32_t random_next(uint64_t *state);
uint32_t random_below(uint64_t *state, uint32_t limit);

#endif
