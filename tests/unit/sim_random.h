/* Random chains and packets out of few values, so that they meet; and what must hold of them:
 *
 *   - a chain with an index gives the verdict that its rules tried in turn give;
 *   - a packet that agrees with another under the result's mask gets the same treatment.
 *
 * The dice are bytes while there are some (the fuzzer's), then a generator. */
#ifndef MN_TESTS_SIM_RANDOM_H
#define MN_TESTS_SIM_RANDOM_H

#include "sim_world.h"
#include "topology/rule_index.h"

struct dice {
    const uint8_t *bytes;
    size_t n;
    unsigned seed;
};

static inline unsigned roll(struct dice *d, unsigned sides)
{
    if (d->n) {
        d->n--;
        return *d->bytes++ % sides;
    }
    return (unsigned)rand_r(&d->seed) / 7 % sides;
}

#define PICK(d, list) (list)[roll(d, ARRAY_SIZE(list))]

static const char *const random_nets[] = {
    "10.0.0.0/8",  "10.0.0.0/24",  "10.0.1.0/24", "10.0.1.128/25", "10.0.1.2/32",
    "10.0.0.1/32", "0.0.0.0/0",    "fd00::/8",    "fd00::1/128",   "fd00::/64",
    "::/0",        "10.128.0.0/9", "10.0.0.0/31", "10.0.1.2/31",   "fd00::1:0/112"};
static const char *const random_ips[] = {"10.0.0.1",   "10.0.1.2",  "10.0.1.3", "10.0.1.129",
                                         "10.128.0.1", "192.0.2.1", "10.0.0.0"};
static const char *const random_ip6s[] = {"fd00::1", "fd00::1:1", "fd80::1", "2001:db8::1"};
static const uint16_t random_ports[] = {0, 1, 3, 8, 22, 80, 443, 1023, 1024, 5000, 65535, 128};
static const uint8_t random_protos[] = {6, 17, 1, 58, 132, 47};
static const uint16_t random_types[] = {ETH_TYPE_IP, ETH_TYPE_IP6, ETH_TYPE_ARP, 0x1234};

/* Text of one random field. */
static inline void random_field(struct dice *d, char *out, size_t size)
{
    static const char *const flat[] = {"in-ports a",
                                       "in-ports b",
                                       "out-ports b",
                                       "port-group pg",
                                       "in-port-group pg",
                                       "out-port-group pg",
                                       "traversed-device a",
                                       "match-nw-dst-rewritten",
                                       "no-vlan",
                                       "vlan 5",
                                       "fragment-policy header",
                                       "tos 8",
                                       "fragment-policy nonheader",
                                       "fragment-policy unfragmented",
                                       "ip-address-group-src g1",
                                       "ip-address-group-dst g2",
                                       "ip-address-group-src g2",
                                       "hw-src 02:00:00:00:00:0a",
                                       "hw-dst 02:00:00:00:00:0b",
                                       "tcp-flags 0x02/0x12",
                                       "tcp-flags 0x10/0x10",
                                       "icmp-id 7",
                                       "fwd-flow",
                                       "return-flow",
                                       "hw-src 02:00:00:00:00:00/ff:ff:00:00:00:00",
                                       "icmp-data-src 10.0.0.0/8"};
    unsigned a = PICK(d, random_ports), b = PICK(d, random_ports);

    switch (roll(d, 10)) {
    case 0:
        snprintf(out, size, "ethertype %u", PICK(d, random_types));
        return;
    case 1:
    case 2:
        snprintf(out, size, "proto %u", PICK(d, random_protos));
        return;
    case 3:
        snprintf(out, size, "src %s", PICK(d, random_nets));
        return;
    case 4:
        snprintf(out, size, "dst %s", PICK(d, random_nets));
        return;
    case 5:
        snprintf(out, size, "src-port %u-%u", MIN(a, b), MAX(a, b));
        return;
    case 6:
        snprintf(out, size, "dst-port %u-%u", MIN(a, b), MAX(a, b));
        return;
    case 7:
        snprintf(out, size, "%s-port %u", roll(d, 2) ? "src" : "dst", a);
        return;
    default:
        snprintf(out, size, "%s", PICK(d, flat));
    }
}

