/* Messages between agents: what is written is read back, and nothing else is believed. */
#include <stdlib.h>

#include "state/message.h"
#include "state_util.h"

enum { MAX = 256 };

struct heard {
    struct message_group groups[MAX];
    struct state_rec recs[MAX];
    uint32_t idle[MAX], n, n_asks, n_ends, number;
    struct uuid port;
};

static void on_record(void *aux, const struct message_group *g, const struct state_rec *r,
                      uint32_t idle_s)
{
    struct heard *h = aux;

    assert_true(h->n < MAX);
    h->groups[h->n] = *g;
    h->recs[h->n] = *r;
    h->idle[h->n++] = idle_s;
}

static void on_ask(void *aux, const struct uuid *port, uint32_t number)
{
    struct heard *h = aux;

    h->n_asks++;
    h->port = *port;
    h->number = number;
}

static void on_end(void *aux, uint32_t number)
{
    struct heard *h = aux;

    h->n_ends++;
    h->number = number;
}

static int hear(const struct message *m, struct message_head *head, struct heard *h)
{
    const struct message_reader reader = {h, on_record, on_ask, on_end};
    int rc = message_head(m->data, m->size, head);

    *h = (struct heard){0};
    if (!rc)
        message_read(m->data, m->size, &reader);
    return rc;
}

static const struct message_group group = {.device.b = {1}, .in.b = {2}, .kind = TOPO_ROUTER};
static const struct message_head head = {.sender.b = {9},
                                         .inc = 1ull << 40 | 7,
                                         .ack_inc = 5,
                                         .seq = 77,
                                         .first = 70,
                                         .has_ack = true,
                                         .ack = 12,
                                         .ack_more = 1ull << 63 | 2};

static struct state_rec without_device(enum state_kind kind, const char *src, const char *dst,
                                       const char *to)
{
    struct state_rec r = state_record(kind, 0, tuple(src, 1000, dst, 53), to, 2000);

    if (kind == STATE_CONN) {
        r.to = ip_none;
        r.to_port = 0;
    }
    return r;
}

static void what_is_written_is_read(void **arg)
{
    const struct state_rec recs[] = {
        without_device(STATE_CONN, "10.0.0.1", "8.8.8.8", "0.0.0.0"),
        without_device(STATE_SNAT, "10.0.0.1", "8.8.8.8", "1.1.1.1"),
        without_device(STATE_DNAT, "fd00::1", "2001:db8::8", "fd00::9"),
        without_device(STATE_SNAT, "fd00::1", "2001:db8::8", "100.64.0.1"),
    };
    struct message_group other = group;
    struct message_head got;
    struct message m;
    struct heard h;

    (void)arg;
    other.kind = TOPO_BRIDGE;
    message_begin(&m);
    assert_true(message_is_empty(&m));
    for (unsigned i = 0; i < 4; i++)
        assert_true(message_add_record(&m, i < 3 ? &group : &other, &recs[i], i * 40000));
    assert_true(message_add_ask(&m, &other.device, 5));
    message_finish(&m, &head);
    assert_int_equal(hear(&m, &got, &h), 0);
    assert_memory_equal(&got, &head, sizeof got);
    assert_int_equal(h.n, 4);
    for (unsigned i = 0; i < 4; i++) {
        assert_memory_equal(&h.recs[i], &recs[i], sizeof recs[i]);
        assert_memory_equal(&h.groups[i].device, &group.device, sizeof group.device);
        assert_memory_equal(&h.groups[i].in, &group.in, sizeof group.in);
        assert_int_equal(h.groups[i].kind, i < 3 ? TOPO_ROUTER : TOPO_BRIDGE);
        assert_int_equal(h.idle[i], i < 2 ? i * 40000 : 65535);
    }
    assert_int_equal(h.n_asks, 1);
    assert_int_equal(h.number, 5);
}

static void a_datagram_is_filled_and_no_more(void **arg)
{
    struct state_rec r = without_device(STATE_SNAT, "fd00::1", "2001:db8::8", "fd00::9");
    struct message_head got;
    struct message m;
    struct heard h;
    unsigned n = 0;

    (void)arg;
    for (message_begin(&m); message_add_record(&m, &group, &r, 0); n++)
        ;
    while (message_add_end(&m, 3))
        ;
    message_finish(&m, &head);
    assert_true(m.size <= MAIL_MAX);
    assert_int_equal(hear(&m, &got, &h), 0);
    assert_int_equal(h.n, n);
    assert_true(n >= 20);
}

static void sections_of_a_later_version_are_skipped(void **arg)
{
    struct state_rec r = without_device(STATE_CONN, "10.0.0.1", "8.8.8.8", "0.0.0.0");
    struct message_head got;
    struct message m;
    struct heard h;

    (void)arg;
    message_begin(&m);
    static const uint8_t unknown[] = {200, 0, 0, 3, 'a', 'b', 'c'};
    memcpy(m.data + m.size, unknown, sizeof unknown);
    m.size += sizeof unknown;
    assert_true(message_add_record(&m, &group, &r, 0));
    message_finish(&m, &head);
    assert_int_equal(hear(&m, &got, &h), 0);
    assert_int_equal(h.n, 1);
}

/* Cut anywhere, with any byte changed: refused, or read as something sound. */
static void nothing_broken_is_believed(void **arg)
{
    struct state_rec r = without_device(STATE_SNAT, "10.0.0.1", "8.8.8.8", "1.1.1.1");
    struct message_head got;
    struct message m, bad;
    struct heard h;

    (void)arg;
    message_begin(&m);
    assert_true(message_add_record(&m, &group, &r, 0));
    assert_true(message_add_ask(&m, &group.device, 5));
    message_finish(&m, &head);
    for (size_t size = 0; size < m.size; size++) {
        bad = m;
        bad.size = size;
        assert_int_equal(hear(&bad, &got, &h), -EBADMSG);
        bad.data[6] = (uint8_t)(size >> 8); /* the header's own idea of its size */
        bad.data[7] = (uint8_t)size;
        hear(&bad, &got, &h);
    }
    for (size_t i = 0; i < m.size; i++) {
        for (unsigned bit = 0; bit < 8; bit++) {
            bad = m;
            bad.data[i] ^= (uint8_t)(1 << bit);
            if (hear(&bad, &got, &h) == 0 && h.n) {
                assert_true(h.recs[0].kind > STATE_NONE && h.recs[0].kind < STATE_N_KINDS);
                assert_true(h.groups[0].kind == TOPO_ROUTER || h.groups[0].kind == TOPO_BRIDGE);
            }
        }
    }
    bad = m;
    bad.data[4] = 2; /* version */
    assert_int_equal(hear(&bad, &got, &h), -EBADMSG);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_written_is_read),
        cmocka_unit_test(a_datagram_is_filled_and_no_more),
        cmocka_unit_test(sections_of_a_later_version_are_skipped),
        cmocka_unit_test(nothing_broken_is_believed),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
