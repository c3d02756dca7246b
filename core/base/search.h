/* Binary search that says where a missing element would be, which bsearch() can't: for sorted
 * arrays that grow and shrink by one element.  Inlined, with its comparison. */
#ifndef MN_BASE_SEARCH_H
#define MN_BASE_SEARCH_H

#include <stddef.h>
#include <stdint.h>

/* The first of 'n' elements of 'size' bytes that doesn't come before the key; n: all do.
 * compare(key, element) is as for bsearch(). */
static inline size_t search_place(const void *key, const void *sorted, size_t n, size_t size,
                                  int (*compare)(const void *key, const void *element))
{
    size_t lo = 0, hi = n;

    while (lo < hi) {
        size_t mid = lo + (hi - lo) / 2;
        if (compare(key, (const uint8_t *)sorted + mid * size) > 0)
            lo = mid + 1;
        else
            hi = mid;
    }
    return lo;
}

#endif
