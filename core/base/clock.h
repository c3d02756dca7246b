/* Time.  Monotonic nanoseconds everywhere inside; wall time only where a person or another machine
 * reads it.  Code under test takes 'now' as an argument and never calls this itself. */
#ifndef MN_BASE_CLOCK_H
#define MN_BASE_CLOCK_H

#include <stdint.h>
#include <time.h>

#define NSEC_PER_USEC 1000ull
#define NSEC_PER_MSEC 1000000ull
#define NSEC_PER_SEC  1000000000ull

/* For who collects when to be called next: *next becomes 'at' if that is sooner. */
static inline void clock_sooner(uint64_t *next, uint64_t at)
{
    if (at < *next)
        *next = at;
}

static inline uint64_t clock_ns(void)
{
    struct timespec ts;

    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (uint64_t)ts.tv_sec * NSEC_PER_SEC + (uint64_t)ts.tv_nsec;
}

#endif
