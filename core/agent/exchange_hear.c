#include <stdlib.h>

#include "agent/exchange_impl.h"
#include "base/mem.h"

enum {
    MEETS_A_SECOND = 20, /* hosts and devices asked for because somebody named them */
    HOSTS_MET = 4096,    /* of them hosts, in a life: of those that join a zone the store tells */
    MAIL_ONCE = 16384,   /* datagrams: more than a socket holds, so all that were there are heard,
                            and who sends faster than we hear doesn't keep us from the rest */
};
#define LETTER_NS (1 * NSEC_PER_SEC) /* a letter is kept at least so long if there is room */

static void change(struct exchange *x, tag_t tag)
{
    if (x->n_changes == x->changes_room) {
        x->changes_room = MAX((size_t)64, x->changes_room * 2);
        x->changes = mem_resize(x->changes, x->changes_room * sizeof *x->changes);
    }
    x->changes[x->n_changes++] = (struct tag_change){.tag = tag};
}

/* Whoever can send datagrams must not fill our memory with names. */
static bool may_meet(struct exchange *x, uint64_t now)
{
    if (now >= x->meets_ns + NSEC_PER_SEC) { /* the clocks of threads are a little apart */
        x->meets_ns = now;
        x->n_meets = 0;
    }
    return x->n_meets++ < MEETS_A_SECOND;
}

static topo_ref port_of(const struct exchange *x, const struct wire_record *r, unsigned i)
{
    return i < r->n_ports ? topo_find(x->opts.topo, &r->ports[i]) : 0;
}

void exchange_commit(struct exchange *x, const struct wire_record *r, topo_ref device, uint64_t now)
{
    struct state_via via = {port_of(x, r, 0), port_of(x, r, 1)};
    uint64_t idle = r->idle_ms * NSEC_PER_MSEC;
    struct state_rec rec = r->rec;
    tag_t tags[2];
    bool made;

    rec.device = device;
    x->counters.heard++;
    if (state_commit_via(x->opts.state, &rec, 1, &via, now - MIN(idle, now), STATE_RECEIVED,
                         &made)) {
        x->counters.contested++;
        return;
    }
    unsigned n = made ? state_tags(&rec, tags) : 0;
    for (unsigned i = 0; i < n; i++)
        change(x, tags[i]);
}

static void hear_record(struct exchange *x, const struct wire_record *r, uint64_t now)
{
    topo_ref device = topo_find(x->opts.topo, &r->device);
    struct waiting *w;

    if (device) {
        exchange_commit(x, r, device, now);
        return;
    }
    if (uuid_is_zero(&r->device) || x->n_waiting == WAITING_MAX)
        return;
    bool known = false;
    DL_FOREACH (x->waiting, w)
        known |= uuid_equal(&w->rec.device, &r->device);
    if (!known && !may_meet(x, now))
        return;
    w = NEW(struct waiting);
    w->rec = *r;
    w->at = now;
    DL_APPEND(x->waiting, w);
    x->n_waiting++;
    if (!known)
        x->cb.meet(x->cb.aux, TOPO_NONE, &r->device);
}

void exchange_met(struct exchange *x, topo_ref ref, uint64_t now)
{
    const struct uuid *id = topo_id(x->opts.topo, ref);
    struct waiting *w, *next;

    pthread_mutex_lock(&x->lock);
    DL_FOREACH_SAFE(x->waiting, w, next)
    {
        if (!uuid_equal(&w->rec.device, id))
            continue;
        exchange_commit(x, &w->rec, ref, now);
        DL_DELETE(x->waiting, w);
        x->n_waiting--;
        free(w);
    }
    pthread_mutex_unlock(&x->lock);
    exchange_announce(x);
}

/* The host that sent it, if it is who it says: a host we share a zone with, from its address in it.
 * One that nobody here has met is looked up; *later: it may be believed then. */
static topo_ref believe(struct exchange *x, const struct wire_header *h, const struct ip *from,
                        uint64_t now, bool *later)
{
    topo_ref host = topo_find(x->opts.topo, &h->sender);
    const struct topo_obj *o = topo_get(x->opts.topo, host);
    struct flow_out way;

    if (uuid_equal(&h->sender, &x->opts.host))
        return 0;
    if (!host) {
        *later = x->n_hosts_met < HOSTS_MET && may_meet(x, now);
        x->n_hosts_met += *later;
        if (*later)
            x->cb.meet(x->cb.aux, TOPO_HOST, &h->sender);
        return 0;
    }
    if (topo_kind_of(x->opts.topo, host) != TOPO_HOST)
        return 0;
    if (!o) {
        *later = true;
        x->cb.need(x->cb.aux, host);
        return 0;
    }
    if (o->missing || !translate_way(x->opts.topo, x->opts.local_host, host, &way))
        return 0;
    return ip_equal(&way.tun_remote, from) ? host : 0;
}

