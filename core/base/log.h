/* Logging: one line a record on stderr, "LEVEL subsystem: message key=value ...".
 *
 * When stderr is journald's, the level goes out as the "<N>" prefix of sd-daemon(3).  The level is
 * set once at start (log_set_level, from --log-level or MN_LOG); messages below it cost a compare.
 * log_limited() is for what a packet or a peer can provoke: at most one line a second per call
 * site, with the number it swallowed.  Any thread. */
#ifndef MN_BASE_LOG_H
#define MN_BASE_LOG_H

#include <stdbool.h>
#include <stdint.h>

enum log_level { LOG_LVL_ERROR, LOG_LVL_WARN, LOG_LVL_INFO, LOG_LVL_DEBUG };

extern enum log_level log_level;

int log_set_level(const char *name); /* "error", "warn", "info", "debug"; -EINVAL */
void log_line(enum log_level level, const char *subsystem, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

struct log_limit {
    uint64_t next_ns; /* CLOCK_MONOTONIC before which nothing is printed */
    uint32_t swallowed;
};
bool log_allowed(struct log_limit *l, uint32_t *swallowed);

#define log_error(sub, ...) log_line(LOG_LVL_ERROR, sub, __VA_ARGS__)
#define log_warn(sub, ...)  log_line(LOG_LVL_WARN, sub, __VA_ARGS__)
#define log_info(sub, ...)  log_line(LOG_LVL_INFO, sub, __VA_ARGS__)
#define log_debug(sub, ...)                                                                       \
    do {                                                                                           \
        if (log_level >= LOG_LVL_DEBUG)                                                            \
            log_line(LOG_LVL_DEBUG, sub, __VA_ARGS__);                                             \
    } while (0)
#define log_limited(level, sub, fmt, ...)                                                          \
    do {                                                                                           \
        static struct log_limit limit_;                                                            \
        uint32_t swallowed_;                                                                       \
        if (log_level >= (level) && log_allowed(&limit_, &swallowed_))                             \
            log_line(level, sub, fmt " swallowed=%u", ##__VA_ARGS__, swallowed_);                \
    } while (0)

#endif
