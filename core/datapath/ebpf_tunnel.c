/* Tunnels: the VXLAN device, our addresses, the remotes and the headers in front of packets to
 * them.
 *
 * The programs write outer headers from a template; making it is asking the kernel what it would
 * do: route, next hop, its MAC.  While the answer is missing, packets leave through the VXLAN
 * device and the kernel finds out on their behalf; its news (ebpf_watch.c) bring the template. */
#include <net/if.h>
#include <net/if_arp.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>
#include <utlist.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "datapath/ebpf_internal.h"

int ebpf_tunnel_bind(struct dp *dp, uint32_t tun_id, uint32_t port_no, struct error *e)
{
    struct ebpf_dp *d = ebpf_of(dp);

    if (!port_no || port_no >= FP_MAX_PORTS || !d->ports[port_no].in_use)
        return error_set(e, -ENOENT, NULL, "port", "no port %u", port_no);
    if (bpf_map_update_elem(d->maps[EM_BINDS], &tun_id, &port_no, BPF_ANY))
        return error_set(e, -errno, NULL, "tunnel key", "can't bind key %u: %s", tun_id,
                         strerror(errno));
    return 0;
}

int ebpf_tunnel_unbind(struct dp *dp, uint32_t tun_id)
{
    return bpf_map_delete_elem(ebpf_of(dp)->maps[EM_BINDS], &tun_id) ? -errno : 0;
}

/* Our addresses and the interfaces that have them. */

static struct ebpf_underlay *need_underlay(struct ebpf_dp *d, int ifindex)
{
    struct ebpf_underlay *u;

    LL_SEARCH_SCALAR(d->underlays, u, ifindex, ifindex);
    if (!u) {
        u = NEW(struct ebpf_underlay);
        u->ifindex = ifindex;
        int rc = ebpf_tc_attach(ifindex, d->progs[PROG_UNDERLAY], &u->made_clsact);

        if (rc)
            log_warn("datapath", "can't receive tunnels on interface %d early: %s", ifindex,
                     strerror(-rc));
        LL_PREPEND(d->underlays, u);
    }
    u->wanted = true;
    return u;
}

static bool is_local(const struct ebpf_dp *d, const struct ip *addr)
{
    for (unsigned i = 0; i < d->shared->n_locals; i++)
        if (!memcmp(d->shared->locals[i], addr->b, 16))
            return true;
    return false;
}

static bool can_be_underlay(struct ebpf_dp *d, struct nl_sock *sk, int ifindex)
{
    struct rtnl_link link;

    if (ebpf_rtnl_link(sk, ifindex, &link) || link.type != ARPHRD_ETHER)
        return false;
    for (uint32_t no = 1; no < FP_MAX_PORTS; no++)
        if (d->ports[no].in_use && d->ports[no].ifindex == (uint32_t)ifindex)
            return false; /* a port's frames are all the datapath's */
    return true;
}

struct found_addrs {
    struct ebpf_dp *d;
    const struct ip *wanted; /* null: any of ours */
    int ifindexes[64];
    unsigned n;
};

static void on_addr(int ifindex, const struct ip *addr, void *aux)
{
    struct found_addrs *f = aux;

    if (f->wanted ? !ip_equal(addr, f->wanted) : !is_local(f->d, addr))
        return;
    for (unsigned i = 0; i < f->n; i++)
        if (f->ifindexes[i] == ifindex)
            return;
    if (f->n < ARRAY_SIZE(f->ifindexes))
        f->ifindexes[f->n++] = ifindex;
}

/* Interfaces that have our addresses or lead to remotes get the program, others lose it. */
void ebpf_underlays_sync(struct ebpf_dp *d, struct nl_sock *sk)
{
    struct found_addrs f = {.d = d};
    struct ebpf_underlay *u, *next;
    struct ebpf_remote *r;

    ebpf_rtnl_addrs(sk, on_addr, &f);
    pthread_mutex_lock(&d->tunnel_lock);
    for (r = d->remotes; r && f.n < ARRAY_SIZE(f.ifindexes); r = r->hh.next)
        if (r->ifindex)
            on_addr(r->ifindex, &r->pair.local, &f);
    LL_FOREACH (d->underlays, u)
        u->wanted = false;
    for (unsigned i = 0; i < f.n; i++)
        if (can_be_underlay(d, sk, f.ifindexes[i]))
            need_underlay(d, f.ifindexes[i]);
    LL_FOREACH_SAFE(d->underlays, u, next)
    {
        if (u->wanted)
            continue;
        ebpf_tc_detach(sk, u->ifindex, u->made_clsact);
        LL_DELETE(d->underlays, u);
        free(u);
    }
    pthread_mutex_unlock(&d->tunnel_lock);
}

