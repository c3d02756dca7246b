/* Errors.
 *
 * Every function that can fail returns 0 (or a non-negative count) on success and a negative errno
 * value on failure.  Where a person will read the failure, it also takes a 'struct error *', which
 * may be null, and fills it: which object, which of its fields, what is wrong, and what would help.
 *
 * One set of codes, so that each tool's exit status follows from the return value alone:
 *
 *   -EINVAL   malformed or contradictory input           exit 2
 *   -ENOENT   no such object, node, host, file           exit 3
 *   -EEXIST, -EBUSY, -ESTALE   exists, in use, revision conflict   exit 4
 *   -ENOTCONN, -ETIMEDOUT      store or daemon unreachable         exit 5
 *   -EACCES, -EPERM            denied                    exit 6
 *   anything else              failed                    exit 1
 *
 * Thread: none of this keeps state; a 'struct error' belongs to its caller. */
#ifndef MN_BASE_ERROR_H
#define MN_BASE_ERROR_H

#include <errno.h>
#include <stdarg.h>

struct error {
    int code;          /* negative errno, 0 when unset */
    char object[96];   /* "port 5b1c...", "router edge"; empty when none applies */
    char field[64];    /* attribute, option or header field; empty when none applies */
    char message[320]; /* one sentence, no newline, no final full stop */
    char hint[192];    /* what to do about it; often empty */
};

/* Fills 'e' (unless null) and returns 'code', so that "return error_set(...)" reads well.
 * 'object' and 'field' may be null. */
int error_set(struct error *e, int code, const char *object, const char *field, const char *fmt,
              ...) __attribute__((format(printf, 5, 6)));

/* Same, with the arguments of printf in 'ap'. */
int error_setv(struct error *e, int code, const char *object, const char *field, const char *fmt,
               va_list ap);

/* Adds a hint to an error that is already set. */
void error_hint(struct error *e, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* Process exit status for a return code of this convention (0 and above give 0). */
int error_exit_status(int code);

/* Stable word for the code in JSON output: "invalid", "not-found", "conflict", "unreachable",
 * "denied", "failed". */
const char *error_word(int code);

/* "OBJECT: field FIELD: MESSAGE (HINT)" into 'buf', leaving out what is empty.  Returns buf. */
char *error_format(const struct error *e, char *buf, unsigned size);

#endif
