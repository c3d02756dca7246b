/* Addresses from text, in code that knows they are right. */
#ifndef MN_TESTS_VALUES_H
#define MN_TESTS_VALUES_H

#include <stdlib.h>

#include "base/types.h"

static inline struct ip IP(const char *s) {
    struct ip ip;

    if (ip_parse(s, &ip))
        abort();
    return ip;
}

static inline struct mac
MAC(const char *s) {
    struct mac m;

    if (mac_parse(s, &m))
        abort();
    return m;
}

static inline struct cidr
CIDR(const char *s) {
    struct cidr c;

    if (cidr_parse(s, &c))
        abort();
    return c;
}

#endif
