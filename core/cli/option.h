/* What the tools' options have in common: words to values, and what is said of wrong ones. */
#ifndef MN_CLI_OPTION_H
#define MN_CLI_OPTION_H

#include <stdlib.h>

#include "base/error.h"

/* A decimal number within bounds; -EINVAL says which they are. */
static inline int option_number(const char *option, const char *text, unsigned min, unsigned max,
                                unsigned *out, struct error *e)
{
    char *end;
    unsigned long n = strtoul(text, &end, 10);

    if (*text < '0' || *text > '9' || *end || n < min || n > max)
        return error_set(e, -EINVAL, NULL, option, "'%s' isn't a number from %u to %u", text, min,
                         max);
    *out = (unsigned)n;
    return 0;
}

#endif
