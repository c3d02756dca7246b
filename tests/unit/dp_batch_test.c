/* Many flows and many packets in one call: the same as one by one. */
#include "dp_rig.h"

#define MANY 150 /* more than any datapath does at once */

struct many {
    struct frame frame[MANY];
    struct dp_flow flow[MANY];
    struct flow_out out[MANY];
    struct dp_exec exec[MANY];
    int rc[MANY];
};

/* Connection i: IPv4 or IPv6, from port 1 to port 2, some of them rewritten. */
static struct frame frame_number(unsigned i)
{
    uint16_t port = (uint16_t)(1000 + i);
    struct flow_key k = i % 3 ? key_of(WIRE_PROTO_UDP, "10.0.1.1", "10.0.2.1", port, 99)
                              : key_of(WIRE_PROTO_TCP, "fd00::1", "fd00::2", port, 99);

    return frame_of(&k);
}

static struct flow_out out_number(const struct rig *r, unsigned i)
{
    struct flow_out out = rig_out(r, 2);

    if (i % 2)
        out.set = FLOW_SET_ETH_SRC | FLOW_SET_ETH_DST | FLOW_DEC_TTL;
    if (i % 5 == 0)
        out.set |= FLOW_SET_IP_SRC | FLOW_SET_TP_DST;
    if (i % 7 == 0)
        out.set |= FLOW_PUSH_VLAN;
    out.eth_src = MAC("ac:ca:ba:00:00:01");
    out.eth_dst = MAC("ac:ca:ba:00:00:02");
    out.ttl_dec = 2;
    out.ip_src = i % 3 ? IP("10.9.9.9") : IP("fd00:9::9");
    out.tp_dst = (uint16_t)(5000 + i);
    out.vlan_tci = FLOW_VLAN_PRESENT | 7;
    return out;
}

static struct many *many_new(struct rig *r)
{
    struct many *m = NEW(struct many);

    for (unsigned i = 0; i < MANY; i++) {
        m->frame[i] = frame_number(i);
        m->out[i] = out_number(r, i);
        m->flow[i] = (struct dp_flow){.key = rig_key(r, 1, &m->frame[i]),
                                      .mask = mask_all(),
                                      .cookie = i,
                                      .outs = &m->out[i],
                                      .n_outs = 1};
        m->exec[i] = (struct dp_exec){.packet = m->frame[i].b,
                                      .size = (uint32_t)m->frame[i].size,
                                      .in_port = r->port[1],
                                      .outs = &m->out[i],
                                      .n_outs = 1};
        m->rc[i] = 1;
    }
    return m;
}

static void expect_rewritten(struct rig *r, const struct many *m, unsigned i)
{
    struct frame want = m->frame[i];
    uint8_t *p = packet_rewrite(want.b, &want.size, &m->out[i]);

    rig_expect_bytes(r, 2, p, want.size);
}

static int count_flow(const struct dp_flow *f, const struct dp_flow_stats *s, void *aux)
{
    unsigned *seen = aux;

    (void)s;
    assert_true(f->cookie < MANY);
    seen[f->cookie]++;
    return 0;
}

static void test_flows(void **state)
{
    struct rig *r = rig_open(*state, 2);
    struct many *m = many_new(r);
    struct dp_flow_stats stats[MANY];
    unsigned seen[MANY] = {0};

    assert_int_equal(dp_flow_put(r->dp, 0, m->flow, MANY, m->rc), 0);
    dp_flow_each(r->dp, count_flow, seen);
    for (unsigned i = 0; i < MANY; i++) {
        assert_int_equal(m->rc[i], 0);
        assert_int_equal(seen[i], 1);
        rig_send(r, 1, &m->frame[i]);
        expect_rewritten(r, m, i);
    }
    for (unsigned i = 0; i < MANY; i += 10) /* some are already gone */
        assert_int_equal(dp_flow_del(r->dp, 0, &m->flow[i], 1, NULL), 0);
    assert_int_equal(dp_flow_del(r->dp, 0, m->flow, MANY, stats), MANY / 10);
    for (unsigned i = 0; i < MANY; i++) {
        assert_int_equal(stats[i].packets, i % 10 != 0);
        assert_int_equal(stats[i].bytes, i % 10 ? m->frame[i].size : 0);
    }
    memset(seen, 0, sizeof seen);
    dp_flow_each(r->dp, count_flow, seen);
    for (unsigned i = 0; i < MANY; i++)
        assert_int_equal(seen[i], 0);
    free(m);
    rig_close(r);
}

/* What is there already is replaced, also by a later one of the same call; what can't be matched or
 * done is refused without harm to its neighbours. */
