/* Any bytes: the parser stays inside them, a rewrite keeps right checksums right and changes what
 * it was told, messages built from a packet parse again. */
#include <stdlib.h>

#include "base/mem.h"
#include "packet/packet.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define CHECK(x)                                                                                   \
    do {                                                                                           \
        if (!(x))                                                                                  \
            abort();                                                                               \
    } while (0)

static void check_layers(const struct flow_key *key, const struct packet_layers *l, size_t size)
{
    CHECK(l->l3 <= size && l->l4 <= size && l->l4_end <= size && l->l4 <= l->l4_end);
    CHECK(!l->l4 || l->l3 < l->l4);
    CHECK(*packet_bad_name(key->malformed));
    if (key->eth_type == ETH_TYPE_IP6)
        CHECK(!ip_is4(&key->ip_src) && !ip_is4(&key->ip_dst));
}

static void try_rewrite(const uint8_t *data, size_t size, uint16_t set)
{
    struct flow_out out = {
        .set = set & 0x3ff, .ttl_dec = 1, .vlan_tci = 5, .ip_tos = 8, .tp_src = 700, .tp_dst = 3};
    uint8_t *copy = mem_alloc(size + 8), *p = copy + 8;
    struct flow_key before, after;
    struct packet_layers l;

    ip_parse(set & 0x8000 ? "fd00::5" : "10.9.8.7", &out.ip_src);
    ip_parse(set & 0x8000 ? "fd00::6" : "10.9.8.6", &out.ip_dst);
    memcpy(p, data, size);
    packet_finish_checksums(p, size);
    bool right = packet_checksums_right(p, size);
    packet_parse(p, size, &before, &l);
    p = packet_rewrite(p, &size, &out);
    packet_parse(p, size, &after, &l);
    check_layers(&after, &l, size);
    /* Of one tag or none the parser sees all; a neighbour message may stop being one. */
    if (right && before.n_vlans + !!(set & FLOW_PUSH_VLAN) <= 1 && !after.malformed)
        CHECK(packet_checksums_right(p, size));
    free(copy);
}

static void try_quote(const uint8_t *data, size_t size)
{
    struct packet_quote q;
    uint8_t *p = mem_alloc(size);

    memcpy(p, data, size);
    packet_finish_checksums(p, size);
    bool right = packet_checksums_right(p, size);
    if (packet_quote(p, size, &q)) {
        struct flow_key to = q.key;
        CHECK(q.l.l3 < q.l.l4 && q.l.l4 < q.l.l4_end && q.l.l4_end <= size);
        ip_parse(ip_is4(&to.ip_src) ? "10.9.8.7" : "fd00::7", &to.ip_src);
        to.tp_src = 9;
        to.icmp_id = 9;
        packet_quote_rewrite(p, &q, &to);
        CHECK(!right || packet_checksums_right(p, size));
    }
    free(p);
}

static void try_version(const uint8_t *data, size_t size, const struct flow_key *key)
{
    struct packet_ends ends[2];
    uint8_t *p = mem_alloc(size), buf[2048];
    bool to4 = key->eth_type == ETH_TYPE_IP6;

    for (unsigned i = 0; i < 2; i++) {
        ip_parse(to4 ? "10.9.8.7" : "fd00::7", &ends[i].src);
        ip_parse(to4 ? "10.9.8.6" : "fd00::6", &ends[i].dst);
    }
    memcpy(p, data, size);
    packet_finish_checksums(p, size);
    size_t n = packet_change_version(buf, sizeof buf, p, size, &ends[0], &ends[1]);
    CHECK(!n || packet_checksums_right(buf, n));
    free(p);
}

static void try_builders(const uint8_t *data, size_t size, const struct flow_key *key)
{
    struct mac m = {{2, 0, 0, 0, 0, 9}}, sha, tha;
    struct ip router;
    struct packet_nd nd;
    struct flow_key got;
    struct packet_layers l;
    uint8_t buf[1400];
    size_t n;

    packet_arp_macs(data, size, &sha, &tha);
    packet_nd_parse(data, size, &nd);
    ip_parse(key->eth_type == ETH_TYPE_IP6 ? "fd00::5" : "10.9.8.7", &router);
    n = packet_icmp_error(buf, sizeof buf, &m, &router, &m, 3, 1, 0, data, size);
    if (n) {
        packet_parse(buf, n, &got, &l);
        CHECK(!got.malformed && packet_checksums_right(buf, n));
    }
    n = packet_echo_reply(buf, sizeof buf, data, size);
    if (n && ip_equal(&key->ip_dst, &router))
        CHECK(packet_checksums_right(buf, n));
    packet_from_key(buf, sizeof buf, key, data, size);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct flow_key key = {0};
    struct packet_layers l;
    char text[300];

    if (size < 2)
        return 0;
    uint16_t set = (uint16_t)(data[0] << 8 | data[1]);
    data += 2;
    size -= 2;
    packet_parse(data, size, &key, &l);
    check_layers(&key, &l, size);
    flow_key_format(&key, &(struct flow_key){.eth_type = 0xffff, .malformed = 1}, text,
                    sizeof text);
    flow_symmetric_hash(&key);
    packet_parse_behind(data, size, set & 7, &key, &l);
    check_layers(&key, &l, size);
    packet_parse(data, size, &key, &l);
    try_builders(data, size, &key);
    try_quote(data, size);
    try_version(data, size, &key);
    try_rewrite(data, size, set);
    return 0;
}
