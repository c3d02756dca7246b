#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/hash.h"
#include "base/mem.h"
#include "packet/packet.h"
#include "scenario.h"

int scenario_find_port(struct scenario *s, const char *name, struct error *e)
{
    for (unsigned i = 0; name && i < s->n_ports; i++)
        if (!strcmp(s->ports[i].name, name))
            return (int)i;
    return error_set(e, -ENOENT, name, NULL, "no port of this name is bound in the scenario");
}

static void drop_frame(struct scenario *s, unsigned i)
{
    free(s->queue[i].data);
    s->queue[i] = s->queue[--s->n_queue];
}

void scenario_flush(struct scenario *s)
{
    while (s->n_queue)
        drop_frame(s, 0);
}

/* An agent that isn't answered within half a second asks again (core/agent/asking.h).  Where time
 * is real, how often depends on the machine that runs all this: what came out of that port before
 * is taken if it is expected, and no surprise if not.  A machine's question that is flooded is
 * none. */
static bool is_asked_again(struct scenario *s, unsigned port, const uint8_t *frame, size_t size)
{
    struct flow_key k;
    struct packet_layers l;

    packet_parse(frame, size, &k, &l);
    bool question = (k.eth_type == ETH_TYPE_ARP && k.ip_proto == 1) ||
                    (k.eth_type == ETH_TYPE_IP6 && k.ip_proto == 58 && k.tp_src == 135);
    if (!s->lab->ops->real_time || !question ||
        (size == s->sent_size && !memcmp(frame, s->sent, size)))
        return false;
    uint64_t hash = hash_bytes(frame, size, port);
    for (unsigned i = 0; i < ARRAY_SIZE(s->asked); i++)
        if (s->asked[i] == hash)
            return true;
    s->asked[s->n_asked++ % ARRAY_SIZE(s->asked)] = hash;
    return false;
}

static int enqueue(struct scenario *s, unsigned port, const uint8_t *frame, size_t size,
                   struct error *e)
{
    if (s->n_queue == SCENARIO_QUEUE)
        return error_set(e, -ENOSPC, s->ports[port].name, NULL,
                         "more than %d unexpected packets came out", SCENARIO_QUEUE);
    uint8_t *copy = mem_alloc(size);
    memcpy(copy, frame, size);
    s->queue[s->n_queue++] =
        (struct scenario_frame){port, size, copy, is_asked_again(s, port, frame, size)};
    if (s->verbose) {
        char text[320];
        fprintf(stderr, "    %s < %s\n", s->ports[port].name,
                packet_describe(frame, size, text, sizeof text));
    }
    return 0;
}

static int transmit(struct scenario *s, unsigned port, const uint8_t *frame, size_t size,
                    struct error *e)
{
    if (s->verbose) {
        char text[320];
        fprintf(stderr, "    %s > %s\n", s->ports[port].name,
                packet_describe(frame, size, text, sizeof text));
    }
    return s->lab->ops->send(s->lab, s->ports[port].iface, frame, size, e);
}

/* Takes what came out everywhere; machines answer.  Returns how many frames moved. */
static int collect(struct scenario *s, struct error *e)
{
    uint8_t frame[SCENARIO_FRAME], reply[SCENARIO_FRAME];
    int moved = 0, rc;
    size_t size, reply_size;

    for (unsigned i = 0; i < s->n_ports; i++) {
        struct scenario_port *p = &s->ports[i];
        while ((size = s->lab->ops->recv(s->lab, p->iface, frame, sizeof frame))) {
            moved++;
            if (!vm_receive(&p->vm, frame, size, reply, sizeof reply, &reply_size))
                rc = enqueue(s, i, frame, size, e);
            else
                rc = reply_size ? transmit(s, i, reply, reply_size, e) : 0;
            if (rc)
                return rc;
        }
    }
    return moved;
}

/* Until nothing moves any more. */
static int quiesce(struct scenario *s, struct error *e)
{
    for (unsigned round = 0; round < 100; round++) {
        int rc = s->lab->ops->settle(s->lab, e);
        if (!rc)
            rc = collect(s, e);
        if (rc <= 0)
            return rc;
    }
    return error_set(e, -ELOOP, NULL, NULL, "packets keep coming for ever");
}

