/* Packets in words, as operators describe them to "mn-cli trace" and scenarios to the runner.
 *
 *   tcp 10.0.0.1:1234 > 10.0.1.2:80 flags S        udp [fd00::1]:53 > [fd00::2]:5353
 *   icmp echo 10.0.0.1 > 10.0.1.2 ttl 1 id 7       icmp reply fd00::1 > fd00::2
 *   icmp unreachable code 1 10.0.0.254 > 10.0.0.1  icmp time-exceeded ... | too-big ... | type N
 *   arp who-has 10.0.0.9 tell 10.0.0.1             arp 10.0.0.9 is-at MAC tell 10.0.0.1
 *   nd who-has fd00::9 tell fd00::1                nd fd00::9 is-at MAC tell fd00::1
 *   ip 47 10.0.0.1 > 10.0.0.2                      eth 0x88cc
 *   dhcp discover                                  dhcp ack yiaddr 10.0.0.5 option mtu 1450
 *   dhcp6 request ia 1 address fd00::5             rs fe80::1          ra slaac fd00::/64 mtu 1450
 *
 * followed, in any order, by  from MAC, to MAC, vlan VID, pcp N (after vlan), inner-vlan VID,
 * ttl N, tos N, src/dst ADDRESS[:PORT], frag none|first|later, flags LETTERS (FSRPAU),
 * id N (ICMP), code N, size BYTES (payload).  The ">" may be left out.  An ICMP error ends with
 * about PACKET : what it quotes
 *   icmp unreachable code 3 10.0.0.9 > 10.0.0.1 about udp 10.0.0.1:5 > 10.0.0.9:53
 * dhcp, dhcp6, rs and ra have words of their own (text_app.h); addresses follow from their kind.
 * IPv4 and IPv6 are told apart by the addresses; "icmp" means ICMPv6 with IPv6 ones.
 *
 * The same description builds a packet (what it doesn't say gets plain values) and matches one
 * (only what it says is compared).  Thread: pure. */
#ifndef MN_PACKET_TEXT_H
#define MN_PACKET_TEXT_H

#include <stddef.h>

#include "base/error.h"
#include "packet/flow.h"

/* What is said of a message inside UDP or ICMPv6; internal to text_*.c. */
struct packet_app {
    uint8_t kind, type;
    uint8_t n_items;
    uint16_t n_bytes;
    struct packet_item {
        uint8_t what;
        uint8_t len;
        uint16_t at, size; /* in 'bytes' */
        uint32_t number;
        struct ip ip;
    } items[32];
    uint8_t bytes[768];
};

struct packet_spec {
    struct flow_key key;
    struct flow_key given; /* bits of 'key' that the words fix */
    struct mac sha, tha;   /* ARP; ND: sha is the link-layer address option */
    bool sha_given, tha_given;
    struct ip nd_target; /* ND */
    uint16_t inner_vlan; /* with FLOW_VLAN_PRESENT, or 0 */
    uint16_t payload;    /* bytes behind the L4 header */
    bool payload_given;
    bool quotes; /* an ICMP error: */
    struct flow_key quoted, quoted_given;
    struct packet_app app;
};

/* Parses n words.  Errors name the word. */
int packet_spec_parse(const char *const *words, size_t n, struct packet_spec *out, struct error *e);

/* Modifiers only ("ttl 63 from 02:..."), on top of what *spec says already. */
int packet_spec_modify(const char *const *words, size_t n, struct packet_spec *spec,
                       struct error *e);

/* Everything that can be matched of a frame. */
void packet_spec_of(const uint8_t *packet, size_t size, struct packet_spec *out);

/* The whole frame, checksums made, at most 'size' bytes; 0 when it doesn't fit. */
size_t packet_spec_build(const struct packet_spec *spec, uint8_t *buf, size_t size);

/* Does the frame fit the words?  If not, 'why' says the first field that differs. */
bool packet_spec_match(const struct packet_spec *spec, const uint8_t *packet, size_t size,
                       char *why, size_t why_size);

/* One line for people: "udp 10.0.0.1:5 > 10.0.0.2:7 from 02:.. to 02:.. ttl 64".  Returns buf. */
char *packet_describe(const uint8_t *packet, size_t size, char *buf, size_t buf_size);

#endif
