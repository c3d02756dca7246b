/* Slab: records of one size named by 32-bit numbers instead of pointers.
 *
 * Flow tables hold hundreds of thousands of small records full of links; a link of 4 bytes halves
 * them.  Chunks are taken from the heap as the slab grows, never move and stay until slab_free(),
 * so another thread may keep reading a record that the owner adds others beside.  Number 0 is
 * "none".  Freed records are reused last in, first out.
 * Thread: one owner; slab_at() of a number the owner has published may be called from any. */
#ifndef MN_AGENT_SLAB_H
#define MN_AGENT_SLAB_H

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

#define SLAB_CHUNK 256 /* records; a power of two */

struct slab {
    uint32_t record_size; /* at least 4 */
    uint32_t max;         /* records that may be in use at once */
    uint32_t n_used;      /* in use now */
    uint32_t n_ever;      /* numbers 1..n_ever have been handed out */
    uint32_t first_free;
    char **chunks; /* room for all that 'max' can need; null until used */
};

static inline void slab_init(struct slab *s, uint32_t record_size, uint32_t max)
{
    *s = (struct slab){.record_size = record_size, .max = max};
    s->chunks = NEW_ARRAY(max / SLAB_CHUNK + 1, char *);
}

static inline void slab_free(struct slab *s)
{
    for (uint32_t i = 0; s->chunks && i <= s->max / SLAB_CHUNK; i++)
        free(s->chunks[i]);
    free(s->chunks);
    *s = (struct slab){0};
}

static inline void *slab_at(const struct slab *s, uint32_t number)
{
    char *chunk = __atomic_load_n(&s->chunks[number / SLAB_CHUNK], __ATOMIC_ACQUIRE);

    return chunk + (size_t)(number % SLAB_CHUNK) * s->record_size;
}

/* A record of undefined content, or 0 when 'max' are in use. */
static inline uint32_t slab_take(struct slab *s)
{
    uint32_t number = s->first_free;

    if (number) {
        memcpy(&s->first_free, slab_at(s, number), sizeof s->first_free);
    } else {
        if (s->n_ever >= s->max)
            return 0;
        number = ++s->n_ever;
        if (!s->chunks[number / SLAB_CHUNK])
            __atomic_store_n(&s->chunks[number / SLAB_CHUNK],
                             mem_zalloc((size_t)SLAB_CHUNK * s->record_size), __ATOMIC_RELEASE);
    }
    s->n_used++;
    return number;
}

static inline void slab_give(struct slab *s, uint32_t number)
{
    memcpy(slab_at(s, number), &s->first_free, sizeof s->first_free);
    s->first_free = number;
    s->n_used--;
}

/* Bytes taken from the heap. */
static inline size_t slab_memory(const struct slab *s)
{
    size_t n = s->n_ever ? s->n_ever / SLAB_CHUNK + 1 : 0;

    return n * (sizeof *s->chunks + (size_t)SLAB_CHUNK * s->record_size);
}

#endif
