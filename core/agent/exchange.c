#include "agent/exchange.h"

#include <stdlib.h>

#include "agent/exchange_impl.h"
#include "base/mem.h"

struct exchange *exchange_new(const struct exchange_options *opts,
                              const struct exchange_callbacks *cb)
{
    struct exchange *x = NEW(struct exchange);

    x->opts = *opts;
    x->cb = *cb;
    x->questions = opts->life % WIRE_NUMBER_END; /* none of an earlier life has these numbers */
    pthread_mutex_init(&x->lock, NULL);
    return x;
}

void exchange_free(struct exchange *x)
{
    struct partner *p, *next_p;
    struct waiting *w, *next_w;
    struct letter *l, *next_l;
    struct fetch *f, *next_f;
    struct moved *m, *next_m;

    if (!x)
        return;
    HASH_ITER (hh, x->partners, p, next_p) {
        HASH_DEL(x->partners, p);
        peer_free(p->peer);
        free(p);
    }
    DL_FOREACH_SAFE(x->waiting, w, next_w)
    free(w);
    DL_FOREACH_SAFE(x->letters, l, next_l)
    free(l);
    DL_FOREACH_SAFE(x->fetches, f, next_f)
    free(f);
    HASH_ITER (hh, x->moved, m, next_m) {
        HASH_DEL(x->moved, m);
        free(m);
    }
    pthread_mutex_destroy(&x->lock);
    free(x->changes);
    free(x->fetched);
    free(x);
}

struct partner *exchange_partner(struct exchange *x, topo_ref host)
{
    struct partner *p;

    HASH_FIND(hh, x->partners, &host, sizeof host, p);
    if (p)
        return p;
    p = NEW(struct partner);
    p->host = host;
    p->peer = peer_new(&x->opts.host, x->opts.life, 0);
    HASH_ADD(hh, x->partners, host, sizeof p->host, p);
    return p;
}

/* False when there is no way to that host; what gets lost on the way is seen to otherwise. */
static bool deliver(const struct exchange *x, topo_ref host, const void *buf, size_t size)
{
    struct flow_out way;

    if (!translate_way(x->opts.topo, x->opts.local_host, host, &way))
        return false;
    mail_send(x->opts.mail, &way.tun_local, &way.tun_remote, buf, size);
    return true;
}

static void count_sent(struct exchange *x, bool sent)
{
    x->counters.sent += sent;
    x->counters.no_way += !sent;
}

void exchange_send(struct exchange *x, topo_ref host, const void *buf, size_t size)
{
    count_sent(x, deliver(x, host, buf, size));
}

/* Workers that have something to tell needn't wait for this one. */
static void send_unlocked(struct exchange *x, topo_ref host, const void *buf, size_t size)
{
    pthread_mutex_unlock(&x->lock);
    bool sent = deliver(x, host, buf, size);
    pthread_mutex_lock(&x->lock);
    count_sent(x, sent);
}

/* Whatever becomes of it on the way: a copy is kept. */
void exchange_close(struct exchange *x, struct partner *p, uint64_t now)
{
    if (!p->open)
        return;
    p->open = false;
    peer_sent(p->peer, &p->writer, now);
    exchange_send(x, p->host, p->buf, p->writer.size);
}

static unsigned ports_of(const struct exchange *x, const struct state_via *via,
                         struct uuid ports[2])
{
    unsigned n = 0;

    if (via && via->in)
        ports[n++] = *topo_id(x->opts.topo, via->in);
    if (via && via->out)
        ports[n++] = *topo_id(x->opts.topo, via->out);
    return n;
}

void exchange_tell_one(struct exchange *x, struct partner *p, const struct state_rec *rec,
                       const struct state_via *via, uint64_t idle_ns, uint64_t now)
{
    struct uuid ports[2];
    unsigned n_ports = ports_of(x, via, ports);

    x->counters.told++;
    for (unsigned tries = 0; tries < 2; tries++) {
        if (!p->open) {
            struct wire_header h = peer_next(p->peer);
            wire_begin(&p->writer, p->buf, sizeof p->buf, &h);
            p->open = true;
        }
        if (wire_add_rec(&p->writer, rec, topo_id(x->opts.topo, rec->device),
                         (uint32_t)(idle_ns / NSEC_PER_MSEC), ports, n_ports))
            return;
        exchange_close(x, p, now);
    }
}

void exchange_moves(struct exchange *x, topo_ref port, topo_ref host)
{
    struct moved *m;

    HASH_FIND(hh, x->moved, &port, sizeof port, m);
    if (!m) {
        m = NEW(struct moved);
        m->port = port;
        HASH_ADD(hh, x->moved, port, sizeof m->port, m);
    }
    m->host = host;
}

topo_ref exchange_other(const struct exchange *x, topo_ref port)
{
    struct moved *m;

    HASH_FIND(hh, x->moved, &port, sizeof port, m);
    return m ? m->host : 0;
}

