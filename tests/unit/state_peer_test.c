/* Two agents and a wire between them that loses, repeats and reorders.
 *
 *      a  ==>  wire (datagrams in flight)  ==>  b      and back
 */
#include <stdlib.h>

#include "base/clock.h"
#include "state/peer.h"
#include "state_util.h"

enum { FLIGHT = 8192, SENT = 3000, N_CUT = 6000 };

struct datagram {
    bool to_b;
    uint64_t at;
    size_t size;
    uint8_t buf[WIRE_MAX];
};

struct pair {
    struct peer *a, *b;
    struct datagram *flight;
    unsigned n;
    unsigned loss, twice; /* of a hundred */
    uint64_t delay, now;
    uint8_t seen[N_CUT + 1]; /* by b: how often each number came */
    struct peer_news news_a, news_b;
};

static const struct uuid id_a = {{1}}, id_b = {{2}};

static void pair_begin(struct pair *p)
{
    *p = (struct pair){.now = 1, .flight = calloc(FLIGHT, sizeof(struct datagram))};
    p->a = peer_new(&id_a, 10, 0);
    p->b = peer_new(&id_b, 20, 0);
}

static void pair_end(struct pair *p)
{
    peer_free(p->a);
    peer_free(p->b);
    free(p->flight);
}

static void launch(struct pair *p, bool to_b, const void *buf, size_t size)
{
    if ((unsigned)random() % 100 < p->loss)
        return;
    for (unsigned i = 0; i < 1u + ((unsigned)random() % 100 < p->twice) && p->n < FLIGHT; i++) {
        struct datagram *d = &p->flight[p->n++];
        d->to_b = to_b;
        d->at = p->now + (p->delay ? (uint64_t)random() % p->delay : 0);
        d->size = size;
        memcpy(d->buf, buf, size);
    }
}

static void send_one(struct pair *p, unsigned value)
{
    struct wire_record r = {
        .rec = state_record(STATE_CONN, 0, tuple("10.0.0.1", value, "10.0.0.2", 80), NULL, 0)};
    const struct wire_header h = peer_next(p->a);
    uint8_t buf[WIRE_MAX];
    struct wire_writer w;

    wire_begin(&w, buf, sizeof buf, &h);
    assert_true(wire_add(&w, &r));
    peer_sent(p->a, &w, p->now);
    launch(p, true, buf, w.size);
}

static void arrive(struct pair *p, const struct datagram *d)
{
    struct wire_record out[WIRE_RECORDS_MAX];
    enum peer_verdict v = d->to_b ? peer_receive(p->b, d->buf, d->size, p->now, &p->news_b)
                                  : peer_receive(p->a, d->buf, d->size, p->now, &p->news_a);

    assert_int_not_equal(v, PEER_BAD);
    if (v != PEER_TAKE)
        return;
    assert_true(d->to_b);
    assert_int_equal(wire_records(d->buf, d->size, out), 1);
    p->seen[out[0].rec.fwd.sport]++;
}

static void run_for(struct pair *p, uint64_t ns)
{
    uint64_t end = p->now + ns;
    uint8_t buf[WIRE_MAX];

    for (; p->now < end; p->now += NSEC_PER_MSEC) {
        size_t size;
        while ((size = peer_poll(p->a, p->now, buf)) != 0)
            launch(p, true, buf, size);
        while ((size = peer_poll(p->b, p->now, buf)) != 0)
            launch(p, false, buf, size);
        assert_true(peer_due(p->a) > p->now && peer_due(p->b) > p->now);
        for (unsigned i = 0; i < p->n; i++) {
            if (p->flight[i].at > p->now)
                continue;
            struct datagram d = p->flight[i];
            p->flight[i--] = p->flight[--p->n];
            arrive(p, &d);
        }
    }
}

static unsigned n_seen_once(const struct pair *p, unsigned n)
{
    unsigned once = 0;

    for (unsigned i = 1; i <= n; i++) {
        assert_true(p->seen[i] <= 1);
        once += p->seen[i] == 1;
    }
    return once;
}

static void a_quiet_wire_costs_one_report(void **arg)
{
    struct pair p;

    (void)arg;
    pair_begin(&p);
    for (unsigned i = 1; i <= 100; i++)
        send_one(&p, i);
    run_for(&p, NSEC_PER_SEC);
    assert_int_equal(n_seen_once(&p, 100), 100);
    assert_int_equal(peer_counters(p.a)->probes, 1);
    assert_int_equal(peer_counters(p.b)->reports, 1);
    assert_int_equal(peer_counters(p.a)->resent, 0);
    assert_int_equal(peer_due(p.a), UINT64_MAX);
    assert_int_equal(peer_due(p.b), UINT64_MAX);
    pair_end(&p);
}