static inline void random_rule(struct dice *d, struct chn *c)
{
    static const char *const verbs[] = {"accept",
                                        "drop",
                                        "reject",
                                        "return",
                                        "log",
                                        "drop",
                                        "continue",
                                        "jump jump-to d",
                                        "trace",
                                        "dnat stateless action continue target 10.0.0.1",
                                        "l2_transform push-vlan 9 action continue"};
    char text[300], field[80];
    bool had[COND_N_FIELDS] = {false};
    size_t n = (size_t)snprintf(text, sizeof text, "%s", PICK(d, verbs));

    if (!roll(d, 12))
        n += (size_t)snprintf(text + n, sizeof text - n, " inverted");
    for (unsigned i = roll(d, 4); i; i--) {
        random_field(d, field, sizeof field);
        char *end = strchr(field, ' ');
        if (end)
            *end = '\0';
        enum cond_field f = cond_field_of(field);
        if (end)
            *end = ' ';
        if (had[f])
            continue;
        had[f] = true;
        n += (size_t)snprintf(text + n, sizeof text - n, " %s%s", roll(d, 8) ? "" : "!", field);
    }
    rule(c, "%s", text);
}

/* a, b on br; chains c (at a's way in) and d, to be filled. */
struct random_world {
    struct world w;
    struct prt *a;
    struct chn *c, *d;
};

static inline void random_world_init(struct random_world *rw)
{
    struct world *w = &rw->w;
    struct dev *br;
    struct topo_ip_set *g;

    world_init(w);
    br = bridge(w, "br");
    rw->a = vm(br, "a");
    struct prt *b = vm(br, "b");
    rw->c = chain(w, "c");
    rw->d = chain(w, "d");
    rw->a->infilter = rw->c->ref;
    b->outfilter = rw->d->ref;
    b->groups[b->n_groups++] = named(w->topo, TOPO_PORT_GROUP, "pg");
    mac_behind(rw->a, 0, "02:00:00:00:00:0a");
    mac_behind(b, 0, "02:00:00:00:00:0b");
    g = ip_group(w->topo, "g1");
    member(g, "10.0.0.1");
    member(g, "fd00::1");
    g = ip_group(w->topo, "g2");
    member(g, "10.0.1.3");
}

static inline void random_chains(struct dice *d, struct random_world *rw, unsigned n)
{
    chain_clear(rw->c);
    chain_clear(rw->d);
    for (unsigned i = 0; i < n; i++)
        random_rule(d, rw->c);
    for (unsigned i = 0; i < n / 2; i++)
        random_rule(d, rw->d);
    publish(&rw->w);
}

static inline struct flow_key random_packet(struct dice *d)
{
    struct flow_key k = {.in_port = 1, .ip_ttl = 64, .eth_dst = MAC("02:00:00:00:00:0b")};
    uint16_t type = k.eth_type = PICK(d, random_types);

    k.eth_src = roll(d, 4) ? MAC("02:00:00:00:00:0a") : MAC("02:01:00:00:00:0c");
    if (!roll(d, 8)) {
        k.vlan_tci = FLOW_VLAN_PRESENT | (uint16_t)(4 + roll(d, 2));
        k.n_vlans = 1;
    }
    if (type == 0x1234)
        return k;
    bool ip6 = type == ETH_TYPE_IP6;
    k.ip_src = IP(ip6 ? PICK(d, random_ip6s) : PICK(d, random_ips));
    k.ip_dst = IP(ip6 ? PICK(d, random_ip6s) : PICK(d, random_ips));
    if (type == ETH_TYPE_ARP) {
        k.ip_proto = (uint8_t)(1 + roll(d, 2));
        return k;
    }
    k.ip_proto = PICK(d, random_protos);
    k.ip_tos = roll(d, 3) ? 0 : 8;
    k.ip_frag = roll(d, 5) ? FLOW_FRAG_NONE : (uint8_t)(1 + roll(d, 2));
    if (k.ip_frag == FLOW_FRAG_LATER || k.ip_proto == 47 || k.ip_proto == (ip6 ? 1 : 58))
        return k;
    k.tp_src = PICK(d, random_ports);
    k.tp_dst = PICK(d, random_ports);
    if (k.ip_proto == 1 || k.ip_proto == 58) {
        k.tp_src &= 0xff;
        k.tp_dst &= 0xff;
        k.icmp_id = packet_is_echo(&k) ? (uint16_t)(6 + roll(d, 2)) : 0;
    }
    if (k.ip_proto == 6)
        k.tcp_flags = (uint16_t)(roll(d, 4) << 1 | roll(d, 2) << 4);
    return k;
}

