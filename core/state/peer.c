#include "state/peer.h"

#include <errno.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/mem.h"

enum {
    AHEAD = 4096,    /* numbers beyond the gap that are remembered */
    KEPT_MAX = 4096, /* messages, and */
    KEPT_BYTES = 262144,
    REPORTS_MAX = 14, /* in vain, about one gap: some 5 s */
    REPORTS_FAST = 8,
};
static const uint64_t kept_ns = 60 * NSEC_PER_SEC, silent_ns = 10 * NSEC_PER_SEC;
static const uint64_t reorder_ns = 5 * NSEC_PER_MSEC, report_ns = 50 * NSEC_PER_MSEC;
static const uint64_t probe_ns = 100 * NSEC_PER_MSEC, probe_most_ns = 5 * NSEC_PER_SEC;

/* A message that may have to be sent again. */
struct kept {
    uint8_t *bytes; /* null: reported, or given up */
    uint32_t size;
    bool again;
    uint64_t at;
};

/* Ours to it: numbers first..next-1 are kept, as far as they aren't reported. */
struct outgoing {
    uint64_t first, next;
    struct kept *kept; /* ring, by number */
    uint32_t room;
    uint32_t n, n_again;           /* kept with bytes; of them to be sent again */
    uint64_t again;                /* no earlier one is to be */
    size_t bytes, probed_bytes;    /* kept now, and at the last probe */
    uint64_t probe_at, probe_wait; /* 0: nothing to probe for */
    struct wire_report gone;       /* numbers it misses and we don't have */
};

/* Its to us: all up to 'done' are dealt with; of those beyond, bit number % AHEAD. */
struct incoming {
    uint64_t life, heard;
    uint64_t done, highest;
    uint64_t got[AHEAD / 64];
    uint64_t report_at; /* 0: no gap, nobody asked */
    unsigned n_reports; /* about this gap */
};

struct peer {
    struct uuid self;
    uint64_t life;
    uint16_t stream;
    struct outgoing out;
    struct incoming in;
    struct peer_counters counters;
};

struct peer *peer_new(const struct uuid *self, uint64_t life, uint16_t stream)
{
    struct peer *p = NEW(struct peer);

    *p = (struct peer){.self = *self, .life = life, .stream = stream};
    p->out.first = p->out.next = 1;
    return p;
}

static struct kept *kept_at(struct peer *p, uint64_t number)
{
    return &p->out.kept[number % p->out.room];
}

static void let_go(struct peer *p, uint64_t number)
{
    struct kept *k = kept_at(p, number);

    if (!k->bytes)
        return;
    p->out.bytes -= k->size;
    p->out.n--;
    p->out.n_again -= k->again;
    free(k->bytes);
    *k = (struct kept){0};
}

static void shift(struct peer *p)
{
    while (p->out.first < p->out.next && !kept_at(p, p->out.first)->bytes)
        p->out.first++;
}

void peer_free(struct peer *p)
{
    if (!p)
        return;
    for (uint64_t i = p->out.first; i < p->out.next; i++)
        let_go(p, i);
    free(p->out.kept);
    free(p);
}

const struct peer_counters *peer_counters(const struct peer *p)
{
    return &p->counters;
}

size_t peer_memory(const struct peer *p)
{
    return sizeof *p + p->out.room * sizeof(struct kept) + p->out.bytes;
}

/* Sending */

struct wire_header peer_next(const struct peer *p)
{
    return (struct wire_header){WIRE_RECORDS, p->stream, p->self, p->life, p->out.next};
}

static void grow(struct peer *p)
{
    uint32_t room = MAX(16u, p->out.room * 2);
    struct kept *kept = NEW_ARRAY(room, struct kept);

    for (uint64_t i = p->out.first; i < p->out.next; i++)
        kept[i % room] = *kept_at(p, i);
    free(p->out.kept);
    p->out.kept = kept;
    p->out.room = room;
}

static void drop_oldest(struct peer *p)
{
    let_go(p, p->out.first++);
    p->counters.dropped++;
    shift(p);
}

void peer_sent(struct peer *p, const struct wire_writer *w, uint64_t now)
{
    struct outgoing *o = &p->out;

    while (o->n && (o->bytes + w->size > KEPT_BYTES || o->next - o->first >= KEPT_MAX))
        drop_oldest(p);
    if (o->next - o->first == o->room)
        grow(p);
    struct kept *k = kept_at(p, o->next++);
    *k = (struct kept){mem_alloc(w->size), (uint32_t)w->size, false, now};
    memcpy(k->bytes, w->buf, w->size);
    o->bytes += w->size;
    o->n++;
    p->counters.sent++;
    if (!o->probe_at) {
        o->probe_wait = probe_ns;
        o->probe_at = now + probe_ns;
    }
    /* Much at once: what arrived can be let go before it fills the memory. */
    if (o->bytes > o->probed_bytes + KEPT_BYTES / 4) {
        o->probed_bytes = o->bytes;
        o->probe_at = now;
    }
}

/* Receiving */

static bool has(const struct incoming *in, uint64_t number)
{
    return in->got[number % AHEAD / 64] >> number % 64 & 1;
}

