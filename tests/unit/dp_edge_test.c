/* Corners: IPv6 extension headers, hairpins, more masks than there is room for, several queues. */
#include <pthread.h>

#include "dp_rig.h"

static struct frame with_headers(const struct flow_key *k, const uint8_t *ext, size_t n_ext,
                                 uint8_t first)
{
    struct frame f = frame_of(k);

    memmove(f.b + 54 + n_ext, f.b + 54, f.size - 54);
    memcpy(f.b + 54, ext, n_ext);
    f.b[20] = first;
    f.size += n_ext;
    put16(f.b + 18, (uint16_t)(f.size - 54));
    return f;
}

/* A flow that looks at everything, for the packet behind its extension headers. */
static void check_headers(struct rig *r, const uint8_t *ext, size_t n_ext, uint8_t first,
                          bool ports)
{
    struct flow_key k = key_of(WIRE_PROTO_TCP, "fd00::1", "fd00::2", 1000, 2000);
    struct frame f = with_headers(&k, ext, n_ext, first), want = f;
    struct flow_key key = rig_key(r, 1, &f), mask = mask_all();
    struct flow_out out = rig_out(r, 2);

    assert_int_equal(key.malformed, 0);
    assert_int_equal(key.ip_proto, WIRE_PROTO_TCP);
    assert_int_equal(key.tp_dst, ports ? 2000 : 0);
    out.set = FLOW_SET_IP_SRC | FLOW_SET_TP_DST | FLOW_DEC_TTL | FLOW_SET_ETH_DST;
    out.ip_src = IP("fd00:77::1");
    out.tp_dst = 4444;
    out.ttl_dec = 1;
    out.eth_dst = MAC("ac:ca:ba:00:00:01");
    if (rig_is_ovs(r) && key.ip_frag == FLOW_FRAG_LATER) { /* it can't see the protocol */
        rig_flow_rc(r, &key, &mask, &out, 1, -ENOTSUP);
        return;
    }
    rig_flow(r, &key, &mask, &out, 1);
    uint8_t *p = packet_rewrite(want.b, &want.size, &out);

    rig_send(r, 1, &f);
    if (rig_is_ovs(r) &&
        first == WIRE_PROTO_FRAGMENT) /* one that isn't: takes it for a first one */
        rig_expect_upcall(r, 1, &f, DP_MISS);
    else
        rig_expect_bytes(r, 2, p, want.size);
    rig_flow_del(r, &key, &mask, NULL);
}

static void test_extension_headers(void **state)
{
    struct rig *r = rig_open(*state, 2);
    const uint8_t hop[8] = {WIRE_PROTO_TCP, 0, 1, 4};
    const uint8_t chain[] = {
        WIRE_PROTO_DSTOPTS, 0, 1, 4,  0, 0, 0, 0, /* hop-by-hop */
        WIRE_PROTO_ROUTING, 1, 1, 12, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
        WIRE_PROTO_AH,      0, 4, 0,  0, 0, 0, 0,             /* routing */
        WIRE_PROTO_TCP,     1, 0, 0,  0, 0, 0, 1, 0, 0, 0, 2, /* AH counts in words */
    };
    const uint8_t atomic[8] = {WIRE_PROTO_TCP, 0, 0, 0, 0, 0, 0, 9};
    const uint8_t first[8] = {WIRE_PROTO_TCP, 0, 0, 1, 0, 0, 0, 9};
    const uint8_t later[8] = {WIRE_PROTO_TCP, 0, 0, 8, 0, 0, 0, 9};

    check_headers(r, hop, sizeof hop, WIRE_PROTO_HOPOPTS, true);
    check_headers(r, chain, sizeof chain, WIRE_PROTO_HOPOPTS, true);
    check_headers(r, atomic, sizeof atomic, WIRE_PROTO_FRAGMENT, true);
    check_headers(r, later, sizeof later, WIRE_PROTO_FRAGMENT, false);
    struct flow_key k = key_of(WIRE_PROTO_TCP, "fd00::1", "fd00::2", 1000, 2000);
    struct frame f = with_headers(&k, first, sizeof first, WIRE_PROTO_FRAGMENT);

    f.size -= (f.size - 62) & 7; /* all but the last fragment are multiples of eight */
    put16(f.b + 18, (uint16_t)(f.size - 54));
    struct flow_key key = rig_key(r, 1, &f), mask = mask_all();
    struct flow_out out = rig_out(r, 2);

    assert_int_equal(key.ip_frag, FLOW_FRAG_FIRST);
    rig_flow(r, &key, &mask, &out, 1);
    rig_send(r, 1, &f);
    rig_expect(r, 2, &f);
    rig_close(r);
}