/* Collects until 'done' says so or patience ends, of which there is less when nothing shall come:
 * each round has the agents finish what they have.  1 done, 0 not. */
static int await(struct scenario *s, bool (*done)(struct scenario *, void *), void *aux,
                 struct error *e)
{
    unsigned patience = s->unwanted ? LAB_UNWANTED_MS : s->lab->ops->patience_ms;

    for (unsigned waited = 0;;) {
        int rc = quiesce(s, e);
        if (rc < 0)
            return rc;
        if (done(s, aux))
            return 1;
        if (waited >= patience)
            return 0;
        waited += s->lab->ops->wait(s->lab, 20);
    }
}

int scenario_nothing(struct scenario *s, const char *const *w, size_t n, struct error *e)
{
    char text[320];
    int rc = quiesce(s, e);

    (void)w;
    if (rc < 0)
        return rc;
    if (n)
        return error_set(e, -EINVAL, NULL, NULL, "\"nothing\" takes no words");
    for (unsigned i = s->n_queue; i--;)
        if (s->queue[i].asked_again)
            drop_frame(s, i);
    if (!s->n_queue)
        return 0;
    const struct scenario_frame *f = &s->queue[0];
    return error_set(e, -EPROTO, s->ports[f->port].name, NULL, "unexpected packet: %s",
                     packet_describe(f->data, f->size, text, sizeof text));
}

static int send_frame(struct scenario *s, unsigned port, const uint8_t *frame, size_t size,
                      struct error *e)
{
    struct lab_drop stale;
    int rc = scenario_nothing(s, NULL, 0, e);

    if (rc)
        return rc;
    memmove(s->sent, frame, size);
    s->sent_size = size;
    s->sent_port = port;
    while (s->lab->ops->last_drop(s->lab, s->ports[port].host, &stale, e) > 0)
        continue;
    if ((rc = s->lab->ops->upcalls(s->lab, s->ports[port].iface, &s->upcalls_before, e)))
        return rc;
    return transmit(s, port, s->sent, size, e);
}

int scenario_send(struct scenario *s, const char *const *w, size_t n, struct error *e)
{
    struct packet_spec spec;
    uint8_t frame[SCENARIO_FRAME];
    int port = scenario_find_port(s, n ? w[0] : NULL, e), rc;

    if (port < 0)
        return port;
    if ((rc = packet_spec_parse(w + 1, n - 1, &spec, e)))
        return rc;
    if (mac_is_zero(&spec.given.eth_src) && s->ports[port].vm.present)
        spec.key.eth_src = s->ports[port].vm.mac;
    size_t size = packet_spec_build(&spec, frame, sizeof frame);
    if (!size)
        return error_set(e, -EINVAL, "packet", "size", "larger than %d bytes", SCENARIO_FRAME);
    return send_frame(s, (unsigned)port, frame, size, e);
}

int scenario_sendraw(struct scenario *s, const char *const *w, size_t n, struct error *e)
{
    uint8_t frame[SCENARIO_FRAME];
    size_t size = 0;
    int port = scenario_find_port(s, n ? w[0] : NULL, e);

    if (port < 0)
        return port;
    for (size_t i = 1; i < n; i++) {
        for (const char *p = w[i]; *p; p += 2) {
            unsigned byte;
            if (size == sizeof frame || !p[1] || sscanf(p, "%2x", &byte) != 1)
                return error_set(e, -EINVAL, "packet", NULL, "\"%s\" is not hex bytes", w[i]);
            frame[size++] = (uint8_t)byte;
        }
    }
    return send_frame(s, (unsigned)port, frame, size, e);
}

int scenario_again(struct scenario *s, const char *const *w, size_t n, struct error *e)
{
    (void)w;
    if (n || !s->sent_size)
        return error_set(e, -EINVAL, NULL, NULL, "\"again\" stands alone, after a send");
    return send_frame(s, s->sent_port, s->sent, s->sent_size, e);
}

struct wanted {
    uint64_t ports; /* a bit each: at one of them */
    unsigned port;  /* there it was */
    bool exact;
    struct packet_spec spec;
    char why[160]; /* the best candidate didn't fit */
};

