/* Two agents' conversation over a wire that loses, repeats and reorders.
 *
 *     a ==== wire ==== b        every datagram of a says one number, in an ASK
 */
#include <stdlib.h>

#include "base/clock.h"
#include "base/mem.h"
#include "state/peer.h"
#include "state_util.h"

#define MS NSEC_PER_MSEC

enum { NUMBERS = 4096, ON_WIRE = 64 };

struct end {
    struct peer *peer;
    struct uuid id;
    uint64_t inc;
    uint8_t heard[NUMBERS];
    uint32_t n_heard;
};

struct wire {
    struct end a, b;
    uint64_t now;
    uint32_t dice, lose, repeat, late; /* of 100 */
    struct {
        struct message m;
        bool to_b;
    } held[ON_WIRE];
    unsigned n_held;
};

static uint32_t roll(struct wire *w)
{
    w->dice = w->dice * 1664525 + 1013904223;
    return (w->dice >> 8) % 100;
}

static void on_ask(void *aux, const struct uuid *port, uint32_t number)
{
    struct end *e = aux;

    (void)port;
    assert_true(number < NUMBERS);
    e->n_heard += !e->heard[number];
    e->heard[number]++;
}

static void arrive(struct wire *w, struct end *to, const struct message *m)
{
    const struct message_reader reader = {.aux = to, .ask = on_ask};
    struct message_head h;

    assert_int_equal(message_head(m->data, m->size, &h), 0);
    if (to->peer && peer_hear(to->peer, &h, w->now) != PEER_OLD)
        message_read(m->data, m->size, &reader);
}

static void carry(struct wire *w, bool to_b, const struct message *m)
{
    if (roll(w) < w->lose)
        return;
    if (roll(w) < w->late && w->n_held < ON_WIRE) {
        w->held[w->n_held].m = *m;
        w->held[w->n_held++].to_b = to_b;
        return;
    }
    for (unsigned n = roll(w) < w->repeat ? 2 : 1; n; n--)
        arrive(w, to_b ? &w->b : &w->a, m);
}

static void deliver_late(struct wire *w)
{
    while (w->n_held) {
        w->n_held--;
        arrive(w, w->held[w->n_held].to_b ? &w->b : &w->a, &w->held[w->n_held].m);
    }
}

static void start(struct end *e, uint8_t id, uint64_t inc)
{
    *e = (struct end){.id.b = {id}, .inc = inc};
    e->peer = peer_new(&e->id, inc);
}

static struct wire *wire_up(uint32_t lose, uint32_t repeat, uint32_t late)
{
    struct wire *w = NEW(struct wire);

    *w = (struct wire){.now = 1000 * MS, .lose = lose, .repeat = repeat, .late = late, .dice = 7};
    start(&w->a, 1, 10);
    start(&w->b, 2, 20);
    return w;
}

static void wire_down(struct wire *w)
{
    peer_free(w->a.peer);
    peer_free(w->b.peer);
    free(w);
}

static void say(struct wire *w, struct end *from, uint32_t number)
{
    struct uuid port = {{3}};
    struct message m;

    message_begin(&m);
    assert_true(message_add_ask(&m, &port, number));
    peer_say(from->peer, &m, w->now);
    carry(w, from == &w->a, &m);
}

static void pass_time(struct wire *w, unsigned ms)
{
    struct message m;

    for (unsigned i = 0; i < ms; i++) {
        w->now += MS;
        while (peer_due(w->a.peer, w->now, &m))
            carry(w, true, &m);
        while (peer_due(w->b.peer, w->now, &m))
            carry(w, false, &m);
        if (i % 7 == 0)
            deliver_late(w);
    }
}

static void all_arrives_whatever_the_wire_does(void **arg)
{
    const uint32_t rates[][3] = {{0, 0, 0}, {10, 10, 10}, {30, 0, 50}, {0, 100, 100}};

    (void)arg;
    for (unsigned k = 0; k < ARRAY_SIZE(rates); k++) {
        struct wire *w = wire_up(rates[k][0], rates[k][1], rates[k][2]);
        for (uint32_t i = 0; i < 500; i++) {
            say(w, &w->a, i);
            if (i % 3 == 0)
                say(w, &w->b, i);
            pass_time(w, i % 2);
        }
        pass_time(w, 6000);
        assert_int_equal(w->b.n_heard, 500);
        assert_int_equal(w->a.n_heard, 167);
        assert_int_equal(peer_unacknowledged(w->a.peer), 0);
        assert_int_equal(peer_unacknowledged(w->b.peer), 0);
        assert_true(peer_is_whole(w->b.peer));
        assert_int_equal(peer_next_ns(w->a.peer), UINT64_MAX);
        wire_down(w);
    }
}

