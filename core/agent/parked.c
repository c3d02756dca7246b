#include "agent/parked.h"

#include <stdlib.h>
#include <utlist.h>

#define BUCKETS 256

struct place;

/* One need of a waiting packet, in the bucket of its tag. */
struct want {
    tag_t tag;
    struct place *place;
    struct want *prev, *next;
};

struct place {
    struct parked_packet pub;
    struct place *prev, *next; /* in waiting or ready, oldest first; next also in the free list */
    struct want wants[PARKED_NEEDS];
};

struct parked {
    uint32_t n, n_places;
    size_t bytes;
    struct place *waiting, *ready, *unused;
    struct want *buckets[BUCKETS];
};

struct parked *parked_new(void)
{
    return NEW(struct parked);
}

static void unlink_wants(struct parked *p, struct place *place)
{
    for (uint32_t i = 0; i < place->pub.n_needs; i++) {
        struct want *w = &place->wants[i];
        DL_DELETE(p->buckets[w->tag % BUCKETS], w);
    }
}

static void make_ready(struct parked *p, struct place *place)
{
    unlink_wants(p, place);
    DL_DELETE(p->waiting, place);
    DL_APPEND(p->ready, place);
}

/* The oldest packet that waits for 'need' when as many do as may, else null. */
static struct place *crowded(struct parked *p, const struct sim_need *need)
{
    const unsigned most = need->kind == SIM_NEED_OBJECT ? PARKED_OBJECT : PARKED_SAME;
    const tag_t tag = parked_tag(need);
    struct place *oldest = NULL;
    unsigned n = 0;
    struct want *w;

    DL_FOREACH (p->buckets[tag % BUCKETS], w) {
        if (w->tag != tag)
            continue;
        if (!n++)
            oldest = w->place; /* buckets are appended to */
    }
    return n >= most ? oldest : NULL;
}

static struct place *take_place(struct parked *p)
{
    struct place *place = p->unused;

    if (place) {
        LL_DELETE(p->unused, place);
        return place;
    }
    p->n_places++;
    return mem_zalloc(sizeof *place);
}

void parked_add(struct parked *p, const struct dp_upcall *up, const struct sim_need *needs,
                uint32_t n_needs, uint64_t until_ns, struct parked_packet **gone)
{
    struct place *out = crowded(p, &needs[0]);

    if (!out && p->n >= PARKED_MAX)
        out = p->waiting;
    if (out) {
        unlink_wants(p, out);
        DL_DELETE(p->waiting, out);
    }
    *gone = out ? &out->pub : NULL;

    struct place *place = take_place(p);
    uint8_t *copy = mem_alloc(up->size);
    memcpy(copy, up->packet, up->size);
    place->pub = (struct parked_packet){
        .up = *up, .until_ns = until_ns, .n_needs = MIN(n_needs, (uint32_t)PARKED_NEEDS)};
    place->pub.up.packet = copy;
    for (uint32_t i = 0; i < place->pub.n_needs; i++) {
        struct want *w = &place->wants[i];
        place->pub.needs[i] = needs[i];
        *w = (struct want){.tag = parked_tag(&needs[i]), .place = place};
        DL_APPEND(p->buckets[w->tag % BUCKETS], w);
    }
    DL_APPEND(p->waiting, place);
    p->n++;
    p->bytes += up->size;
}

void parked_wake(struct parked *p, tag_t tag)
{
    struct want *w = p->buckets[tag % BUCKETS];

    while (w) {
        if (w->tag == tag) {
            make_ready(p, w->place);
            w = p->buckets[tag % BUCKETS]; /* its other needs may have been in this bucket */
        } else {
            w = w->next;
        }
    }
}

void parked_wake_all(struct parked *p)
{
    while (p->waiting)
        make_ready(p, p->waiting);
}

void parked_expire(struct parked *p, uint64_t now)
{
    while (p->waiting && p->waiting->pub.until_ns <= now) {
        p->waiting->pub.timed_out = true;
        make_ready(p, p->waiting);
    }
}

struct parked_packet *parked_ready(struct parked *p)
{
    struct place *place = p->ready;

    if (!place)
        return NULL;
    DL_DELETE(p->ready, place);
    return &place->pub;
}

void parked_done(struct parked *p, struct parked_packet *packet)
{
    struct place *place = (struct place *)packet; /* its first member */

    p->n--;
    p->bytes -= packet->up.size;
    free((void *)packet->up.packet);
    LL_PREPEND(p->unused, place);
}

void parked_free(struct parked *p)
{
    struct parked_packet *packet;

    if (!p)
        return;
    parked_wake_all(p);
    while ((packet = parked_ready(p)))
        parked_done(p, packet);
    while (p->unused) {
        struct place *next = p->unused->next;
        free(p->unused);
        p->unused = next;
    }
    free(p);
}

uint32_t parked_size(const struct parked *p)
{
    return p->n;
}

bool parked_any_ready(const struct parked *p)
{
    return p->ready;
}

uint64_t parked_next_ns(const struct parked *p)
{
    return p->waiting ? p->waiting->pub.until_ns : UINT64_MAX;
}

size_t parked_memory(const struct parked *p)
{
    return sizeof *p + p->n_places * sizeof(struct place) + p->bytes;
}
