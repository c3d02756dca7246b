/* DHCP options: names, kinds of values, text to bytes and back. */
#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/mem.h"
#include "packet/dhcp.h"
#include "packet/wire.h"

enum kind {
    K_BYTES, /* hex digits */
    K_STRING,
    K_FLAG, /* no value */
    K_BOOL,
    K_U8,
    K_U16,
    K_U32,
    K_I32,
    K_U16S,
    K_IP,
    K_IPS,
    K_PAIRS,  /* of addresses */
    K_ROUTES, /* RFC 3442 */
    K_NAMES,  /* domains as in DNS; RFC 3397, never compressed */
    K_SIP,    /* RFC 3361 */
};

/* IANA's registry "BOOTP Vendor Extensions and DHCP Options". */
static const struct {
    const char *name;
    enum kind kind;
} options[256] = {
    [1] = {"subnet-mask", K_IP},
    [2] = {"time-offset", K_I32},
    [3] = {"router", K_IPS},
    [4] = {"time-server", K_IPS},
    [5] = {"name-server", K_IPS},
    [6] = {"dns-server", K_IPS},
    [7] = {"log-server", K_IPS},
    [8] = {"quotes-server", K_IPS},
    [9] = {"lpr-server", K_IPS},
    [10] = {"impress-server", K_IPS},
    [11] = {"rlp-server", K_IPS},
    [12] = {"hostname", K_STRING},
    [13] = {"boot-file-size", K_U16},
    [14] = {"merit-dump-file", K_STRING},
    [15] = {"domain-name", K_STRING},
    [16] = {"swap-server", K_IP},
    [17] = {"root-path", K_STRING},
    [18] = {"extension-path", K_STRING},
    [19] = {"ip-forward-enable", K_BOOL},
    [20] = {"non-local-source-routing", K_BOOL},
    [21] = {"policy-filter", K_PAIRS},
    [22] = {"max-datagram-reassembly", K_U16},
    [23] = {"default-ttl", K_U8},
    [24] = {"mtu-timeout", K_U32},
    [25] = {"mtu-plateau", K_U16S},
    [26] = {"mtu", K_U16},
    [27] = {"all-subnets-local", K_BOOL},
    [28] = {"broadcast", K_IP},
    [29] = {"mask-discovery", K_BOOL},
    [30] = {"mask-supplier", K_BOOL},
    [31] = {"router-discovery", K_BOOL},
    [32] = {"router-solicitation", K_IP},
    [33] = {"static-route", K_PAIRS},
    [34] = {"trailer-encapsulation", K_BOOL},
    [35] = {"arp-timeout", K_U32},
    [36] = {"ethernet-encap", K_BOOL},
    [37] = {"tcp-ttl", K_U8},
    [38] = {"tcp-keepalive", K_U32},
    [39] = {"tcp-keepalive-garbage", K_BOOL},
    [40] = {"nis-domain", K_STRING},
    [41] = {"nis-server", K_IPS},
    [42] = {"ntp-server", K_IPS},
    [43] = {"vendor-encap", K_BYTES},
    [44] = {"netbios-ns", K_IPS},
    [45] = {"netbios-dd", K_IPS},
    [46] = {"netbios-nodetype", K_U8},
    [47] = {"netbios-scope", K_STRING},
    [48] = {"x-windows-fs", K_IPS},
    [49] = {"x-windows-dm", K_IPS},
    [50] = {"requested-address", K_IP},
    [51] = {"lease-time", K_U32},
    [52] = {"overload", K_U8},
    [53] = {"message-type", K_U8},
    [54] = {"server-id", K_IP},
    [55] = {"parameter-request-list", K_BYTES},
    [56] = {"message", K_STRING},
    [57] = {"max-message-size", K_U16},
    [58] = {"t1", K_U32},
    [59] = {"t2", K_U32},
    [60] = {"vendor-class", K_STRING},
    [61] = {"client-id", K_BYTES},
    [62] = {"netware-domain", K_STRING},
    [63] = {"netware-option", K_BYTES},
    [64] = {"nis+-domain", K_STRING},
    [65] = {"nis+-server", K_IPS},
    [66] = {"tftp-server", K_STRING},
    [67] = {"bootfile-name", K_STRING},
    [68] = {"mobile-ip-home", K_IPS},
    [69] = {"smtp-server", K_IPS},
    [70] = {"pop3-server", K_IPS},
    [71] = {"nntp-server", K_IPS},
    [72] = {"www-server", K_IPS},
    [73] = {"finger-server", K_IPS},
    [74] = {"irc-server", K_IPS},
    [75] = {"streettalk-server", K_IPS},
    [76] = {"stda-server", K_IPS},
    [77] = {"user-class", K_STRING},
    [78] = {"slp-directory-agent", K_BYTES},
    [79] = {"slp-service-scope", K_BYTES},
    [80] = {"rapid-commit", K_FLAG},
    [81] = {"client-fqdn", K_BYTES},
    [82] = {"relay-agent-information", K_BYTES},
    [83] = {"isns", K_BYTES},
    [85] = {"nds-server", K_IPS},
    [86] = {"nds-tree-name", K_STRING},
    [87] = {"nds-context", K_STRING},
    [88] = {"bcms-domain", K_NAMES},
    [89] = {"bcms-server", K_IPS},
    [90] = {"authentication", K_BYTES},
    [91] = {"client-last-transaction-time", K_U32},
    [92] = {"associated-ip", K_IPS},
    [93] = {"client-arch", K_U16S},
    [94] = {"client-interface-id", K_BYTES},
    [95] = {"ldap", K_STRING},
    [97] = {"client-machine-id", K_BYTES},
    [98] = {"uap-server", K_STRING},
    [99] = {"geoconf-civic", K_BYTES},
    [100] = {"posix-timezone", K_STRING},
    [101] = {"tzdb-timezone", K_STRING},
    [108] = {"ipv6-only", K_U32},
    [112] = {"netinfo-address", K_IPS},
    [113] = {"netinfo-tag", K_STRING},
    [114] = {"captive-portal", K_STRING},
    [116] = {"auto-config", K_U8},
    [117] = {"name-service-search", K_U16S},
    [118] = {"subnet-selection", K_IP},
    [119] = {"domain-search", K_NAMES},
    [120] = {"sip-server", K_SIP},
    [121] = {"classless-static-route", K_ROUTES},
    [122] = {"ccc", K_BYTES},
    [123] = {"geoconf", K_BYTES},
    [124] = {"vendor-id-encap-class", K_BYTES},
    [125] = {"vendor-id-encap", K_BYTES},
    [128] = {"pxe-128", K_BYTES},
    [129] = {"pxe-129", K_BYTES},
    [130] = {"pxe-130", K_BYTES},
    [131] = {"pxe-131", K_BYTES},
    [132] = {"pxe-132", K_BYTES},
    [133] = {"pxe-133", K_BYTES},
    [134] = {"pxe-134", K_BYTES},
    [135] = {"pxe-135", K_BYTES},
    [136] = {"pana-agent", K_IPS},
    [137] = {"lost-server", K_NAMES},
    [138] = {"capwap-server", K_IPS},
    [139] = {"mos-address", K_BYTES},
    [140] = {"mos-fqdn", K_BYTES},
    [141] = {"sip-ua-domain", K_NAMES},
    [142] = {"andsf-server", K_IPS},
    [143] = {"sztp-redirect", K_BYTES},
    [144] = {"geoloc", K_BYTES},
    [145] = {"forcerenew-nonce", K_BYTES},
    [146] = {"rdnss-selection", K_BYTES},
    [147] = {"dots-name", K_NAMES},
    [148] = {"dots-address", K_IPS},
    [150] = {"tftp-server-address", K_IPS},
    [151] = {"status-code", K_BYTES},
    [152] = {"base-time", K_U32},
    [153] = {"start-time-of-state", K_U32},
    [154] = {"query-start-time", K_U32},
    [155] = {"query-end-time", K_U32},
    [156] = {"dhcp-state", K_U8},
    [157] = {"data-source", K_U8},
    [158] = {"pcp-server", K_BYTES},
    [159] = {"portparams", K_BYTES},
    [161] = {"mud-url", K_STRING},
    [162] = {"dnr", K_BYTES},
    [175] = {"etherboot", K_BYTES},
    [208] = {"pxelinux-magic", K_BYTES},
    [209] = {"pxelinux-configfile", K_STRING},
    [210] = {"pxelinux-pathprefix", K_STRING},
    [211] = {"pxelinux-reboottime", K_U32},
    [212] = {"6rd", K_BYTES},
    [213] = {"access-domain", K_NAMES},
    [220] = {"subnet-allocation", K_BYTES},
    [221] = {"vss", K_BYTES},
    [249] = {"ms-classless-static-route", K_ROUTES},
    [252] = {"wpad", K_STRING},
};

