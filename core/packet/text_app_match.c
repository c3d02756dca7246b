#include <stdio.h>

#include "packet/text_app.h"

static bool differs(char *why, size_t size, const char *what)
{
    snprintf(why, size, "%s", what);
    return false;
}

static bool match_ip(char *why, size_t size, const char *what, const struct ip *is,
                     const struct ip *want)
{
    char a[IP_STRLEN], b[IP_STRLEN];

    if (ip_equal(is, want))
        return true;
    snprintf(why, size, "%s is %s, not %s", what, ip_format(is, a), ip_format(want, b));
    return false;
}

static bool match_number(char *why, size_t size, const char *what, uint32_t is, uint32_t want)
{
    if (is == want)
        return true;
    snprintf(why, size, "%s is %u, not %u", what, is, want);
    return false;
}

static bool match_option(const struct dhcp *d, const struct packet_app *app,
                         const struct packet_item *it, char *why, size_t size)
{
    uint8_t is[1500], code = (uint8_t)it->number;
    int n = dhcp_option(d, code, is, sizeof is);
    char a[200], b[200];

    if (it->what == W_NO_OPTION ? n < 0
                                : n == it->size && !memcmp(is, app->bytes + it->at, it->size))
        return true;
    if (n < 0)
        snprintf(a, sizeof a, "not there");
    else
        dhcp_option_format(code, is, MIN((size_t)n, sizeof is), a, sizeof a);
    if (it->what == W_NO_OPTION)
        snprintf(b, sizeof b, "absent");
    else
        dhcp_option_format(code, app->bytes + it->at, it->size, b, sizeof b);
    snprintf(why, size, "option %u is %.60s, not %.60s", code, a, b);
    return false;
}

static bool match_dhcp(const struct packet_app *app, const uint8_t *p, size_t size, char *why,
                       size_t n)
{
    struct dhcp d;
    bool same = true;

    if (dhcp_parse(p, size, &d))
        return differs(why, n, "it is no DHCP message");
    if (d.type != app->type) {
        snprintf(why, n, "it is a DHCP %s", dhcp_type_name(d.type));
        return false;
    }
    for (unsigned i = 0; i < app->n_items && same; i++) {
        const struct packet_item *it = &app->items[i];
        switch (it->what) {
        case W_CHADDR:
            same = !memcmp(d.chaddr.b, app->bytes + it->at, 6) || differs(why, n, "mac differs");
            break;
        case W_YIADDR:
            same = match_ip(why, n, "yiaddr", &d.yiaddr, &it->ip);
            break;
        case W_CIADDR:
            same = match_ip(why, n, "ciaddr", &d.ciaddr, &it->ip);
            break;
        case W_SIADDR:
            same = match_ip(why, n, "siaddr", &d.siaddr, &it->ip);
            break;
        case W_GIADDR:
            same = match_ip(why, n, "giaddr", &d.giaddr, &it->ip);
            break;
        case W_XID:
            same = match_number(why, n, "xid", d.xid, it->number);
            break;
        default:
            same = match_option(&d, app, it, why, n);
        }
    }
    return same;
}

static bool find_ia(struct dhcp6_opts opts, uint16_t code, uint32_t iaid, struct dhcp6_opt *out)
{
    while (dhcp6_next(&opts, out))
        if (out->code == code && get32(out->data) == iaid)
            return true;
    return false;
}

static bool find_address(struct dhcp6_opts opts, const struct ip *ip, struct dhcp6_opt *out)
{
    while (dhcp6_next(&opts, out))
        if (out->code == DHCP6_OPT_IAADDR && !memcmp(out->data, ip->b, 16))
            return true;
    return false;
}

static bool has_bytes(struct dhcp6_opts opts, uint16_t code, const struct packet_app *app,
                      const struct packet_item *it)
{
    struct dhcp6_opt o;

    return dhcp6_find(opts, code, &o) && o.size == it->size &&
           !memcmp(o.data, app->bytes + it->at, it->size);
}

/* 'within' is where the words have got to: the message, or one of its IAs. */
static bool match_dhcp6_item(const struct dhcp6 *d, const struct packet_app *app,
                             const struct packet_item *it, struct dhcp6_opts *within,
                             struct dhcp6_opt *address, char *why, size_t n)
{
    struct dhcp6_opt o;

