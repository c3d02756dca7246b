/* Mail to an agent, from whoever can send it: agents that are believed, one that is being looked
 * up, one from the wrong address, one nobody knows.  Any bytes, and any messages of the machinery
 * in any order, while this agent tells, asks and is asked, and time passes.
 *
 * Nothing breaks; memory stays bounded; and when nobody says anything any more, all comes to rest.
 */
#include <stdlib.h>

#include "agent/exchange.h"
#include "base/clock.h"
#include "base/mem.h"
#include "fuzz_life.h"
#include "state/state.h"

enum { HERE, FRIEND, OTHER, LATER, STRANGER, N_HOSTS, N_PORTS = 3 };

static struct lab {
    struct mail mail; /* first */
    struct topo *topo;
    struct uuid hosts[N_HOSTS], device, fresh, ports[N_PORTS];
    struct ip ips[N_HOSTS];
    topo_ref refs[N_HOSTS], device_ref, port_refs[N_PORTS];
    uint64_t now, n; /* n: of the input */
    const uint8_t *in;
    size_t in_size;
    unsigned from;
    struct exchange *x;
} lab;

static struct uuid id_of(uint64_t a, uint64_t b)
{
    struct uuid id;

    memcpy(id.b, &a, 8);
    memcpy(id.b + 8, &b, 8);
    return id;
}

static int lab_send(struct mail *m, const struct ip *local, const struct ip *remote,
                    const void *buf, size_t size)
{
    struct wire_header h;

    (void)m;
    CHECK(ip_equal(local, &lab.ips[HERE]) && !ip_equal(remote, local));
    CHECK(size <= WIRE_MAX && !wire_header(buf, size, &h));
    return 0;
}

static int lab_recv(struct mail *m, struct ip *remote, void *buf, size_t room)
{
    if (!lab.in)
        return -EAGAIN;
    (void)m;
    size_t size = MIN(room, lab.in_size);
    memcpy(buf, lab.in, size);
    *remote = lab.ips[lab.from];
    lab.in = NULL;
    return (int)size;
}

static void on_changed(void *aux, const struct tag_change *changes, size_t n)
{
    (void)aux;
    for (size_t i = 0; i < n; i++)
        CHECK(changes[i].tag);
}

static void on_need(void *aux, topo_ref ref)
{
    (void)aux;
    CHECK(ref);
}

static void on_meet(void *aux, enum topo_kind kind, const struct uuid *id)
{
    (void)aux;
    CHECK((kind == TOPO_HOST || kind == TOPO_NONE) && !uuid_is_zero(id));
}

static void on_due(void *aux)
{
    (void)aux;
}

static void on_fetched(void *aux, topo_ref port)
{
    (void)aux;
    CHECK(port);
}

static topo_ref add_host(const struct uuid *id, const struct ip *ip)
{
    struct topo_host *h = topo_object(TOPO_HOST, sizeof *h, sizeof *h->zones + 16, id, "");

    h->alive = true;
    h->n_zones = 1;
    h->zones = topo_extra(h, sizeof *h->zones);
    h->zones->zone = id_of(7, 7);
    h->zones->ip = *ip;
    return topo_publish(lab.topo, &h->obj);
}

static void begin(void)
{
    static const struct mail_ops ops = {.send = lab_send, .recv = lab_recv};

    rcu_register_thread();
    lab.mail.ops = &ops;
    lab.topo = topo_new();
    for (unsigned i = 0; i < N_HOSTS; i++) {
        lab.hosts[i] = id_of(1, i);
        lab.ips[i] = ip_from4(__builtin_bswap32(0xc0000201 + i));
        if (i <= OTHER)
            lab.refs[i] = add_host(&lab.hosts[i], &lab.ips[i]);
    }
    lab.device = id_of(2, 1);
    lab.device_ref = topo_intern(lab.topo, TOPO_BRIDGE, &lab.device);
    for (unsigned i = 0; i < N_PORTS; i++) {
        lab.ports[i] = id_of(3, i);
        if (i)
            lab.port_refs[i] = topo_intern(lab.topo, TOPO_PORT, &lab.ports[i]);
    }
}

/* What takes bytes off the input. */
struct input {
    const uint8_t *p;
    size_t left;
};

static uint8_t take(struct input *in)
{
    if (!in->left)
        return 0;
    in->left--;
    return *in->p++;
}

static uint64_t take_number(struct input *in)
{
    uint8_t how = take(in);
    uint64_t n = take(in);

    switch (how % 8) {
    case 0:
        n = WIRE_NUMBER_END - 1 - n;
        break;
    case 1:
        n <<= take(in) % 64;
        break;
    }
    return n;
}

static void hear(const uint8_t *p, size_t size, unsigned from)
{
    lab.in = p;
    lab.in_size = size;
    lab.from = from;
    exchange_hear(lab.x, lab.now);
}