static int make_device(struct ebpf_dp *d, struct error *e)
{
    char name[16];
    bool made;
    int rc = 0;

    ebpf_device_name(d, "vx", name);
    unsigned ifindex = if_nametoindex(name);

    if (!ifindex) {
        rc = ebpf_rtnl_vxlan(d->rtnl, name, d->opts.vxlan_port);
        ifindex = if_nametoindex(name);
    }
    if (!rc)
        rc = ebpf_rtnl_up(d->rtnl, (int)ifindex);
    if (!rc)
        rc = ebpf_tc_attach((int)ifindex, d->progs[PROG_VXLAN], &made);
    if (!rc) {
        d->shared->vxlan_ifindex = ifindex;
        return 0;
    }
    if (ifindex)
        ebpf_rtnl_del(d->rtnl, (int)ifindex);
    error_set(e, rc, NULL, "tunnel", "can't make the VXLAN device %s on UDP port %u: %s", name,
              d->opts.vxlan_port, strerror(-rc));
    if (rc == -EEXIST || rc == -EIO)
        error_hint(e, "another VXLAN device or program may have the port: ip -d link show type "
                      "vxlan");
    return rc;
}

int ebpf_tunnel_local(struct dp *dp, const struct ip *local, enum flow_tunnel type, struct error *e)
{
    struct ebpf_dp *d = ebpf_of(dp);
    struct fp_shared *sh = d->shared;
    struct found_addrs f = {.d = d, .wanted = local};
    char s[IP_STRLEN];

    if (type != FLOW_TUNNEL_VXLAN)
        return error_set(e, -ENOTSUP, NULL, "tunnel", "the ebpf datapath has VXLAN tunnels only");
    int rc = ebpf_rtnl_addrs(d->rtnl, on_addr, &f);

    if (rc || !f.n)
        return error_set(e, rc ? rc : -EADDRNOTAVAIL, NULL, "local",
                         "no interface of this host has the address %s", ip_format(local, s));
    if (!is_local(d, local)) {
        if (sh->n_locals == FP_MAX_LOCALS)
            return error_set(e, -ENOSPC, NULL, "local", "at most %d local addresses",
                             FP_MAX_LOCALS);
        memcpy(sh->locals[sh->n_locals], local->b, 16);
        __atomic_store_n(&sh->n_locals, sh->n_locals + 1, __ATOMIC_RELEASE);
    }
    sh->vxlan_port = __builtin_bswap16(d->opts.vxlan_port);
    if (!sh->vxlan_ifindex) {
        rc = make_device(d, e);
        if (rc)
            return rc;
    }
    ebpf_underlays_sync(d, d->rtnl);
    return 0;
}

/* Remotes. */

static struct ebpf_remote *add_remote(struct ebpf_dp *d, const struct ip *local,
                                      const struct ip *remote, uint32_t index)
{
    struct ebpf_remote *r = NEW(struct ebpf_remote);

    r->pair.local = *local;
    r->pair.remote = *remote;
    r->index = index;
    HASH_ADD(hh, d->remotes, pair, sizeof r->pair, r);
    return r;
}

static int free_index(struct ebpf_dp *d, uint32_t *index)
{
    for (uint32_t i = 0; i < FP_MAX_TUNNELS; i++)
        if (!d->tunnels[i].in_use) {
            *index = i;
            return 0;
        }
    return -ENOSPC;
}

static int new_index(struct ebpf_dp *d, const struct ip *local, const struct ip *remote,
                     uint32_t *index)
{
    int rc = free_index(d, index);

    if (rc)
        return rc;
    struct fp_tunnel *t = &d->tunnels[*index];

    *t = (struct fp_tunnel){.flags = ip_is4(remote) ? 0 : FP_TUNNEL_IP6};
    memcpy(t->local, local->b, 16);
    memcpy(t->remote, remote->b, 16);
    add_remote(d, local, remote, *index);
    __atomic_store_n(&t->in_use, 1, __ATOMIC_RELEASE);
    ebpf_watch_wake(d);
    return 0;
}