static const struct {
    const char *name;
    uint8_t code;
} aliases[] = {
    {"netmask", 1},
    {"routers", 3},
    {"default-gateway", 3},
    {"gateway", 3},
    {"time-servers", 4},
    {"domain-name-servers", 6},
    {"domain-server", 6},
    {"dns-servers", 6},
    {"dns-nameservers", 6},
    {"host-name", 12},
    {"forward-on-off", 19},
    {"interface-mtu", 26},
    {"broadcast-address", 28},
    {"static-routes", 33},
    {"nis-servers", 41},
    {"ntp-servers", 42},
    {"vendor-specific", 43},
    {"netbios-name-servers", 44},
    {"netbios-name-server", 44},
    {"netbios-dd-server", 45},
    {"netbios-node-type", 46},
    {"dhcp-lease-time", 51},
    {"address-time", 51},
    {"dhcp-server-identifier", 54},
    {"server-identifier", 54},
    {"dhcp-message", 56},
    {"renewal-time", 58},
    {"rebinding-time", 59},
    {"class-id", 60},
    {"vendor-class-identifier", 60},
    {"nisplus-domain", 64},
    {"nisplus-server", 65},
    {"tftp-server-name", 66},
    {"server-name", 66},
    {"bootfile", 67},
    {"boot-file-name", 67},
    {"slp-directory-agents", 78},
    {"pcode", 100},
    {"tcode", 101},
    {"domain-search-list", 119},
    {"sip-servers", 120},
    {"classless-static-routes", 121},
    {"classless-route", 121},
    {"rfc3442-classless-static-routes", 121},
    {"config-file", 209},
    {"path-prefix", 210},
    {"reboot-time", 211},
    {"private-proxy-autodiscovery", 252},
};

