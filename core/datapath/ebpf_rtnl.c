/* Questions to rtnetlink: small, synchronous, each on a socket of the caller's. */
#include <linux/if_link.h>
#include <linux/neighbour.h>
#include <linux/pkt_sched.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <net/if_arp.h>
#include <netlink/attr.h>
#include <netlink/msg.h>
#include <netlink/netlink.h>

#include "datapath/ebpf_internal.h"

struct nl_sock *ebpf_rtnl_open(void)
{
    struct nl_sock *sk = nl_socket_alloc();

    if (sk && nl_connect(sk, NETLINK_ROUTE)) {
        nl_socket_free(sk);
        return NULL;
    }
    if (sk) /* an answer is enough; changes ask for their acknowledgement themselves */
        nl_socket_disable_auto_ack(sk);
    return sk;
}

static int to_errno(int nle)
{
    switch (nle < 0 ? -nle : 0) {
    case 0:
        return 0;
    case NLE_EXIST:
        return -EEXIST;
    case NLE_OBJ_NOTFOUND:
        return -ENOENT;
    case NLE_NODEV:
        return -ENODEV;
    case NLE_PERM:
    case NLE_NOACCESS:
        return -EPERM;
    case NLE_OPNOTSUPP:
        return -ENOTSUP;
    case NLE_BUSY:
        return -EBUSY;
    default:
        return -EIO;
    }
}

static struct nl_msg *request(int type, int flags, const void *header, size_t size)
{
    struct nl_msg *msg = nlmsg_alloc_simple(type, flags);

    if (msg && nlmsg_append(msg, (void *)header, size, NLMSG_ALIGNTO)) {
        nlmsg_free(msg);
        msg = NULL;
    }
    return msg;
}

/* Sends 'msg' (and frees it), gives each answer to 'fn'. */
static int ask(struct nl_sock *sk, struct nl_msg *msg, nl_recvmsg_msg_cb_t fn, void *aux)
{
    struct nl_cb *cb = nl_cb_alloc(NL_CB_DEFAULT);
    int rc;

    if (!cb || !msg) {
        nlmsg_free(msg);
        nl_cb_put(cb);
        return -ENOMEM;
    }
    nl_cb_set(cb, NL_CB_VALID, NL_CB_CUSTOM, fn, aux);
    rc = nl_send_auto(sk, msg);
    nlmsg_free(msg);
    if (rc >= 0)
        rc = nl_recvmsgs(sk, cb);
    nl_cb_put(cb);
    return rc < 0 ? to_errno(rc) : 0;
}

/* A change: waits for the acknowledgement. */
static int change(struct nl_sock *sk, struct nl_msg *msg)
{
    int rc;

    if (!msg)
        return -ENOMEM;
    nlmsg_hdr(msg)->nlmsg_flags |= NLM_F_ACK;
    rc = nl_send_auto(sk, msg);
    nlmsg_free(msg);
    return to_errno(rc < 0 ? rc : nl_wait_for_ack(sk));
}

static struct ip ip_of(int family, const struct nlattr *a)
{
    struct ip ip = ip_none;
    uint32_t v4;

    if (family == AF_INET6 && nla_len(a) == 16) {
        memcpy(ip.b, nla_data(a), 16);
    } else if (family == AF_INET && nla_len(a) == 4) {
        memcpy(&v4, nla_data(a), 4);
        ip = ip_from4(v4);
    }
    return ip;
}

static int put_ip(struct nl_msg *msg, int attr, const struct ip *ip)
{
    return ip_is4(ip) ? nla_put(msg, attr, 4, ip->b + 12) : nla_put(msg, attr, 16, ip->b);
}

static uint8_t family_of(const struct ip *ip)
{
    return ip_is4(ip) ? AF_INET : AF_INET6;
}

/* Links. */

bool ebpf_rtnl_parse_link(struct nlmsghdr *h, struct rtnl_link *link)
{
    struct ifinfomsg *i = nlmsg_data(h);
    struct nlattr *at[IFLA_MAX + 1], *info[IFLA_INFO_MAX + 1];

    if (!nlmsg_valid_hdr(h, sizeof *i) || nlmsg_parse(h, sizeof *i, at, IFLA_MAX, NULL))
        return false;
    *link = (struct rtnl_link){.ifindex = i->ifi_index, .type = i->ifi_type, .flags = i->ifi_flags};
    if (at[IFLA_MTU])
        link->mtu = nla_get_u32(at[IFLA_MTU]);
    if (at[IFLA_ADDRESS] && nla_len(at[IFLA_ADDRESS]) == 6)
        memcpy(link->mac.b, nla_data(at[IFLA_ADDRESS]), 6);
    if (at[IFLA_IFNAME])
        nla_strlcpy(link->ifname, at[IFLA_IFNAME], sizeof link->ifname);
    if (at[IFLA_LINKINFO] && !nla_parse_nested(info, IFLA_INFO_MAX, at[IFLA_LINKINFO], NULL) &&
        info[IFLA_INFO_KIND])
        nla_strlcpy(link->kind, info[IFLA_INFO_KIND], sizeof link->kind);
    link->foreign_peer = !strcmp(link->kind, "veth") && at[IFLA_LINK_NETNSID] &&
                         (int32_t)nla_get_u32(at[IFLA_LINK_NETNSID]) >= 0;
    return true;
}

