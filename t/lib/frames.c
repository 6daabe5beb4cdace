#include "frames.h"

#include "check.h"

#include <stdlib.h>
#include <string.h>

void
frames_add(frames_t *frames, uint8_t first, const void *payload, size_t size,
           uint32_t mask)
{
    size_t at, i;

    frames_add_header(frames, first, size, mask);
    at = frames->size;
    frames_add_bytes(frames, payload, size);
    for (i = 0; i < size; i++) {
        frames->data[at + i] ^= (uint8_t) (mask >> (24 - 8 * (i % 4)));
    }
}

void
frames_add_header(frames_t *frames, uint8_t first, uint64_t size, uint32_t mask)
{
    uint8_t header[14] = {first};
    int wide = size < 126 ? 0 : size <= 0xffff ? 2 : 8;
    int i;

    header[1] = 0x80 | (wide == 0 ? (uint8_t) size : wide == 2 ? 126 : 127);
    for (i = 0; i < wide; i++) {
        header[2 + i] = (uint8_t) (size >> (8 * (wide - 1 - i)));
    }
    for (i = 0; i < 4; i++) {
        header[2 + wide + i] = (uint8_t) (mask >> (24 - 8 * i));
    }
    frames_add_bytes(frames, header, (size_t) (2 + wide + 4));
}

void
frames_add_bytes(frames_t *frames, const void *bytes, size_t size)
{
    if (frames->room - frames->size < size) {
        frames->room = 2 * (frames->size + size);
        frames->data = realloc(frames->data, frames->room);
        CHECK(frames->data != NULL);
    }
    if (size > 0) {
        memcpy(frames->data + frames->size, bytes, size);
        frames->size += size;
    }
}

/* Marsaglia's xorshift, 64 bits. */
uint32_t
random_next(uint64_t *state)
{
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    return (uint32_t) (*state >> 32);
}

uint32_t
random_below(uint64_t *state, uint32_t limit)
{
    return (uint32_t) ((uint64_t) random_next(state) * limit >> 32);
}