static bool frame_fits(const struct scenario *s, const struct scenario_frame *f,
                       struct wanted *want)
{
    if (!(want->ports >> f->port & 1))
        return false;
    if (!want->exact)
        return packet_spec_match(&want->spec, f->data, f->size, want->why, sizeof want->why);
    /* a driver may pad short frames */
    if (f->size >= s->sent_size && f->size <= MAX(s->sent_size, 60u) &&
        !memcmp(f->data, s->sent, s->sent_size))
        return true;
    packet_spec_match(&want->spec, f->data, f->size, want->why, sizeof want->why);
    return false;
}

static bool take_wanted(struct scenario *s, void *aux)
{
    for (unsigned i = 0; i < s->n_queue; i++) {
        if (frame_fits(s, &s->queue[i], aux)) {
            ((struct wanted *)aux)->port = s->queue[i].port;
            drop_frame(s, i);
            return true;
        }
    }
    return false;
}

/* "p1" or "p1,p2": one of these. */
static int parse_ports(struct scenario *s, const char *words, uint64_t *ports, struct error *e)
{
    char name[sizeof s->ports[0].name];

    for (*ports = 0; words; words = *words ? words + 1 : NULL) {
        size_t len = strcspn(words, ",");
        snprintf(name, sizeof name, "%.*s", (int)len, words);
        int port = scenario_find_port(s, name, e);
        if (port < 0)
            return port;
        *ports |= (uint64_t)1 << port;
        words += len;
    }
    return *ports ? 0 : scenario_find_port(s, NULL, e);
}

int scenario_expect(struct scenario *s, const char *const *w, size_t n, struct error *e)
{
    struct wanted want = {0};
    int rc = parse_ports(s, n ? w[0] : NULL, &want.ports, e);

    if (rc)
        return rc;
    if (n > 1 && !strcmp(w[1], "same")) {
        want.exact = n == 2;
        packet_spec_of(s->sent, s->sent_size, &want.spec);
        rc = packet_spec_modify(w + 2, n - 2, &want.spec, e);
    } else {
        rc = packet_spec_parse(w + 1, n - 1, &want.spec, e);
    }
    if (rc)
        return rc;
    rc = await(s, take_wanted, &want, e);
    if (rc)
        return rc < 0 ? rc : scenario_let(s, "out", s->ports[want.port].name, e);
    if (want.why[0])
        return error_set(e, -EPROTO, w[0], NULL, "no such packet came out; of one that did, %s",
                         want.why);
    return error_set(e, -EPROTO, w[0], NULL, "no such packet came out");
}

static bool take_drop(struct scenario *s, void *aux)
{
    return s->lab->ops->last_drop(s->lab, s->ports[s->sent_port].host, aux, NULL) > 0;
}

static bool object_is(const char *object, const char *name)
{
    size_t have = strlen(object), want = strlen(name);

    return !strcmp(object, name) ||
           (have > want && object[have - want - 1] == ' ' && !strcmp(object + have - want, name));
}

int scenario_drop(struct scenario *s, const char *const *w, size_t n, struct error *e)
{
    struct lab_drop drop = {0};
    int rc;

    if (n < 1 || n > 2 || !s->sent_size)
        return error_set(e, -EINVAL, NULL, NULL, "drop REASON [OBJECT], after a send");
    if ((rc = await(s, take_drop, &drop, e)) < 0)
        return rc;
    if (!rc)
        return error_set(e, -EPROTO, NULL, NULL, "the packet was not dropped");
    if (strcmp(drop.reason, w[0]))
        return error_set(e, -EPROTO, drop.object, NULL, "dropped for %s, not %s", drop.reason,
                         w[0]);
    if (n == 2 && !object_is(drop.object, w[1]))
        return error_set(e, -EPROTO, drop.object, NULL, "this object dropped it, not %s", w[1]);
    return scenario_nothing(s, NULL, 0, e);
}

struct resolution {
    const struct vm *vm;
    struct ip next_hop;
};

static bool resolved(struct scenario *s, void *aux)
{
    const struct resolution *r = aux;

    (void)s;
    return vm_neighbour(r->vm, &r->next_hop);
}

/* 1 resolved, 0 not. */
static int resolve(struct scenario *s, unsigned port, const struct ip *src,
                   const struct ip *next_hop, struct error *e)
{
    struct vm *vm = &s->ports[port].vm;
    struct resolution r = {vm, *next_hop};
    uint8_t frame[256];

    if (vm_neighbour(vm, next_hop))
        return 1;
    size_t size = vm_ask(vm, src, next_hop, frame, sizeof frame);
    int rc = transmit(s, port, frame, size, e);
    return rc ? rc : await(s, resolved, &r, e);
}