static void test_mixed(void **state)
{
    struct rig *r = rig_open(*state, 3);
    struct many *m = many_new(r);
    struct flow_out other = rig_out(r, 3);

    assert_int_equal(dp_flow_put(r->dp, 0, m->flow, MANY / 2, NULL), 0);
    m->flow[3].outs = &other;
    m->flow[20].n_outs = 0;
    m->flow[90] = m->flow[89];
    m->flow[90].outs = &other;
    m->flow[100].mask.tun_id = ~0u;
    m->flow[100].key.tun_id = 5;
    bool kernel = rig_kernel(r);

    assert_int_equal(dp_flow_put(r->dp, 0, m->flow, MANY, m->rc), kernel);
    for (unsigned i = 0; i < MANY; i++)
        assert_int_equal(m->rc[i], kernel && i == 100 ? -ENOTSUP : 0);
    rig_send(r, 1, &m->frame[3]);
    rig_expect(r, 3, &m->frame[3]);
    rig_send(r, 1, &m->frame[20]);
    rig_send(r, 1, &m->frame[89]);
    rig_expect(r, 3, &m->frame[89]);
    rig_send(r, 1, &m->frame[91]);
    expect_rewritten(r, m, 91); /* so frame 20 was dropped */
    rig_send(r, 1, &m->frame[90]);
    rig_expect_upcall(r, 1, &m->frame[90], DP_MISS);
    free(m);
    rig_close(r);
}

static void test_full(void **state)
{
    struct rig *r = rig_open_with(*state, "a", 3, &(struct dp_options){.max_flows = 100});
    struct many *m = many_new(r);
    struct flow_out other = rig_out(r, 3);

    assert_int_equal(dp_flow_put(r->dp, 0, m->flow, MANY, m->rc), MANY - 100);
    assert_int_equal(rig_counter(r, "table_full"), MANY - 100);
    for (unsigned i = 0; i < MANY; i++)
        assert_int_equal(m->rc[i], i < 100 ? 0 : -ENOSPC);
    m->flow[50].outs = &other; /* changes still pass */
    assert_int_equal(dp_flow_put(r->dp, 0, m->flow + 40, 40, m->rc), 0);
    rig_send(r, 1, &m->frame[50]);
    rig_expect(r, 3, &m->frame[50]);
    assert_int_equal(dp_flow_del(r->dp, 0, m->flow, MANY, NULL), MANY - 100);
    assert_int_equal(dp_flow_put(r->dp, 0, m->flow + 20, 100, NULL), 0);
    free(m);
    rig_close(r);
}

/* Small and large, rewritten and not, of all kinds: each arrives once, in order. */
static void test_packets(void **state)
{
    struct rig *r = rig_open(*state, 2);
    struct many *m = many_new(r);
    struct mac mac = MAC("02:00:00:00:00:01"), none = {0};
    struct ip from = IP("10.0.0.1"), to = IP("10.0.0.2");
    uint8_t arp[64];
    size_t arp_size = packet_arp(arp, sizeof arp, 1, &mac, &mac_broadcast, &mac, &from, &none, &to);

    for (unsigned i = 0; i < MANY; i++) {
        struct frame *f = &m->frame[i];

        if (i % 13 == 0) {
            memcpy(f->b, arp, arp_size);
            f->size = arp_size;
        } else if (i % 17 == 0) { /* the smallest: nothing but a header and a little */
            put16(f->b + 12, 0x88b6);
            f->size = 14 + i % 5;
        } else if (i % 11 == 0) { /* around the bounds; what is behind the IP packet is kept */
            f->size = i % 2 ? 250 + i % 12 : 1400 + i % 100;
        }
        if (i % 13 == 0 || i % 17 == 0) /* not IP */
            m->out[i].set &= FLOW_SET_ETH_SRC | FLOW_SET_ETH_DST | FLOW_PUSH_VLAN;
        m->exec[i].size = (uint32_t)f->size;
    }
    assert_int_equal(dp_execute(r->dp, 0, m->exec, MANY), 0);
    for (unsigned i = 0; i < MANY; i++)
        expect_rewritten(r, m, i);
    rig_expect_nothing(r, 2);
    free(m);
    rig_close(r);
}

/* A packet whose port is gone, or whose TTL is over, doesn't hold up the others. */
static void test_packets_lost(void **state)
{
    struct rig *r = rig_open(*state, 3);
    struct many *m = many_new(r);
    struct error e = {0};
    struct flow_out gone = rig_out(r, 3);
    bool counted = rig_counts(r, "no_port") && rig_kernel(r);
    uint64_t before = counted ? rig_counter(r, "no_port") : 0;

    assert_int_equal(dp_port_del(r->dp, r->port[3], &e), 0);
    m->exec[1].outs = &gone;
    m->frame[5].b[22] = 2; /* TTL, two hops off */
    dp_execute(r->dp, 0, m->exec, 10);
    for (unsigned i = 0; i < 10; i++)
        if (i != 1 && i != 5)
            expect_rewritten(r, m, i);
    rig_expect_nothing(r, 2);
    if (counted)
        assert_int_equal(rig_counter(r, "no_port"), before + 1);
    free(m);
    rig_close(r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_flows),        cmocka_unit_test(test_mixed),
        cmocka_unit_test(test_full),         cmocka_unit_test(test_packets),
        cmocka_unit_test(test_packets_lost),
    };

    return rig_main("batches", tests, ARRAY_SIZE(tests));
}