static int on_link(struct nl_msg *msg, void *aux)
{
    ebpf_rtnl_parse_link(nlmsg_hdr(msg), aux);
    return NL_OK;
}

int ebpf_rtnl_link(struct nl_sock *sk, int ifindex, struct rtnl_link *link)
{
    struct ifinfomsg i = {.ifi_index = ifindex};

    *link = (struct rtnl_link){0};
    int rc = ask(sk, request(RTM_GETLINK, NLM_F_REQUEST, &i, sizeof i), on_link, link);

    return rc ? rc : link->ifindex ? 0 : -ENODEV;
}

int ebpf_rtnl_up(struct nl_sock *sk, int ifindex)
{
    struct ifinfomsg i = {.ifi_index = ifindex};
    struct nl_msg *msg = request(RTM_NEWLINK, NLM_F_REQUEST, &i, sizeof i);
    struct nlattr *af = msg ? nla_nest_start(msg, IFLA_AF_SPEC) : NULL;
    struct nlattr *in6 = af ? nla_nest_start(msg, AF_INET6) : NULL;

    if (in6) {
        nla_put_u8(msg, IFLA_INET6_ADDR_GEN_MODE, 1 /* IN6_ADDR_GEN_MODE_NONE */);
        nla_nest_end(msg, in6);
        nla_nest_end(msg, af);
    }
    change(sk, msg); /* fails where the host has IPv6 off, and then there is nothing to avoid */
    i.ifi_flags = i.ifi_change = IFF_UP;
    return change(sk, request(RTM_NEWLINK, NLM_F_REQUEST, &i, sizeof i));
}

int ebpf_rtnl_promisc(struct nl_sock *sk, int ifindex, bool on)
{
    struct ifinfomsg i = {
        .ifi_index = ifindex, .ifi_flags = on ? IFF_PROMISC : 0, .ifi_change = IFF_PROMISC};

    return change(sk, request(RTM_NEWLINK, NLM_F_REQUEST, &i, sizeof i));
}

void ebpf_rtnl_del(struct nl_sock *sk, int ifindex)
{
    struct ifinfomsg i = {.ifi_index = ifindex};

    change(sk, request(RTM_DELLINK, NLM_F_REQUEST, &i, sizeof i));
}

int ebpf_rtnl_vxlan(struct nl_sock *sk, const char *ifname, uint16_t udp_port)
{
    struct ifinfomsg i = {0};
    struct nl_msg *msg =
        request(RTM_NEWLINK, NLM_F_REQUEST | NLM_F_CREATE | NLM_F_EXCL, &i, sizeof i);
    struct nlattr *info, *data;

    if (!msg)
        return -ENOMEM;
    nla_put_string(msg, IFLA_IFNAME, ifname);
    nla_put_u32(msg, IFLA_MTU, 65000);
    info = nla_nest_start(msg, IFLA_LINKINFO);
    nla_put_string(msg, IFLA_INFO_KIND, "vxlan");
    data = nla_nest_start(msg, IFLA_INFO_DATA);
    nla_put_u8(msg, IFLA_VXLAN_COLLECT_METADATA, 1);
    nla_put_u8(msg, IFLA_VXLAN_LEARNING, 0);
    nla_put_u8(msg, IFLA_VXLAN_UDP_ZERO_CSUM6_TX, 1);
    nla_put_u8(msg, IFLA_VXLAN_UDP_ZERO_CSUM6_RX, 1);
    nla_put_u16(msg, IFLA_VXLAN_PORT, __builtin_bswap16(udp_port));
    nla_nest_end(msg, data);
    nla_nest_end(msg, info);
    return change(sk, msg);
}

/* Routes and neighbours. */

static int on_route(struct nl_msg *msg, void *aux)
{
    struct rtmsg *r = nlmsg_data(nlmsg_hdr(msg));
    struct nlattr *at[RTA_MAX + 1];
    struct rtnl_route *route = aux;

    if (nlmsg_hdr(msg)->nlmsg_type != RTM_NEWROUTE || r->rtm_type != RTN_UNICAST ||
        nlmsg_parse(nlmsg_hdr(msg), sizeof *r, at, RTA_MAX, NULL) || !at[RTA_OIF])
        return NL_OK;
    route->ifindex = (int)nla_get_u32(at[RTA_OIF]);
    if (at[RTA_GATEWAY]) {
        route->via = ip_of(r->rtm_family, at[RTA_GATEWAY]);
    } else if (at[RTA_VIA] && (size_t)nla_len(at[RTA_VIA]) >= sizeof(struct rtvia)) {
        struct rtvia *via = nla_data(at[RTA_VIA]);

        if (via->rtvia_family == AF_INET6 && nla_len(at[RTA_VIA]) >= 18)
            memcpy(route->via.b, via->rtvia_addr, 16);
    }
    return NL_OK;
}

