#include "packet/dhcp6.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>

#include "packet/packet.h"
#include "packet/parse.h"
#include "packet/wire.h"

enum { HEADER = 4, OPT_HEADER = 4 };

const char *dhcp6_type_name(unsigned type)
{
    static const char *const names[DHCP6_N_TYPES] = {
        NULL,     "solicit", "advertise", "request", "confirm",     "renew",
        "rebind", "reply",   "release",   "decline", "reconfigure", "information-request"};

    return type < DHCP6_N_TYPES ? names[type] : NULL;
}

bool dhcp6_next(struct dhcp6_opts *opts, struct dhcp6_opt *out)
{
    if (opts->size < OPT_HEADER || get16(opts->p + 2) > opts->size - OPT_HEADER)
        return false;
    *out = (struct dhcp6_opt){get16(opts->p), get16(opts->p + 2), opts->p + OPT_HEADER};
    opts->p += OPT_HEADER + out->size;
    opts->size -= OPT_HEADER + (size_t)out->size;
    return true;
}

bool dhcp6_find(struct dhcp6_opts opts, uint16_t code, struct dhcp6_opt *out)
{
    while (dhcp6_next(&opts, out))
        if (out->code == code)
            return true;
    return false;
}

/* Bytes of an option before the options it holds; -1: it holds none. */
static int fixed_part(uint16_t code)
{
    switch (code) {
    case DHCP6_OPT_IA_NA:
    case DHCP6_OPT_IA_PD:
        return 12;
    case DHCP6_OPT_IA_TA:
        return 4;
    case DHCP6_OPT_IAADDR:
        return 24;
    default:
        return -1;
    }
}

struct dhcp6_opts dhcp6_within(const struct dhcp6_opt *o)
{
    int fixed = fixed_part(o->code);

    if (fixed < 0 || o->size < fixed)
        return (struct dhcp6_opts){0};
    return (struct dhcp6_opts){o->data + fixed, o->size - (size_t)fixed};
}

/* An address holds no IA, so three levels are all there can be. */
static bool options_sound(struct dhcp6_opts opts, unsigned level)
{
    struct dhcp6_opt o;

    while (dhcp6_next(&opts, &o)) {
        int fixed = fixed_part(o.code);
        if (fixed < 0)
            continue;
        if (o.size < fixed || level == 3 || !options_sound(dhcp6_within(&o), level + 1))
            return false;
    }
    return !opts.size;
}

int dhcp6_parse(const uint8_t *frame, size_t size, struct dhcp6 *out)
{
    struct flow_key key;
    struct packet_layers l;
    struct dhcp6_opt id;

    packet_parse(frame, size, &key, &l);
    if (key.malformed || key.eth_type != ETH_TYPE_IP6 || key.ip_proto != WIRE_PROTO_UDP ||
        key.ip_frag != FLOW_FRAG_NONE)
        return -EINVAL;
    const uint8_t *m = frame + l.l4 + WIRE_UDP_SIZE;
    size_t n = get16(frame + l.l4 + 4) - (size_t)WIRE_UDP_SIZE; /* the parser has compared it */
    if (n < HEADER || !m[0] || m[0] >= DHCP6_N_TYPES)
        return -EINVAL;
    struct dhcp6 d = {m[0], get32(m) & 0xffffff, {m + HEADER, n - HEADER}};
    if (!options_sound(d.opts, 1))
        return -EINVAL;
    if (dhcp6_find(d.opts, DHCP6_OPT_CLIENT_ID, &id) && (!id.size || id.size > DHCP6_MAX_DUID))
        return -EINVAL;
    *out = d;
    return 0;
}

uint8_t *dhcp6_open(struct dhcp6_writer *w, uint16_t code, const void *data, size_t size)
{
    uint8_t *at = w->p;

    if (w->full || (size_t)(w->end - w->p) < OPT_HEADER + size) {
        w->full = true;
        return at;
    }
    put16(at, code);
    put16(at + 2, (uint16_t)size);
    if (size)
        memcpy(at + OPT_HEADER, data, size);
    w->p += OPT_HEADER + size;
    return at;
}

void dhcp6_close(struct dhcp6_writer *w, uint8_t *opened)
{
    if (!w->full)
        put16(opened + 2, (uint16_t)(w->p - opened - OPT_HEADER));
}

void dhcp6_put(struct dhcp6_writer *w, uint16_t code, const void *data, size_t size)
{
    dhcp6_open(w, code, data, size);
}

void dhcp6_put_status(struct dhcp6_writer *w, enum dhcp6_status code, const char *text)
{
    uint8_t value[64] = {0, (uint8_t)code};
    size_t n = MIN(strlen(text), sizeof value - 2);

    memcpy(value + 2, text, n);
    dhcp6_put(w, DHCP6_OPT_STATUS, value, 2 + n);
}

size_t dhcp6_build(uint8_t *buf, size_t size, const struct flow_key *key, uint8_t type,
                   uint32_t xid, const uint8_t *opts, size_t opts_size)
{
    uint8_t m[DHCP6_MAX_SIZE];

    if (HEADER + opts_size > sizeof m)
        return 0;
    put32(m, xid);
    m[0] = type;
    if (opts_size)
        memcpy(m + HEADER, opts, opts_size);
    return packet_from_key(buf, size, key, m, HEADER + opts_size);
}

int dhcp6_duid_parse(const char *text, uint8_t buf[DHCP6_MAX_DUID])
{
    int n = 0;
    unsigned byte;

    while (*text) {
        /* "0:3:0:1" as some print it: a digit alone is a byte */
        size_t digits = strspn(text, "0123456789abcdefABCDEF");
        size_t take = digits == 1 ? 1 : 2;
        if (!digits || (digits > 2 && digits % 2) || n == DHCP6_MAX_DUID)
            return -1;
        if (sscanf(text, take == 1 ? "%1x" : "%2x", &byte) != 1)
            return -1;
        buf[n++] = (uint8_t)byte;
        text += take;
        if ((*text == ':' || *text == '-') && text[1])
            text++;
        else if (*text && !isxdigit((unsigned char)*text))
            return -1;
    }
    return n ? n : -1;
}

char *dhcp6_duid_format(const uint8_t *duid, size_t n, char *buf, size_t size)
{
    size_t at = 0;

    buf[0] = '\0';
    for (size_t i = 0; i < n && at + 4 <= size; i++)
        at += (size_t)snprintf(buf + at, size - at, i ? ":%02x" : "%02x", duid[i]);
    return buf;
}

bool dhcp6_duid_mac(const uint8_t *duid, size_t n, struct mac *mac)
{
    enum { LLT = 1, LL = 3, ETHERNET = 1 };
    size_t at = n == 14 && get16(duid) == LLT ? 8 : n == 10 && get16(duid) == LL ? 4 : 0;

    if (!at || get16(duid + 2) != ETHERNET)
        return false;
    memcpy(mac->b, duid + at, 6);
    return true;
}

void dhcp6_duid_of_mac(const struct mac *mac, uint8_t duid[DHCP6_DUID_LL_SIZE])
{
    put16(duid, 3);
    put16(duid + 2, 1);
    memcpy(duid + 4, mac->b, 6);
}
