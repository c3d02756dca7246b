#include "base/log.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"

enum log_level log_level = LOG_LVL_INFO;

static const char *const names[] = {"error", "warn", "info", "debug"};

int log_set_level(const char *name)
{
    for (unsigned i = 0; i < 4; i++) {
        if (!strcmp(name, names[i])) {
            log_level = (enum log_level)i;
            return 0;
        }
    }
    return -EINVAL;
}

void log_line(enum log_level level, const char *subsystem, const char *fmt, ...)
{
    static const int priorities[] = {3, 4, 6, 7};
    char line[1024];
    va_list ap;
    int n;

    if (level > log_level)
        return;
    if (getenv("JOURNAL_STREAM"))
        n = snprintf(line, sizeof line, "<%d>%s: ", priorities[level], subsystem);
    else
        n = snprintf(line, sizeof line, "%s %s: ", names[level], subsystem);
    va_start(ap, fmt);
    int m = vsnprintf(line + n, sizeof line - (size_t)n - 1, fmt, ap);
    va_end(ap);
    if (m > 0)
        n += m;
    if (n > (int)sizeof line - 2)
        n = sizeof line - 2;
    line[n++] = '\n';
    if (write(STDERR_FILENO, line, (size_t)n) < 0) {
        /* nowhere left to complain */
    }
}

bool log_allowed(struct log_limit *l, uint32_t *swallowed)
{
    uint64_t now = clock_ns(), next = __atomic_load_n(&l->next_ns, __ATOMIC_RELAXED);

    if (now < next || !__atomic_compare_exchange_n(&l->next_ns, &next, now + NSEC_PER_SEC, false,
                                                   __ATOMIC_RELAXED, __ATOMIC_RELAXED)) {
        __atomic_fetch_add(&l->swallowed, 1, __ATOMIC_RELAXED);
        return false;
    }
    *swallowed = __atomic_exchange_n(&l->swallowed, 0, __ATOMIC_RELAXED);
    return true;
}
