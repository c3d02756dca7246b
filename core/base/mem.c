#include "base/mem.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct arena_block {
    struct arena_block *next;
    size_t size;
    _Alignas(16) char data[];
};

static void *checked(void *p)
{
    if (!p) {
        fputs("mn: out of memory\n", stderr);
        abort();
    }
    return p;
}

void *mem_alloc(size_t size)
{
    return checked(malloc(size ? size : 1));
}

void *mem_zalloc(size_t size)
{
    return checked(calloc(1, size ? size : 1));
}

void *mem_array(size_t n, size_t size)
{
    return checked(calloc(n ? n : 1, size));
}

void *mem_resize(void *p, size_t size)
{
    return checked(realloc(p, size ? size : 1));
}

char *mem_strdup(const char *s)
{
    return checked(strdup(s));
}

char *mem_printf(const char *fmt, ...)
{
    va_list ap;
    char *s;

    va_start(ap, fmt);
    int rc = vasprintf(&s, fmt, ap);
    va_end(ap);
    return checked(rc < 0 ? NULL : s);
}

static struct arena_block *new_block(size_t size)
{
    struct arena_block *b = mem_alloc(sizeof *b + size);

    b->next = NULL;
    b->size = size;
    return b;
}

static void use_block(struct arena *a, struct arena_block *b)
{
    a->next = b->data;
    a->end = b->data + b->size;
}

void arena_init(struct arena *a, size_t first_block_size)
{
    a->first = new_block(first_block_size);
    a->extra = NULL;
    use_block(a, a->first);
}

void *arena_more(struct arena *a, size_t size)
{
    struct arena_block *b = new_block(MAX(size, a->first->size));

    b->next = a->extra;
    a->extra = b;
    use_block(a, b);
    a->next += size;
    return b->data;
}

void arena_reset(struct arena *a)
{
    while (a->extra) {
        struct arena_block *next = a->extra->next;
        free(a->extra);
        a->extra = next;
    }
    use_block(a, a->first);
}

void arena_free(struct arena *a)
{
    arena_reset(a);
    free(a->first);
    *a = (struct arena){0};
}

static void sb_reserve(struct strbuf *sb, size_t more)
{
    if (sb->size + more + 1 <= sb->capacity)
        return;
    sb->capacity = MAX(sb->capacity * 2, sb->size + more + 64);
    sb->data = mem_resize(sb->data, sb->capacity);
}

void sb_add_bytes(struct strbuf *sb, const void *p, size_t size)
{
    sb_reserve(sb, size);
    if (size)
        memcpy(sb->data + sb->size, p, size);
    sb->size += size;
    sb->data[sb->size] = '\0';
}

void sb_add(struct strbuf *sb, const char *s)
{
    sb_add_bytes(sb, s, strlen(s));
}

void sb_vprintf(struct strbuf *sb, const char *fmt, va_list ap)
{
    va_list again;

    va_copy(again, ap);
    int n = vsnprintf(NULL, 0, fmt, again);
    va_end(again);
    if (n < 0)
        return;
    sb_reserve(sb, (size_t)n);
    vsnprintf(sb->data + sb->size, (size_t)n + 1, fmt, ap);
    sb->size += (size_t)n;
}

void sb_printf(struct strbuf *sb, const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    sb_vprintf(sb, fmt, ap);
    va_end(ap);
}

const char *sb_str(const struct strbuf *sb)
{
    return sb->data ? sb->data : "";
}

char *sb_steal(struct strbuf *sb)
{
    char *s = sb->data ? sb->data : mem_strdup("");

    *sb = (struct strbuf){0};
    return s;
}

void sb_free(struct strbuf *sb)
{
    free(sb->data);
    *sb = (struct strbuf){0};
}