int ebpf_rtnl_route(struct nl_sock *sk, const struct ip *dst, const struct ip *src,
                    struct rtnl_route *route)
{
    uint8_t bits = ip_is4(dst) ? 32 : 128;
    struct rtmsg r = {.rtm_family = family_of(dst), .rtm_dst_len = bits, .rtm_src_len = bits};
    struct nl_msg *msg = request(RTM_GETROUTE, NLM_F_REQUEST, &r, sizeof r);

    *route = (struct rtnl_route){.via = *dst};
    if (msg) {
        put_ip(msg, RTA_DST, dst);
        put_ip(msg, RTA_SRC, src);
    }
    int rc = ask(sk, msg, on_route, route);

    return rc ? rc : route->ifindex ? 0 : -ENETUNREACH;
}

static int on_neigh(struct nl_msg *msg, void *aux)
{
    struct ndmsg *n = nlmsg_data(nlmsg_hdr(msg));
    struct nlattr *at[NDA_MAX + 1];
    const uint16_t good =
        NUD_PERMANENT | NUD_NOARP | NUD_REACHABLE | NUD_STALE | NUD_DELAY | NUD_PROBE;

    if (nlmsg_hdr(msg)->nlmsg_type == RTM_NEWNEIGH && n->ndm_state & good &&
        !nlmsg_parse(nlmsg_hdr(msg), sizeof *n, at, NDA_MAX, NULL) && at[NDA_LLADDR] &&
        nla_len(at[NDA_LLADDR]) == 6)
        memcpy(aux, nla_data(at[NDA_LLADDR]), 6);
    return NL_OK;
}

int ebpf_rtnl_neigh(struct nl_sock *sk, int ifindex, const struct ip *ip, struct mac *mac)
{
    struct ndmsg n = {.ndm_family = family_of(ip), .ndm_ifindex = ifindex};
    struct nl_msg *msg = request(RTM_GETNEIGH, NLM_F_REQUEST, &n, sizeof n);

    *mac = (struct mac){0};
    if (msg)
        put_ip(msg, NDA_DST, ip);
    int rc = ask(sk, msg, on_neigh, mac);

    return rc && rc != -ENOENT ? rc : mac_is_zero(mac) ? -EAGAIN : 0;
}

void ebpf_rtnl_probe(struct nl_sock *sk, int ifindex, const struct ip *ip)
{
    struct ndmsg n = {.ndm_family = family_of(ip), .ndm_ifindex = ifindex, .ndm_flags = NTF_USE};
    struct nl_msg *msg = request(RTM_NEWNEIGH, NLM_F_REQUEST | NLM_F_CREATE, &n, sizeof n);

    if (msg)
        put_ip(msg, NDA_DST, ip);
    change(sk, msg);
}

struct addr_walk {
    rtnl_addr_fn *fn;
    void *aux;
};

static int on_addr(struct nl_msg *msg, void *aux)
{
    struct ifaddrmsg *i = nlmsg_data(nlmsg_hdr(msg));
    struct nlattr *at[IFA_MAX + 1];
    struct addr_walk *w = aux;

    if (nlmsg_parse(nlmsg_hdr(msg), sizeof *i, at, IFA_MAX, NULL))
        return NL_OK;
    const struct nlattr *a = at[IFA_LOCAL] ? at[IFA_LOCAL] : at[IFA_ADDRESS];
    struct ip ip = a ? ip_of(i->ifa_family, a) : ip_none;

    if (!ip_is_none(&ip))
        w->fn((int)i->ifa_index, &ip, w->aux);
    return NL_OK;
}

int ebpf_rtnl_addrs(struct nl_sock *sk, rtnl_addr_fn *fn, void *aux)
{
    struct ifaddrmsg i = {.ifa_family = AF_UNSPEC};
    struct addr_walk w = {fn, aux};

    return ask(sk, request(RTM_GETADDR, NLM_F_REQUEST | NLM_F_DUMP, &i, sizeof i), on_addr, &w);
}

static int on_filter(struct nl_msg *msg, void *aux)
{
    if (nlmsg_hdr(msg)->nlmsg_type == RTM_NEWTFILTER)
        *(bool *)aux = true;
    return NL_OK;
}

bool ebpf_rtnl_has_filters(struct nl_sock *sk, int ifindex)
{
    const uint32_t parents[] = {TC_H_MAKE(TC_H_CLSACT, TC_H_MIN_INGRESS),
                                TC_H_MAKE(TC_H_CLSACT, TC_H_MIN_EGRESS)};
    bool any = false;

    for (unsigned i = 0; i < 2; i++) {
        struct tcmsg t = {.tcm_ifindex = ifindex, .tcm_parent = parents[i]};

        ask(sk, request(RTM_GETTFILTER, NLM_F_REQUEST | NLM_F_DUMP, &t, sizeof t), on_filter, &any);
    }
    return any;
}