static void what_is_lost_is_said_again_soon(void **arg)
{
    struct wire *w = wire_up(100, 0, 0);

    (void)arg;
    say(w, &w->a, 1);
    w->lose = 0;
    assert_int_equal(w->b.n_heard, 0);
    pass_time(w, 21);
    assert_int_equal(w->b.n_heard, 1);
    pass_time(w, 100);
    assert_int_equal(peer_counters(w->a.peer)->again, 1);
    assert_int_equal(w->b.heard[1], 1);
    wire_down(w);
}

/* Nobody answers: it isn't said for ever, and what comes later isn't held up. */
static void a_silent_peer_is_given_up(void **arg)
{
    struct wire *w = wire_up(100, 0, 0);

    (void)arg;
    for (uint32_t i = 0; i < 3000; i++)
        say(w, &w->a, i);
    assert_true(peer_unacknowledged(w->a.peer) <= PEER_WINDOW);
    pass_time(w, 8000);
    assert_int_equal(peer_unacknowledged(w->a.peer), 0);
    assert_int_equal(peer_next_ns(w->a.peer), UINT64_MAX);
    assert_int_equal(peer_counters(w->a.peer)->given_up, 3000);
    w->lose = 0;
    say(w, &w->a, 3001);
    assert_int_equal(w->b.n_heard, 1);
    assert_true(peer_is_whole(w->b.peer));
    pass_time(w, 50);
    assert_int_equal(peer_unacknowledged(w->a.peer), 0);
    wire_down(w);
}

static void gaps_are_known(void **arg)
{
    struct wire *w = wire_up(0, 0, 0);

    (void)arg;
    say(w, &w->a, 1);
    w->lose = 100;
    say(w, &w->a, 2);
    w->lose = 0;
    say(w, &w->a, 3);
    assert_false(peer_is_whole(w->b.peer));
    pass_time(w, 30);
    assert_true(peer_is_whole(w->b.peer));
    assert_int_equal(w->b.n_heard, 3);
    wire_down(w);
}

static void either_side_may_start_again(void **arg)
{
    struct wire *w = wire_up(20, 10, 20);

    (void)arg;
    for (uint32_t i = 0; i < 50; i++)
        say(w, &w->a, i);
    pass_time(w, 2000);
    assert_int_equal(w->b.n_heard, 50);
    peer_free(w->b.peer);
    start(&w->b, 2, 21); /* knows nothing of a's numbers */
    for (uint32_t i = 50; i < 100; i++)
        say(w, &w->a, i);
    pass_time(w, 2000);
    assert_int_equal(w->b.n_heard, 50);
    assert_int_equal(peer_unacknowledged(w->a.peer), 0);
    peer_free(w->a.peer);
    start(&w->a, 1, 11);
    for (uint32_t i = 100; i < 150; i++)
        say(w, &w->a, i);
    pass_time(w, 2000);
    assert_int_equal(w->b.n_heard, 100);
    wire_down(w);
}

static void an_earlier_life_is_not_believed(void **arg)
{
    struct wire *w = wire_up(0, 0, 0);
    struct message_head h = {.sender = w->a.id, .inc = 9, .seq = 1, .first = 1};

    (void)arg;
    say(w, &w->a, 1);
    assert_int_equal(peer_hear(w->b.peer, &h, w->now), PEER_OLD);
    h.inc = 10;
    assert_int_equal(peer_hear(w->b.peer, &h, w->now), PEER_AGAIN);
    wire_down(w);
}

/* Numbers and acknowledgements that make no sense change nothing that matters. */
static void nonsense_is_harmless(void **arg)
{
    struct wire *w = wire_up(0, 0, 0);
    struct message_head h = {.sender = w->b.id, .inc = 20, .has_ack = true, .ack_inc = 10};

    (void)arg;
    w->lose = 100;
    for (uint32_t i = 0; i < 10; i++)
        say(w, &w->a, i);
    for (uint32_t i = 0; i < 10000; i++) {
        h.ack = i < 5000 ? UINT32_MAX - i : i * 77777;
        h.ack_more = i & 1 ? ~0ull : 0;
        if (h.ack - 1 < 10) /* that would be true */
            continue;
        h.ack_more &= h.ack + 64 < 64 || h.ack < 10 ? 0 : ~0ull;
        peer_hear(w->a.peer, &h, w->now);
    }
    assert_int_equal(peer_unacknowledged(w->a.peer), 10);
    h = (struct message_head){.sender = w->a.id, .inc = 10};
    for (uint32_t i = 0; i < 10000; i++) {
        h.seq = i * 2654435761u;
        h.first = i * 40503u;
        peer_hear(w->b.peer, &h, w->now);
    }
    wire_down(w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(all_arrives_whatever_the_wire_does),
        cmocka_unit_test(what_is_lost_is_said_again_soon),
        cmocka_unit_test(a_silent_peer_is_given_up),
        cmocka_unit_test(gaps_are_known),
        cmocka_unit_test(either_side_may_start_again),
        cmocka_unit_test(an_earlier_life_is_not_believed),
        cmocka_unit_test(nonsense_is_harmless),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
