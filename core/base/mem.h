/* Memory.
 *
 * mem_*() never return null: a process that can't get memory for its bookkeeping ends with a
 * message (sizes that come from outside are bounded by the parser before they get here).
 *
 * An arena is memory of one lifetime: a packet's run, one command, one loaded object.  Allocation
 * is a pointer increment, nothing is freed alone, arena_reset() keeps the first block for the next
 * run so that a steady state allocates nothing.  Not shared between threads. */
#ifndef MN_BASE_MEM_H
#define MN_BASE_MEM_H

#include <stdarg.h>
#include <stddef.h>

void *mem_alloc(size_t size);  /* uninitialised; free with free() */
void *mem_zalloc(size_t size); /* zeroed */
void *mem_array(size_t n, size_t size);
void *mem_resize(void *p, size_t size);
char *mem_strdup(const char *s);
char *mem_printf(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

#define NEW(type)          ((type *)mem_zalloc(sizeof(type)))
#define NEW_ARRAY(n, type) ((type *)mem_array((n), sizeof(type)))
#define ARRAY_SIZE(a)      (sizeof(a) / sizeof((a)[0]))
#ifndef MIN /* as sys/param.h: arguments may be evaluated twice, so no calls that do something */
#define MIN(a, b) ((a) < (b) ? (a) : (b))
#define MAX(a, b) ((a) > (b) ? (a) : (b))
#endif

struct arena_block;

struct arena {
    char *next, *end;          /* free room in the current block */
    struct arena_block *first; /* kept by arena_reset() */
    struct arena_block *extra; /* freed by arena_reset() */
};

void arena_init(struct arena *a, size_t first_block_size);
void arena_reset(struct arena *a);
void arena_free(struct arena *a);
void *arena_more(struct arena *a, size_t size); /* slow path of arena_alloc */

/* 16-byte aligned, uninitialised. */
static inline void *arena_alloc(struct arena *a, size_t size)
{
    size = (size + 15) & ~(size_t)15;
    if ((size_t)(a->end - a->next) < size)
        return arena_more(a, size);
    void *p = a->next;
    a->next += size;
    return p;
}

/* A growing string.  sb_str() is always terminated; sb_steal() hands the memory over. */
struct strbuf {
    char *data;
    size_t size, capacity;
};

void sb_add(struct strbuf *sb, const char *s);
void sb_add_bytes(struct strbuf *sb, const void *p, size_t size);
void sb_printf(struct strbuf *sb, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
void sb_vprintf(struct strbuf *sb, const char *fmt, va_list ap);
const char *sb_str(const struct strbuf *sb);
char *sb_steal(struct strbuf *sb); /* caller frees; never null */
void sb_free(struct strbuf *sb);

#endif
