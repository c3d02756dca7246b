/* Objects as tests and benchmarks write them: a line of JSON, printf-like, in which ' stands for ".
 * A line that isn't JSON ends the program: it is the test's own mistake. */
#ifndef MN_TESTS_JSON_WORDS_H
#define MN_TESTS_JSON_WORDS_H

#include <jansson.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/mem.h"
#include "base/types.h"

static inline json_t *vjson(const char *fmt, va_list ap)
{
    struct strbuf sb = {0};
    json_error_t why;

    sb_vprintf(&sb, fmt, ap);
    char *text = sb_steal(&sb);
    for (char *p = text; *p; p++)
        *p = *p == '\'' ? '"' : *p;
    json_t *v = json_loads(text, 0, &why);
    if (!v) {
        fprintf(stderr, "%s in %s\n", why.text, text);
        abort();
    }
    free(text);
    return v;
}

__attribute__((format(printf, 1, 2))) static inline json_t *json_of(const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    json_t *v = vjson(fmt, ap);
    va_end(ap);
    return v;
}

/* Good until the sixteenth call from now. */
static inline const char *text_of(const struct uuid *id)
{
    static __thread char ring[16][UUID_STRLEN];
    static __thread unsigned at;

    return uuid_format(id, ring[at++ % 16]);
}

#endif
