#include "state/wire.h"

#include <endian.h>
#include <errno.h>

#include "base/mem.h"

/* Items.  RECORD: kind, device, protocol, families; three ports; idle time; 'fwd' addresses, 'to'
 * unless the kind has none; number of ports and their places. */
enum { ITEM_ID = 1, ITEM_RECORD = 2, ITEM_REPORT = 3, ITEM_NUMBER = 4 };
enum { FWD_IP4 = 1, TO_IP4 = 2 };
enum { ITEM_HEADER = 4, RECORD_FIXED = 14 };

static const uint8_t magic[4] = {'M', 'N', 'S', '1'};
enum { VERSION = 1 };

/* Writing */

static uint8_t *put8(uint8_t *p, unsigned v)
{
    *p = (uint8_t)v;
    return p + 1;
}

static uint8_t *put16(uint8_t *p, unsigned v)
{
    uint16_t n = htobe16((uint16_t)v);

    memcpy(p, &n, sizeof n);
    return p + sizeof n;
}

static uint8_t *put32(uint8_t *p, uint32_t v)
{
    uint32_t n = htobe32(v);

    memcpy(p, &n, sizeof n);
    return p + sizeof n;
}

static uint8_t *put64(uint8_t *p, uint64_t v)
{
    uint64_t n = htobe64(v);

    memcpy(p, &n, sizeof n);
    return p + sizeof n;
}

static uint8_t *put_ip(uint8_t *p, const struct ip *ip, bool v4)
{
    size_t size = v4 ? 4 : 16;

    memcpy(p, ip->b + 16 - size, size);
    return p + size;
}

void wire_begin(struct wire_writer *w, void *buf, size_t room, const struct wire_header *h)
{
    uint8_t *p = buf;

    w->buf = buf;
    w->size = WIRE_HEADER;
    w->room = room;
    w->n_records = w->n_ids = 0;
    memcpy(p, magic, sizeof magic);
    p = put8(put8(p + sizeof magic, VERSION), h->type);
    p = put16(p, h->stream);
    memcpy(p, &h->sender, sizeof h->sender);
    put64(put64(p + sizeof h->sender, h->life), h->number);
}

/* The place of an id among the message's; -1 when there is no room. */
static int id_place(struct wire_writer *w, const struct uuid *id)
{
    for (unsigned i = 0; i < w->n_ids; i++) {
        if (uuid_equal(&w->ids[i], id))
            return (int)i;
    }
    if (w->n_ids == WIRE_IDS_MAX || w->room - w->size < ITEM_HEADER + sizeof *id)
        return -1;
    uint8_t *p = put16(put16(w->buf + w->size, ITEM_ID), sizeof *id);
    memcpy(p, id, sizeof *id);
    w->size += ITEM_HEADER + sizeof *id;
    w->ids[w->n_ids] = *id;
    return (int)w->n_ids++;
}

static size_t record_size(const struct state_rec *r, unsigned n_ports)
{
    size_t size = ip_is4(&r->fwd.src) && ip_is4(&r->fwd.dst) ? 8 : 32;

    if (r->kind != STATE_CONN)
        size += ip_is4(&r->to) ? 4 : 16;
    return RECORD_FIXED + size + 1 + n_ports;
}

static void put_record(uint8_t *p, const struct state_rec *r, unsigned device, uint32_t idle_ms,
                       const int *ports, unsigned n_ports)
{
    const struct state_tuple *f = &r->fwd;
    bool fwd4 = ip_is4(&f->src) && ip_is4(&f->dst), to4 = ip_is4(&r->to);

    p = put8(put8(p, r->kind), device);
    p = put8(put8(p, f->proto), (fwd4 ? FWD_IP4 : 0u) | (to4 ? TO_IP4 : 0u));
    p = put16(put16(put16(p, f->sport), f->dport), r->to_port);
    p = put32(p, idle_ms);
    p = put_ip(put_ip(p, &f->src, fwd4), &f->dst, fwd4);
    if (r->kind != STATE_CONN)
        p = put_ip(p, &r->to, to4);
    p = put8(p, n_ports);
    for (unsigned i = 0; i < n_ports; i++)
        p = put8(p, (unsigned)ports[i]);
}

bool wire_add_id(struct wire_writer *w, const struct uuid *id)
{
    return id_place(w, id) >= 0;
}