static int ping(struct scenario *s, unsigned port, const struct ip *dst, struct wanted *want,
                struct error *e)
{
    struct vm *vm = &s->ports[port].vm;
    struct flow_key k = {.ip_ttl = 64, .icmp_id = ++s->ping_id, .ip_dst = *dst};
    uint8_t frame[256];
    struct ip next_hop;
    int rc;

    if (!vm_route(vm, dst, &k.ip_src, &next_hop))
        return error_set(e, -EINVAL, s->ports[port].name, NULL, "this machine has no way there");
    if ((rc = resolve(s, port, &k.ip_src, &next_hop, e)) <= 0)
        return rc;
    bool v4 = ip_is4(dst);
    k.eth_src = vm->mac;
    k.eth_dst = *vm_neighbour(vm, &next_hop);
    k.eth_type = v4 ? ETH_TYPE_IP : ETH_TYPE_IP6;
    k.ip_proto = v4 ? 1 : 58;
    k.tp_src = v4 ? 8 : 128;
    size_t size = packet_from_key(frame, sizeof frame, &k, "mn", 2);
    if ((rc = send_frame(s, port, frame, size, e)))
        return rc;
    *want = (struct wanted){.ports = (uint64_t)1 << port};
    want->spec.key = (struct flow_key){.ip_src = *dst,
                                       .ip_dst = k.ip_src,
                                       .icmp_id = k.icmp_id,
                                       .tp_src = v4 ? 0 : 129,
                                       .ip_proto = k.ip_proto};
    struct flow_key *g = &want->spec.given;
    memset(&g->ip_src, 0xff, 2 * sizeof g->ip_src);
    g->icmp_id = g->tp_src = 0xffff;
    g->ip_proto = 0xff;
    return await(s, take_wanted, want, e);
}

int scenario_ping(struct scenario *s, const char *const *w, size_t n, struct error *e)
{
    struct wanted want = {0};
    struct ip dst;
    int port = scenario_find_port(s, n ? w[0] : NULL, e);

    if (port < 0)
        return port;
    bool fails = n == 3 && !strcmp(w[2], "fails");
    if ((n != 2 && !fails) || ip_parse(w[1], &dst))
        return error_set(e, -EINVAL, NULL, NULL, "ping PORT ADDRESS [fails]");
    if (!s->ports[port].vm.present)
        return error_set(e, -EINVAL, w[0], NULL, "no vm was declared at this port");
    int rc = scenario_nothing(s, NULL, 0, e);
    s->unwanted = fails;
    if (!rc)
        rc = ping(s, (unsigned)port, &dst, &want, e);
    s->unwanted = false;
    if (rc < 0)
        return rc;
    if (fails)
        scenario_flush(s); /* whatever error came instead */
    if (rc == (fails ? 0 : 1))
        return 0;
    if (rc)
        return error_set(e, -EPROTO, w[0], NULL, "%s answered, which it should not", w[1]);
    return error_set(e, -EPROTO, w[0], NULL, "no answer from %s%s%s", w[1], want.why[0] ? ": " : "",
                     want.why);
}

static int check_upcalls(struct scenario *s, bool fast, size_t n, struct error *e)
{
    uint64_t now;
    int rc = quiesce(s, e);

    if (rc < 0)
        return rc;
    if (n || !s->sent_size)
        return error_set(e, -EINVAL, NULL, NULL, "\"fast\" and \"slow\" stand alone, after a send");
    if ((rc = s->lab->ops->upcalls(s->lab, s->ports[s->sent_port].iface, &now, e)))
        return rc;
    if (fast == (now == s->upcalls_before))
        return 0;
    return error_set(e, -EPROTO, s->ports[s->sent_port].name, NULL,
                     fast ? "the packet went up to the agent" : "the packet did not go up");
}

int scenario_fast(struct scenario *s, const char *const *w, size_t n, struct error *e)
{
    (void)w;
    return check_upcalls(s, true, n, e);
}

int scenario_slow(struct scenario *s, const char *const *w, size_t n, struct error *e)
{
    (void)w;
    return check_upcalls(s, false, n, e);
}