    switch (it->what) {
    case W_XID:
        return match_number(why, n, "xid", d->xid, it->number);
    case W_DUID:
        return has_bytes(d->opts, DHCP6_OPT_CLIENT_ID, app, it) ||
               differs(why, n, "the client's DUID differs");
    case W_SERVER:
        return has_bytes(d->opts, DHCP6_OPT_SERVER_ID, app, it) ||
               differs(why, n, "the server's DUID differs");
    case W_DNS:
        return has_bytes(d->opts, DHCP6_OPT_DNS, app, it) || differs(why, n, "dns differs");
    case W_NO_DNS:
        return !dhcp6_find(d->opts, DHCP6_OPT_DNS, &o) || differs(why, n, "there is dns");
    case W_RAPID:
        return dhcp6_find(d->opts, DHCP6_OPT_RAPID_COMMIT, &o) ||
               differs(why, n, "rapid commit isn't there");
    case W_STATUS:
        if (!dhcp6_find(*within, DHCP6_OPT_STATUS, &o) || o.size < 2)
            return differs(why, n, "there is no status");
        return match_number(why, n, "status", get16(o.data), it->number);
    case W_ADDRESS:
        return find_address(*within, &it->ip, address) ||
               differs(why, n, "the address isn't there");
    case W_VALID:
        return address->data &&
               match_number(why, n, "valid lifetime", get32(address->data + 20), it->number);
    default:
        if (!find_ia(d->opts, app_ia_code(it->what), it->number, &o))
            return differs(why, n, "there is no such IA");
        *within = dhcp6_within(&o);
        return true;
    }
}

static bool match_dhcp6(const struct packet_app *app, const uint8_t *p, size_t size, char *why,
                        size_t n)
{
    struct dhcp6_opt address = {0};
    struct dhcp6 d;

    if (dhcp6_parse(p, size, &d))
        return differs(why, n, "it is no DHCPv6 message");
    if (d.type != app->type) {
        snprintf(why, n, "it is a DHCPv6 %s", dhcp6_type_name(d.type));
        return false;
    }
    struct dhcp6_opts within = d.opts;
    for (unsigned i = 0; i < app->n_items; i++)
        if (!match_dhcp6_item(&d, app, &app->items[i], &within, &address, why, n))
            return false;
    return true;
}

static bool has_prefix(const struct packet_ra *ra, const struct packet_item *it)
{
    for (unsigned i = 0; i < ra->n_prefixes; i++) {
        const struct ra_prefix *x = &ra->prefixes[i];
        if (x->net.len == it->len && ip_equal(&x->net.addr, &it->ip))
            return it->what == W_PREFIX || x->autonomous == (it->what == W_SLAAC);
    }
    return false;
}

static bool match_ra(const struct packet_app *app, const uint8_t *p, size_t size, char *why,
                     size_t n)
{
    struct packet_ra ra;
    bool same = true;

    if (packet_ra_parse(p, size, &ra))
        return differs(why, n, "it is no router advertisement");
    for (unsigned i = 0; i < app->n_items && same; i++) {
        const struct packet_item *it = &app->items[i];
        switch (it->what) {
        case W_FLAGS:
            same = match_number(why, n, "flags (M 1, O 2)", ra.managed + 2u * ra.other, it->number);
            break;
        case W_LIFETIME:
            same = match_number(why, n, "lifetime", ra.lifetime, it->number);
            break;
        case W_MTU:
        case W_NO_MTU:
            same = match_number(why, n, "mtu", ra.mtu, it->number);
            break;
        case W_DNS:
        case W_NO_DNS:
            same = (ra.n_dns * 16 == it->size && !memcmp(ra.dns, app->bytes + it->at, it->size)) ||
                   differs(why, n, "dns differs");
            break;
        default:
            same = has_prefix(&ra, it) || differs(why, n, "the prefix isn't there like this");
        }
    }
    return same;
}

bool packet_app_match(const struct packet_spec *s, const uint8_t *p, size_t size, char *why,
                      size_t why_size)
{
    switch (s->app.kind) {
    case KIND_DHCP:
        return match_dhcp(&s->app, p, size, why, why_size);
    case KIND_DHCP6:
        return match_dhcp6(&s->app, p, size, why, why_size);
    case KIND_RA:
        return match_ra(&s->app, p, size, why, why_size);
    default:
        return true;
    }
}