static void loss_reordering_and_duplicates_are_healed(void **arg)
{
    struct pair p;

    (void)arg;
    srandom(1);
    for (unsigned loss = 0; loss <= 40; loss += 20) {
        pair_begin(&p);
        p.loss = loss;
        p.twice = 20;
        p.delay = 20 * NSEC_PER_MSEC;
        for (unsigned i = 1; i <= SENT; i++) {
            send_one(&p, i);
            if (i % 2 == 0)
                run_for(&p, NSEC_PER_MSEC);
        }
        run_for(&p, 20 * NSEC_PER_SEC);
        assert_int_equal(n_seen_once(&p, SENT), SENT);
        assert_int_equal(p.news_b.lost, 0);
        assert_int_equal(peer_due(p.a), UINT64_MAX);
        pair_end(&p);
    }
}

static void the_last_message_is_not_forgotten(void **arg)
{
    struct pair p;

    (void)arg;
    pair_begin(&p);
    p.loss = 100;
    send_one(&p, 1);
    p.loss = 0;
    run_for(&p, NSEC_PER_SEC);
    assert_int_equal(n_seen_once(&p, 1), 1);
    pair_end(&p);
}

/* The wire is cut for longer than anything is kept: what is gone is gone, and said so. */
static void what_is_gone_is_told(void **arg)
{
    struct pair p;

    (void)arg;
    pair_begin(&p);
    send_one(&p, 1);
    run_for(&p, NSEC_PER_SEC);
    p.loss = 100;
    for (unsigned i = 2; i <= N_CUT; i++)
        send_one(&p, i);
    p.loss = 0;
    assert_true(peer_memory(p.a) < 600000);
    run_for(&p, 5 * NSEC_PER_SEC);
    unsigned seen = n_seen_once(&p, N_CUT);
    assert_in_range(seen, 1000, N_CUT - 1);
    assert_int_equal(peer_counters(p.b)->lost, N_CUT - seen);
    assert_true(peer_counters(p.a)->dropped > 0);
    assert_int_equal(peer_due(p.a), UINT64_MAX);
    pair_end(&p);
}

static void nobody_there_is_asked_ever_more_seldom(void **arg)
{
    struct pair p;

    (void)arg;
    pair_begin(&p);
    p.loss = 100;
    send_one(&p, 1);
    run_for(&p, 70 * NSEC_PER_SEC);
    assert_in_range(peer_counters(p.a)->probes, 10, 25);
    assert_int_equal(peer_due(p.a), UINT64_MAX);
    assert_true(peer_memory(p.a) < 4096);
    pair_end(&p);
}

static void a_receiver_begins_a_new_life(void **arg)
{
    struct pair p;

    (void)arg;
    pair_begin(&p);
    for (unsigned i = 1; i <= 100; i++)
        send_one(&p, i);
    run_for(&p, NSEC_PER_SEC);
    peer_free(p.b);
    p.b = peer_new(&id_b, 21, 0);
    assert_false(p.news_a.restarted);
    send_one(&p, 101);
    run_for(&p, NSEC_PER_SEC);
    assert_int_equal(n_seen_once(&p, 101), 101);
    assert_true(p.news_a.restarted);
    assert_int_equal(p.news_b.lost, 100);
    assert_int_equal(peer_due(p.a), UINT64_MAX);
    pair_end(&p);
}

static void a_sender_begins_a_new_life(void **arg)
{
    struct datagram old = {.to_b = true};
    struct wire_header h;
    struct wire_writer w;
    struct pair p;

    (void)arg;
    pair_begin(&p);
    h = peer_next(p.a);
    wire_begin(&w, old.buf, sizeof old.buf, &h);
    old.size = w.size;
    for (unsigned i = 1; i <= 50; i++)
        send_one(&p, i);
    run_for(&p, NSEC_PER_SEC);
    peer_free(p.a);
    p.a = peer_new(&id_a, 11, 0);
    p.loss = 100; /* its first is lost */
    send_one(&p, 51);
    p.loss = 0;
    for (unsigned i = 52; i <= 100; i++)
        send_one(&p, i);
    run_for(&p, NSEC_PER_SEC);
    assert_int_equal(n_seen_once(&p, 100), 100);
    assert_int_equal(p.news_b.lost, 0);
    /* something of the earlier life was still on its way */
    assert_int_equal(peer_receive(p.b, old.buf, old.size, p.now, &p.news_b), PEER_IGNORE);
    send_one(&p, 101);
    run_for(&p, NSEC_PER_SEC);
    assert_int_equal(n_seen_once(&p, 101), 101);
    /* a clock that went back: after a silence the lower life is believed */
    peer_free(p.a);
    p.a = peer_new(&id_a, 5, 0);
    run_for(&p, 11 * NSEC_PER_SEC);
    send_one(&p, 102);
    run_for(&p, NSEC_PER_SEC);
    assert_int_equal(n_seen_once(&p, 102), 102);
    pair_end(&p);
}

