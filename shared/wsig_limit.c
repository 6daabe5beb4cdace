#include "wsig_limit.h"

int64_t
wsig_bucket_take(wsig_bucket_t *bucket, uint32_t rate, uint32_t burst,
                 int64_t now_ms)
{
    int64_t now = now_ms * 1000;
    int64_t each, full;

    if (rate == 0) {
        return 0;
    }
    each = 1000000 / rate > 0 ? 1000000 / rate : 1;
    full = (bucket->full > now ? bucket->full : now) + each;
    if (full - now > each * (int64_t) burst) {
        return (full - now - each * (int64_t) burst + 999) / 1000;
    }
    bucket->full = full;
    return 0;
}
