/*
 * wsig_limit.h: a token bucket.  Pure.
 */

#ifndef WSIG_LIMIT_H
#define WSIG_LIMIT_H

#include <stdint.h>

typedef struct wsig_bucket_s {
    int64_t full; /* when it is full again, in microseconds; 0: it is */
} wsig_bucket_t;

/* Take one, always; returns how many milliseconds to wait before the next, 0
 * while the bucket has some.  rate: tokens a second, 0: no limit; burst: what
 * the bucket holds. */
int64_t wsig_bucket_take(wsig_bucket_t *bucket, uint32_t rate, uint32_t burst,
                         int64_t now_ms);

#endif
