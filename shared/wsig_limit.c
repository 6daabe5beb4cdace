#include "wsig_limit.h"

int64_t
wsig_bucket_take(wsig_bucket_t *bucket, uint32_t rate, uint32_t burst,
                 int64_t now_ms)
{
    int64_t now = now_ms * 1000;
    int64_t each, over;

    if (rate == 0) {
        return 0;
    }
    each = rate < 1000000 ? 1000000 / rate : 1;
    bucket->full = (bucket->full > now ? bucket->full : now) + each;
    over = bucket->full - now - each * (int64_t) burst;
    return over > 0 ? (over + 999) / 1000 : 0;
}
