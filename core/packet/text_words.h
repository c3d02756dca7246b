/* What the files of packet/text.h share; not for others. */
#ifndef MN_PACKET_TEXT_WORDS_H
#define MN_PACKET_TEXT_WORDS_H

#include <stdint.h>

#define PACKET_ICMP_WORDS 6

extern const struct packet_icmp_word {
    const char *word;
    uint8_t type4, type6;
} packet_icmp_words[PACKET_ICMP_WORDS];

#endif
