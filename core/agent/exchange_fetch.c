#include <stdlib.h>

#include "agent/exchange_impl.h"
#include "base/mem.h"

/* Until it is asked again: at first soon, because two hosts that never had to do with each other
 * may have to look each other up before they speak. */
#define ASK_NS     (2 * NSEC_PER_MSEC)
#define ASK_MAX_NS (50 * NSEC_PER_MSEC)
#define KEEP_NS    (10 * NSEC_PER_SEC) /* an answer given, for a question that is repeated */
enum {
    PIECE = 64,       /* records */
    PIECES = 4,       /* told in one go, under the lock */
    ASKED_MAX = 4096, /* questions under way, of all hosts; more are asked again later */
};

static void send_small(struct exchange *x, topo_ref host, enum wire_type type, uint64_t number,
                       const struct uuid *port, const uint64_t *last)
{
    const struct wire_header h = {(uint8_t)type, 0, x->opts.host, x->opts.life, number};
    struct wire_writer w;
    uint8_t buf[128];

    wire_begin(&w, buf, sizeof buf, &h);
    if (port)
        wire_add_id(&w, port);
    if (last)
        wire_add_number(&w, *last);
    exchange_send(x, host, buf, w.size);
}

/* Asking */

static void done(struct exchange *x, struct fetch *f)
{
    x->fetched = mem_resize(x->fetched, (x->n_fetched + 1) * sizeof *x->fetched);
    x->fetched[x->n_fetched++] = f->port;
    DL_DELETE(x->fetches, f);
    free(f);
}

void exchange_fetch(struct exchange *x, topo_ref port, topo_ref host, uint64_t limit_ns,
                    uint64_t now)
{
    struct fetch *f;

    pthread_mutex_lock(&x->lock);
    exchange_moves(x, port, host);
    DL_FOREACH (x->fetches, f)
        if (!f->asked && f->port == port)
            break;
    if (!f) {
        f = NEW(struct fetch);
        *f = (struct fetch){.port = port,
                            .host = host,
                            .question = ++x->questions,
                            .next_ns = now,
                            .until_ns = now + limit_ns};
        DL_APPEND(x->fetches, f);
        x->counters.fetched++;
    }
    pthread_mutex_unlock(&x->lock);
}

bool exchange_answered(struct exchange *x, struct partner *p, uint64_t question, uint64_t last)
{
    struct fetch *f;

    DL_FOREACH (x->fetches, f)
        if (!f->asked && f->host == p->host && f->question == question) {
            f->answered = true;
            f->last = last;
            return true;
        }
    return false;
}

bool exchange_asking(const struct exchange *x, topo_ref host)
{
    struct fetch *f;

    DL_FOREACH (x->fetches, f)
        if (!f->asked && f->host == host)
            return true;
    return false;
}

static uint64_t run_asking(struct exchange *x, struct fetch *f, uint64_t now)
{
    const struct topo_host *host = topo_host(x->opts.topo, f->host);
    struct partner *p = exchange_partner(x, f->host);

    if (host && (host->obj.missing || !host->alive)) { /* nobody to ask */
        done(x, f);
        return UINT64_MAX;
    }
    if ((f->answered && peer_has(p->peer, f->last)) || now >= f->until_ns) {
        x->counters.fetch_timeouts += now >= f->until_ns;
        done(x, f);
        return UINT64_MAX;
    }
    if (now >= f->next_ns) {
        send_small(x, f->host, WIRE_ASK, f->question, topo_id(x->opts.topo, f->port), NULL);
        f->next_ns = now + MIN(ASK_NS << MIN(f->tries, 8u), ASK_MAX_NS);
        f->tries++;
    }
    return MIN(f->next_ns, f->until_ns);
}

/* Answering */

void exchange_asked(struct exchange *x, struct partner *p, const struct uuid *port,
                    uint64_t question, uint64_t now)
{
    topo_ref ref = topo_find(x->opts.topo, port);
    struct fetch *f;
    unsigned n = 0;

    if (ref)
        exchange_moves(x, ref, p->host);
    DL_FOREACH (x->fetches, f) {
        if (f->asked && f->host == p->host && f->question == question) {
            f->next_ns = 0; /* the answer got lost: once more */
            return;
        }
        n += f->asked;
    }
    if (n >= ASKED_MAX)
        return;
    f = NEW(struct fetch);
    *f = (struct fetch){.port = ref,
                        .host = p->host,
                        .question = question,
                        .asked = true,
                        .at = ref ? 0 : UINT64_MAX,
                        .last = peer_next(p->peer).number - 1,
                        .until_ns = now + KEEP_NS};
    DL_APPEND(x->fetches, f);
}

/* True while there is more. */
static bool tell_some(struct exchange *x, struct partner *p, uint64_t *at, uint64_t now,
                      bool (*wanted)(const struct exchange *x, const struct state_info *i,
                                     topo_ref what),
                      topo_ref what)
{
    struct state_info infos[PIECE];

    for (unsigned pieces = 0; pieces < PIECES; pieces++) {
        uint32_t n = state_dump(x->opts.state, at, infos, PIECE);
        for (uint32_t i = 0; i < n; i++)
            if (wanted(x, &infos[i], what))
                exchange_tell_one(x, p, &infos[i].rec, &infos[i].via,
                                  now - MIN(infos[i].used_ns, now), now);
        if (!*at)
            return false;
    }
    return true;
}

static bool through_port(const struct exchange *x, const struct state_info *i, topo_ref port)
{
    (void)x;
    return i->via.in == port || i->via.out == port;
}

static uint64_t run_answer(struct exchange *x, struct fetch *f, uint64_t now)
{
    struct partner *p = exchange_partner(x, f->host);

    if (f->at != UINT64_MAX) {
        if (tell_some(x, p, &f->at, now, through_port, f->port))
            return now;
        exchange_close(x, p, now);
        f->at = UINT64_MAX;
        f->last = peer_next(p->peer).number - 1;
    }
    if (now >= f->until_ns) {
        DL_DELETE(x->fetches, f);
        free(f);
        return UINT64_MAX;
    }
    if (now >= f->next_ns) {
        send_small(x, f->host, WIRE_ANSWER, f->question, NULL, &f->last);
        f->next_ns = UINT64_MAX;
    }
    return f->until_ns;
}

uint64_t exchange_run_fetches(struct exchange *x, uint64_t now)
{
    uint64_t next = UINT64_MAX;
    struct fetch *f, *after;

    DL_FOREACH_SAFE(x->fetches, f, after)
    clock_sooner(&next, f->asked ? run_answer(x, f, now) : run_asking(x, f, now));
    return next;
}

/* Telling again */

static bool port_of_host(const struct exchange *x, topo_ref ref, topo_ref host)
{
    const struct topo_port *p = ref ? topo_port(x->opts.topo, ref) : NULL;

    return p && !p->obj.missing && (p->host == host || p->former == host);
}

static bool concerns_host(const struct exchange *x, const struct state_info *i, topo_ref host)
{
    return port_of_host(x, i->via.in, host) || port_of_host(x, i->via.out, host);
}

bool exchange_retell(struct exchange *x, struct partner *p, uint64_t now)
{
    p->retell = tell_some(x, p, &p->retell_at, now, concerns_host, p->host);
    return p->retell;
}
