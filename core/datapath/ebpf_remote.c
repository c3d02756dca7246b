/* Remote ends of tunnels and the outer headers in front of packets to them.
 *
 * The programs write outer headers from a template; making it is asking the kernel what it would
 * do: route, next hop, its MAC.  While the answer is missing, packets leave through the VXLAN
 * device and the kernel finds out on their behalf; its news (ebpf_watch.c) bring the template. */
#include <net/if_arp.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <time.h>

#include "base/mem.h"
#include "datapath/ebpf_internal.h"

struct ebpf_remote *ebpf_remote_add(struct ebpf_dp *d, const struct ip *local,
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
    ebpf_remote_add(d, local, remote, *index);
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