static inline void run_key(struct random_world *rw, const struct flow_key *k, struct arena *arena,
                           struct sim_result *res)
{
    static const uint8_t bytes[64];
    struct sim_input in = {.topo = rw->w.topo,
                           .now_ns = rw->w.now,
                           .port = rw->a->ref,
                           .packet = bytes,
                           .size = sizeof bytes,
                           .key = k};

    sim_run(&in, arena, res);
}

static inline bool same_treatment(const struct sim_result *a, const struct flow_key *ka,
                                  const struct sim_result *b, const struct flow_key *kb)
{
    return a->verdict == b->verdict && a->reason == b->reason &&
           uuid_equal(&a->reason_id, &b->reason_id) && a->n_logs == b->n_logs &&
           a->n_traces == b->n_traces && same_outs(a, ka, b, kb);
}

static inline void merge(struct flow_key *k, const struct flow_key *under,
                         const struct flow_key *mask)
{
    uint8_t *p = (uint8_t *)k;

    for (size_t i = 0; i < sizeof *k; i++)
        p[i] = (uint8_t)((p[i] & ~((const uint8_t *)mask)[i]) |
                         (((const uint8_t *)under)[i] & ((const uint8_t *)mask)[i]));
}

/* The chains without their indexes. */
static inline void drop_indexes(struct random_world *rw)
{
    struct chn *const chns[] = {rw->c, rw->d};

    for (unsigned i = 0; i < 2; i++) {
        struct topo_chain *c = (struct topo_chain *)(uintptr_t)topo_chain(rw->w.topo, chns[i]->ref);
        rule_index_free(c->index);
        c->index = NULL;
    }
}

static inline void tell_two(const struct flow_key *ka, const struct sim_result *a,
                            const struct flow_key *kb, const struct sim_result *b)
{
    const struct flow_key *keys[2] = {ka, kb};
    const struct sim_result *results[2] = {a, b};
    struct flow_key all;
    char text[500];

    memset(&all, 0xff, sizeof all);
    fprintf(stderr, "mask %s\n", flow_key_format(ka, &a->mask, text, sizeof text));
    for (unsigned i = 0; i < 2; i++)
        fprintf(stderr, "%s\n  verdict %d %s %.16s, %u outs, %u logs, %u traces\n",
                flow_key_format(keys[i], &all, text, sizeof text), results[i]->verdict,
                sim_reason_name(results[i]->reason), (const char *)results[i]->reason_id.b,
                results[i]->n_outs, results[i]->n_logs, results[i]->n_traces);
}

/* Null, or what doesn't hold.  'tries' other packets under the mask. */
static inline const char *check_packets(struct dice *d, struct random_world *rw,
                                        struct flow_key *keys, struct sim_result *results,
                                        struct arena *arenas, unsigned n, unsigned tries)
{
    struct sim_result res;
    struct arena arena;
    const char *bad = NULL;

    arena_init(&arena, 1 << 16);
    for (unsigned i = 0; i < n && !bad; i++) {
        keys[i] = random_packet(d);
        arena_reset(&arenas[i]);
        run_key(rw, &keys[i], &arenas[i], &results[i]);
        for (unsigned t = 0; t < tries && !bad && !results[i].no_flow; t++) {
            struct flow_key other = random_packet(d);
            merge(&other, &keys[i], &results[i].mask);
            other.ip_ttl = keys[i].ip_ttl;
            other.n_vlans = other.vlan_tci != 0;
            other.malformed = 0;
            arena_reset(&arena);
            run_key(rw, &other, &arena, &res);
            if (!same_treatment(&results[i], &keys[i], &res, &other))
                bad = "a packet under the mask is treated otherwise",
                tell_two(&keys[i], &results[i], &other, &res);
        }
    }
    drop_indexes(rw);
    for (unsigned i = 0; i < n && !bad; i++) {
        arena_reset(&arena);
        run_key(rw, &keys[i], &arena, &res);
        if (!same_treatment(&results[i], &keys[i], &res, &keys[i]))
            bad = "index and rules in turn disagree",
            tell_two(&keys[i], &results[i], &keys[i], &res);
    }
    arena_free(&arena);
    return bad;
}

#endif
