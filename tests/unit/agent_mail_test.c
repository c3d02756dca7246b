/* Mail that a good agent doesn't send: by strangers, too much of it, of another life.
 *
 *      here (192.0.2.1)  <== a mailbox made up here ==>  there (192.0.2.2)
 *
 * The exchange alone, with a topology of two hosts in one zone. */
#include <stdlib.h>

#include "agent/exchange.h"
#include "base/clock.h"
#include "topo_util.h"

#define NOW (100 * NSEC_PER_SEC)

struct box {
    struct mail mail; /* first */
    struct ip from;
    uint8_t in[WIRE_MAX], out[WIRE_MAX];
    size_t in_size, out_size; /* of the next to come, of the latest sent */
    unsigned n_in, n_sent;    /* how often it comes */
};

struct rig {
    struct box box;
    struct topo *topo;
    struct uuid here, there;
    struct exchange *x;
    unsigned n_met, n_due, n_fetched;
};

static int box_send(struct mail *m, const struct ip *local, const struct ip *remote,
                    const void *buf, size_t size)
{
    struct box *b = (struct box *)m;

    (void)local;
    assert_true(ip_equal(remote, &b->from));
    memcpy(b->out, buf, size);
    b->out_size = size;
    b->n_sent++;
    return 0;
}

static int box_recv(struct mail *m, struct ip *remote, void *buf, size_t room)
{
    struct box *b = (struct box *)m;

    if (!b->n_in)
        return -EAGAIN;
    b->n_in--;
    assert_true(b->in_size <= room);
    memcpy(buf, b->in, b->in_size);
    *remote = b->from;
    return (int)b->in_size;
}

static void on_changed(void *aux, const struct tag_change *changes, size_t n)
{
    (void)aux;
    (void)changes;
    (void)n;
}

static void on_need(void *aux, topo_ref ref)
{
    (void)aux;
    (void)ref;
}

static void on_meet(void *aux, enum topo_kind kind, const struct uuid *id)
{
    struct rig *r = aux;

    assert_int_equal(kind, TOPO_HOST);
    assert_false(uuid_is_zero(id));
    r->n_met++;
}

static void on_due(void *aux)
{
    ((struct rig *)aux)->n_due++;
}

static void on_fetched(void *aux, topo_ref port)
{
    assert_int_not_equal(port, 0);
    ((struct rig *)aux)->n_fetched++;
}

static topo_ref add_host(struct rig *r, const struct uuid *id, const char *ip)
{
    struct topo_host *h = topo_object(TOPO_HOST, sizeof *h, sizeof *h->zones + 16, id, "");

    h->alive = true;
    h->n_zones = 1;
    h->zones = topo_extra(h, sizeof *h->zones);
    h->zones->zone = uuid_n(7);
    assert_int_equal(ip_parse(ip, &h->zones->ip), 0);
    return topo_publish(r->topo, &h->obj);
}

static struct exchange *open_exchange(struct rig *r, uint64_t life)
{
    const struct exchange_callbacks cb = {r, on_changed, on_need, on_meet, on_due, on_fetched};
    const struct exchange_options o = {.host = r->here,
                                       .local_host = topo_find(r->topo, &r->here),
                                       .life = life,
                                       .mail = &r->box.mail,
                                       .topo = r->topo};

    return exchange_new(&o, &cb);
}

static struct rig *up(void)
{
    static const struct mail_ops ops = {.send = box_send, .recv = box_recv};
    struct rig *r = calloc(1, sizeof *r);

    r->box.mail.ops = &ops;
    r->topo = topo_new();
    r->here = uuid_n(1);
    r->there = uuid_n(2);
    add_host(r, &r->here, "192.0.2.1");
    add_host(r, &r->there, "192.0.2.2");
    assert_int_equal(ip_parse("192.0.2.2", &r->box.from), 0);
    r->x = open_exchange(r, 1000);
    return r;
}

static void down(struct rig *r)
{
    exchange_free(r->x);
    topo_free(r->topo);
    free(r);
}

static void put(struct rig *r, enum wire_type type, const struct uuid *sender, uint64_t number,
                const struct uuid *port)
{
    const struct wire_header h = {(uint8_t)type, 0, *sender, 5, number};
    struct wire_writer w;

    wire_begin(&w, r->box.in, sizeof r->box.in, &h);
    if (port)
        assert_true(wire_add_id(&w, port));
    r->box.in_size = w.size;
    r->box.n_in = 1;
}

/* Whoever sends faster than we hear doesn't keep us from everything else. */
static void a_flood_ends(void **arg)
{
    struct rig *r = up();

    (void)arg;
    for (unsigned size = 0; size < 16; size += 8) { /* empty ones, and garbage */
        r->box.in_size = size;
        r->box.n_in = 1u << 24;
        exchange_hear(r->x, NOW);
        assert_in_range(r->box.n_in, (1u << 24) - (1u << 16), (1u << 24) - 4096);
    }
    down(r);
}

/* They may be told apart by their names only, of which there are many. */
static void strangers_are_met_so_many_and_no_more(void **arg)
{
    struct exchange_counters c;
    struct rig *r = up();

    (void)arg;
    for (unsigned i = 0; i < 20000; i++) {
        struct uuid id = uuid_n(1000 + i);
        put(r, WIRE_PROBE, &id, 1, NULL);
        exchange_hear(r->x, NOW + i * NSEC_PER_SEC / 10);
    }
    assert_in_range(r->n_met, 1000, 5000);
    exchange_counters(r->x, &c);
    assert_in_range(c.strangers, 15000, 19000);
    assert_true(exchange_memory(r->x) < 1u << 20);
    down(r);
}

/* What was asked before a restart isn't what is asked now. */
static void questions_are_of_one_life(void **arg)
{
    struct uuid port = uuid_n(50);
    struct wire_header first, second;
    struct rig *r = up();

    (void)arg;
    topo_ref ref = topo_intern(r->topo, TOPO_PORT, &port);
    exchange_fetch(r->x, ref, topo_find(r->topo, &r->there), NSEC_PER_SEC, NOW);
    exchange_run(r->x, NOW);
    assert_int_equal(wire_header(r->box.out, r->box.out_size, &first), 0);
    assert_int_equal(first.type, WIRE_ASK);
    exchange_free(r->x);
    r->x = open_exchange(r, 2000);
    exchange_fetch(r->x, ref, topo_find(r->topo, &r->there), NSEC_PER_SEC, NOW);
    exchange_run(r->x, NOW);
    assert_int_equal(wire_header(r->box.out, r->box.out_size, &second), 0);
    assert_int_equal(second.type, WIRE_ASK);
    assert_true(second.number > first.number);
    down(r);
}

/* A host gone mad, or somebody with its address. */
static void endless_questions_take_no_endless_memory(void **arg)
{
    struct rig *r = up();
    struct uuid port = uuid_n(50);

    (void)arg;
    for (uint64_t i = 1; i <= 20000; i++) {
        put(r, WIRE_ASK, &r->there, i, &port);
        exchange_hear(r->x, NOW);
    }
    exchange_run(r->x, NOW);
    assert_in_range(r->box.n_sent, 1000, 10000);
    down(r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_flood_ends),
        cmocka_unit_test(strangers_are_met_so_many_and_no_more),
        cmocka_unit_test(questions_are_of_one_life),
        cmocka_unit_test(endless_questions_take_no_endless_memory),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
