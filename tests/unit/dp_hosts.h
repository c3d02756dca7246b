/* Two hosts, each with a machine on port 1, wired to each other through tunnels:
 *
 *      m1 (10.0.0.1)                                        m1 (10.0.0.2)
 *        |                                                    |
 *      port 1 -- host a -- u0 ===== VXLAN ===== u0 -- host b -- port 1
 *
 * Only where there is a kernel datapath. */
#ifndef MN_TESTS_DP_HOSTS_H
#define MN_TESTS_DP_HOSTS_H

#include "dp_rig.h"

static inline bool skipped(void **state)
{
    if (strcmp(*state, "memory"))
        return false;
    skip();
    return true;
}

static inline uint8_t pattern(size_t at)
{
    return (uint8_t)(at * 131 + (at >> 9));
}

static inline void addresses(const char *ns, const char *ifname, unsigned n, unsigned mtu)
{
    rig_shell("ip netns exec %s sysctl -qw net.ipv6.conf.%s.disable_ipv6=0; "
              "ip -n %s link set %s mtu %u; ip -n %s addr add 10.0.0.%u/24 dev %s; "
              "ip -n %s addr add fd00:1::%u/64 nodad dev %s",
              ns, ifname, ns, ifname, mtu, ns, n, ifname, ns, n, ifname);
}

static inline void wire(struct rig *r, unsigned from, const struct flow_out *out)
{
    struct flow_key key = {.in_port = r->port[from]}, mask = mask_port();

    rig_flow(r, &key, &mask, out, 1);
}

struct hosts {
    struct rig *a, *b;
};

static inline struct hosts hosts_open(void **state, bool ip6)
{
    struct hosts h = {rig_open_with(*state, "a", 1, NULL), rig_open_with(*state, "b", 1, NULL)};
    struct ip la = IP(ip6 ? "fd00:5::1" : "192.0.2.1"), lb = IP(ip6 ? "fd00:5::2" : "192.0.2.2");
    struct error e = {0};

    rig_enter(h.a);
    rig_shell("ip link add u0 type veth peer name u0 netns %s", h.b->host_ns);
    for (unsigned i = 0; i < 2; i++) {
        struct rig *r = i ? h.b : h.a;
        struct flow_out out = {.kind = FLOW_OUT_TUNNEL,
                               .tun_id = 5,
                               .tun_local = i ? lb : la,
                               .tun_remote = i ? la : lb};

        rig_enter(r);
        rig_shell("sysctl -qw net.ipv6.conf.u0.disable_ipv6=0; ip link set u0 up; "
                  "ip addr add 192.0.2.%u/24 dev u0; ip addr add fd00:5::%u/64 nodad dev u0",
                  i + 1, i + 1);
        assert_int_equal(dp_tunnel_local(r->dp, &out.tun_local, FLOW_TUNNEL_VXLAN, &e), 0);
        assert_int_equal(dp_tunnel_bind(r->dp, 5, r->port[1], &e), 0);
        wire(r, 1, &out);
        addresses(r->vm_ns, "m1", i + 1, 1400);
    }
    return h;
}

static inline void hosts_close(struct hosts *h)
{
    rig_close(h->b);
    rig_close(h->a);
}

#endif