static void mark(struct incoming *in, uint64_t number, bool yes)
{
    uint64_t *w = &in->got[number % AHEAD / 64], bit = 1ull << number % 64;

    *w = yes ? *w | bit : *w & ~bit;
}

/* Reports go on as long as they help. */
static void advance(struct incoming *in, uint64_t now)
{
    uint64_t before = in->done;

    while (in->done < in->highest && has(in, in->done + 1))
        mark(in, ++in->done, false);
    if (in->done == before)
        return;
    in->n_reports = 0;
    in->report_at = in->done == in->highest ? 0 : MIN(in->report_at, now + report_ns);
}

/* What is missing up to 'number' won't come. */
static uint64_t give_up(struct incoming *in, uint64_t number)
{
    uint64_t end = MIN(number, MIN(in->highest, in->done + AHEAD));
    uint64_t lost = number > end ? number - MAX(end, in->done) : 0;

    for (; in->done < end; in->done++) {
        lost += !has(in, in->done + 1);
        mark(in, in->done + 1, false);
    }
    in->done = MAX(in->done, number);
    in->highest = MAX(in->highest, number);
    return lost;
}

/* There are messages up to 'number'. */
static void extend(struct peer *p, uint64_t number, struct peer_news *news)
{
    struct incoming *in = &p->in;
    uint64_t lost = 0;

    if (number > in->done + AHEAD)
        lost = give_up(in, number - AHEAD);
    in->highest = MAX(in->highest, number);
    news->lost += lost;
    p->counters.lost += lost;
}

static enum peer_verdict take_records(struct peer *p, uint64_t number, uint64_t now,
                                      struct peer_news *news)
{
    struct incoming *in = &p->in;

    if (!number)
        return PEER_BAD;
    if (number <= in->done || (number <= in->highest && has(in, number))) {
        p->counters.duplicates++;
        return PEER_IGNORE;
    }
    extend(p, number, news);
    mark(in, number, true);
    p->counters.received++;
    advance(in, now);
    if (in->done < in->highest && !in->report_at)
        in->report_at = now + reorder_ns;
    return PEER_TAKE;
}

static bool in_ranges(const struct wire_report *r, uint64_t number)
{
    for (unsigned i = 0; i < r->n_missing; i++) {
        if (number >= r->missing[i].first && number <= r->missing[i].last)
            return true;
    }
    return false;
}

/* Of what it misses, which numbers aren't here any more: those before the oldest, for what is
 * reported isn't missed. */
static void note_gone(struct peer *p, const struct wire_report *r)
{
    struct outgoing *o = &p->out;

    o->gone = (struct wire_report){.life = r->life, .stream = r->stream};
    for (unsigned i = 0; i < r->n_missing; i++) {
        struct wire_range m = r->missing[i];
        m.last = MIN(m.last, o->next - 1);
        for (uint64_t n = MAX(m.first, o->first); n <= m.last && n - m.first < KEPT_MAX; n++) {
            if (kept_at(p, n)->bytes)
                m.last = n - 1;
        }
        if (m.first <= m.last)
            o->gone.missing[o->gone.n_missing++] = m;
    }
}

static enum peer_verdict take_report(struct peer *p, const void *buf, size_t size, uint64_t now,
                                     struct peer_news *news)
{
    struct outgoing *o = &p->out;
    struct wire_report r;

    if (wire_report(buf, size, &r))
        return PEER_BAD;
    if (r.life != p->life || r.stream != p->stream || r.all >= o->next)
        return PEER_IGNORE;
    for (uint64_t n = o->first; n < o->next && o->room; n++) {
        struct kept *k = kept_at(p, n);
        bool missing = in_ranges(&r, n);
        if (n <= r.all && !missing)
            let_go(p, n);
        if (!k->bytes || !missing || k->again)
            continue;
        k->again = true;
        o->n_again++;
        o->again = MIN(o->again, n);
    }
    note_gone(p, &r);
    news->restarted |= o->gone.n_missing > 0;
    shift(p);
    o->probe_wait = probe_ns;
    o->probe_at = o->n ? now + probe_ns : 0;
    o->probed_bytes = o->bytes;
    if (!o->n && o->room > 64) {
        free(o->kept);
        o->kept = NULL;
        o->room = 0;
    }
    return PEER_DONE;
}

static enum peer_verdict take_gone(struct peer *p, const void *buf, size_t size, uint64_t now,
                                   struct peer_news *news)
{
    struct incoming *in = &p->in;
    struct wire_report r;

    if (wire_report(buf, size, &r))
        return PEER_BAD;
    for (unsigned i = 0; i < r.n_missing; i++) {
        uint64_t last = MIN(r.missing[i].last, in->highest);
        for (uint64_t n = MAX(r.missing[i].first, in->done + 1); n <= last; n++) {
            if (has(in, n))
                continue;
            mark(in, n, true);
            news->lost++;
            p->counters.lost++;
        }
    }
    advance(in, now);
    return PEER_DONE;
}

