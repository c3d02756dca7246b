/* Tunnels: the VXLAN device, our addresses and the interfaces that have them, keys and ports. */
#include <net/if.h>
#include <net/if_arp.h>
#include <stdlib.h>

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

static struct fp_underlay *find_underlay(struct ebpf_dp *d, uint32_t ifindex)
{
    for (unsigned i = 0; i < FP_MAX_UNDERLAYS; i++)
        if (d->shared->underlays[i].ifindex == ifindex)
            return &d->shared->underlays[i];
    return NULL;
}

static void need_underlay(struct ebpf_dp *d, int ifindex)
{
    struct fp_underlay *u = find_underlay(d, (uint32_t)ifindex);
    bool made = u && u->made_clsact;

    if (u && ebpf_tc_is(ifindex, d->progs[PROG_UNDERLAY]))
        return;
    if (!u)
        u = find_underlay(d, 0);
    int rc = u ? ebpf_tc_attach(ifindex, d->progs[PROG_UNDERLAY], &made) : -ENOSPC;

    if (u)
        *u = (struct fp_underlay){(uint32_t)ifindex, made};
    if (rc)
        log_warn("datapath", "tunnels that arrive on interface %d take a slower way: %s", ifindex,
                 strerror(-rc));
}

static void leave_underlay(struct nl_sock *sk, struct fp_underlay *u)
{
    ebpf_tc_detach(sk, (int)u->ifindex, u->made_clsact);
    *u = (struct fp_underlay){0};
}

bool ebpf_underlay_has(struct ebpf_dp *d, uint32_t ifindex)
{
    pthread_mutex_lock(&d->underlay_lock);
    bool has = find_underlay(d, ifindex) != NULL;

    pthread_mutex_unlock(&d->underlay_lock);
    return has;
}

/* Our addresses as they are now: netlink is not asked with the lock held. */
static unsigned copy_locals(struct ebpf_dp *d, struct ip locals[FP_MAX_LOCALS])
{
    pthread_mutex_lock(&d->tunnel_lock);
    unsigned n = MIN(d->shared->n_locals, (unsigned)FP_MAX_LOCALS);

    memcpy(locals, d->shared->locals, n * sizeof *locals);
    pthread_mutex_unlock(&d->tunnel_lock);
    return n;
}

static int add_local(struct ebpf_dp *d, const struct ip *local)
{
    struct fp_shared *sh = d->shared;
    int rc = 0;
    bool is_new = true;

    pthread_mutex_lock(&d->tunnel_lock);
    for (unsigned i = 0; i < sh->n_locals; i++)
        if (!memcmp(sh->locals[i], local->b, 16))
            is_new = false;
    if (is_new && sh->n_locals == FP_MAX_LOCALS) {
        rc = -ENOSPC;
    } else if (is_new) {
        memcpy(sh->locals[sh->n_locals], local->b, 16);
        __atomic_store_n(&sh->n_locals, sh->n_locals + 1, __ATOMIC_RELEASE);
    }
    pthread_mutex_unlock(&d->tunnel_lock);
    return rc;
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
    struct ip wanted[FP_MAX_LOCALS];
    unsigned n_wanted;
    int ifindexes[FP_MAX_UNDERLAYS];
    unsigned n;
};

static bool found_has(const struct found_addrs *f, int ifindex)
{
    for (unsigned i = 0; i < f->n; i++)
        if (f->ifindexes[i] == ifindex)
            return true;
    return false;
}

static void found_add(struct found_addrs *f, int ifindex)
{
    if (f->n < ARRAY_SIZE(f->ifindexes) && !found_has(f, ifindex))
        f->ifindexes[f->n++] = ifindex;
}

static void on_addr(int ifindex, const struct ip *addr, void *aux)
{
    struct found_addrs *f = aux;

    for (unsigned i = 0; i < f->n_wanted; i++)
        if (ip_equal(addr, &f->wanted[i]))
            found_add(f, ifindex);
}

/* Interfaces that have our addresses or lead to remotes get the program, others lose it. */
void ebpf_underlays_sync(struct ebpf_dp *d, struct nl_sock *sk)
{
    struct found_addrs f = {0};
    struct ebpf_remote *r;

    f.n_wanted = copy_locals(d, f.wanted);
    ebpf_rtnl_addrs(sk, on_addr, &f);
    pthread_mutex_lock(&d->tunnel_lock);
    for (r = d->remotes; r; r = r->hh.next)
        if (r->ifindex)
            found_add(&f, r->ifindex);
    pthread_mutex_unlock(&d->tunnel_lock);
    pthread_mutex_lock(&d->underlay_lock);
    for (unsigned i = 0; i < f.n; i++)
        if (can_be_underlay(d, sk, f.ifindexes[i]))
            need_underlay(d, f.ifindexes[i]);
        else
            f.ifindexes[i] = 0;
    for (unsigned i = 0; i < FP_MAX_UNDERLAYS; i++) {
        struct fp_underlay *u = &d->shared->underlays[i];

        if (u->ifindex && !found_has(&f, (int)u->ifindex))
            leave_underlay(sk, u);
    }
    pthread_mutex_unlock(&d->underlay_lock);
}

