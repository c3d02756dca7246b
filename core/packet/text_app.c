#include <netinet/in.h>
#include <stdio.h>

#include "packet/text_app.h"

enum value { V_NONE, V_NUMBER, V_MAC, V_IP, V_IPS, V_NET, V_OPTION, V_NAME, V_HEX, V_FLAGS };

static const struct item_word {
    uint8_t kind;
    const char *word;
    enum what what;
    enum value value;
} item_words[] = {
    {KIND_DHCP, "mac", W_CHADDR, V_MAC},       {KIND_DHCP, "yiaddr", W_YIADDR, V_IP},
    {KIND_DHCP, "ciaddr", W_CIADDR, V_IP},     {KIND_DHCP, "siaddr", W_SIADDR, V_IP},
    {KIND_DHCP, "giaddr", W_GIADDR, V_IP},     {KIND_DHCP, "xid", W_XID, V_NUMBER},
    {KIND_DHCP, "option", W_OPTION, V_OPTION}, {KIND_DHCP, "no-option", W_NO_OPTION, V_NAME},
    {KIND_DHCP6, "duid", W_DUID, V_HEX},       {KIND_DHCP6, "server", W_SERVER, V_HEX},
    {KIND_DHCP6, "xid", W_XID, V_NUMBER},      {KIND_DHCP6, "rapid", W_RAPID, V_NONE},
    {KIND_DHCP6, "ia", W_IA, V_NUMBER},        {KIND_DHCP6, "ta", W_TA, V_NUMBER},
    {KIND_DHCP6, "pd", W_PD, V_NUMBER},        {KIND_DHCP6, "address", W_ADDRESS, V_IP},
    {KIND_DHCP6, "valid", W_VALID, V_NUMBER},  {KIND_DHCP6, "status", W_STATUS, V_NUMBER},
    {KIND_DHCP6, "dns", W_DNS, V_IPS},         {KIND_DHCP6, "no-dns", W_NO_DNS, V_NONE},
    {KIND_RA, "flags", W_FLAGS, V_FLAGS},      {KIND_RA, "lifetime", W_LIFETIME, V_NUMBER},
    {KIND_RA, "mtu", W_MTU, V_NUMBER},         {KIND_RA, "no-mtu", W_NO_MTU, V_NONE},
    {KIND_RA, "prefix", W_PREFIX, V_NET},      {KIND_RA, "slaac", W_SLAAC, V_NET},
    {KIND_RA, "no-slaac", W_NO_SLAAC, V_NET},  {KIND_RA, "dns", W_DNS, V_IPS},
    {KIND_RA, "no-dns", W_NO_DNS, V_NONE},
};

bool app_client_type(const struct packet_app *app)
{
    if (app->kind == KIND_DHCP)
        return app->type != DHCP_OFFER && app->type != DHCP_ACK && app->type != DHCP_NAK;
    return app->type != DHCP6_ADVERTISE && app->type != DHCP6_REPLY &&
           app->type != DHCP6_RECONFIGURE;
}

static int udp_kind(struct words *w, uint8_t kind)
{
    struct packet_app *app = &w->spec->app;
    bool v4 = kind == KIND_DHCP;
    unsigned n = v4 ? DHCP_N_TYPES : DHCP6_N_TYPES;
    uint16_t client = v4 ? DHCP_CLIENT_PORT : DHCP6_CLIENT_PORT;

    for (unsigned i = 1; i < n; i++) {
        if (!words_take(w, v4 ? dhcp_type_name(i) : dhcp6_type_name(i)))
            continue;
        app->kind = kind;
        app->type = (uint8_t)i;
        GIVE(w, eth_type, v4 ? ETH_TYPE_IP : ETH_TYPE_IP6);
        GIVE(w, ip_proto, IPPROTO_UDP);
        GIVE(w, tp_src, (uint16_t)(app_client_type(app) ? client : client + (v4 ? -1 : 1)));
        GIVE(w, tp_dst, (uint16_t)(app_client_type(app) ? client + (v4 ? -1 : 1) : client));
        return 0;
    }
    return words_fail(w, v4 ? "a DHCP message type (discover, offer, ...)"
                            : "a DHCPv6 message type (solicit, reply, ...)");
}

static int discovery_kind(struct words *w, uint8_t kind)
{
    struct ip src;

    w->spec->app.kind = kind;
    GIVE(w, eth_type, ETH_TYPE_IP6);
    GIVE(w, ip_proto, IPPROTO_ICMPV6);
    GIVE(w, tp_src, kind == KIND_RS ? 133 : 134);
    w->spec->key.ip_ttl = 255;
    if (words_peek(w) && !ip_parse(words_peek(w), &src) && !ip_is4(&src)) {
        w->at++;
        GIVE(w, ip_src, src);
    }
    return 0;
}