int dhcp_option_code(const char *name)
{
    char *end;

    if (isdigit((unsigned char)*name)) {
        unsigned long n = strtoul(name, &end, 10);
        if (!*end)
            return n >= 1 && n <= 254 ? (int)n : -1;
    }
    for (unsigned i = 0; i < ARRAY_SIZE(options); i++)
        if (options[i].name && !strcmp(options[i].name, name))
            return (int)i;
    for (unsigned i = 0; i < ARRAY_SIZE(aliases); i++)
        if (!strcmp(aliases[i].name, name))
            return aliases[i].code;
    return -1;
}

const char *dhcp_option_name(uint8_t code)
{
    return options[code].name;
}

bool dhcp_option_settable(uint8_t code)
{
    switch (code) {
    case DHCP_OPT_PAD:
    case DHCP_OPT_END:
    case DHCP_OPT_REQUESTED:
    case DHCP_OPT_OVERLOAD:
    case DHCP_OPT_TYPE:
    case DHCP_OPT_SERVER:
    case DHCP_OPT_CLIENT_ID:
    case DHCP_OPT_RELAY:
        return false;
    default:
        return true;
    }
}

/* Encoding: each element of a list, separated by commas or spaces, by a function of its own. */

struct out {
    uint8_t *p;
    size_t n, room;
};

static bool put(struct out *o, const void *p, size_t n)
{
    if (o->room - o->n < n)
        return false;
    memcpy(o->p + o->n, p, n);
    o->n += n;
    return true;
}

static bool put_number(struct out *o, const char *text, unsigned bytes, bool sign)
{
    long long max = bytes == 4 ? UINT32_MAX : bytes == 2 ? UINT16_MAX : UINT8_MAX, min = 0;
    uint8_t b[4];
    char *end;

    if (sign) {
        max = INT32_MAX;
        min = INT32_MIN;
    }
    if (!*text || isspace((unsigned char)*text))
        return false;
    errno = 0;
    long long v = strtoll(text, &end, 0);
    if (*end || errno || v < min || v > max)
        return false;
    put32(b, (uint32_t)v);
    return put(o, b + 4 - bytes, bytes);
}