int ebpf_tunnel_index(struct ebpf_dp *d, const struct ip *local, const struct ip *remote,
                      uint32_t *index)
{
    struct ebpf_remote key = {.pair = {*local, *remote}}, *r;
    int rc = 0;

    if (ip_is4(local) != ip_is4(remote))
        return -EINVAL;
    pthread_mutex_lock(&d->tunnel_lock);
    HASH_FIND(hh, d->remotes, &key.pair, sizeof key.pair, r);
    if (r)
        *index = r->index;
    else
        rc = new_index(d, local, remote, index);
    pthread_mutex_unlock(&d->tunnel_lock);
    return rc;
}

/* What the kernel would put in front of a packet to the remote. */
struct outlook {
    bool known;
    int ifindex;
    struct ip via;
    uint16_t mtu;
    struct mac src, dst;
};

static void look_up(struct nl_sock *sk, const struct ebpf_remote *r, struct outlook *o)
{
    struct rtnl_route route;
    struct rtnl_link link;

    *o = (struct outlook){0};
    if (ebpf_rtnl_route(sk, &r->pair.remote, &r->pair.local, &route))
        return;
    o->ifindex = route.ifindex;
    o->via = route.via;
    if (ebpf_rtnl_link(sk, route.ifindex, &link) || link.type != ARPHRD_ETHER)
        return;
    o->mtu = (uint16_t)MIN(link.mtu, 65535u);
    o->src = link.mac;
    int rc = ebpf_rtnl_neigh(sk, route.ifindex, &route.via, &o->dst);

    o->known = rc == 0;
    if (rc == -EAGAIN)
        ebpf_rtnl_probe(sk, route.ifindex, &route.via);
}

static uint32_t sum16(const uint8_t *p, size_t size)
{
    uint32_t sum = 0;

    for (size_t i = 0; i < size; i += 2) {
        uint16_t word;

        memcpy(&word, p + i, 2);
        sum += word;
    }
    return sum;
}

static void put16(uint8_t *p, uint16_t v)
{
    p[0] = (uint8_t)(v >> 8);
    p[1] = (uint8_t)v;
}

/* Ethernet, IP, UDP, VXLAN, with zero for what is the packet's own. */
static void build(const struct ebpf_dp *d, const struct ebpf_remote *r, const struct outlook *o,
                  struct fp_tunnel *t)
{
    bool ip4 = ip_is4(&r->pair.remote);
    uint8_t *ip = t->header + 14, *udp = ip + (ip4 ? 20 : 40);

    memset(t->header, 0, sizeof t->header);
    memcpy(t->header, o->dst.b, 6);
    memcpy(t->header + 6, o->src.b, 6);
    put16(t->header + 12, ip4 ? 0x0800 : 0x86dd);
    if (ip4) {
        ip[0] = 0x45;
        ip[6] = 0x40; /* don't fragment: what is too large is dropped and counted */
        ip[8] = 64;
        ip[9] = IPPROTO_UDP;
        memcpy(ip + 12, r->pair.local.b + 12, 4);
        memcpy(ip + 16, r->pair.remote.b + 12, 4);
        t->ip_sum = sum16(ip, 20);
    } else {
        ip[6] = IPPROTO_UDP;
        ip[7] = 64;
        memcpy(ip + 8, r->pair.local.b, 16);
        memcpy(ip + 24, r->pair.remote.b, 16);
    }
    put16(udp + 2, d->opts.vxlan_port);
    udp[8] = 8; /* the key is valid */
}

/* A packet that is under way while the template changes would leave with half of each: the template
 * is taken out of use first, for longer than a packet takes. */
static void set_template(struct ebpf_dp *d, const struct ebpf_remote *r, const struct outlook *o)
{
    struct fp_tunnel *t = &d->tunnels[r->index], next = *t;

    next.ifindex = (uint32_t)o->ifindex;
    next.mtu = o->mtu;
    if (o->known)
        build(d, r, o, &next);
    bool ready = t->flags & FP_TUNNEL_READY;

    if (ready && o->known && !memcmp(t->header, next.header, sizeof t->header) &&
        t->ifindex == next.ifindex && t->mtu == next.mtu)
        return;
    if (ready) {
        __atomic_and_fetch(&t->flags, (uint16_t)~FP_TUNNEL_READY, __ATOMIC_SEQ_CST);
        nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
    }
    if (!o->known)
        return;
    t->ifindex = next.ifindex;
    t->mtu = next.mtu;
    t->ip_sum = next.ip_sum;
    memcpy(t->header, next.header, sizeof t->header);
    __atomic_or_fetch(&t->flags, FP_TUNNEL_READY, __ATOMIC_SEQ_CST);
}