static void test_long_chain_goes_up(void **state)
{
    struct rig *r = rig_open(*state, 2);
    struct flow_key k = key_of(WIRE_PROTO_TCP, "fd00::1", "fd00::2", 1000, 2000);
    struct flow_key key = {.in_port = r->port[1]}, mask = mask_port();
    struct flow_out out = rig_out(r, 2);
    uint8_t ext[72];

    for (unsigned i = 0; i < 9; i++)
        memcpy(ext + 8 * i,
               (uint8_t[8]){i < 8 ? WIRE_PROTO_DSTOPTS : WIRE_PROTO_TCP, 0, 1, 4, 0, 0, 0, 0}, 8);
    struct frame f = with_headers(&k, ext, sizeof ext, WIRE_PROTO_DSTOPTS);

    if (rig_is_ovs(r)) { /* follows a chain of any length */
        rig_close(r);
        skip();
    }
    rig_flow(r, &key, &mask, &out, 1);
    rig_send(r, 1, &f);
    rig_expect_upcall(r, 1, &f, DP_MISS);
    rig_close(r);
}

static void test_hairpin(void **state)
{
    struct rig *r = rig_open(*state, 1);
    struct flow_key k = key_of(WIRE_PROTO_UDP, "10.0.0.1", "10.0.0.2", 1, 2);
    struct frame f = frame_of(&k), want = f;
    struct flow_key key = rig_key(r, 1, &f), mask = mask_all();
    struct flow_out out = rig_out(r, 1);

    out.set = FLOW_SET_ETH_DST | FLOW_SET_ETH_SRC;
    out.eth_dst = k.eth_src; /* back to him who sent it: handed over directly where that is so */
    out.eth_src = k.eth_dst;
    rig_flow(r, &key, &mask, &out, 1);
    packet_rewrite(want.b, &want.size, &out);
    for (unsigned i = 0; i < 3; i++) {
        rig_send(r, 1, &f);
        rig_expect(r, 1, &want);
    }
    rig_close(r);
}

/* Flow n of the same packets, each under a mask of its own; none covers another's. */
static struct dp_flow masked_flow(const struct flow_key *base, unsigned n,
                                  const struct flow_out *out)
{
    struct dp_flow f = {.key = *base, .mask = mask_port(), .outs = out, .n_outs = 1};

    f.key.tp_dst = (uint16_t)(n + 1);
    f.mask.tp_src = (uint16_t)(n + 1);
    f.mask.tp_dst = 0xffff;
    f.mask.eth_type = 0xffff;
    f.mask.ip_proto = 0xff;
    return f;
}

/* A mask too many is refused, the rest works on; masks given back are free again. */
static void test_masks_full(void **state)
{
    struct rig *r = rig_open(*state, 2);
    struct flow_out out = rig_out(r, 2);
    struct flow_key k = key_of(WIRE_PROTO_UDP, "10.0.0.1", "10.0.0.2", 0x5555, 1), key;
    struct frame f = frame_of(&k);
    unsigned n = 0;
    int rc = 0;

    key = rig_key(r, 1, &f);
    for (; n < 200 && !rc; n++) {
        struct dp_flow flow = masked_flow(&key, n, &out);

        dp_flow_put(r->dp, 0, &flow, 1, &rc);
    }
    assert_true(n > 60);
    assert_true(!rc || rc == -ENOTSUP);
    rig_send(r, 1, &f);
    rig_expect(r, 2, &f);
    if (rc)
        assert_int_equal(rig_counter(r, "masks_full"), 1);
    for (unsigned i = 0; i < n - (rc != 0); i++) {
        struct dp_flow flow = masked_flow(&key, i, &out);

        assert_int_equal(dp_flow_del(r->dp, 0, &flow, 1, NULL), 0);
    }
    rig_send(r, 1, &f);
    rig_expect_upcall(r, 1, &f, DP_MISS);
    uint64_t deadline = clock_ns() + RIG_PATIENCE;

    do { /* numbers rest for a moment before they are used again */
        struct flow_key mask = mask_all();
        struct dp_flow flow = {.key = key, .mask = mask, .outs = &out, .n_outs = 1};

        dp_flow_put(r->dp, 0, &flow, 1, &rc);
    } while (rc && clock_ns() < deadline);
    assert_int_equal(rc, 0);
    rig_send(r, 1, &f);
    rig_expect(r, 2, &f);
    rig_close(r);
}