static bool put_ip(struct out *o, const char *text)
{
    struct ip ip;

    return !ip_parse(text, &ip) && ip_is4(&ip) && put(o, &ip.w[3], 4);
}

static bool put_bool(struct out *o, const char *text)
{
    static const char *const yes[] = {"1", "true", "yes", "on"},
                             *no[] = {"0", "false", "no", "off"};

    for (unsigned i = 0; i < ARRAY_SIZE(yes); i++) {
        if (!strcmp(text, yes[i]))
            return put(o, &(uint8_t){1}, 1);
        if (!strcmp(text, no[i]))
            return put(o, &(uint8_t){0}, 1);
    }
    return false;
}

/* "0a1b", "0a:1b", "0x0a1b" */
static bool put_hex(struct out *o, const char *text)
{
    unsigned byte;

    if (text[0] == '0' && text[1] == 'x')
        text += 2;
    if (!*text)
        return false;
    for (; *text; text += 2) {
        if (*text == ':')
            text++;
        if (!isxdigit((unsigned char)text[0]) || !isxdigit((unsigned char)text[1]) ||
            sscanf(text, "%2x", &byte) != 1 || !put(o, &(uint8_t){(uint8_t)byte}, 1))
            return false;
    }
    return true;
}

static bool put_name(struct out *o, const char *text)
{
    size_t start = o->n;

    for (const char *label = text;;) {
        size_t n = strcspn(label, ".");
        if (!n && !*label && label != text)
            break; /* ended with a dot */
        if (!n || n > 63 || !put(o, &(uint8_t){(uint8_t)n}, 1) || !put(o, label, n))
            return false;
        label += n;
        if (!*label)
            break;
        label++;
    }
    return put(o, "", 1) && o->n - start <= 255;
}

static bool put_cidr(struct out *o, const char *text)
{
    struct cidr c;

    if (cidr_parse(text, &c) || !ip_is4(&c.addr))
        return false;
    struct ip net = cidr_network(&c);
    return put(o, &c.len, 1) && put(o, &net.w[3], (c.len + 7u) / 8u);
}

static bool put_element(struct out *o, enum kind kind, unsigned at, const char *text)
{
    switch (kind) {
    case K_IP:
    case K_IPS:
    case K_PAIRS:
    case K_SIP:
        return put_ip(o, text);
    case K_U16S:
        return put_number(o, text, 2, false);
    case K_ROUTES:
        return at % 2 ? put_ip(o, text) : put_cidr(o, text);
    default:
        return put_name(o, text);
    }
}

static bool put_list(struct out *o, enum kind kind, const char *text)
{
    static const char separators[] = ", \t";
    char word[256];
    unsigned n = 0;

    for (text += strspn(text, separators); *text; text += strspn(text, separators)) {
        size_t size = strcspn(text, separators);
        if (size >= sizeof word)
            return false;
        memcpy(word, text, size);
        word[size] = '\0';
        if (!put_element(o, kind, n++, word))
            return false;
        text += size;
    }
    if (kind == K_PAIRS || kind == K_ROUTES)
        return n && n % 2 == 0;
    return kind == K_IP ? n == 1 : n > 0;
}

static bool put_sip(struct out *o, const char *text)
{
    struct out before = *o;

    if (put(o, &(uint8_t){1}, 1) && put_list(o, K_SIP, text))
        return true;
    *o = before;
    return put(o, &(uint8_t){0}, 1) && put_list(o, K_NAMES, text);
}

int dhcp_option_encode(uint8_t code, const char *text, uint8_t *buf, size_t room)
{
    struct out o = {buf, 0, room};
    bool known = options[code].name != NULL, good;
    enum kind kind = options[code].kind;

    if (!known || !strncmp(text, "0x", 2)) /* bytes as they are, for any option */
        kind = !strncmp(text, "0x", 2) ? K_BYTES : K_STRING;
    switch (kind) {
    case K_BYTES:
        good = put_hex(&o, text);
        break;
    case K_STRING:
        good = *text && put(&o, text, strlen(text));
        break;
    case K_FLAG:
        good = !*text;
        break;
    case K_BOOL:
        good = put_bool(&o, text);
        break;
    case K_U8:
    case K_U16:
    case K_U32:
    case K_I32:
        good = put_number(&o, text, kind == K_U8 ? 1 : kind == K_U16 ? 2 : 4, kind == K_I32);
        break;
    case K_SIP:
        good = put_sip(&o, text);
        break;
    default:
        good = put_list(&o, kind, text);
    }
    return good ? (int)o.n : -1;
}

