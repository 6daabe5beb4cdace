#include <time.h>

#include "wsig.h"

/* The coarse clock is exact to some milliseconds: enough for seconds, but as
 * the other clock it would have timers fire before they are due. */
wsig_time_t
wsig_now(void)
{
    struct timespec mono, wall;

    (void) clock_gettime(CLOCK_MONOTONIC, &mono);
    (void) clock_gettime(CLOCK_REALTIME_COARSE, &wall);
    return (wsig_time_t){
        .mono = (int64_t) mono.tv_sec * 1000 + mono.tv_nsec / 1000000,
        .wall = wall.tv_sec,
    };
}
