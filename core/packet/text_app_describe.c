#include <netinet/in.h>
#include <stdio.h>

#include "packet/text_app.h"

static void say_ip(struct strbuf *sb, const char *word, const struct ip *ip)
{
    char text[IP_STRLEN];

    if (!ip_is_none(ip) && !(ip_is4(ip) && !ip_to4(ip)))
        sb_printf(sb, " %s %s", word, ip_format(ip, text));
}

static void say_dhcp(struct strbuf *sb, const struct dhcp *d)
{
    uint8_t codes[256], value[1500];
    char text[200], mac[MAC_STRLEN];
    unsigned n = dhcp_option_codes(d, codes);

    sb_printf(sb, "dhcp %s mac %s xid %u", dhcp_type_name(d->type), mac_format(&d->chaddr, mac),
              d->xid);
    say_ip(sb, "ciaddr", &d->ciaddr);
    say_ip(sb, "yiaddr", &d->yiaddr);
    say_ip(sb, "siaddr", &d->siaddr);
    say_ip(sb, "giaddr", &d->giaddr);
    for (unsigned i = 0; i < n; i++) {
        if (codes[i] == DHCP_OPT_TYPE)
            continue;
        int size = dhcp_option(d, codes[i], value, sizeof value);
        dhcp_option_format(codes[i], value, MIN((size_t)size, sizeof value), text, sizeof text);
        if (dhcp_option_name(codes[i]))
            sb_printf(sb, " option %s %s", dhcp_option_name(codes[i]), text);
        else
            sb_printf(sb, " option %u %s", codes[i], text);
    }
}

static void say_ips(struct strbuf *sb, const char *word, const uint8_t *p, size_t size)
{
    char text[IP_STRLEN];
    struct ip ip;

    for (size_t at = 0; at + 16 <= size; at += 16) {
        memcpy(ip.b, p + at, 16);
        sb_printf(sb, "%s%s", at ? "," : word, ip_format(&ip, text));
    }
}

static void say_dhcp6(struct strbuf *sb, struct dhcp6_opts opts)
{
    char text[3 * DHCP6_MAX_DUID + 1];
    struct dhcp6_opt o;
    struct ip ip;

    while (dhcp6_next(&opts, &o)) {
        switch (o.code) {
        case DHCP6_OPT_CLIENT_ID:
        case DHCP6_OPT_SERVER_ID:
            sb_printf(sb, " %s %s", o.code == DHCP6_OPT_CLIENT_ID ? "duid" : "server",
                      dhcp6_duid_format(o.data, MIN(o.size, DHCP6_MAX_DUID), text, sizeof text));
            break;
        case DHCP6_OPT_IA_NA:
        case DHCP6_OPT_IA_TA:
        case DHCP6_OPT_IA_PD:
            sb_printf(sb, " %s %u",
                      o.code == DHCP6_OPT_IA_NA   ? "ia"
                      : o.code == DHCP6_OPT_IA_TA ? "ta"
                                                  : "pd",
                      get32(o.data));
            say_dhcp6(sb, dhcp6_within(&o));
            break;
        case DHCP6_OPT_IAADDR:
            memcpy(ip.b, o.data, 16);
            sb_printf(sb, " address %s valid %u", ip_format(&ip, text), get32(o.data + 20));
            break;
        case DHCP6_OPT_STATUS:
            if (o.size >= 2)
                sb_printf(sb, " status %u", get16(o.data));
            break;
        case DHCP6_OPT_RAPID_COMMIT:
            sb_add(sb, " rapid");
            break;
        case DHCP6_OPT_DNS:
            say_ips(sb, " dns ", o.data, o.size);
            break;
        }
    }
}

static void say_ra(struct strbuf *sb, const struct packet_ra *ra)
{
    char text[CIDR_STRLEN];

    sb_printf(sb, " flags %s%s%s lifetime %u", ra->managed ? "M" : "", ra->other ? "O" : "",
              ra->managed || ra->other ? "" : "none", ra->lifetime);
    for (unsigned i = 0; i < ra->n_prefixes; i++)
        sb_printf(sb, " %s %s", ra->prefixes[i].autonomous ? "slaac" : "no-slaac",
                  cidr_format(&ra->prefixes[i].net, text));
    if (ra->mtu)
        sb_printf(sb, " mtu %u", ra->mtu);
    say_ips(sb, " dns ", ra->dns[0].b, ra->n_dns * 16);
}

bool packet_app_describe(const uint8_t *p, size_t size, char *buf, size_t n)
{
    struct strbuf sb = {0};
    struct packet_layers l;
    struct packet_ra ra;
    struct flow_key key;
    struct dhcp6 d6;
    struct dhcp d;
    struct mac mac;
    char src[IP_STRLEN];

    packet_parse(p, size, &key, &l);
    bool udp = key.ip_proto == IPPROTO_UDP;
    if (udp && (key.tp_dst == DHCP_CLIENT_PORT || key.tp_dst == DHCP_SERVER_PORT) &&
        !dhcp_parse(p, size, &d) && d.type) {
        say_dhcp(&sb, &d);
    } else if (udp && (key.tp_dst == DHCP6_CLIENT_PORT || key.tp_dst == DHCP6_SERVER_PORT) &&
               !dhcp6_parse(p, size, &d6)) {
        sb_printf(&sb, "dhcp6 %s xid %u", dhcp6_type_name(d6.type), d6.xid);
        say_dhcp6(&sb, d6.opts);
    } else if (!packet_rs_parse(p, size, &mac)) {
        sb_printf(&sb, "rs %s", ip_format(&key.ip_src, src));
    } else if (!packet_ra_parse(p, size, &ra)) {
        sb_printf(&sb, "ra %s", ip_format(&key.ip_src, src));
        say_ra(&sb, &ra);
    } else {
        return false;
    }
    snprintf(buf, n, "%s", sb_str(&sb));
    sb_free(&sb);
    return true;
}