static int make_device(struct ebpf_dp *d, struct nl_sock *sk, struct error *e)
{
    char name[16];
    bool made;
    int rc = 0;

    ebpf_device_name(d, "vx", name);
    unsigned ifindex = if_nametoindex(name);

    if (!ifindex) {
        rc = ebpf_rtnl_vxlan(sk, name, d->opts.vxlan_port);
        ifindex = if_nametoindex(name);
    }
    if (!rc)
        rc = ebpf_rtnl_up(sk, (int)ifindex);
    if (!rc)
        rc = ebpf_tc_attach((int)ifindex, d->progs[PROG_VXLAN], &made);
    if (!rc) {
        d->shared->vxlan_ifindex = ifindex;
        return 0;
    }
    if (ifindex)
        ebpf_rtnl_del(sk, (int)ifindex);
    error_set(e, rc, NULL, "tunnel", "can't make the VXLAN device %s on UDP port %u: %s", name,
              d->opts.vxlan_port, strerror(-rc));
    if (rc == -EEXIST || rc == -EIO)
        error_hint(e, "another VXLAN device or program may have the port: ip -d link show type "
                      "vxlan");
    return rc;
}

int ebpf_tunnel_device(struct ebpf_dp *d, struct nl_sock *sk, struct error *e)
{
    pthread_mutex_lock(&d->underlay_lock);
    int rc = make_device(d, sk, e);

    pthread_mutex_unlock(&d->underlay_lock);
    return rc;
}

int ebpf_tunnel_local(struct dp *dp, const struct ip *local, enum flow_tunnel type, struct error *e)
{
    struct ebpf_dp *d = ebpf_of(dp);
    struct fp_shared *sh = d->shared;
    struct found_addrs f = {.wanted = {*local}, .n_wanted = 1};
    char s[IP_STRLEN];

    if (type != FLOW_TUNNEL_VXLAN)
        return error_set(e, -ENOTSUP, NULL, "tunnel", "the ebpf datapath has VXLAN tunnels only");
    int rc = ebpf_rtnl_addrs(d->rtnl, on_addr, &f);

    if (rc || !f.n)
        return error_set(e, rc ? rc : -EADDRNOTAVAIL, NULL, "local",
                         "no interface of this host has the address %s", ip_format(local, s));
    rc = add_local(d, local);
    if (rc)
        return error_set(e, rc, NULL, "local", "at most %d local addresses", FP_MAX_LOCALS);
    sh->vxlan_port = __builtin_bswap16(d->opts.vxlan_port);
    if (!sh->vxlan_ifindex) {
        rc = ebpf_tunnel_device(d, d->rtnl, e);
        if (rc)
            return rc;
    }
    ebpf_underlays_sync(d, d->rtnl);
    return 0;
}

/* After a restart: what the last process left; remotes no flow leads to are dropped. */
int ebpf_tunnels_adopt(struct ebpf_dp *d)
{
    bool *used = NEW_ARRAY(FP_MAX_TUNNELS, bool);
    int rc = ebpf_flows_mark_tunnels(d, used);

    for (uint32_t i = 0; i < FP_MAX_TUNNELS; i++) {
        struct fp_tunnel *t = &d->tunnels[i];
        struct ip local, remote;

        if (!t->in_use)
            continue;
        memcpy(local.b, t->local, 16);
        memcpy(remote.b, t->remote, 16);
        if (used[i] || rc)
            ebpf_remote_add(d, &local, &remote, i);
        else
            t->in_use = 0;
    }
    free(used);
    if (!d->shared->n_locals)
        return rc;
    if (d->shared->vxlan_port != __builtin_bswap16(d->opts.vxlan_port)) {
        ebpf_tunnels_clean(d);
        d->shared->n_locals = 0; /* the agent says them again */
    } else {
        rc = rc ? rc : ebpf_tunnel_device(d, d->rtnl, NULL);
    }
    ebpf_underlays_sync(d, d->rtnl);
    return rc;
}

void ebpf_tunnels_clean(struct ebpf_dp *d)
{
    char name[16];

    ebpf_device_name(d, "vx", name);
    unsigned ifindex = if_nametoindex(name);

    if (ifindex)
        ebpf_rtnl_del(d->rtnl, (int)ifindex);
    d->shared->vxlan_ifindex = 0;
}

void ebpf_tunnels_close(struct ebpf_dp *d, bool keep)
{
    struct ebpf_remote *r, *next;

    HASH_ITER (hh, d->remotes, r, next) {
        HASH_DEL(d->remotes, r);
        free(r);
    }
    if (keep)
        return;
    for (unsigned i = 0; i < FP_MAX_UNDERLAYS; i++)
        if (d->shared->underlays[i].ifindex)
            leave_underlay(d->rtnl, &d->shared->underlays[i]);
    if (d->shared->vxlan_ifindex)
        ebpf_rtnl_del(d->rtnl, (int)d->shared->vxlan_ifindex);
}