/* The remotes to look at, copied: netlink is not asked with the lock held. */
static struct ebpf_remote *copy_remotes(struct ebpf_dp *d, int ifindex, const struct ip *via,
                                        unsigned *n)
{
    struct ebpf_remote *list, *r;

    *n = 0;
    pthread_mutex_lock(&d->tunnel_lock);
    list = NEW_ARRAY(HASH_COUNT(d->remotes), struct ebpf_remote);
    for (r = d->remotes; r; r = r->hh.next)
        if (!via || (r->ifindex == ifindex && ip_equal(&r->via, via)))
            list[(*n)++] = *r;
    pthread_mutex_unlock(&d->tunnel_lock);
    return list;
}

/* Only the watcher does this, so nobody changes a template meanwhile. */
void ebpf_tunnels_resolve(struct ebpf_dp *d, struct nl_sock *sk, int ifindex, const struct ip *via)
{
    unsigned n;
    struct ebpf_remote *list = copy_remotes(d, ifindex, via, &n), *r;

    for (unsigned i = 0; i < n; i++) {
        struct outlook o;

        look_up(sk, &list[i], &o);
        set_template(d, &list[i], &o);
        pthread_mutex_lock(&d->tunnel_lock);
        HASH_FIND(hh, d->remotes, &list[i].pair, sizeof list[i].pair, r);
        if (r) {
            r->ifindex = o.ifindex;
            r->via = o.via;
        }
        pthread_mutex_unlock(&d->tunnel_lock);
    }
    free(list);
}

void ebpf_tunnels_probe(struct ebpf_dp *d, struct nl_sock *sk)
{
    unsigned n;
    struct ebpf_remote *list = copy_remotes(d, 0, NULL, &n), *r;

    for (unsigned i = 0; i < n; i++) {
        const struct fp_tunnel *t = &d->tunnels[list[i].index];
        bool in_use = t->packets != list[i].packets;

        if (list[i].ifindex && (in_use || !(t->flags & FP_TUNNEL_READY)))
            ebpf_rtnl_probe(sk, list[i].ifindex, &list[i].via);
        pthread_mutex_lock(&d->tunnel_lock);
        HASH_FIND(hh, d->remotes, &list[i].pair, sizeof list[i].pair, r);
        if (r)
            r->packets = t->packets;
        pthread_mutex_unlock(&d->tunnel_lock);
    }
    free(list);
}

/* After a restart: what the last process left; remotes no flow leads to are dropped. */
int ebpf_tunnels_adopt(struct ebpf_dp *d)
{
    bool *used = NEW_ARRAY(FP_MAX_TUNNELS, bool);
    int rc = ebpf_flows_mark_tunnels(d, used);
    char name[16];

    for (uint32_t i = 0; i < FP_MAX_TUNNELS; i++) {
        struct fp_tunnel *t = &d->tunnels[i];
        struct ip local, remote;

        if (!t->in_use)
            continue;
        memcpy(local.b, t->local, 16);
        memcpy(remote.b, t->remote, 16);
        if (used[i] || rc)
            add_remote(d, &local, &remote, i);
        else
            t->in_use = 0;
    }
    free(used);
    ebpf_device_name(d, "vx", name);
    d->shared->vxlan_ifindex = 0;
    if (d->shared->n_locals && d->shared->vxlan_port == __builtin_bswap16(d->opts.vxlan_port)) {
        rc = rc ? rc : make_device(d, NULL);
        ebpf_underlays_sync(d, d->rtnl);
    }
    return rc;
}

void ebpf_tunnels_close(struct ebpf_dp *d, bool keep)
{
    struct ebpf_underlay *u, *next_u;
    struct ebpf_remote *r, *next_r;

    LL_FOREACH_SAFE(d->underlays, u, next_u)
    {
        if (!keep)
            ebpf_tc_detach(d->rtnl, u->ifindex, u->made_clsact);
        free(u);
    }
    d->underlays = NULL;
    HASH_ITER (hh, d->remotes, r, next_r) {
        HASH_DEL(d->remotes, r);
        free(r);
    }
    if (!keep && d->shared && d->shared->vxlan_ifindex)
        ebpf_rtnl_del(d->rtnl, (int)d->shared->vxlan_ifindex);
}
