#include "packet/text.h"

#include <netinet/in.h>
#include <stdio.h>

#include "packet/packet.h"
#include "packet/text_words.h"

static const char *icmp_word_of(const struct flow_key *k)
{
    bool v4 = k->ip_proto == IPPROTO_ICMP;

    if (v4 && k->tp_src == 3 && k->tp_dst == 4)
        return "too-big";
    for (size_t i = 0; i < PACKET_ICMP_WORDS; i++)
        if (k->tp_src == (v4 ? packet_icmp_words[i].type4 : packet_icmp_words[i].type6))
            return packet_icmp_words[i].word;
    return NULL;
}

static void describe_neighbour(const struct flow_key *k, const uint8_t *p, size_t size, char *buf,
                               size_t n)
{
    char asked[IP_STRLEN], other[IP_STRLEN], mac[MAC_STRLEN];
    struct mac sha = {{0}}, tha;
    struct packet_nd nd = {0};
    bool arp = k->eth_type == ETH_TYPE_ARP;
    bool reply = arp ? k->ip_proto == 2 : k->tp_src == 136;

    if (arp)
        packet_arp_macs(p, size, &sha, &tha);
    else if (!packet_nd_parse(p, size, &nd))
        sha = nd.lladdr;
    const struct ip *about = !arp ? &nd.target : reply ? &k->ip_src : &k->ip_dst;
    const struct ip *to = reply ? &k->ip_dst : &k->ip_src;
    ip_format(about, asked);
    ip_format(to, other);
    if (reply)
        snprintf(buf, n, "%s %s is-at %s tell %s", arp ? "arp" : "nd", asked, mac_format(&sha, mac),
                 other);
    else
        snprintf(buf, n, "%s who-has %s tell %s", arp ? "arp" : "nd", asked, other);
}

static void describe_ip(const struct flow_key *k, char *buf, size_t n)
{
    char src[IP_STRLEN], dst[IP_STRLEN];
    const char *open = ip_is4(&k->ip_src) ? "" : "[", *close = ip_is4(&k->ip_src) ? "" : "]";

    ip_format(&k->ip_src, src);
    ip_format(&k->ip_dst, dst);
    if (k->ip_proto == IPPROTO_ICMP || k->ip_proto == IPPROTO_ICMPV6) {
        const char *word = icmp_word_of(k);
        if (word)
            snprintf(buf, n, "icmp %s code %u %s > %s", word, k->tp_dst, src, dst);
        else
            snprintf(buf, n, "icmp type %u code %u %s > %s", k->tp_src, k->tp_dst, src, dst);
    } else if (k->ip_proto == IPPROTO_TCP || k->ip_proto == IPPROTO_UDP) {
        snprintf(buf, n, "%s %s%s%s:%u > %s%s%s:%u", k->ip_proto == IPPROTO_TCP ? "tcp" : "udp",
                 open, src, close, k->tp_src, open, dst, close, k->tp_dst);
    } else {
        snprintf(buf, n, "ip %u %s > %s", k->ip_proto, src, dst);
    }
}

static void describe_quoted(const uint8_t *packet, size_t size, char *buf, size_t n)
{
    struct packet_quote q;
    char what[256];

    if (!packet_quote(packet, size, &q))
        return;
    describe_ip(&q.key, what, sizeof what);
    snprintf(buf, n, " about %s", what);
}

char *packet_describe(const uint8_t *packet, size_t size, char *buf, size_t buf_size)
{
    struct flow_key k;
    struct packet_layers l;
    char what[1024], from[MAC_STRLEN], to[MAC_STRLEN], vlan[32] = "", ttl[16] = "", frag[16] = "";
    char about[264] = "";

    packet_parse(packet, size, &k, &l);
    bool ip = k.eth_type == ETH_TYPE_IP || k.eth_type == ETH_TYPE_IP6;
    bool nd = k.ip_proto == IPPROTO_ICMPV6 && (k.tp_src == 135 || k.tp_src == 136);
    if (k.malformed)
        snprintf(what, sizeof what, "malformed (%s)", packet_bad_name(k.malformed));
    else if (k.eth_type == ETH_TYPE_ARP || (ip && nd))
        describe_neighbour(&k, packet, size, what, sizeof what);
    else if (ip && packet_app_describe(packet, size, what, sizeof what))
        ;
    else if (ip)
        describe_ip(&k, what, sizeof what);
    else
        snprintf(what, sizeof what, "eth 0x%04x", k.eth_type);
    if (k.vlan_tci)
        snprintf(vlan, sizeof vlan, k.vlan_tci >> 13 ? " vlan %u pcp %u" : " vlan %u",
                 k.vlan_tci & FLOW_VLAN_VID, k.vlan_tci >> 13);
    if (ip)
        snprintf(ttl, sizeof ttl, " ttl %u", k.ip_ttl);
    if (k.ip_frag)
        snprintf(frag, sizeof frag, " frag %s", k.ip_frag == FLOW_FRAG_FIRST ? "first" : "later");
    describe_quoted(packet, size, about, sizeof about);
    snprintf(buf, buf_size, "%s from %s to %s%s%s%s%s", what, mac_format(&k.eth_src, from),
             mac_format(&k.eth_dst, to), vlan, ttl, frag, about);
    return buf;
}
