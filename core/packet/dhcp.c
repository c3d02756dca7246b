#include "packet/dhcp.h"

#include <errno.h>

#include "packet/packet.h"
#include "packet/parse.h"
#include "packet/wire.h"

/* RFC 2131 figure 1. */
enum {
    AT_HOPS = 3,
    AT_XID = 4,
    AT_SECS = 8,
    AT_FLAGS = 10,
    AT_CIADDR = 12,
    AT_YIADDR = 16,
    AT_SIADDR = 20,
    AT_GIADDR = 24,
    AT_CHADDR = 28,
    AT_SNAME = 44,
    AT_FILE = 108,
    AT_MAGIC = 236,
    AT_OPTIONS = 240,
    SNAME_SIZE = AT_FILE - AT_SNAME,
    FILE_SIZE = AT_MAGIC - AT_FILE,
};
#define MAGIC 0x63825363u

const char *dhcp_type_name(unsigned type)
{
    static const char *const names[DHCP_N_TYPES] = {
        "bootp", "discover", "offer", "request", "decline", "ack", "nak", "release", "inform"};

    return type < DHCP_N_TYPES ? names[type] : NULL;
}

/* The next option of an area from *at on: its code and value, *at moves behind it.  0: no more;
 * -1: it doesn't fit. */
static int next_option(const struct dhcp_area *a, size_t *at, const uint8_t **value, size_t *n)
{
    while (*at < a->size && a->p[*at] == DHCP_OPT_PAD)
        ++*at;
    if (*at == a->size || a->p[*at] == DHCP_OPT_END)
        return 0;
    int code = a->p[*at];
    if (a->size - *at < 2 || a->p[*at + 1] > a->size - *at - 2)
        return -1;
    *value = a->p + *at + 2;
    *n = a->p[*at + 1];
    *at += 2 + *n;
    return code;
}

static bool area_sound(const struct dhcp_area *a)
{
    const uint8_t *value;
    size_t at = 0, n;
    int code;

    while ((code = next_option(a, &at, &value, &n)) > 0)
        continue;
    return code == 0;
}

static void add_area(struct dhcp *d, const uint8_t *p, size_t size)
{
    d->areas[d->n_areas++] = (struct dhcp_area){p, size};
}

static int find_areas(const uint8_t *m, size_t size, struct dhcp *d)
{
    uint8_t byte;
    int n;

    add_area(d, m + AT_OPTIONS, size - AT_OPTIONS);
    if (!area_sound(&d->areas[0]))
        return -EINVAL;
    n = dhcp_option(d, DHCP_OPT_OVERLOAD, &byte, 1);
    if (n >= 0 && (n != 1 || byte < 1 || byte > 3))
        return -EINVAL;
    if (n == 1 && byte & 1)
        add_area(d, m + AT_FILE, FILE_SIZE);
    if (n == 1 && byte & 2)
        add_area(d, m + AT_SNAME, SNAME_SIZE);
    for (unsigned i = 1; i < d->n_areas; i++)
        if (!area_sound(&d->areas[i]))
            return -EINVAL;
    n = dhcp_option(d, DHCP_OPT_TYPE, &byte, 1);
    if (n >= 0 && (n != 1 || !byte || byte >= DHCP_N_TYPES))
        return -EINVAL;
    d->type = n == 1 ? byte : DHCP_BOOTP;
    return 0;
}

static struct ip read_ip(const uint8_t *p)
{
    uint32_t net_order;

    memcpy(&net_order, p, 4);
    return ip_from4(net_order);
}

int dhcp_parse(const uint8_t *frame, size_t size, struct dhcp *out)
{
    struct flow_key key;
    struct packet_layers l;
    struct dhcp d = {0};

    packet_parse(frame, size, &key, &l);
    if (key.malformed || key.eth_type != ETH_TYPE_IP || key.ip_proto != WIRE_PROTO_UDP ||
        key.ip_frag != FLOW_FRAG_NONE)
        return -EINVAL;
    const uint8_t *m = frame + l.l4 + WIRE_UDP_SIZE;
    size_t n = get16(frame + l.l4 + 4) - (size_t)WIRE_UDP_SIZE; /* the parser has compared it */
    if (n < AT_OPTIONS || get32(m + AT_MAGIC) != MAGIC || m[1] != 1 || m[2] != 6)
        return -EINVAL;
    d.op = m[0];
    d.hops = m[AT_HOPS];
    d.xid = get32(m + AT_XID);
    d.secs = get16(m + AT_SECS);
    d.flags = get16(m + AT_FLAGS);
    d.ciaddr = read_ip(m + AT_CIADDR);
    d.yiaddr = read_ip(m + AT_YIADDR);
    d.siaddr = read_ip(m + AT_SIADDR);
    d.giaddr = read_ip(m + AT_GIADDR);
    memcpy(d.chaddr.b, m + AT_CHADDR, 6);
    int rc = find_areas(m, n, &d);
    if (!rc)
        *out = d;
    return rc;
}

