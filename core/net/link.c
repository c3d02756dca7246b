#include "net/link.h"

#include <arpa/inet.h>
#include <net/if.h>
#include <netlink/errno.h>
#include <netlink/route/addr.h>
#include <netlink/route/link.h>
#include <netlink/route/link/bridge.h>
#include <netlink/route/link/veth.h>

static int nl_error(int nl, const char *name, const char *what, struct error *e)
{
    static const struct {
        int nl, errno_value;
    } map[] = {{NLE_EXIST, EEXIST}, {NLE_OBJ_NOTFOUND, ENOENT}, {NLE_NODEV, ENODEV},
               {NLE_PERM, EPERM},   {NLE_INVAL, EINVAL},        {NLE_OPNOTSUPP, EOPNOTSUPP},
               {NLE_BUSY, EBUSY},   {NLE_NOMEM, ENOMEM}};
    int code = -EIO;

    for (size_t i = 0; i < sizeof map / sizeof *map; i++)
        if (map[i].nl == -nl)
            code = -map[i].errno_value;
    return error_set(e, code, name, NULL, "%s: %s", what, nl_geterror(nl));
}

static struct nl_sock *open_socket(struct error *e)
{
    struct nl_sock *sk = nl_socket_alloc();
    int rc = sk ? nl_connect(sk, NETLINK_ROUTE) : -NLE_NOMEM;

    if (!rc)
        return sk;
    nl_error(rc, NULL, "rtnetlink", e);
    nl_socket_free(sk);
    return NULL;
}

int net_veth_add(const char *name, const char *peer, int peer_ns, struct error *e)
{
    struct nl_sock *sk = open_socket(e);
    struct rtnl_link *link, *other;
    int rc;

    if (!sk)
        return -EIO;
    link = rtnl_link_veth_alloc();
    other = rtnl_link_veth_get_peer(link);
    rtnl_link_set_name(link, name);
    rtnl_link_set_name(other, peer);
    if (peer_ns >= 0)
        rtnl_link_set_ns_fd(other, peer_ns);
    rc = rtnl_link_add(sk, link, NLM_F_CREATE | NLM_F_EXCL);
    rtnl_link_put(other);
    rtnl_link_veth_release(link);
    nl_socket_free(sk);
    return rc < 0 ? nl_error(rc, name, "veth pair", e) : 0;
}

int net_bridge_add(const char *name, struct error *e)
{
    struct nl_sock *sk = open_socket(e);
    int rc;

    if (!sk)
        return -EIO;
    rc = rtnl_link_bridge_add(sk, name);
    nl_socket_free(sk);
    return rc < 0 ? nl_error(rc, name, "bridge", e) : 0;
}

int net_link_del(const char *name)
{
    struct nl_sock *sk = open_socket(NULL);
    struct rtnl_link *link;
    int rc;

    if (!sk)
        return -EIO;
    link = rtnl_link_alloc();
    rtnl_link_set_name(link, name);
    rc = rtnl_link_delete(sk, link);
    rtnl_link_put(link);
    nl_socket_free(sk);
    return rc < 0 && rc != -NLE_OBJ_NOTFOUND && rc != -NLE_NODEV ? nl_error(rc, name, "", NULL) : 0;
}

/* Sends what 'set' puts into an empty link as a change of the interface. */
static int change(const char *name, void (*set)(struct rtnl_link *, const void *), const void *aux,
                  const char *what, struct error *e)
{
    struct rtnl_link *now, *wanted;
    struct nl_sock *sk;
    int index = (int)if_nametoindex(name), rc;

    if (!index)
        return error_set(e, -ENODEV, name, NULL, "no such interface");
    if (!(sk = open_socket(e)))
        return -EIO;
    now = rtnl_link_alloc();
    wanted = rtnl_link_alloc();
    rtnl_link_set_ifindex(now, index);
    set(wanted, aux);
    rc = rtnl_link_change(sk, now, wanted, 0);
    rtnl_link_put(now);
    rtnl_link_put(wanted);
    nl_socket_free(sk);
    return rc < 0 ? nl_error(rc, name, what, e) : 0;
}

static void set_up(struct rtnl_link *l, const void *up)
{
    if (*(const bool *)up)
        rtnl_link_set_flags(l, IFF_UP);
    else
        rtnl_link_unset_flags(l, IFF_UP);
}

int net_link_up(const char *name, bool up, struct error *e)
{
    return change(name, set_up, &up, up ? "set up" : "set down", e);
}

static void set_mtu(struct rtnl_link *l, const void *mtu)
{
    rtnl_link_set_mtu(l, *(const unsigned *)mtu);
}

int net_link_mtu(const char *name, unsigned mtu, struct error *e)
{
    return change(name, set_mtu, &mtu, "set MTU", e);
}

static void set_alias(struct rtnl_link *l, const void *text)
{
    rtnl_link_set_ifalias(l, text);
}

int net_link_alias(const char *name, const char *text, struct error *e)
{
    return change(name, set_alias, text, "set alias", e);
}

static void set_mac(struct rtnl_link *l, const void *mac)
{
    struct nl_addr *addr = nl_addr_build(AF_LLC, mac, sizeof(struct mac));

    rtnl_link_set_addr(l, addr);
    nl_addr_put(addr);
}

int net_link_mac(const char *name, const struct mac *mac, struct error *e)
{
    return change(name, set_mac, mac, "set MAC address", e);
}

static void set_master(struct rtnl_link *l, const void *index)
{
    rtnl_link_set_master(l, *(const int *)index);
}

int net_link_master(const char *name, const char *bridge, struct error *e)
{
    int index = (int)if_nametoindex(bridge);

    if (!index)
        return error_set(e, -ENODEV, bridge, NULL, "no such interface");
    return change(name, set_master, &index, "put into a bridge", e);
}

int net_addr_add(const char *name, const struct cidr *c, struct error *e)
{
    struct nl_sock *sk;
    struct rtnl_addr *addr;
    struct nl_addr *local;
    int index = (int)if_nametoindex(name), rc;
    bool v4 = ip_is4(&c->addr);

    if (!index)
        return error_set(e, -ENODEV, name, NULL, "no such interface");
    if (!(sk = open_socket(e)))
        return -EIO;
    addr = rtnl_addr_alloc();
    local = v4 ? nl_addr_build(AF_INET, &c->addr.w[3], 4) : nl_addr_build(AF_INET6, c->addr.b, 16);
    nl_addr_set_prefixlen(local, c->len);
    rtnl_addr_set_ifindex(addr, index);
    rtnl_addr_set_local(addr, local);
    if (!v4)
        rtnl_addr_set_flags(addr, IFA_F_NODAD);
    rc = rtnl_addr_add(sk, addr, 0);
    nl_addr_put(local);
    rtnl_addr_put(addr);
    nl_socket_free(sk);
    return rc < 0 ? nl_error(rc, name, "add address", e) : 0;
}