bool words_app_kind(struct words *w, int *rc)
{
    if (words_take(w, "dhcp"))
        *rc = udp_kind(w, KIND_DHCP);
    else if (words_take(w, "dhcp6"))
        *rc = udp_kind(w, KIND_DHCP6);
    else if (words_take(w, "rs"))
        *rc = discovery_kind(w, KIND_RS);
    else if (words_take(w, "ra"))
        *rc = discovery_kind(w, KIND_RA);
    else
        return false;
    return true;
}

static int add_bytes(struct words *w, struct packet_item *it, const uint8_t *p, size_t n)
{
    struct packet_app *app = &w->spec->app;

    if (sizeof app->bytes - app->n_bytes < n)
        return error_set(w->e, -EINVAL, "packet", NULL, "says more than fits");
    it->at = app->n_bytes;
    it->size = (uint16_t)n;
    if (n)
        memcpy(app->bytes + app->n_bytes, p, n);
    app->n_bytes = (uint16_t)(app->n_bytes + n);
    return 0;
}

static int take_option(struct words *w, struct packet_item *it, bool with_value)
{
    uint8_t value[sizeof w->spec->app.bytes];
    int code = words_peek(w) ? dhcp_option_code(words_peek(w)) : -1;

    if (code < 0)
        return words_fail(w, "the name or number of a DHCP option");
    w->at++;
    it->number = (uint32_t)code;
    if (!with_value)
        return 0;
    const char *text = words_peek(w);
    int n = text ? dhcp_option_encode((uint8_t)code, text, value, sizeof value) : -1;
    if (n < 0)
        return words_fail(w, "the option's value");
    w->at++;
    return add_bytes(w, it, value, (size_t)n);
}

static int take_ips(struct words *w, struct packet_item *it)
{
    uint8_t list[16 * RA_DNS];
    char word[IP_STRLEN];
    const char *text = words_peek(w);
    size_t n = 0;

    for (; text && n < sizeof list; n += 16) {
        size_t size = strcspn(text, ",");
        struct ip ip;
        snprintf(word, sizeof word, "%.*s", (int)MIN(size, sizeof word - 1), text);
        if (ip_parse(word, &ip) || ip_is4(&ip))
            return words_fail(w, "IPv6 addresses, separated by commas");
        memcpy(list + n, ip.b, 16);
        text = text[size] ? text + size + 1 : NULL;
    }
    if (!n || text)
        return words_fail(w, "up to 8 IPv6 addresses");
    w->at++;
    return add_bytes(w, it, list, n);
}

static int take_hex(struct words *w, struct packet_item *it)
{
    uint8_t duid[DHCP6_MAX_DUID];
    int n = words_peek(w) ? dhcp6_duid_parse(words_peek(w), duid) : -1;

    if (n < 0)
        return words_fail(w, "a DUID in hex");
    w->at++;
    return add_bytes(w, it, duid, (size_t)n);
}

static int take_flags(struct words *w, struct packet_item *it)
{
    const char *text = words_peek(w);

    if (!text || (strcmp(text, "none") && strspn(text, "MO") != strlen(text)))
        return words_fail(w, "M, O, MO or none");
    it->number = (strchr(text, 'M') ? 1u : 0) | (strchr(text, 'O') ? 2u : 0);
    w->at++;
    return 0;
}

static int take_value(struct words *w, enum value kind, struct packet_item *it)
{
    unsigned long n = 0;
    struct cidr net;
    struct mac mac;
    int rc;

    switch (kind) {
    case V_NUMBER:
        rc = words_number(w, UINT32_MAX, "a number", &n);
        it->number = (uint32_t)n;
        return rc;
    case V_MAC:
        rc = words_mac(w, &mac);
        return rc ? rc : add_bytes(w, it, mac.b, 6);
    case V_IP:
        return words_ip(w, &it->ip);
    case V_NET:
        if (!words_peek(w) || cidr_parse(words_peek(w), &net) || ip_is4(&net.addr))
            return words_fail(w, "an IPv6 prefix");
        w->at++;
        it->ip = cidr_network(&net);
        it->len = net.len;
        return 0;
    case V_IPS:
        return take_ips(w, it);
    case V_OPTION:
    case V_NAME:
        return take_option(w, it, kind == V_OPTION);
    case V_HEX:
        return take_hex(w, it);
    case V_FLAGS:
        return take_flags(w, it);
    default:
        return 0;
    }
}

int words_app(struct words *w, bool *taken)
{
    struct packet_app *app = &w->spec->app;

    *taken = false;
    for (unsigned i = 0; i < ARRAY_SIZE(item_words); i++) {
        const struct item_word *x = &item_words[i];
        if (x->kind != app->kind || !words_take(w, x->word))
            continue;
        if (app->n_items == ARRAY_SIZE(app->items))
            return error_set(w->e, -EINVAL, "packet", NULL, "says more than fits");
        struct packet_item it = {.what = (uint8_t)x->what};
        int rc = take_value(w, x->value, &it);
        if (!rc)
            app->items[app->n_items++] = it;
        *taken = true;
        return rc;
    }
    return 0;
}