bool wire_add_number(struct wire_writer *w, uint64_t number)
{
    if (w->room - w->size < ITEM_HEADER + sizeof number)
        return false;
    put64(put16(put16(w->buf + w->size, ITEM_NUMBER), sizeof number), number);
    w->size += ITEM_HEADER + sizeof number;
    return true;
}

bool wire_add_rec(struct wire_writer *w, const struct state_rec *rec, const struct uuid *device,
                  uint32_t idle_ms, const struct uuid *ports, unsigned n_ports)
{
    size_t before = w->size, size = record_size(rec, n_ports);
    unsigned ids_before = w->n_ids;
    int places[WIRE_PORTS_MAX], place = id_place(w, device);
    bool fits = place >= 0 && n_ports <= WIRE_PORTS_MAX && w->n_records < WIRE_RECORDS_MAX;

    for (unsigned i = 0; i < n_ports && fits; i++) {
        places[i] = id_place(w, &ports[i]);
        fits = places[i] >= 0;
    }
    if (!fits || w->room - w->size < ITEM_HEADER + size) {
        w->size = before;
        w->n_ids = ids_before;
        return false;
    }
    uint8_t *p = put16(put16(w->buf + w->size, ITEM_RECORD), (unsigned)size);
    put_record(p, rec, (unsigned)place, idle_ms, places, n_ports);
    w->size += ITEM_HEADER + size;
    w->n_records++;
    return true;
}

bool wire_add(struct wire_writer *w, const struct wire_record *r)
{
    return wire_add_rec(w, &r->rec, &r->device, r->idle_ms, r->ports, r->n_ports);
}

bool wire_add_report(struct wire_writer *w, const struct wire_report *r)
{
    size_t size = 8 + 8 + 2 + 1 + (size_t)r->n_missing * 16;

    if (r->n_missing > WIRE_MISSING_MAX || w->room - w->size < ITEM_HEADER + size)
        return false;
    uint8_t *p = put16(put16(w->buf + w->size, ITEM_REPORT), (unsigned)size);
    p = put8(put16(put64(put64(p, r->life), r->all), r->stream), r->n_missing);
    for (unsigned i = 0; i < r->n_missing; i++)
        p = put64(put64(p, r->missing[i].first), r->missing[i].last);
    w->size += ITEM_HEADER + size;
    return true;
}

/* Reading: a cursor that stays at the end once something was missing. */

struct cursor {
    const uint8_t *p, *end;
    bool bad;
};

static const uint8_t *take(struct cursor *c, size_t size)
{
    static const uint8_t zeros[16];

    if ((size_t)(c->end - c->p) < size) {
        c->bad = true;
        c->p = c->end;
        return zeros;
    }
    c->p += size;
    return c->p - size;
}

static uint8_t get8(struct cursor *c)
{
    return *take(c, 1);
}

static uint16_t get16(struct cursor *c)
{
    uint16_t v;

    memcpy(&v, take(c, sizeof v), sizeof v);
    return be16toh(v);
}

static uint32_t get32(struct cursor *c)
{
    uint32_t v;

    memcpy(&v, take(c, sizeof v), sizeof v);
    return be32toh(v);
}

static uint64_t get64(struct cursor *c)
{
    uint64_t v;

    memcpy(&v, take(c, sizeof v), sizeof v);
    return be64toh(v);
}

/* Of a message. */
static uint64_t get_number(struct cursor *c)
{
    uint64_t n = get64(c);

    c->bad |= n >= WIRE_NUMBER_END;
    return n;
}

static struct ip get_ip(struct cursor *c, bool v4)
{
    struct ip ip = v4 ? ip_from4(0) : ip_none;
    size_t size = v4 ? 4 : 16;

    memcpy(ip.b + 16 - size, take(c, size), size);
    return ip;
}

int wire_header(const void *buf, size_t size, struct wire_header *out)
{
    struct cursor c = {buf, (const uint8_t *)buf + size, false};

    if (size < WIRE_HEADER || memcmp(take(&c, sizeof magic), magic, sizeof magic) != 0)
        return -EINVAL;
    if (get8(&c) != VERSION)
        return -EPROTONOSUPPORT;
    out->type = get8(&c);
    out->stream = get16(&c);
    memcpy(&out->sender, take(&c, sizeof out->sender), sizeof out->sender);
    out->life = get64(&c);
    out->number = get_number(&c);
    return c.bad ? -EINVAL : 0;
}

