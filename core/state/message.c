#include "state/message.h"

#include <errno.h>

#include "base/mem.h"
#include "packet/wire.h"

enum { SECTION = 4, ACK_SIZE = 12, ASK_SIZE = 20, END_SIZE = 4, GROUP_SIZE = 50, RECORD_SIZE = 10 };
enum { SECTION_ACK = 1, SECTION_RECORDS, SECTION_ASK, SECTION_END };
enum { SRC4 = 1, DST4 = 2, TO4 = 4 };
enum { ROOM = MAIL_MAX - SECTION - ACK_SIZE };

static const uint8_t magic[4] = "mnst";

static void put64(uint8_t *p, uint64_t v)
{
    put32(p, (uint32_t)(v >> 32));
    put32(p + 4, (uint32_t)v);
}

static uint64_t get64(const uint8_t *p)
{
    return (uint64_t)get32(p) << 32 | get32(p + 4);
}

/* Writing */

void message_begin(struct message *m)
{
    memset(m->data, 0, MESSAGE_HEADER);
    m->size = MESSAGE_HEADER;
    m->group_at = 0;
    m->n_records = 0;
}

static uint8_t *section(struct message *m, uint8_t type, size_t size)
{
    uint8_t *p = m->data + m->size;

    p[0] = type;
    p[1] = 0;
    put16(p + 2, (uint16_t)size);
    m->size += SECTION + size;
    return p + SECTION;
}

static bool same_group(const struct message_group *a, const struct message_group *b)
{
    return a->kind == b->kind && uuid_equal(&a->device, &b->device) && uuid_equal(&a->in, &b->in) &&
           uuid_equal(&a->out, &b->out);
}

static void open_group(struct message *m, const struct message_group *g)
{
    m->group_at = m->size;
    m->group = *g;
    uint8_t *p = section(m, SECTION_RECORDS, GROUP_SIZE);
    memcpy(p, &g->device, 16);
    p[16] = g->kind;
    p[17] = 0;
    memcpy(p + 18, &g->in, 16);
    memcpy(p + 34, &g->out, 16);
}

static uint8_t *put_ip(uint8_t *p, const struct ip *ip, bool short_form)
{
    size_t size = short_form ? 4 : 16;

    memcpy(p, ip->b + 16 - size, size);
    return p + size;
}

static uint8_t *put_record(uint8_t *p, const struct state_rec *r, uint32_t idle_s)
{
    bool translates = r->kind != STATE_CONN;
    bool src4 = ip_is4(&r->fwd.src), dst4 = ip_is4(&r->fwd.dst), to4 = ip_is4(&r->to);

    p[0] = r->kind;
    p[1] = r->fwd.proto;
    p[2] = (uint8_t)((src4 ? SRC4 : 0) | (dst4 ? DST4 : 0) | (translates && to4 ? TO4 : 0));
    p[3] = 0;
    put16(p + 4, (uint16_t)MIN(idle_s, 0xffffu));
    put16(p + 6, r->fwd.sport);
    put16(p + 8, r->fwd.dport);
    p += RECORD_SIZE;
    if (translates) {
        put16(p, r->to_port);
        p += 2;
    }
    p = put_ip(p, &r->fwd.src, src4);
    p = put_ip(p, &r->fwd.dst, dst4);
    return translates ? put_ip(p, &r->to, to4) : p;
}

bool message_add_record(struct message *m, const struct message_group *g, const struct state_rec *r,
                        uint32_t idle_s)
{
    bool opens = !m->group_at || !same_group(&m->group, g);

    if (m->size + (opens ? MESSAGE_GROUP : 0) + MESSAGE_RECORD > ROOM)
        return false;
    if (opens)
        open_group(m, g);
    uint8_t *p = m->data + m->size, *end = put_record(p, r, idle_s);
    m->size += (size_t)(end - p);
    put16(m->data + m->group_at + 2, (uint16_t)(m->size - m->group_at - SECTION));
    m->n_records++;
    return true;
}

bool message_add_ask(struct message *m, const struct uuid *port, uint32_t number)
{
    if (m->size + SECTION + ASK_SIZE > ROOM)
        return false;
    m->group_at = 0;
    uint8_t *p = section(m, SECTION_ASK, ASK_SIZE);
    memcpy(p, port, 16);
    put32(p + 16, number);
    return true;
}

bool message_add_end(struct message *m, uint32_t number)
{
    if (m->size + SECTION + END_SIZE > ROOM)
        return false;
    m->group_at = 0;
    put32(section(m, SECTION_END, END_SIZE), number);
    return true;
}

void message_finish(struct message *m, const struct message_head *h)
{
    uint8_t *p = m->data;

    m->group_at = 0;
    if (h->has_ack) {
        uint8_t *ack = section(m, SECTION_ACK, ACK_SIZE);
        put32(ack, h->ack);
        put64(ack + 4, h->ack_more);
    }
    memcpy(p, magic, sizeof magic);
    p[4] = 1;
    put16(p + 6, (uint16_t)m->size);
    memcpy(p + 8, &h->sender, 16);
    put64(p + 24, h->inc);
    put64(p + 32, h->has_ack ? h->ack_inc : 0);
    put32(p + 40, h->seq);
    put32(p + 44, h->first);
}

