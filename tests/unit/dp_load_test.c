/* Under load, on every datapath: a flood on one port costs the others nothing; a large table is
 * read while packets run through it. */
#include <pthread.h>

#include "dp_rig.h"

struct flood {
    struct rig *r;
    bool stop;
    unsigned sent;
};

/* Packets that no flow wants, each another. */
static void *flood_thread(void *arg)
{
    struct flood *f = arg;

    while (!__atomic_load_n(&f->stop, __ATOMIC_ACQUIRE)) {
        struct flow_key k = key_of(WIRE_PROTO_UDP, "10.1.0.1", "10.1.0.2", (uint16_t)f->sent,
                                   (uint16_t)(f->sent >> 16));
        struct frame frame = frame_of(&k);

        rig_send(f->r, 1, &frame);
        f->sent++;
    }
    return NULL;
}

/* Takes what waits; how much of it is port 'i''s. */
static unsigned take(struct rig *r, unsigned i)
{
    struct dp_upcall ups[32];
    int n = dp_recv(r->dp, 0, ups, 32);
    unsigned mine = 0;

    for (int j = 0; j < n; j++)
        mine += ups[j].port_no == r->port[i];
    return mine;
}

static void test_flood_on_one_port(void **state)
{
    enum { QUIET = 300 };
    struct rig *r = rig_open(*state, 2);
    struct flood f = {.r = r};
    unsigned got = 0;
    pthread_t thread;

    if (!rig_kernel(r)) { /* nothing there happens at once */
        rig_close(r);
        skip();
    }
    pthread_create(&thread, NULL, flood_thread, &f);
    for (uint16_t i = 0; i < QUIET; i++) {
        struct flow_key k = key_of(WIRE_PROTO_UDP, "10.0.0.1", "10.0.0.2", i, 1);
        struct frame frame = frame_of(&k);

        rig_send(r, 2, &frame);
        got += take(r, 2);
    }
    uint64_t deadline = clock_ns() + RIG_PATIENCE;

    while (got < QUIET && clock_ns() < deadline)
        got += take(r, 2);
    __atomic_store_n(&f.stop, true, __ATOMIC_RELEASE);
    pthread_join(thread, NULL);
    assert_int_equal(got, QUIET);
    assert_int_equal(rig_port(r, 2).upcalls_lost, 0);
    rig_close(r);
}

static void *send_thread(void *arg)
{
    struct flood *f = arg;
    struct flow_key k = key_of(WIRE_PROTO_TCP, "10.0.0.1", "10.0.0.2", 7, 80);
    struct frame frame = frame_of(&k);

    while (!__atomic_load_n(&f->stop, __ATOMIC_ACQUIRE) && f->sent < 4000) {
        rig_send(f->r, 1, &frame);
        f->sent++;
    }
    return NULL;
}

static void test_dump_of_many(void **state)
{
    enum { N = 100000, BATCH = 1000 };
    struct rig *r = rig_open(*state, 2);
    struct flow_out out = rig_out(r, 2);
    struct dp_flow *flows = NEW_ARRAY(BATCH, struct dp_flow);
    struct flood f = {.r = r};
    uint8_t buf[2048];
    pthread_t thread;

    for (uint32_t i = 0; i < N; i += BATCH) {
        for (uint32_t j = 0; j < BATCH; j++) {
            flows[j] = (struct dp_flow){.mask = mask_all(), .outs = &out, .n_outs = 1};
            flows[j].key = key_of(WIRE_PROTO_TCP, "10.0.0.1", "10.0.0.2", (uint16_t)(i + j),
                                  (uint16_t)(80 + ((i + j) >> 16)));
            flows[j].key.in_port = r->port[1];
        }
        assert_int_equal(dp_flow_put(r->dp, 0, flows, BATCH, NULL), 0);
    }
    bool threaded = rig_kernel(r);

    if (threaded)
        pthread_create(&thread, NULL, send_thread, &f);
    for (unsigned round = 0; round < 2; round++)
        assert_int_equal(rig_n_flows(r), N);
    __atomic_store_n(&f.stop, true, __ATOMIC_RELEASE);
    if (threaded)
        pthread_join(thread, NULL);
    unsigned got = 0;

    while (got < f.sent && rig_await(r, 2, buf, sizeof buf, NULL))
        got++;
    assert_int_equal(got, f.sent);
    free(flows);
    rig_close(r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_flood_on_one_port),
        cmocka_unit_test(test_dump_of_many),
    };

    return rig_main("load", tests, ARRAY_SIZE(tests));
}