static void add_record(struct wire_writer *w, struct input *in)
{
    uint8_t how = take(in);
    struct wire_record r = {.rec = {.kind = how % 4, .fwd = {.proto = 17, .sport = take(in)}},
                            .device = how & 16 ? lab.fresh : lab.device,
                            .n_ports = how >> 6,
                            .idle_ms = (uint32_t)take(in) << 20};

    r.rec.to_port = take(in) & 3;
    r.rec.fwd.src = r.rec.fwd.dst = r.rec.to = lab.ips[how & 32 ? FRIEND : OTHER];
    for (unsigned i = 0; i < r.n_ports; i++)
        r.ports[i] = lab.ports[i];
    wire_add(w, &r);
}

static void add_report(struct wire_writer *w, struct input *in)
{
    struct wire_report r = {.life = 1000, .all = take_number(in), .n_missing = take(in) % 4};

    for (unsigned i = 0; i < r.n_missing; i++) {
        r.missing[i].first = take_number(in);
        r.missing[i].last = r.missing[i].first + take_number(in);
    }
    wire_add_report(w, &r);
}

/* A message that makes some sense. */
static void hear_message(struct input *in)
{
    static const uint64_t lives[] = {5, 6, 1, UINT64_MAX};
    uint8_t buf[WIRE_MAX], who = take(in), type = take(in);
    unsigned from = 1 + who % (N_HOSTS - 1);
    const struct wire_header h = {type % 8, (type >> 3) % 32 == 31, lab.hosts[from],
                                  lives[who / 64], take_number(in)};
    struct wire_writer w;

    wire_begin(&w, buf, sizeof buf, &h);
    for (unsigned n = take(in) % 4; n; n--) {
        switch (take(in) % 4) {
        case 0:
            add_record(&w, in);
            break;
        case 1:
            add_report(&w, in);
            break;
        case 2:
            wire_add_id(&w, &lab.ports[take(in) % N_PORTS]);
            break;
        default:
            wire_add_number(&w, take_number(in));
        }
    }
    hear(buf, w.size, who & 32 ? 1 + (from + 1) % (N_HOSTS - 1) : from);
}

static void tell(struct input *in)
{
    struct state_rec rec = {.kind = STATE_CONN, .device = lab.device_ref, .fwd = {.proto = 6}};
    const struct state_via via = {lab.port_refs[1], lab.port_refs[2]};
    const topo_ref to[] = {lab.refs[FRIEND], lab.refs[OTHER]};
    uint8_t how = take(in);

    rec.fwd.src = rec.fwd.dst = lab.ips[HERE];
    rec.fwd.sport = how;
    exchange_tell(lab.x, to, how % 3, &rec, 1, &via, lab.now);
    if (how & 128)
        exchange_flush(lab.x, lab.now);
}

static void step(struct input *in)
{
    uint8_t op = take(in);
    size_t n;

    switch (op % 8) {
    case 0:
        n = take(in) * 6u;
        n = MIN(n, in->left);
        hear(in->p, n, op & 8 ? FRIEND : STRANGER);
        in->p += n;
        in->left -= n;
        break;
    case 1:
        lab.now += (uint64_t)take(in) << 25;
        exchange_run(lab.x, lab.now);
        break;
    case 2:
        tell(in);
        break;
    case 3:
        n = 1 + (op >> 3) % 2;
        exchange_fetch(lab.x, lab.port_refs[n], lab.refs[1 + (op >> 4) % 2], NSEC_PER_SEC, lab.now);
        break;
    case 4: /* who was being looked up is found; so is the device */
        if (!lab.refs[LATER]) {
            lab.refs[LATER] = add_host(&lab.hosts[LATER], &lab.ips[LATER]);
            exchange_known(lab.x, lab.refs[LATER], lab.now);
            exchange_met(lab.x, topo_intern(lab.topo, TOPO_NONE, &lab.fresh), lab.now);
        }
        break;
    default:
        hear_message(in);
    }
}

static void come_to_rest(void)
{
    uint64_t next;

    for (unsigned i = 0; (next = exchange_run(lab.x, lab.now)) != UINT64_MAX; i++) {
        CHECK(i < 20000);
        lab.now = MAX(lab.now, next);
    }
    CHECK(exchange_memory(lab.x) < 4u << 20);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const struct exchange_callbacks cb = {NULL, on_changed, on_need, on_meet, on_due, on_fetched};
    struct state_limits limits = {.max_records = 512};
    struct input in = {data, size};
    struct exchange_options o;

    if (!lab.topo)
        begin();
    lab.now = 1000 * NSEC_PER_SEC;
    lab.hosts[LATER] = id_of(4, ++lab.n);
    lab.fresh = id_of(5, lab.n);
    lab.refs[LATER] = 0;
    topo_ref later = topo_intern(lab.topo, TOPO_HOST, &lab.hosts[LATER]);
    o = (struct exchange_options){.host = lab.hosts[HERE],
                                  .local_host = lab.refs[HERE],
                                  .life = 1000,
                                  .mail = &lab.mail,
                                  .topo = lab.topo};
    CHECK(!state_new(&limits, &o.state));
    lab.x = exchange_new(&o, &cb);
    while (in.left)
        step(&in);
    come_to_rest();
    exchange_free(lab.x);
    state_free(o.state);
    topo_unload(lab.topo, later);
    rcu_quiescent_state();
    return 0;
}
