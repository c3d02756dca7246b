/* Tunnels: one port of the kernel's for VXLAN and one for GRE, which take a packet's addresses and
 * key from the flow, and give them to it.  A key bound to a port is a flow like any other there,
 * for each kind of endpoint and each number of tags; what no such flow wants comes up to a socket
 * that only counts it. */
#include <netinet/in.h>
#include <netlink/attr.h>
#include <netlink/socket.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/hash.h"
#include "base/log.h"
#include "base/mem.h"
#include "datapath/ovs_internal.h"

static bool have_address(const struct ip *ip)
{
    bool ip6 = !ip_is4(ip);
    struct sockaddr_in in = {.sin_family = AF_INET, .sin_addr.s_addr = ip6 ? 0 : ip_to4(ip)};
    struct sockaddr_in6 in6 = {.sin6_family = AF_INET6};
    int fd = socket(ip6 ? AF_INET6 : AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

    memcpy(&in6.sin6_addr, ip->b, 16);
    int rc = fd < 0 ? -1
             : ip6  ? bind(fd, (struct sockaddr *)&in6, sizeof in6)
                    : bind(fd, (struct sockaddr *)&in, sizeof in);

    if (fd >= 0)
        close(fd);
    return !rc;
}

int ovs_tunnel_make_port(struct ovs_dp *d, enum flow_tunnel type)
{
    struct ovs_buf *b = &d->buf;
    char ifname[16];

    dp_device_name(d->name, type == FLOW_TUNNEL_GRE ? "gre" : "vx", ifname);
    ovs_buf_reset(b, &d->control);
    ovs_begin(b, d->families[OVS_VPORT], OVS_VPORT_CMD_NEW, 0, d->ifindex);
    ovs_put_u32(b, OVS_VPORT_ATTR_PORT_NO, OVS_TUNNEL_PORT + type);
    ovs_put_u32(b, OVS_VPORT_ATTR_TYPE,
                type == FLOW_TUNNEL_GRE ? OVS_VPORT_TYPE_GRE : OVS_VPORT_TYPE_VXLAN);
    ovs_put(b, OVS_VPORT_ATTR_NAME, ifname, strlen(ifname) + 1);
    ovs_put_u32(b, OVS_VPORT_ATTR_UPCALL_PID, d->pid_base + OVS_UNKNOWN_PORT);
    if (type == FLOW_TUNNEL_VXLAN) {
        uint32_t nest = ovs_nest(b, OVS_VPORT_ATTR_OPTIONS);

        ovs_put_u16(b, OVS_TUNNEL_ATTR_DST_PORT, d->opts.vxlan_port);
        ovs_nest_end(b, nest);
    }
    ovs_end(b);
    return ovs_talk_one(&d->control, b, NULL, NULL);
}

/* Keys. */

struct bind_id {
    uint32_t tun_id;
    uint8_t endpoint, tags;
    uint16_t what; /* so that no flow's name makes the same id */
    uint64_t hash;
};

static struct bind_id id_of(uint32_t tun_id, enum ovs_endpoint endpoint, unsigned tags)
{
    struct bind_id id = {.tun_id = tun_id, .endpoint = endpoint, .tags = (uint8_t)tags, .what = 1};

    id.hash = hash_stable(&id, 8, 3);
    return id;
}

static void put_bind(struct ovs_dp *d, uint8_t cmd, const struct ovs_bind *bind,
                     enum ovs_endpoint endpoint, unsigned tags)
{
    struct bind_id id = id_of(bind->tun_id, endpoint, tags);
    struct ovs_buf *b = &d->buf;

    ovs_begin(b, d->families[OVS_FLOW], cmd, cmd == OVS_FLOW_CMD_NEW ? NLM_F_CREATE : 0,
              d->ifindex);
    ovs_put(b, OVS_FLOW_ATTR_UFID, &id, sizeof id);
    ovs_key_put_tunnel(b, endpoint, bind->tun_id, tags);
    uint32_t nest = ovs_nest(b, OVS_FLOW_ATTR_ACTIONS);

    ovs_note_put_bind(b, bind->tun_id, bind->port_no);
    ovs_put_u32(b, OVS_ACTION_ATTR_OUTPUT, bind->port_no);
    ovs_nest_end(b, nest);
    ovs_end(b);
}

static int put_binds(struct ovs_dp *d, uint8_t cmd, const struct ovs_bind *bind,
                     enum ovs_endpoint endpoint)
{
    int rcs[OVS_N_TAGGINGS];

    ovs_buf_reset(&d->buf, &d->control);
    for (unsigned tags = 0; tags < OVS_N_TAGGINGS; tags++)
        put_bind(d, cmd, bind, endpoint, tags);
    int rc = ovs_talk(&d->control, &d->buf, rcs, NULL, NULL);

    for (unsigned i = 0; i < OVS_N_TAGGINGS && !rc; i++)
        rc = rcs[i];
    return rc;
}

/* A key that moves to another port loses nothing: its flows get other actions. */
static int install(struct ovs_dp *d, const struct ovs_bind *bind, enum ovs_endpoint endpoint)
{
    int rc = put_binds(d, OVS_FLOW_CMD_NEW, bind, endpoint);

    return rc == -EEXIST ? put_binds(d, OVS_FLOW_CMD_SET, bind, endpoint) : rc;
}

static void uninstall(struct ovs_dp *d, uint32_t tun_id, enum ovs_endpoint endpoint)
{
    struct ovs_buf *b = &d->buf;

    ovs_buf_reset(b, &d->control);
    for (unsigned tags = 0; tags < OVS_N_TAGGINGS; tags++) {
        struct bind_id id = id_of(tun_id, endpoint, tags);

        ovs_begin(b, d->families[OVS_FLOW], OVS_FLOW_CMD_DEL, 0, d->ifindex);
        ovs_put(b, OVS_FLOW_ATTR_UFID, &id, sizeof id);
        ovs_end(b);
    }
    ovs_talk(&d->control, b, NULL, NULL, NULL);
}

static struct ovs_bind *find_bind(struct ovs_dp *d, uint32_t tun_id)
{
    struct ovs_bind *bind;

    HASH_FIND(hh, d->binds, &tun_id, sizeof tun_id, bind);
    return bind;
}

static struct ovs_bind *add_bind(struct ovs_dp *d, uint32_t tun_id)
{
    struct ovs_bind *bind = NEW(struct ovs_bind);

    bind->tun_id = tun_id;
    HASH_ADD(hh, d->binds, tun_id, sizeof tun_id, bind);
    return bind;
}

static void remove_bind(struct ovs_dp *d, struct ovs_bind *bind)
{
    for (unsigned i = 0; i < OVS_N_ENDPOINTS; i++)
        if (d->endpoints[i])
            uninstall(d, bind->tun_id, i);
    HASH_DEL(d->binds, bind);
    free(bind);
}

int ovs_tunnel_bind(struct dp *dp, uint32_t tun_id, uint32_t port_no, struct error *e)
{
    struct ovs_dp *d = ovs_of(dp);
    struct ovs_bind *bind = find_bind(d, tun_id);
    int rc = 0;

    if (!ovs_port_exists(d, port_no))
        return error_set(e, -ENOENT, NULL, "port", "no port %u", port_no);
    bind = bind ? bind : add_bind(d, tun_id);
    bind->port_no = port_no;
    for (unsigned i = 0; i < OVS_N_ENDPOINTS && !rc; i++)
        if (d->endpoints[i])
            rc = install(d, bind, i);
    if (!rc)
        return 0;
    remove_bind(d, bind);
    return error_set(e, rc, NULL, "tunnel key", "can't bind key %u: %s", tun_id, strerror(-rc));
}

int ovs_tunnel_unbind(struct dp *dp, uint32_t tun_id)
{
    struct ovs_dp *d = ovs_of(dp);
    struct ovs_bind *bind = find_bind(d, tun_id);

    if (!bind)
        return -ENOENT;
    remove_bind(d, bind);
    return 0;
}

void ovs_tunnel_adopt_bind(struct ovs_dp *d, uint32_t tun_id, uint32_t port_no)
{
    struct ovs_bind *bind = find_bind(d, tun_id);

    bind = bind ? bind : add_bind(d, tun_id);
    bind->port_no = port_no;
}

/* Addresses. */

static int refuse(struct ovs_dp *d, enum flow_tunnel type, int rc, struct error *e)
{
    bool gre = type == FLOW_TUNNEL_GRE;

    if (rc == -EAFNOSUPPORT) {
        error_set(e, -ENOTSUP, NULL, "tunnel", "the kernel can't make %s ports",
                  gre ? "GRE" : "VXLAN");
        error_hint(e, "modprobe %s", gre ? "vport-gre" : "vport-vxlan");
        return -ENOTSUP;
    }
    if (gre)
        error_set(e, rc, NULL, "tunnel", "can't make the GRE port: %s", strerror(-rc));
    else
        error_set(e, rc, NULL, "tunnel", "can't make the VXLAN port on UDP port %u: %s",
                  d->opts.vxlan_port, strerror(-rc));
    if (rc == -EEXIST || rc == -EADDRINUSE)
        error_hint(e, "another device or datapath may have it: ip -d link show type %s",
                   gre ? "gretap" : "vxlan");
    return rc;
}

int ovs_tunnel_local(struct dp *dp, const struct ip *local, enum flow_tunnel type, struct error *e)
{
    struct ovs_dp *d = ovs_of(dp);
    bool ip6 = !ip_is4(local), gre = type == FLOW_TUNNEL_GRE;
    enum ovs_endpoint endpoint = gre ? OVS_GRE4 : ip6 ? OVS_VXLAN6 : OVS_VXLAN4;
    char s[IP_STRLEN];
    int rc = 0;

    if (gre && ip6)
        return error_set(e, -ENOTSUP, NULL, "tunnel",
                         "the ovs datapath has GRE tunnels over IPv4 only");
    if (!have_address(local))
        return error_set(e, -EADDRNOTAVAIL, NULL, "local",
                         "no interface of this host has the address %s", ip_format(local, s));
    if (!d->tunnels[type])
        rc = ovs_tunnel_make_port(d, type);
    if (rc)
        return refuse(d, type, rc, e);
    d->tunnels[type] = true;
    if (d->endpoints[endpoint])
        return 0;
    d->endpoints[endpoint] = true;
    for (struct ovs_bind *bind = d->binds; bind && !rc; bind = bind->hh.next)
        rc = install(d, bind, endpoint);
    return rc ? error_set(e, rc, NULL, "tunnel key", "can't bind keys: %s", strerror(-rc)) : 0;
}

int ovs_tunnels_mend(struct ovs_dp *d)
{
    int rc = 0;

    for (struct ovs_bind *bind = d->binds; bind; bind = bind->hh.next)
        for (unsigned i = 0; i < OVS_N_ENDPOINTS && !rc; i++)
            if (d->endpoints[i])
                rc = install(d, bind, i);
    return rc;
}

void ovs_tunnels_count(struct ovs_dp *d)
{
    uint8_t byte;
    int fd = d->unknown ? nl_socket_get_fd(d->unknown) : -1;

    while (fd >= 0 && recv(fd, &byte, sizeof byte, MSG_DONTWAIT) >= 0)
        d->unknown_keys++;
}

void ovs_tunnels_close(struct ovs_dp *d)
{
    struct ovs_bind *bind, *next;

    HASH_ITER (hh, d->binds, bind, next) {
        HASH_DEL(d->binds, bind);
        free(bind);
    }
    nl_socket_free(d->unknown);
    d->unknown = NULL;
}