/* Reading */

static const uint8_t *get_ip(const uint8_t *p, struct ip *ip, bool short_form)
{
    if (short_form) {
        uint32_t v;
        memcpy(&v, p, sizeof v);
        *ip = ip_from4(v);
        return p + 4;
    }
    memcpy(ip, p, sizeof *ip);
    return p + 16;
}

static size_t record_size(uint8_t kind, uint8_t flags)
{
    size_t size = RECORD_SIZE + (flags & SRC4 ? 4 : 16) + (flags & DST4 ? 4 : 16);

    return kind == STATE_CONN ? size : size + 2 + (flags & TO4 ? 4 : 16);
}

/* The bytes it takes, or 0 when there is no sound record. */
static size_t get_record(const uint8_t *p, size_t size, struct state_rec *r, uint32_t *idle_s)
{
    if (size < RECORD_SIZE || p[0] == STATE_NONE || p[0] >= STATE_N_KINDS || p[2] > 7)
        return 0;
    size_t whole = record_size(p[0], p[2]);
    if (size < whole)
        return 0;
    *r = (struct state_rec){.kind = p[0],
                            .fwd = {.proto = p[1], .sport = get16(p + 6), .dport = get16(p + 8)}};
    *idle_s = get16(p + 4);
    uint8_t flags = p[2];
    p += RECORD_SIZE;
    if (r->kind != STATE_CONN) {
        r->to_port = get16(p);
        p += 2;
    }
    p = get_ip(p, &r->fwd.src, flags & SRC4);
    p = get_ip(p, &r->fwd.dst, flags & DST4);
    if (r->kind != STATE_CONN)
        get_ip(p, &r->to, flags & TO4);
    return whole;
}

static void get_group(const uint8_t *p, struct message_group *g)
{
    memcpy(&g->device, p, 16);
    g->kind = p[16];
    memcpy(&g->in, p + 18, 16);
    memcpy(&g->out, p + 34, 16);
}

/* Null reader: only whether it is sound. */
static bool read_records(const uint8_t *p, size_t size, const struct message_reader *reader)
{
    struct message_group g;
    struct state_rec r;
    uint32_t idle_s;

    if (size < GROUP_SIZE)
        return false;
    get_group(p, &g);
    if (uuid_is_zero(&g.device) || (g.kind != TOPO_ROUTER && g.kind != TOPO_BRIDGE))
        return false;
    for (size_t at = GROUP_SIZE, n; at < size; at += n) {
        n = get_record(p + at, size - at, &r, &idle_s);
        if (!n)
            return false;
        if (reader)
            reader->record(reader->aux, &g, &r, idle_s);
    }
    return true;
}

static bool read_section(uint8_t type, const uint8_t *p, size_t size,
                         const struct message_reader *reader, struct message_head *h)
{
    struct uuid port;

    switch (type) {
    case SECTION_ACK:
        if (h && size == ACK_SIZE) {
            h->has_ack = true;
            h->ack = get32(p);
            h->ack_more = get64(p + 4);
        }
        return size == ACK_SIZE;
    case SECTION_RECORDS:
        return read_records(p, size, reader);
    case SECTION_ASK:
        if (size != ASK_SIZE)
            return false;
        memcpy(&port, p, 16);
        if (reader)
            reader->ask(reader->aux, &port, get32(p + 16));
        return true;
    case SECTION_END:
        if (size == END_SIZE && reader)
            reader->end(reader->aux, get32(p));
        return size == END_SIZE;
    default:
        return true; /* of a later version */
    }
}

static bool read_all(const uint8_t *data, size_t size, const struct message_reader *reader,
                     struct message_head *h)
{
    for (size_t at = MESSAGE_HEADER, n; at < size; at += SECTION + n) {
        if (size - at < SECTION)
            return false;
        n = get16(data + at + 2);
        if (n > size - at - SECTION || !read_section(data[at], data + at + SECTION, n, reader, h))
            return false;
    }
    return true;
}

int message_head(const uint8_t *data, size_t size, struct message_head *h)
{
    if (size < MESSAGE_HEADER || memcmp(data, magic, sizeof magic) || data[4] != 1 ||
        get16(data + 6) != size)
        return -EBADMSG;
    *h = (struct message_head){.inc = get64(data + 24),
                               .ack_inc = get64(data + 32),
                               .seq = get32(data + 40),
                               .first = get32(data + 44)};
    memcpy(&h->sender, data + 8, 16);
    return read_all(data, size, NULL, h) ? 0 : -EBADMSG;
}

void message_read(const uint8_t *data, size_t size, const struct message_reader *r)
{
    read_all(data, size, r, NULL);
}