static void hear_records(struct exchange *x, const uint8_t *buf, size_t size, uint64_t now)
{
    struct wire_record recs[WIRE_RECORDS_MAX];
    int n = wire_records(buf, size, recs);

    x->counters.malformed += n < 0;
    for (int i = 0; i < n; i++)
        hear_record(x, &recs[i], now);
}

static void due_at(struct exchange *x, uint64_t at)
{
    if (at >= x->next_ns)
        return;
    x->next_ns = at;
    x->due = true;
}

static void drop_letter(struct exchange *x, struct letter *l)
{
    DL_DELETE(x->letters, l);
    x->n_letters--;
    free(l);
}

/* Until the sender has been looked up: what it says was sent before a packet that may be here, and
 * would be said again only after a while. */
static void keep_letter(struct exchange *x, const struct uuid *sender, const struct ip *from,
                        const uint8_t *buf, size_t size, uint64_t now)
{
    while (x->letters && now > x->letters->at + LETTER_NS)
        drop_letter(x, x->letters);
    if (x->n_letters == LETTERS_MAX)
        return;
    struct letter *l = mem_alloc(sizeof *l + size);
    *l = (struct letter){.sender = *sender, .from = *from, .at = now, .size = size};
    memcpy(l->buf, buf, size);
    DL_APPEND(x->letters, l);
    x->n_letters++;
}

static void hear_of_connections(struct exchange *x, struct partner *p, const uint8_t *buf,
                                size_t size, uint64_t now, struct peer_news *news)
{
    enum peer_verdict v = peer_receive(p->peer, buf, size, now, news);

    x->counters.malformed += v == PEER_BAD;
    if (v != PEER_TAKE)
        return;
    hear_records(x, buf, size, now);
    if (exchange_asking(x, p->host))
        due_at(x, now);
}

static void hear_one(struct exchange *x, const struct ip *from, const uint8_t *buf, size_t size,
                     uint64_t now)
{
    bool later = false;
    struct peer_news news = {0};
    struct wire_header h;
    struct uuid port;
    uint64_t last;

    if (wire_header(buf, size, &h)) {
        x->counters.malformed++;
        return;
    }
    topo_ref host = believe(x, &h, from, now, &later);
    if (later)
        keep_letter(x, &h.sender, from, buf, size, now);
    else
        x->counters.strangers += !host;
    if (!host)
        return;
    struct partner *p = exchange_partner(x, host);
    if (h.type == WIRE_ASK && !wire_ask(buf, size, &port)) {
        exchange_asked(x, p, &port, h.number, now);
        due_at(x, now);
        return;
    }
    if (h.type == WIRE_ANSWER && !wire_answer(buf, size, &last)) {
        /* What it told an earlier life of ours is among these messages, and is gone. */
        if (exchange_answered(x, p, h.number, last))
            peer_expect(p->peer, h.life, last, now, &news);
        due_at(x, now);
    } else {
        hear_of_connections(x, p, buf, size, now, &news);
    }
    if (news.restarted && !p->retell) {
        p->retell = true;
        p->retell_at = 0;
        due_at(x, now);
    }
    due_at(x, peer_due(p->peer));
}

void exchange_known(struct exchange *x, topo_ref host, uint64_t now)
{
    const struct uuid *id = topo_id(x->opts.topo, host);
    struct letter *l, *next, *its = NULL;

    pthread_mutex_lock(&x->lock);
    DL_FOREACH_SAFE(x->letters, l, next)
    {
        if (!uuid_equal(&l->sender, id))
            continue;
        DL_DELETE(x->letters, l);
        x->n_letters--;
        DL_APPEND(its, l);
    }
    bool any = its;
    DL_FOREACH_SAFE(its, l, next)
    {
        hear_one(x, &l->from, l->buf, l->size, now);
        free(l);
    }
    pthread_mutex_unlock(&x->lock);
    if (any)
        exchange_announce(x);
}

bool exchange_take_mail(struct exchange *x, uint64_t now)
{
    uint8_t buf[2048];
    struct ip from;
    bool any = false;
    int size;

    for (unsigned i = 0; i < MAIL_ONCE; i++) {
        size = mail_recv(x->opts.mail, &from, buf, sizeof buf);
        if (size < 0)
            break;
        hear_one(x, &from, buf, (size_t)size, now);
        any = true;
    }
    return any;
}

void exchange_hear(struct exchange *x, uint64_t now)
{
    pthread_mutex_lock(&x->lock); /* what another thread is just hearing counts as heard, too */
    bool any = exchange_take_mail(x, now);
    pthread_mutex_unlock(&x->lock);
    if (any)
        exchange_announce(x);
}
