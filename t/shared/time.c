/* The clocks: that of the machine, in the units promised, never back. */

#include <time.h>

#include "check.h"
#include "wsig.h"

int
main(void)
{
    const struct timespec pause = {0, 20 * 1000 * 1000};
    struct timespec mono;
    wsig_time_t first, second;

    clock_gettime(CLOCK_MONOTONIC, &mono);
    first = wsig_now();
    CHECK(first.mono >= mono.tv_sec * 1000 &&
          first.mono < mono.tv_sec * 1000 + 10000);
    CHECK(first.wall >= time(NULL) - 10 && first.wall <= time(NULL) + 10);
    nanosleep(&pause, NULL);
    second = wsig_now();
    CHECK(second.mono >= first.mono + 19 && second.wall >= first.wall);
    return 0;
}
