/* What the files of packet/text.h share; not for others. */
#ifndef MN_PACKET_TEXT_WORDS_H
#define MN_PACKET_TEXT_WORDS_H

#include <stdint.h>

#include "packet/text.h"

/* Words being parsed. */
struct words {
    const char *const *w;
    size_t n, at;
    struct packet_spec *spec;
    struct error *e;
};

#define GIVE(w, field, value)                                                                      \
    do {                                                                                           \
        (w)->spec->key.field = (value);                                                            \
        memset(&(w)->spec->given.field, 0xff, sizeof(w)->spec->given.field);                       \
    } while (0)

/* text.c */
const char *words_peek(const struct words *w); /* null: no more */
bool words_take(struct words *w, const char *word);
int words_fail(struct words *w, const char *expected);
int words_number(struct words *w, unsigned long max, const char *expected, unsigned long *out);
int words_mac(struct words *w, struct mac *m);
int words_ip(struct words *w, struct ip *ip);

/* text_app*.c: DHCP, DHCPv6, router discovery.  The first: a packet of such a kind begins here. */
bool words_app_kind(struct words *w, int *rc);
int words_app(struct words *w, bool *taken);
size_t packet_app_build(const struct packet_spec *s, uint8_t *buf, size_t size);
bool packet_app_match(const struct packet_spec *s, const uint8_t *p, size_t size, char *why,
                      size_t why_size);
/* False when the frame is none of these. */
bool packet_app_describe(const uint8_t *p, size_t size, char *buf, size_t n);

#define PACKET_ICMP_WORDS 6

extern const struct packet_icmp_word {
    const char *word;
    uint8_t type4, type6;
} packet_icmp_words[PACKET_ICMP_WORDS];

#endif
