#include "agent/worker_internal.h"
#include "packet/packet.h"

void worker_need(struct worker *w, const struct sim_result *r)
{
    for (uint32_t i = 0; i < r->n_needs; i++) {
        const struct sim_need *need = &r->needs[i];
        if (need->kind == SIM_NEED_OBJECT)
            w->host->need(w->host, need->ref);
        else if (need->kind == SIM_NEED_PORTS && w->host->lease)
            w->host->lease(w->host, need);
    }
}

static void collect_tags(struct worker *w, const struct sim_result *r, struct judgement *j)
{
    size_t n = r->n_tags + j->t.n_tags + r->n_states;

    j->dsts = r->dsts;
    j->n_dsts = r->n_dsts;
    j->tags = arena_alloc(&w->batch.arena, n * sizeof *j->tags);
    memcpy(j->tags, r->tags, r->n_tags * sizeof *j->tags);
    j->n_tags = r->n_tags;
    for (uint32_t i = 0; i < j->t.n_tags; i++)
        j->tags[j->n_tags++] = j->t.tags[i];
    /* A tracked connection is looked up by its other direction only, but this one must not go on
     * when its record has gone: answers would fall. */
    for (uint32_t i = 0; i < r->n_states; i++)
        if (r->states[i].kind == STATE_CONN)
            j->tags[j->n_tags++] =
                tag_state(STATE_CONN, STATE_FORTH, r->states[i].device, &r->states[i].fwd);
}

static void judge_drop(const struct sim_result *r, struct judgement *j)
{
    j->drop = true;
    j->class = r->brief ? FT_SHORT : FT_DROP;
    j->cause = (struct drop_cause){
        .reason = (uint16_t)r->reason, .kind = r->reason_kind, .object = r->reason_id};
    /* what no datapath matches can't be a flow */
    j->install = !r->no_flow && r->reason != SIM_TTL && r->reason != SIM_MALFORMED;
}

void worker_judge(struct worker *w, const struct flow_key *key, const struct sim_result *r,
                  struct judgement *j)
{
    *j = (struct judgement){.class = r->brief ? FT_SHORT : r->n_states ? FT_STATEFUL : FT_FORWARD};
    if (r->verdict == SIM_DROP) {
        judge_drop(r, j);
    } else if (r->verdict == SIM_FORWARD) {
        translate(w->host->topo, worker_ports(w), w->host->local_host, key, r->outs, r->n_outs,
                  &w->batch.arena, &j->t);
        w->counters.copies_lost += j->t.n_lost;
        j->install = !r->no_flow;
        if (!j->t.n_outs) {
            j->drop = true;
            j->class = r->brief || j->t.brief ? FT_SHORT : FT_DROP;
            j->cause = j->t.n_lost ? j->t.lost : (struct drop_cause){.reason = SIM_FLOOD_EMPTY};
        }
    }
    if (j->install)
        collect_tags(w, r, j);
}

uint32_t worker_install(struct worker *w, const struct flow_key *key, const struct flow_key *mask,
                        const struct judgement *j, bool missed)
{
    struct ft_flow f = {.key = key,
                        .mask = mask,
                        .class = j->class,
                        .drop = j->drop ? drops_number(w->drops, &j->cause) : 0,
                        .outs_hash = translate_hash(j->t.outs, j->t.n_outs),
                        .tags = j->tags,
                        .n_tags = j->n_tags,
                        .missed = missed};

    flow_batch_install(&w->batch, &f, j->t.outs, j->t.n_outs);
    for (size_t i = 0; i < j->n_dsts; i++) /* behind the flow: see dst_tags.h */
        dst_tags_add(w->dsts, &j->dsts[i]);
    return f.drop;
}

static void count_drop(struct worker *w, const struct drop_cause *cause, const struct flow_key *key)
{
    topo_ref port = portmap_port(worker_ports(w), key->in_port);

    w->counters.drops++;
    drops_count(w->drops, drops_number(w->drops, cause), key->in_port, 1, w->now);
    drops_event(w->drops, cause, port, key, w->now);
}

static const struct sim_out *whole_of(const struct translation *t, uint16_t i)
{
    return t->whole ? t->whole[i] : NULL;
}

/* Outputs with bytes of their own go one by one: they are rare. */
void worker_send(struct worker *w, const struct dp_exec *exec, const struct translation *t)
{
    for (uint16_t i = 0, n = 1; i < t->n_outs; i += n, n = 1) {
        const struct sim_out *whole = whole_of(t, i);
        struct dp_exec x = *exec;
        if (whole) {
            x.packet = whole->packet;
            x.size = whole->size;
            x.handle = 0; /* not the datapath's any more */
        } else if (!t->whole) {
            n = t->n_outs;
        } else {
            while (i + n < t->n_outs && !whole_of(t, (uint16_t)(i + n)))
                n++;
        }
        x.outs = &t->outs[i];
        x.n_outs = n;
        flow_batch_send(&w->batch, &x);
    }
}

static void send_packet(struct worker *w, const struct dp_upcall *up, const struct translation *t)
{
    struct dp_exec exec = {.packet = up->packet,
                           .size = up->size,
                           .in_port = up->port_no,
                           .gso_size = up->gso_size,
                           .csum_partial = up->csum_partial,
                           .handle = up->handle};

    worker_send(w, &exec, t);
}

static uint64_t matchable_hash(const struct flow_key *key)
{
    struct flow_key k = *key;

    k.ip_ttl = 0;
    k.tcp_flags = 0;
    k.icmp_id = 0;
    return hash_bytes(&k, sizeof k, 0);
}