/* The next item; false at the end, or when it is cut short. */
static bool next_item(struct cursor *c, unsigned *type, struct cursor *item)
{
    if (c->p == c->end)
        return false;
    *type = get16(c);
    size_t size = get16(c);
    const uint8_t *p = take(c, size);
    *item = (struct cursor){p, p + size, false};
    return !c->bad;
}

static bool get_record(struct cursor *c, const struct uuid *ids, unsigned n_ids,
                       struct wire_record *out)
{
    struct state_rec *r = &out->rec;

    memset(out, 0, sizeof *out);
    r->kind = get8(c);
    unsigned device = get8(c);
    r->fwd.proto = get8(c);
    unsigned families = get8(c);
    r->fwd.sport = get16(c);
    r->fwd.dport = get16(c);
    r->to_port = get16(c);
    out->idle_ms = get32(c);
    r->fwd.src = get_ip(c, families & FWD_IP4);
    r->fwd.dst = get_ip(c, families & FWD_IP4);
    if (r->kind != STATE_CONN)
        r->to = get_ip(c, families & TO_IP4);
    out->n_ports = get8(c);
    if (c->bad || out->n_ports > WIRE_PORTS_MAX || device >= n_ids)
        return false;
    out->device = ids[device];
    for (unsigned i = 0; i < out->n_ports; i++) {
        unsigned place = get8(c);
        if (c->bad || place >= n_ids)
            return false;
        out->ports[i] = ids[place];
    }
    return true;
}

int wire_records(const void *buf, size_t size, struct wire_record *out)
{
    struct cursor c = {buf, (const uint8_t *)buf + size, false}, item;
    struct uuid ids[WIRE_IDS_MAX];
    unsigned type, n_ids = 0;
    struct wire_header h;
    int n = 0, rc = wire_header(buf, size, &h);

    if (rc)
        return rc;
    take(&c, WIRE_HEADER);
    while (next_item(&c, &type, &item)) {
        if (type == ITEM_ID) {
            if (n_ids == WIRE_IDS_MAX)
                return -EINVAL;
            memcpy(&ids[n_ids++], take(&item, sizeof *ids), sizeof *ids);
        } else if (type == ITEM_RECORD) {
            if (n == WIRE_RECORDS_MAX || !get_record(&item, ids, n_ids, &out[n]))
                return -EINVAL;
            /* Of a kind that this version doesn't know: not for us. */
            n += out[n].rec.kind > STATE_NONE && out[n].rec.kind < STATE_N_KINDS;
        }
        if (item.bad)
            return -EINVAL;
    }
    return c.bad ? -EINVAL : n;
}

int wire_report(const void *buf, size_t size, struct wire_report *out)
{
    struct cursor c = {buf, (const uint8_t *)buf + size, false}, item;
    struct wire_header h;
    bool found = false;
    unsigned type;
    int rc = wire_header(buf, size, &h);

    if (rc)
        return rc;
    take(&c, WIRE_HEADER);
    while (next_item(&c, &type, &item)) {
        if (type != ITEM_REPORT)
            continue;
        out->life = get64(&item);
        out->all = get_number(&item);
        out->stream = get16(&item);
        out->n_missing = get8(&item);
        if (found || item.bad || out->n_missing > WIRE_MISSING_MAX)
            return -EINVAL;
        for (unsigned i = 0; i < out->n_missing; i++) {
            out->missing[i].first = get_number(&item);
            out->missing[i].last = get_number(&item);
            if (item.bad || out->missing[i].first > out->missing[i].last)
                return -EINVAL;
        }
        found = true;
    }
    return c.bad || !found ? -EINVAL : 0;
}

int wire_ask(const void *buf, size_t size, struct uuid *port)
{
    struct cursor c = {buf, (const uint8_t *)buf + size, false}, item;
    unsigned type;

    take(&c, WIRE_HEADER);
    while (next_item(&c, &type, &item)) {
        if (type != ITEM_ID)
            continue;
        memcpy(port, take(&item, sizeof *port), sizeof *port);
        return item.bad ? -EINVAL : 0;
    }
    return -EINVAL;
}

int wire_answer(const void *buf, size_t size, uint64_t *last)
{
    struct cursor c = {buf, (const uint8_t *)buf + size, false}, item;
    unsigned type;

    take(&c, WIRE_HEADER);
    while (next_item(&c, &type, &item)) {
        if (type != ITEM_NUMBER)
            continue;
        *last = get_number(&item);
        return item.bad ? -EINVAL : 0;
    }
    return -EINVAL;
}