int dhcp_option(const struct dhcp *d, uint8_t code, uint8_t *buf, size_t room)
{
    const uint8_t *value;
    size_t n, total = 0;
    bool found = false;
    int c;

    for (unsigned i = 0; i < d->n_areas; i++) {
        for (size_t at = 0; (c = next_option(&d->areas[i], &at, &value, &n)) > 0;) {
            if (c != code)
                continue;
            found = true;
            if (total < room && n)
                memcpy(buf + total, value, MIN(n, room - total));
            total += n;
        }
    }
    return found ? (int)total : -1;
}

bool dhcp_option_ip(const struct dhcp *d, uint8_t code, struct ip *out)
{
    uint8_t b[4];

    if (dhcp_option(d, code, b, sizeof b) != sizeof b)
        return false;
    *out = read_ip(b);
    return true;
}

unsigned dhcp_option_codes(const struct dhcp *d, uint8_t codes[256])
{
    bool there[256] = {false};
    const uint8_t *value;
    unsigned n_codes = 0;
    size_t n;
    int c;

    for (unsigned i = 0; i < d->n_areas; i++)
        for (size_t at = 0; (c = next_option(&d->areas[i], &at, &value, &n)) > 0;)
            there[c] = true;
    for (unsigned i = 0; i < 256; i++)
        if (there[i])
            codes[n_codes++] = (uint8_t)i;
    return n_codes;
}

/* Building. */

struct area {
    uint8_t *p, *end; /* one byte behind 'end' is kept for the End option */
};

/* RFC 3396: a long value is cut into pieces, each with its code and size. */
static bool put_option(struct area *a, const struct dhcp_opt *o)
{
    size_t pieces = o->size ? (o->size + 254u) / 255u : 1, at = 0;

    if ((size_t)(a->end - a->p) < o->size + 2 * pieces)
        return false;
    for (; pieces; pieces--) {
        uint8_t n = (uint8_t)MIN(o->size - at, 255u);
        *a->p++ = o->code;
        *a->p++ = n;
        if (n)
            memcpy(a->p, o->data + at, n);
        a->p += n;
        at += n;
    }
    return true;
}

static void put_fixed(uint8_t *m, const struct dhcp *d)
{
    m[0] = d->op;
    m[1] = 1;
    m[2] = 6;
    m[AT_HOPS] = d->hops;
    put32(m + AT_XID, d->xid);
    put16(m + AT_SECS, d->secs);
    put16(m + AT_FLAGS, d->flags);
    memcpy(m + AT_CIADDR, &d->ciaddr.w[3], 4);
    memcpy(m + AT_YIADDR, &d->yiaddr.w[3], 4);
    memcpy(m + AT_SIADDR, &d->siaddr.w[3], 4);
    memcpy(m + AT_GIADDR, &d->giaddr.w[3], 4);
    memcpy(m + AT_CHADDR, d->chaddr.b, 6);
    put32(m + AT_MAGIC, MAGIC);
}

size_t dhcp_build(uint8_t *buf, size_t size, const struct flow_key *key, const struct dhcp *d,
                  const struct dhcp_opt *opts, unsigned n_opts, size_t max_size, unsigned *left_out)
{
    enum { MIN_SIZE = 548, OVERLOAD_SIZE = 3, END_SIZE = 1 };
    uint8_t m[DHCP_MAX_SIZE] = {0};
    size_t room = MIN(MAX(max_size, (size_t)MIN_SIZE), sizeof m);
    struct area areas[3] = {
        {m + AT_OPTIONS, m + room - OVERLOAD_SIZE - END_SIZE},
        {m + AT_FILE, m + AT_FILE + FILE_SIZE - END_SIZE},
        {m + AT_SNAME, m + AT_SNAME + SNAME_SIZE - END_SIZE},
    };
    struct dhcp_opt type = {DHCP_OPT_TYPE, 1, &d->type};
    unsigned lost = 0;

    put_fixed(m, d);
    if (d->type != DHCP_BOOTP)
        put_option(&areas[0], &type);
    for (unsigned i = 0; i < n_opts; i++)
        if (!put_option(&areas[0], &opts[i]) && !put_option(&areas[1], &opts[i]) &&
            !put_option(&areas[2], &opts[i]))
            lost++;
    uint8_t overload = (areas[1].p > m + AT_FILE ? 1 : 0) | (areas[2].p > m + AT_SNAME ? 2 : 0);
    areas[0].end += OVERLOAD_SIZE;
    if (overload)
        put_option(&areas[0], &(struct dhcp_opt){DHCP_OPT_OVERLOAD, 1, &overload});
    *areas[0].p++ = DHCP_OPT_END;
    if (overload & 1)
        *areas[1].p = DHCP_OPT_END;
    if (overload & 2)
        *areas[2].p = DHCP_OPT_END;
    if (left_out)
        *left_out = lost;
    /* BOOTP's size at least: there are clients that want it (RFC 1542 section 2.1). */
    return packet_from_key(buf, size, key, m, MAX((size_t)(areas[0].p - m), (size_t)300));
}