/* The former host of a port that moved here has leased the translated ports of its connections, and
 * must hear that they are still in use.  The new host of one that moves away must hear of what
 * comes after its question. */
static void tell_other(struct exchange *x, topo_ref port, const topo_ref *hosts, unsigned n_hosts,
                       const struct state_rec *recs, uint32_t n, const struct state_via *via,
                       uint64_t now)
{
    topo_ref host = port ? exchange_other(x, port) : 0;

    for (unsigned i = 0; i < n_hosts; i++)
        if (hosts[i] == host)
            return;
    for (uint32_t k = 0; host && k < n; k++)
        exchange_tell_one(x, exchange_partner(x, host), &recs[k], via, 0, now);
}

void exchange_tell(struct exchange *x, const topo_ref *hosts, unsigned n_hosts,
                   const struct state_rec *recs, uint32_t n, const struct state_via *via,
                   uint64_t now)
{
    pthread_mutex_lock(&x->lock);
    for (unsigned i = 0; i < n_hosts; i++) {
        struct partner *p = exchange_partner(x, hosts[i]);
        for (uint32_t k = 0; k < n; k++)
            exchange_tell_one(x, p, &recs[k], via, 0, now);
    }
    tell_other(x, via->in, hosts, n_hosts, recs, n, via, now);
    tell_other(x, via->out, hosts, n_hosts, recs, n, via, now);
    pthread_mutex_unlock(&x->lock);
}

void exchange_flush(struct exchange *x, uint64_t now)
{
    pthread_mutex_lock(&x->lock);
    for (struct partner *p = x->partners; p; p = p->hh.next)
        exchange_close(x, p, now);
    pthread_mutex_unlock(&x->lock);
}

void exchange_announce(struct exchange *x)
{
    struct tag_change *changes;
    topo_ref *fetched;
    size_t n_changes, n_fetched;
    bool due;

    pthread_mutex_lock(&x->lock);
    due = x->due;
    x->due = false;
    changes = x->changes;
    n_changes = x->n_changes;
    fetched = x->fetched;
    n_fetched = x->n_fetched;
    x->changes = NULL;
    x->fetched = NULL;
    x->n_changes = x->changes_room = x->n_fetched = 0;
    pthread_mutex_unlock(&x->lock);
    if (n_changes)
        x->cb.changed(x->cb.aux, changes, n_changes);
    for (size_t i = 0; i < n_fetched; i++)
        x->cb.fetched(x->cb.aux, fetched[i]);
    if (due)
        x->cb.due(x->cb.aux);
    free(changes);
    free(fetched);
}

/* Under the lock, but for moments. */
static uint64_t run_partner(struct exchange *x, struct partner *p, uint64_t now)
{
    enum { AT_ONCE = 64 };
    uint8_t buf[WIRE_MAX];
    size_t size;

    bool more = p->retell && exchange_retell(x, p, now);
    exchange_close(x, p, now);
    for (unsigned i = 0; i < AT_ONCE; i++) {
        size = peer_poll(p->peer, now, buf);
        if (!size)
            return more ? now : peer_due(p->peer);
        send_unlocked(x, p->host, buf, size);
    }
    return now;
}

uint64_t exchange_run(struct exchange *x, uint64_t now)
{
    uint64_t next;

    pthread_mutex_lock(&x->lock);
    exchange_take_mail(x, now);
    x->due = false; /* here it comes */
    x->next_ns = UINT64_MAX;
    pthread_mutex_unlock(&x->lock);
    exchange_announce(x);
    pthread_mutex_lock(&x->lock);
    next = exchange_run_fetches(x, now);
    for (struct partner *p = x->partners; p; p = p->hh.next) /* none goes; others may come */
        clock_sooner(&next, run_partner(x, p, now));
    x->next_ns = next;
    pthread_mutex_unlock(&x->lock);
    exchange_announce(x);
    return next;
}

void exchange_counters(struct exchange *x, struct exchange_counters *out)
{
    pthread_mutex_lock(&x->lock);
    *out = x->counters;
    for (struct partner *p = x->partners; p; p = p->hh.next) {
        out->resent += peer_counters(p->peer)->resent;
        out->lost += peer_counters(p->peer)->lost;
    }
    pthread_mutex_unlock(&x->lock);
}

size_t exchange_memory(struct exchange *x)
{
    size_t size = sizeof *x;

    pthread_mutex_lock(&x->lock);
    for (struct partner *p = x->partners; p; p = p->hh.next)
        size += sizeof *p + peer_memory(p->peer);
    size += x->n_waiting * sizeof(struct waiting);
    size += x->n_letters * (sizeof(struct letter) + WIRE_MAX);
    pthread_mutex_unlock(&x->lock);
    return size;
}