/* Which life speaks?  False: one that is over. */
static bool recognise(struct peer *p, uint64_t life, uint64_t now, struct peer_news *news)
{
    struct incoming *in = &p->in;

    if (life < in->life && now < in->heard + silent_ns)
        return false;
    if (life != in->life) {
        news->restarted |= in->life != 0;
        *in = (struct incoming){.life = life};
    }
    in->heard = now;
    return true;
}

enum peer_verdict peer_receive(struct peer *p, const void *buf, size_t size, uint64_t now,
                               struct peer_news *news)
{
    struct wire_header h;
    int rc = wire_header(buf, size, &h);

    if (rc)
        return rc == -EPROTONOSUPPORT ? PEER_IGNORE : PEER_BAD;
    if (h.stream != p->stream || !recognise(p, h.life, now, news))
        return PEER_IGNORE;
    switch (h.type) {
    case WIRE_RECORDS:
        return take_records(p, h.number, now, news);
    case WIRE_PROBE:
        extend(p, h.number, news);
        p->in.report_at = now;
        return PEER_DONE;
    case WIRE_REPORT:
        return take_report(p, buf, size, now, news);
    case WIRE_GONE:
        return take_gone(p, buf, size, now, news);
    default: /* of a newer agent */
        return PEER_IGNORE;
    }
}

void peer_expect(struct peer *p, uint64_t life, uint64_t number, uint64_t now,
                 struct peer_news *news)
{
    if (!recognise(p, life, now, news) || number <= p->in.highest)
        return;
    extend(p, number, news);
    if (!p->in.report_at)
        p->in.report_at = now + reorder_ns;
}

bool peer_has(const struct peer *p, uint64_t number)
{
    return p->in.done >= number;
}

/* What the machinery sends */

static size_t control(struct peer *p, void *buf, enum wire_type type, uint64_t number,
                      const struct wire_report *r)
{
    const struct wire_header h = {(uint8_t)type, p->stream, p->self, p->life, number};
    struct wire_writer w;

    wire_begin(&w, buf, WIRE_MAX, &h);
    if (r)
        wire_add_report(&w, r);
    return w.size;
}

static size_t report(struct peer *p, uint64_t now, void *buf)
{
    struct incoming *in = &p->in;
    struct wire_report r = {.life = in->life, .stream = p->stream, .all = in->highest};

    for (uint64_t n = in->done + 1; n <= in->highest; n++) {
        if (has(in, n))
            continue;
        struct wire_range *last = r.n_missing ? &r.missing[r.n_missing - 1] : NULL;
        if (last && last->last + 1 == n) {
            last->last = n;
        } else if (r.n_missing == WIRE_MISSING_MAX) {
            r.all = n - 1;
            break;
        } else {
            r.missing[r.n_missing++] = (struct wire_range){n, n};
        }
    }
    uint64_t wait =
        report_ns << MIN(in->n_reports - MIN(in->n_reports, (unsigned)REPORTS_FAST), 5u);
    in->report_at = r.n_missing ? now + wait : 0;
    in->n_reports += r.n_missing != 0;
    p->counters.reports++;
    return control(p, buf, WIRE_REPORT, 0, &r);
}

static size_t repeat(struct peer *p, uint64_t now, void *buf)
{
    for (uint64_t n = MAX(p->out.first, p->out.again); n < p->out.next; n++) {
        struct kept *k = kept_at(p, n);
        if (!k->again)
            continue;
        p->out.again = n + 1;
        k->again = false;
        k->at = now;
        p->out.n_again--;
        p->counters.resent++;
        memcpy(buf, k->bytes, k->size);
        return k->size;
    }
    return 0;
}

static size_t probe(struct peer *p, uint64_t now, void *buf)
{
    struct outgoing *o = &p->out;

    while (o->n && kept_at(p, o->first)->at + kept_ns <= now)
        drop_oldest(p);
    if (!o->n) {
        o->probe_at = 0;
        return 0;
    }
    o->probe_wait = MIN(o->probe_wait * 2, probe_most_ns);
    o->probe_at = now + o->probe_wait;
    p->counters.probes++;
    return control(p, buf, WIRE_PROBE, o->next - 1, NULL);
}

size_t peer_poll(struct peer *p, uint64_t now, void *buf)
{
    struct incoming *in = &p->in;
    struct outgoing *o = &p->out;

    if (in->n_reports >= REPORTS_MAX) { /* nobody answers: it will not come */
        p->counters.lost += give_up(in, in->highest);
        in->n_reports = 0;
        in->report_at = 0;
    }
    if (in->report_at && in->report_at <= now)
        return report(p, now, buf);
    if (o->n_again)
        return repeat(p, now, buf);
    if (o->gone.n_missing) {
        size_t size = control(p, buf, WIRE_GONE, 0, &o->gone);
        o->gone.n_missing = 0;
        return size;
    }
    return o->probe_at && o->probe_at <= now ? probe(p, now, buf) : 0;
}

uint64_t peer_due(const struct peer *p)
{
    uint64_t due = UINT64_MAX;

    if (p->out.n_again || p->out.gone.n_missing)
        return 0;
    if (p->in.report_at)
        due = p->in.report_at;
    if (p->out.probe_at)
        due = MIN(due, p->out.probe_at);
    return due;
}
