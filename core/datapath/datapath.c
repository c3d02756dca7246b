#include "datapath/datapath.h"

#include <inttypes.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include "base/hash.h"
#include "base/log.h"
#include "base/mem.h"
#include "datapath/fillings.h"

static const struct dp_ops *const fillings[] = {&dp_ebpf_ops, &dp_ovs_ops, &dp_memory_ops};

static const struct dp_ops *find(const char *type, size_t len)
{
    for (size_t i = 0; i < ARRAY_SIZE(fillings); i++)
        if (strlen(fillings[i]->type) == len && !strncmp(type, fillings[i]->type, len))
            return fillings[i];
    return NULL;
}

static int check_types(const char *types, struct error *e)
{
    for (const char *t = types; *t; t += strspn(t, ",")) {
        size_t len = strcspn(t, ",");

        if (!find(t, len))
            return error_set(e, -EINVAL, NULL, "datapath", "no datapath of type '%.*s'", (int)len,
                             t);
        t += len;
    }
    return *types ? 0 : error_set(e, -EINVAL, NULL, "datapath", "no datapath of type ''");
}

/* The first that can be opened; says which it is and why not one before it. */
static int open_first(const char *asked, const char *types, const struct dp_options *o,
                      struct dp **out, struct error *e)
{
    struct error first = {0}, why = {0};
    char text[640];

    for (const char *t = types; *t; t += strspn(t, ",")) {
        size_t len = strcspn(t, ",");
        const struct dp_ops *ops = find(t, len);
        int rc = ops->open(o, out, &why);

        if (!rc) {
            log_info("datapath", "%s, the first of %s that runs here asked=%s", ops->type, types,
                     asked);
            return 0;
        }
        log_info("datapath", "not %s: %s", ops->type, error_format(&why, text, sizeof text));
        first = first.code ? first : why;
        first.code = first.code ? first.code : rc;
        t += len;
    }
    if (e)
        *e = first;
    return first.code;
}

int dp_open(const char *type, const struct dp_options *opts, struct dp **out, struct error *e)
{
    struct dp_options o = opts ? *opts : (struct dp_options){0};
    const char *types = !strcmp(type, "auto") ? "ebpf,ovs" : type;
    int rc = check_types(types, e);

    if (rc)
        return rc;
    o.name = o.name && *o.name ? o.name : "mn";
    o.n_queues = o.n_queues ? o.n_queues : 1;
    o.max_flows = o.max_flows ? o.max_flows : 200000;
    o.upcalls_per_port = o.upcalls_per_port ? o.upcalls_per_port : 256;
    o.vxlan_port = o.vxlan_port ? o.vxlan_port : 4789;
    if (o.n_queues > DP_MAX_QUEUES)
        return error_set(e, -EINVAL, NULL, "queues", "at most %u queues", DP_MAX_QUEUES);
    if (!strchr(types, ','))
        return find(types, strlen(types))->open(&o, out, e);
    return open_first(type, types, &o, out, e);
}

void dp_close(struct dp *dp, bool keep)
{
    if (dp)
        dp->ops->close(dp, keep);
}

int dp_check(struct dp *dp)
{
    return dp->ops->check ? dp->ops->check(dp) : -ENOTSUP;
}

const char *dp_type(const struct dp *dp)
{
    return dp->ops->type;
}

int dp_port_add(struct dp *dp, const char *ifname, uint32_t *port_no, struct error *e)
{
    return dp->ops->port_add(dp, ifname, port_no, e);
}

int dp_port_del(struct dp *dp, uint32_t port_no, struct error *e)
{
    return dp->ops->port_del(dp, port_no, e);
}

int dp_port_each(struct dp *dp, dp_port_fn *fn, void *aux)
{
    return dp->ops->port_each(dp, fn, aux);
}

int dp_port_limit(struct dp *dp, uint32_t port_no, uint32_t kbps, uint32_t burst_kb)
{
    return dp->ops->port_limit ? dp->ops->port_limit(dp, port_no, kbps, burst_kb) : -ENOTSUP;
}

int dp_tunnel_local(struct dp *dp, const struct ip *local, enum flow_tunnel type, struct error *e)
{
    return dp->ops->tunnel_local(dp, local, type, e);
}

int dp_tunnel_bind(struct dp *dp, uint32_t tun_id, uint32_t port_no, struct error *e)
{
    return dp->ops->tunnel_bind(dp, tun_id, port_no, e);
}

int dp_tunnel_unbind(struct dp *dp, uint32_t tun_id)
{
    return dp->ops->tunnel_unbind(dp, tun_id);
}

int dp_flow_put(struct dp *dp, unsigned queue, const struct dp_flow *flows, size_t n, int *rcs)
{
    return dp->ops->flow_put(dp, queue, flows, n, rcs);
}

int dp_flow_del(struct dp *dp, unsigned queue, const struct dp_flow *flows, size_t n,
                struct dp_flow_stats *stats)
{
    return dp->ops->flow_del(dp, queue, flows, n, stats);
}

int dp_flow_each(struct dp *dp, dp_flow_fn *fn, void *aux)
{
    return dp->ops->flow_each(dp, fn, aux);
}

int dp_recv(struct dp *dp, unsigned queue, struct dp_upcall *ups, size_t max)
{
    return dp->ops->recv(dp, queue, ups, max);
}

int dp_recv_fd(struct dp *dp, unsigned queue)
{
    return dp->ops->recv_fd(dp, queue);
}

int dp_execute(struct dp *dp, unsigned queue, const struct dp_exec *execs, size_t n)
{
    return dp->ops->execute(dp, queue, execs, n);
}

int dp_counters(struct dp *dp, dp_counter_fn *fn, void *aux)
{
    return dp->ops->counters(dp, fn, aux);
}

void dp_memory(struct dp *dp, uint64_t *kernel, uint64_t *process)
{
    dp->ops->memory(dp, kernel, process);
}

void dp_flow_name(const struct dp_flow *f, struct flow_key *key, struct flow_key *mask)
{
    *mask = f->mask;
    mask->ip_ttl = 0;
    mask->icmp_id = 0;
    memset(&mask->malformed, 0, sizeof *mask - offsetof(struct flow_key, malformed));
    flow_key_and(key, &f->key, mask);
}

unsigned dp_ttl_needed(const struct flow_out *outs, unsigned n)
{
    unsigned most = 0;

    for (unsigned i = 0; i < n; i++)
        if (outs[i].set & FLOW_DEC_TTL)
            most = MAX(most, outs[i].ttl_dec);
    return most;
}

void dp_device_name(const char *name, const char *suffix, char buf[16])
{
    if (strlen(name) <= 8)
        snprintf(buf, 16, "mn-%.8s-%.3s", name, suffix);
    else
        snprintf(buf, 16, "mn-%08" PRIx32 "-%.3s", (uint32_t)hash_stable(name, strlen(name), 0),
                 suffix);
}
