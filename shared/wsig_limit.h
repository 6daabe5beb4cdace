/*
 * wsig_limit.h: a token bucket.  Pure.
 */

#ifndef WSIG_LIMIT_H
#define WSIG_LIMIT_H

#include <stdint.h>

typedef struct wsig_bucket_s {
    int64_t full; /* when it is full again, in microseconds; 0: it is */
} wsig_bucket_t;

/* Take one.  Returns 0, or how many milliseconds to wait before the next try;
 * nothing was taken then.  rate: tokens a second, 0 takes always; burst: what
 * the bucket holds, at least 1. */
int64_t wsig_bucket_take(wsig_bucket_t *bucket, uint32_t rate, uint32_t burst,
                         int64_t now_ms);

#endif
