#include "state/peer.h"

#include <stdlib.h>

#include "base/mem.h"

/* A datagram said and not acknowledged. */
struct said {
    uint64_t due_ns;
    uint16_t size;
    uint8_t tries;
    uint8_t *data; /* null: acknowledged, or given up */
};

struct peer {
    struct uuid self;
    uint64_t inc;
    /* what we say: numbers first..next-1 are in the ring, by number modulo its size */
    uint32_t first, next, n_open;
    struct said *ring; /* room grows up to PEER_WINDOW */
    uint32_t room;
    /* what we hear: all up to 'whole', and of the next PEER_WINDOW those with a bit, in the place
     * of their number modulo that */
    uint64_t their_inc;
    uint32_t whole, highest;
    uint64_t more[PEER_WINDOW / 64];
    uint64_t ack_ns; /* when an acknowledgement is due, UINT64_MAX: none */
    uint64_t next_ns;
    struct peer_counters counters;
};

struct peer *peer_new(const struct uuid *self, uint64_t inc)
{
    struct peer *p = NEW(struct peer);

    *p = (struct peer){.self = *self,
                       .inc = inc,
                       .first = 1,
                       .next = 1,
                       .ack_ns = UINT64_MAX,
                       .next_ns = UINT64_MAX};
    return p;
}

void peer_free(struct peer *p)
{
    if (!p)
        return;
    for (uint32_t i = 0; i < p->room; i++)
        free(p->ring[i].data);
    free(p->ring);
    free(p);
}

static struct said *at(struct peer *p, uint32_t number)
{
    return &p->ring[number % p->room];
}

/* Numbers that are done at the beginning are none of the window's any more. */
static void advance(struct peer *p)
{
    while (p->first != p->next && !at(p, p->first)->data)
        p->first++;
}

static void close_one(struct peer *p, struct said *s)
{
    if (!s->data)
        return;
    free(s->data);
    s->data = NULL;
    p->n_open--;
}

static void give_up(struct peer *p, struct said *s)
{
    p->counters.given_up += s->data != NULL;
    close_one(p, s);
}

static void grow(struct peer *p)
{
    uint32_t room = p->room ? p->room * 2 : 16;
    struct said *ring = NEW_ARRAY(room, struct said);

    for (uint32_t n = p->first; n != p->next; n++)
        ring[n % room] = p->ring[n % p->room];
    free(p->ring);
    p->ring = ring;
    p->room = room;
}

static bool is_here(const struct peer *p, uint32_t number)
{
    return p->more[number % PEER_WINDOW / 64] >> number % 64 & 1;
}

static uint64_t next_64(const struct peer *p)
{
    uint64_t bits = 0;

    for (uint32_t i = 0; i < 64; i++)
        bits |= (uint64_t)is_here(p, p->whole + 1 + i) << i;
    return bits;
}

static void head_of(struct peer *p, struct message_head *h, uint32_t seq)
{
    *h = (struct message_head){.sender = p->self,
                               .inc = p->inc,
                               .seq = seq,
                               .first = p->first,
                               .has_ack = p->their_inc != 0,
                               .ack_inc = p->their_inc,
                               .ack = p->whole,
                               .ack_more = next_64(p)};
    p->ack_ns = UINT64_MAX;
}

void peer_say(struct peer *p, struct message *m, uint64_t now)
{
    struct message_head h;

    if (p->next - p->first == p->room && p->room < PEER_WINDOW)
        grow(p);
    if (p->next - p->first == p->room) {
        give_up(p, at(p, p->first));
        advance(p);
    }
    head_of(p, &h, p->next);
    message_finish(m, &h);
    struct said *s = at(p, p->next++);
    *s = (struct said){.due_ns = now + PEER_RETRY_NS,
                       .size = (uint16_t)m->size,
                       .tries = 1,
                       .data = mem_alloc(m->size)};
    memcpy(s->data, m->data, m->size);
    p->n_open++;
    p->next_ns = MIN(p->next_ns, s->due_ns);
    p->counters.said++;
}

static void acknowledged(struct peer *p, const struct message_head *h)
{
    if (!h->has_ack || h->ack_inc != p->inc || !p->room)
        return;
    /* nothing beyond what was said, nor far behind */
    if (h->ack - (p->first - 1) > p->next - p->first)
        return;
    for (uint32_t n = p->first; n != h->ack + 1; n++)
        close_one(p, at(p, n));
    for (uint32_t i = 0; i < 64; i++) {
        uint32_t n = h->ack + 1 + i;
        if (h->ack_more >> i & 1 && n - p->first < p->next - p->first)
            close_one(p, at(p, n));
    }
    advance(p);
}