/* Flows that overlap agree in what they do: which of them a packet follows is all the same, and a
 * flow that another covers may be refused. */
static void test_overlap(void **state)
{
    struct rig *r = rig_open(*state, 2);
    struct flow_out out = rig_out(r, 2);
    struct flow_key k = key_of(WIRE_PROTO_UDP, "10.0.0.1", "10.0.0.2", 5, 6);
    struct frame f = frame_of(&k);
    struct flow_key key = rig_key(r, 1, &f), narrow = mask_all(), wide = mask_port();
    struct dp_flow flow = {.key = key, .mask = narrow, .outs = &out, .n_outs = 1};
    int rc;

    wide.eth_type = 0xffff;
    rig_flow(r, &key, &wide, &out, 1);
    dp_flow_put(r->dp, 0, &flow, 1, &rc);
    assert_true(!rc || rc == -ENOTSUP);
    rig_send(r, 1, &f);
    rig_expect(r, 2, &f);
    dp_flow_del(r->dp, 0, &flow, 1, NULL);
    rig_send(r, 1, &f);
    rig_expect(r, 2, &f);
    assert_int_equal(rig_flow_del(r, &key, &wide, NULL), 0);
    rig_send(r, 1, &f);
    rig_expect_upcall(r, 1, &f, DP_MISS);
    rig_close(r);
}

static void test_not_matchable(void **state)
{
    struct rig *r = rig_open(*state, 2);
    struct flow_out out = rig_out(r, 2), outs[300];
    struct flow_key k = key_of(WIRE_PROTO_UDP, "10.0.0.1", "10.0.0.2", 1, 2), mask = mask_all();
    struct frame f = frame_of(&k);
    struct flow_key key = rig_key(r, 1, &f);
    struct dp_flow flow = {.key = key, .mask = mask, .outs = outs, .n_outs = 300};
    int rc = 0;

    for (unsigned i = 0; i < 300; i++)
        outs[i] = out;
    dp_flow_put(r->dp, 0, &flow, 1, &rc);
    assert_true(!rc || rc == -ENOTSUP);
    struct dp_exec x = {.packet = f.b, .size = (uint32_t)f.size, .outs = outs, .n_outs = 300};

    assert_int_equal(dp_execute(r->dp, 0, &x, 1), 0);
    for (unsigned i = 0; i < 300; i++)
        rig_expect(r, 2, &f);
    rig_flow_del(r, &key, &mask, NULL);
    mask.tun_id = 0xffffff; /* out of a tunnel: the key alone decides, no flow is asked */
    key.tun_id = 7;
    flow = (struct dp_flow){.key = key, .mask = mask, .outs = &out, .n_outs = 1};
    dp_flow_put(r->dp, 0, &flow, 1, &rc);
    assert_true(!rc || rc == -ENOTSUP);
    rig_send(r, 1, &f);
    rig_expect_nothing(r, 2);
    rig_close(r);
}

/* Workers, each with its queue: upcall, flow, packet, while the control thread looks and changes.
 */
struct worker {
    struct rig *r;
    unsigned queue, seen;
    bool *stop;
};

