/* The registry of DHCP options: what each number is called, by IANA and by others, and which kind
 * of value it has.  A table, so that an option more is a line more; how a kind is written is
 * dhcp_values.c's.  Thread: pure functions. */
#include <ctype.h>
#include <stdlib.h>

#include "base/mem.h"
#include "packet/dhcp.h"
#include "packet/dhcp_kind.h"

/* IANA's registry "BOOTP Vendor Extensions and DHCP Options". */
static const struct {
    const char *name;
    enum dhcp_kind kind;
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

enum dhcp_kind dhcp_option_kind(uint8_t code)
{
    return options[code].name ? options[code].kind : K_STRING;
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
