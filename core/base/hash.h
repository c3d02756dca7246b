/* Hashing: XXH3 (libxxhash, inlined).  Values are stable within a process only, except
 * hash_stable(), which is the same on every host and in every version (it decides ECMP). */
#ifndef MN_BASE_HASH_H
#define MN_BASE_HASH_H

#include <stddef.h>
#include <stdint.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

static inline uint64_t hash_bytes(const void *p, size_t size, uint64_t seed)
{
    return XXH3_64bits_withSeed(p, size, seed);
}

static inline uint64_t hash_stable(const void *p, size_t size, uint64_t seed)
{
    return XXH64(p, size, seed);
}

/* Mixes one word well (splitmix64's finaliser): for keys that are already numbers. */
static inline uint64_t hash_u64(uint64_t x)
{
    x ^= x >> 30;
    x *= 0xbf58476d1ce4e5b9ull;
    x ^= x >> 27;
    x *= 0x94d049bb133111ebull;
    return x ^ x >> 31;
}

#endif