static void *worker_thread(void *arg)
{
    struct worker *w = arg;
    struct rig *r = w->r;
    struct dp_upcall ups[8];
    int n;

    while (!__atomic_load_n(w->stop, __ATOMIC_ACQUIRE)) {
        n = dp_recv(r->dp, w->queue, ups, 8);
        for (int i = 0; i < n; i++, w->seen++) {
            struct flow_out outs[2] = {rig_out(r, 1), rig_out(r, 2)};
            struct packet_layers l;
            struct flow_key key = {0};

            packet_parse(ups[i].packet, ups[i].size, &key, &l);
            key.in_port = ups[i].port_no;
            outs[0].set = FLOW_SET_TOS;
            outs[0].ip_tos = (uint8_t)(key.tp_src % 7 << 2);
            struct dp_flow f = {.key = key, .mask = mask_all(), .outs = outs, .n_outs = 2};
            f.mask.tp_dst = (uint16_t)(key.tp_src % 5 ? 0xffff : 0xff00);
            struct dp_exec x = {.packet = ups[i].packet,
                                .size = ups[i].size,
                                .in_port = ups[i].port_no,
                                .outs = outs,
                                .n_outs = 2};

            dp_flow_put(r->dp, w->queue, &f, 1, NULL);
            dp_execute(r->dp, w->queue, &x, 1);
            if (key.tp_src % 3 == 0)
                dp_flow_del(r->dp, w->queue, &f, 1, NULL);
        }
        if (n <= 0)
            poll(&(struct pollfd){.fd = dp_recv_fd(r->dp, w->queue), .events = POLLIN}, 1, 5);
    }
    return NULL;
}

static int any_flow(const struct dp_flow *f, const struct dp_flow_stats *s, void *aux)
{
    (void)f;
    (void)s;
    ++*(unsigned *)aux;
    return 0;
}

static void test_queues(void **state)
{
    struct rig *r = rig_open_with(*state, "a", 6, &(struct dp_options){.n_queues = 3});
    bool stop = false;
    struct worker w[3];
    pthread_t threads[3];
    struct error e = {0};
    unsigned n_flows, taken = 0;
    uint8_t buf[2048];

    for (unsigned i = 0; i < 3; i++) {
        w[i] = (struct worker){.r = r, .queue = i, .stop = &stop};
        pthread_create(&threads[i], NULL, worker_thread, &w[i]);
    }
    for (unsigned i = 0; i < 600; i++) {
        struct flow_key k = key_of(WIRE_PROTO_UDP, "10.0.0.1", "10.0.0.2", (uint16_t)i, 99);
        struct frame f = frame_of(&k);
        uint32_t no;

        rig_send(r, 3 + i % 4, &f);
        while (rig_take(r, 1, buf, sizeof buf, NULL))
            taken++;
        if (i % 50)
            continue;
        n_flows = 0;
        dp_flow_each(r->dp, any_flow, &n_flows);
        rig_counter(r, "upcall_lost");
        dp_port_del(r->dp, r->port[2], &e);
        assert_int_equal(dp_port_add(r->dp, "p2", &no, &e), 0);
        __atomic_store_n(&r->port[2], no, __ATOMIC_RELAXED);
    }
    uint64_t deadline = clock_ns() + RIG_PATIENCE;

    while (taken < 600 && clock_ns() < deadline)
        if (rig_take(r, 1, buf, sizeof buf, NULL))
            taken++;
    __atomic_store_n(&stop, true, __ATOMIC_RELEASE);
    for (unsigned i = 0; i < 3; i++)
        pthread_join(threads[i], NULL);
    assert_int_equal(taken, 600);
    for (unsigned i = 0; i < 3; i++)
        assert_true(w[i].seen > 100); /* ports are spread over the queues */
    rig_close(r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_extension_headers),
        cmocka_unit_test(test_long_chain_goes_up),
        cmocka_unit_test(test_hairpin),
        cmocka_unit_test(test_masks_full),
        cmocka_unit_test(test_overlap),
        cmocka_unit_test(test_not_matchable),
        cmocka_unit_test(test_queues),
    };

    return rig_main("corners", tests, ARRAY_SIZE(tests));
}