/* Printing; false: the bytes aren't a value of the kind. */

static const char *comma(const struct strbuf *sb)
{
    return sb->size ? "," : "";
}

static void add_ip(struct strbuf *sb, const uint8_t *p)
{
    sb_printf(sb, "%s%u.%u.%u.%u", comma(sb), p[0], p[1], p[2], p[3]);
}

static bool format_routes(struct strbuf *sb, const uint8_t *p, size_t n)
{
    while (n) {
        uint8_t net[4] = {0};
        size_t bytes = (p[0] + 7u) / 8u;
        if (p[0] > 32 || n < 1 + bytes + 4)
            return false;
        memcpy(net, p + 1, bytes);
        add_ip(sb, net);
        sb_printf(sb, "/%u", p[0]);
        add_ip(sb, p + 1 + bytes);
        p += 1 + bytes + 4;
        n -= 1 + bytes + 4;
    }
    return true;
}

static bool printable(const uint8_t *p, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (!isgraph(p[i]) && p[i] != ' ')
            return false;
    return true;
}

static bool format_names(struct strbuf *sb, const uint8_t *p, size_t n)
{
    while (n) {
        const char *before = comma(sb);
        for (; n && *p; n -= 1u + *p, p += 1u + *p) {
            if (*p > 63 || *p >= n || !printable(p + 1, *p) || memchr(p + 1, ' ', *p) ||
                memchr(p + 1, ',', *p) || memchr(p + 1, '.', *p))
                return false;
            sb_add(sb, before);
            sb_add_bytes(sb, p + 1, *p);
            before = ".";
        }
        if (!n)
            return false;
        p++;
        n--;
    }
    return true;
}

static bool format_ips(struct strbuf *sb, const uint8_t *p, size_t n)
{
    for (size_t i = 0; i + 4 <= n; i += 4)
        add_ip(sb, p + i);
    return n && n % 4 == 0;
}

static bool format_value(struct strbuf *sb, enum kind kind, const uint8_t *p, size_t n)
{
    switch (kind) {
    case K_STRING:
        sb_add_bytes(sb, p, n);
        return n && printable(p, n);
    case K_FLAG:
        return !n;
    case K_BOOL:
    case K_U8:
        sb_printf(sb, "%u", n ? p[0] : 0);
        return n == 1 && (kind == K_U8 || p[0] < 2);
    case K_U16:
    case K_U16S:
        for (size_t i = 0; i + 2 <= n; i += 2)
            sb_printf(sb, "%s%u", comma(sb), get16(p + i));
        return kind == K_U16 ? n == 2 : n && n % 2 == 0;
    case K_U32:
    case K_I32:
        if (n == 4)
            sb_printf(sb, kind == K_U32 ? "%u" : "%d", get32(p));
        return n == 4;
    case K_IP:
        return n == 4 && format_ips(sb, p, n);
    case K_IPS:
        return format_ips(sb, p, n);
    case K_PAIRS:
        return n % 8 == 0 && format_ips(sb, p, n);
    case K_ROUTES:
        return n && format_routes(sb, p, n);
    case K_NAMES:
        return n && format_names(sb, p, n);
    case K_SIP:
        return n > 1 && p[0] < 2 &&
               (p[0] ? format_ips(sb, p + 1, n - 1) : format_names(sb, p + 1, n - 1));
    default:
        return false;
    }
}

char *dhcp_option_format(uint8_t code, const uint8_t *data, size_t n, char *buf, size_t size)
{
    struct strbuf sb = {0};
    enum kind kind = options[code].name ? options[code].kind : K_STRING;

    /* "0x" means bytes, so it can't begin anything else */
    if (!format_value(&sb, kind, data, n) || !strncmp(sb_str(&sb), "0x", 2)) {
        sb_free(&sb);
        sb = (struct strbuf){0};
        sb_add(&sb, "0x");
        for (size_t i = 0; i < n; i++)
            sb_printf(&sb, "%02x", data[i]);
    }
    snprintf(buf, size, "%s", sb_str(&sb));
    sb_free(&sb);
    return buf;
}