/* Treats the packet like an earlier one of the batch that has the same flow. */
static bool like_another(struct worker *w, const struct flow_key *key, const struct dp_upcall *up)
{
    uint64_t hash = matchable_hash(key);

    if (up->reason != DP_MISS || key->malformed)
        return false;
    for (unsigned i = 0; i < w->n_outcomes; i++) {
        const struct outcome *o = &w->outcomes[i];
        if (o->hash != hash || !flow_key_matches(key, &o->key, &o->mask))
            continue;
        if (o->ttl_dec && key->ip_ttl <= o->ttl_dec)
            return false;
        w->counters.duplicates++;
        if (o->drop)
            count_drop(w, &o->cause, key);
        send_packet(w, up, &(struct translation){.outs = o->outs, .n_outs = o->n_outs});
        return true;
    }
    return false;
}

static void remember(struct worker *w, const struct flow_key *key, const struct flow_key *mask,
                     const struct judgement *j)
{
    struct outcome *o = &w->outcomes[w->n_outcomes];

    if (w->n_outcomes == WORKER_UPCALLS)
        return;
    *o = (struct outcome){.key = *key,
                          .mask = *mask,
                          .outs = j->t.outs,
                          .n_outs = j->t.n_outs,
                          .ttl_dec = j->t.ttl_dec,
                          .drop = j->drop,
                          .cause = j->cause,
                          .hash = matchable_hash(key)};
    o->mask.ip_ttl = 0;
    o->mask.n_vlans = 0;
    w->n_outcomes++;
}

static struct drop_cause timeout_cause(struct worker *w, const struct sim_need *need)
{
    static const uint16_t reasons[] = {[SIM_NEED_OBJECT] = SIM_TOPOLOGY_TIMEOUT,
                                       [SIM_NEED_NEIGH] = SIM_NEIGH_TIMEOUT,
                                       [SIM_NEED_PORTS] = SIM_NAT_TIMEOUT};

    return (struct drop_cause){.reason = reasons[need->kind],
                               .kind = (uint8_t)topo_kind_of(w->host->topo, need->ref),
                               .object = *topo_id(w->host->topo, need->ref)};
}

void worker_give_up(struct worker *w, const struct parked_packet *p)
{
    struct drop_cause cause = timeout_cause(w, &p->needs[0]);
    struct packet_layers layers;
    struct flow_key key;

    packet_parse(p->up.packet, p->up.size, &key, &layers);
    key.in_port = p->up.port_no;
    count_drop(w, &cause, &key);
}

static void park(struct worker *w, const struct dp_upcall *up, const struct parked_packet *p,
                 const struct flow_key *key, const struct sim_result *r)
{
    struct parked_packet *gone;

    worker_need(w, r);
    worker_send_emits(w, r, true);
    if (!r->n_needs || (p && p->timed_out)) { /* its time is over, whatever it wants now */
        struct drop_cause cause = {.reason = SIM_TOPOLOGY_TIMEOUT};
        if (r->n_needs)
            cause = timeout_cause(w, &r->needs[0]);
        count_drop(w, &cause, key);
        return;
    }
    w->counters.parked += !p;
    parked_add(w->parked, up, r->needs, r->n_needs, p ? p->until_ns : w->now + w->opts.park_ns,
               &gone);
    if (gone) {
        w->counters.parked_overflow++;
        worker_give_up(w, gone);
        parked_done(w->parked, gone);
    }
}

void worker_packet(struct worker *w, const struct dp_upcall *up, const struct parked_packet *p)
{
    struct sim_input in = {.topo = w->host->topo,
                           .state = w->host->state,
                           .now_ns = w->now,
                           .packet = up->packet,
                           .size = up->size,
                           .overlay_mtu = worker_mtu(w)};
    struct packet_layers layers;
    struct judgement j;
    struct flow_key key;
    struct sim_result r;

    struct portmap *ports = worker_ports(w);

    in.port = portmap_port(ports, up->port_no);
    if (!in.port) {
        w->counters.upcalls_no_port++;
        return;
    }
    if (w->host->heard && portmap_heard(ports, up->port_no))
        w->host->heard(w->host, in.port);
    packet_parse(up->packet, up->size, &key, &layers);
    key.in_port = up->port_no;
    if (!p && like_another(w, &key, up))
        return;
    in.key = &key;
    if (p && p->timed_out) {
        in.given_up = p->needs;
        in.n_given_up = p->n_needs;
        w->counters.parked_timeouts++;
    }
    uint64_t made = w->counters.records_made;
    int rc = worker_simulate(w, &in, &r);
    if (r.verdict == SIM_NEED) {
        park(w, up, p, &key, &r);
        return;
    }
    worker_learn(w, &r, WORKER_LEARN);
    if (rc) { /* the next packet may find others out of its way: no flow */
        struct drop_cause cause = worker_refusal(w, &r, rc);
        count_drop(w, &cause, &key);
        worker_send_emits(w, &r, true);
        return;
    }
    if (w->counters.records_made != made)
        worker_share(w, in.port, &r);
    worker_log(w, &r, made);
    if (r.n_traces && worker_trace(w, &in, &r))
        r.no_flow = true;
    worker_judge(w, &key, &r, &j);
    if (j.install) {
        worker_install(w, &key, &r.mask, &j, up->reason == DP_MISS && !p);
        remember(w, &key, &r.mask, &j);
    }
    if (j.drop)
        count_drop(w, &j.cause, &key);
    send_packet(w, up, &j.t);
    worker_send_emits(w, &r, false);
}