static void lies_do_no_harm(void **arg)
{
    struct wire_report r = {10, 5, 0, 1, {{1, WIRE_NUMBER_END - 1}}};
    struct wire_header h = {WIRE_REPORT, 0, id_b, 20, 0};
    struct peer_news news = {0};
    uint8_t buf[WIRE_MAX];
    struct wire_writer w;
    struct pair p;

    (void)arg;
    pair_begin(&p);
    wire_begin(&w, buf, sizeof buf, &h);
    assert_true(wire_add_report(&w, &r));
    assert_int_equal(peer_receive(p.a, buf, w.size, 1, &news), PEER_IGNORE); /* none was sent */
    for (unsigned i = 1; i <= 5; i++)
        send_one(&p, i);
    assert_int_equal(peer_receive(p.a, buf, w.size, 1, &news), PEER_DONE);
    assert_int_equal(peer_counters(p.a)->resent, 0);
    run_for(&p, NSEC_PER_SEC);
    assert_int_equal(peer_counters(p.a)->resent, 5);
    h.type = WIRE_GONE;
    wire_begin(&w, buf, sizeof buf, &h);
    assert_true(wire_add_report(&w, &r));
    assert_int_equal(peer_receive(p.a, buf, w.size, p.now, &news), PEER_DONE);
    h.type = WIRE_RECORDS;
    h.number = WIRE_NUMBER_END - 1;
    wire_begin(&w, buf, sizeof buf, &h);
    assert_int_equal(peer_receive(p.a, buf, w.size, p.now, &news), PEER_TAKE);
    assert_int_equal(peer_receive(p.a, buf, w.size, p.now, &news), PEER_IGNORE);
    h.number = 0;
    wire_begin(&w, buf, sizeof buf, &h);
    assert_int_equal(peer_receive(p.a, buf, w.size, p.now, &news), PEER_BAD);
    run_for(&p, 20 * NSEC_PER_SEC);
    pair_end(&p);
}

/* The last number there is leads to reports that end; those beyond lead to none. */
static void no_number_is_too_high(void **arg)
{
    struct wire_header h = {WIRE_PROBE, 0, id_b, 20, UINT64_MAX};
    struct peer *p = peer_new(&id_a, 10, 0);
    struct peer_news news = {0};
    uint8_t buf[WIRE_MAX];
    struct wire_writer w;

    (void)arg;
    for (; h.number >= WIRE_NUMBER_END; h.number /= 2) {
        wire_begin(&w, buf, sizeof buf, &h);
        assert_int_equal(peer_receive(p, buf, w.size, 1, &news), PEER_BAD);
        assert_int_equal(peer_poll(p, UINT64_MAX, buf), 0);
    }
    wire_begin(&w, buf, sizeof buf, &h);
    assert_int_equal(h.number, WIRE_NUMBER_END - 1);
    assert_int_equal(peer_receive(p, buf, w.size, 1, &news), PEER_DONE);
    assert_true(peer_poll(p, 1, buf) > 0);
    for (uint64_t now = 1; peer_due(p) != UINT64_MAX; now = peer_due(p))
        peer_poll(p, now, buf);
    peer_free(p);
}

/* The threads that use a peer have read the clock at moments of their own. */
static void time_may_step_back_a_little(void **arg)
{
    enum { T = 1000 };
    uint8_t buf[WIRE_MAX] = {0};
    struct wire_writer w;
    struct pair p;

    (void)arg;
    pair_begin(&p);
    struct wire_header h = {WIRE_PROBE, 0, id_b, 20, 0};
    wire_begin(&w, buf, sizeof buf, &h);
    assert_int_equal(peer_receive(p.a, buf, w.size, T + 1, &p.news_a), PEER_DONE);
    h.life = 19;
    wire_begin(&w, buf, sizeof buf, &h);
    assert_int_equal(peer_receive(p.a, buf, w.size, T, &p.news_a), PEER_IGNORE);
    assert_false(p.news_a.restarted);
    while (peer_poll(p.a, T + 1, buf)) /* the report */
        ;
    /* What was sent when the clock that probes had been read already isn't too old to be kept. */
    w.size = WIRE_MAX;
    for (unsigned round = 0; round < 2; round++) {
        for (unsigned i = 0; i < 256 * 1024 / WIRE_MAX; i++)
            peer_sent(p.a, &w, (1 + round) * NSEC_PER_SEC);
        while (peer_poll(p.a, NSEC_PER_SEC, buf))
            ;
        if (!round) /* the latest probe was just now */
            assert_true(peer_due(p.a) < 2 * NSEC_PER_SEC);
    }
    uint64_t dropped = peer_counters(p.a)->dropped;
    assert_true(peer_poll(p.a, 2 * NSEC_PER_SEC - 1, buf) > 0);
    assert_int_equal(peer_counters(p.a)->dropped, dropped);
    pair_end(&p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_quiet_wire_costs_one_report),
        cmocka_unit_test(loss_reordering_and_duplicates_are_healed),
        cmocka_unit_test(the_last_message_is_not_forgotten),
        cmocka_unit_test(what_is_gone_is_told),
        cmocka_unit_test(nobody_there_is_asked_ever_more_seldom),
        cmocka_unit_test(a_receiver_begins_a_new_life),
        cmocka_unit_test(a_sender_begins_a_new_life),
        cmocka_unit_test(lies_do_no_harm),
        cmocka_unit_test(no_number_is_too_high),
        cmocka_unit_test(time_may_step_back_a_little),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