/* All up to 'number' are there, or will never come; and what follows without a gap is. */
static void pass(struct peer *p, uint32_t number)
{
    if ((int32_t)(number - p->whole) > PEER_WINDOW) {
        memset(p->more, 0, sizeof p->more);
        p->whole = number;
    }
    while ((int32_t)(number - p->whole) > 0 || is_here(p, p->whole + 1)) {
        p->whole++;
        p->more[p->whole % PEER_WINDOW / 64] &= ~(1ull << p->whole % 64);
    }
    if ((int32_t)(p->highest - p->whole) < 0)
        p->highest = p->whole;
}

static enum peer_heard number_heard(struct peer *p, uint32_t seq)
{
    if ((int32_t)(seq - p->whole) <= 0)
        return PEER_AGAIN;
    if ((int32_t)(seq - p->whole) >= PEER_WINDOW) { /* more than the sender keeps */
        p->counters.gaps++;
        pass(p, seq - PEER_WINDOW + 1);
    }
    if ((int32_t)(seq - p->whole) <= 0 || is_here(p, seq))
        return PEER_AGAIN;
    p->more[seq % PEER_WINDOW / 64] |= 1ull << seq % 64;
    if ((int32_t)(seq - p->highest) > 0)
        p->highest = seq;
    pass(p, p->whole);
    return PEER_NEW;
}

enum peer_heard peer_hear(struct peer *p, const struct message_head *h, uint64_t now)
{
    if (h->inc < p->their_inc)
        return PEER_OLD;
    if (h->inc > p->their_inc) {
        p->their_inc = h->inc;
        p->whole = p->highest = h->first ? h->first - 1 : 0;
        memset(p->more, 0, sizeof p->more);
    }
    acknowledged(p, h);
    if (!h->seq)
        return PEER_NEW;
    p->counters.heard++;
    if ((int32_t)(h->first - 1 - p->whole) > 0 && (int32_t)(h->seq - h->first) >= 0)
        pass(p, h->first - 1);
    enum peer_heard how = number_heard(p, h->seq);
    p->counters.duplicates += how == PEER_AGAIN;
    p->ack_ns = MIN(p->ack_ns, now + PEER_ACK_NS);
    p->next_ns = MIN(p->next_ns, p->ack_ns);
    return how;
}

static bool say_again(struct peer *p, uint64_t now, struct message *m)
{
    for (uint32_t n = p->first; n != p->next; n++) {
        struct said *s = at(p, n);
        if (!s->data || s->due_ns > now)
            continue;
        if (s->tries == PEER_TRIES) {
            give_up(p, s);
            continue;
        }
        memcpy(m->data, s->data, s->size);
        m->size = s->size;
        s->due_ns = now + (PEER_RETRY_NS << s->tries);
        s->tries++;
        p->counters.again++;
        return true;
    }
    return false;
}

static void plan(struct peer *p)
{
    p->next_ns = p->ack_ns;
    for (uint32_t n = p->first; n != p->next; n++) {
        const struct said *s = at(p, n);
        if (s->data)
            p->next_ns = MIN(p->next_ns, s->due_ns);
    }
}

bool peer_due(struct peer *p, uint64_t now, struct message *m)
{
    struct message_head h;

    if (now < p->next_ns)
        return false;
    if (say_again(p, now, m))
        return true;
    advance(p);
    if (p->ack_ns <= now) {
        message_begin(m);
        head_of(p, &h, 0);
        message_finish(m, &h);
        plan(p);
        return true;
    }
    plan(p);
    return false;
}

uint64_t peer_next_ns(const struct peer *p)
{
    return p->next_ns;
}

bool peer_is_whole(const struct peer *p)
{
    return p->highest == p->whole;
}

const struct peer_counters *peer_counters(const struct peer *p)
{
    return &p->counters;
}

uint32_t peer_unacknowledged(const struct peer *p)
{
    return p->n_open;
}

size_t peer_memory(const struct peer *p)
{
    size_t size = sizeof *p + p->room * sizeof *p->ring;

    for (uint32_t n = p->first; n != p->next; n++)
        size += p->ring[n % p->room].size;
    return size;
}
