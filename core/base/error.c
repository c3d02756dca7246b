#include "base/error.h"

#include <stdio.h>
#include <string.h>

int error_setv(struct error *e, int code, const char *object, const char *field, const char *fmt,
               va_list ap)
{
    if (!e)
        return code;
    e->code = code;
    snprintf(e->object, sizeof e->object, "%s", object ? object : "");
    snprintf(e->field, sizeof e->field, "%s", field ? field : "");
    vsnprintf(e->message, sizeof e->message, fmt, ap);
    e->hint[0] = '\0';
    return code;
}

int error_set(struct error *e, int code, const char *object, const char *field, const char *fmt,
              ...)
{
    va_list ap;

    va_start(ap, fmt);
    error_setv(e, code, object, field, fmt, ap);
    va_end(ap);
    return code;
}

void error_hint(struct error *e, const char *fmt, ...)
{
    va_list ap;

    if (!e)
        return;
    va_start(ap, fmt);
    vsnprintf(e->hint, sizeof e->hint, fmt, ap);
    va_end(ap);
}

int error_exit_status(int code)
{
    if (code >= 0)
        return 0;
    switch (-code) {
    case EINVAL:
        return 2;
    case ENOENT:
        return 3;
    case EEXIST:
    case EBUSY:
    case ESTALE:
        return 4;
    case ENOTCONN:
    case ETIMEDOUT:
        return 5;
    case EACCES:
    case EPERM:
        return 6;
    default:
        return 1;
    }
}

const char *error_word(int code)
{
    static const char *const words[] = {"ok",       "failed",      "invalid", "not-found",
                                        "conflict", "unreachable", "denied"};

    return words[error_exit_status(code)];
}

char *error_format(const struct error *e, char *buf, unsigned size)
{
    snprintf(buf, size, "%s%s%s%s%s%s%s%s%s", e->object, e->object[0] ? ": " : "",
             e->field[0] ? "field " : "", e->field, e->field[0] ? ": " : "", e->message,
             e->hint[0] ? " (" : "", e->hint, e->hint[0] ? ")" : "");
    return buf;
}
