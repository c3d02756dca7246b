/* Chains and mirrors: copies of what the loader read, each in one block. */
#include <stdlib.h>

#include "base/mem.h"
#include "topology/policy.h"
#include "topology/rule_index.h"

const char *cond_field_name(enum cond_field f)
{
    /* as the schema calls them (types_policy.c) */
    static const char *const names[COND_N_FIELDS] = {
        [COND_IN_PORTS] = "in-ports",
        [COND_OUT_PORTS] = "out-ports",
        [COND_PORT_GROUP] = "port-group",
        [COND_IN_PORT_GROUP] = "in-port-group",
        [COND_OUT_PORT_GROUP] = "out-port-group",
        [COND_TRAVERSED] = "traversed-device",
        [COND_DST_REWRITTEN] = "match-nw-dst-rewritten",
        [COND_ETH_TYPE] = "ethertype",
        [COND_NO_VLAN] = "no-vlan",
        [COND_VLAN] = "vlan",
        [COND_PROTO] = "proto",
        [COND_FRAG] = "fragment-policy",
        [COND_TOS] = "tos",
        [COND_SRC] = "src",
        [COND_DST] = "dst",
        [COND_ETH_SRC] = "hw-src",
        [COND_ETH_DST] = "hw-dst",
        [COND_SRC_GROUP] = "ip-address-group-src",
        [COND_DST_GROUP] = "ip-address-group-dst",
        [COND_TP_SRC] = "src-port",
        [COND_TP_DST] = "dst-port",
        [COND_TCP_FLAGS] = "tcp-flags",
        [COND_ICMP_ID] = "icmp-id",
        [COND_ICMP_DATA_SRC] = "icmp-data-src",
        [COND_ICMP_DATA_DST] = "icmp-data-dst",
        [COND_FORWARD] = "fwd-flow",
        [COND_RETURN] = "return-flow",
    };

    return f < COND_N_FIELDS ? names[f] : "unknown";
}

const char *topo_rule_type_name(enum topo_rule_type t)
{
    static const char *const names[RULE_N_TYPES] = {
        "accept",   "drop",     "reject",   "return",       "continue", "jump", "dnat",  "snat",
        "rev_dnat", "rev_snat", "redirect", "l2_transform", "trace",    "log",  "broken"};

    return t < RULE_N_TYPES ? names[t] : "unknown";
}

static size_t n_ports(const struct topo_cond *c)
{
    return (size_t)c->n_in_ports + c->n_out_ports;
}

static int by_ref(const void *pa, const void *pb)
{
    topo_ref a = *(const topo_ref *)pa, b = *(const topo_ref *)pb;

    return a < b ? -1 : a > b;
}

static topo_ref *copy_ports(topo_ref **room, const topo_ref *ports, uint32_t n)
{
    topo_ref *copy = *room;

    if (!n)
        return NULL;
    memcpy(copy, ports, n * sizeof *copy);
    qsort(copy, n, sizeof *copy, by_ref);
    *room += n;
    return copy;
}

/* Points the lists of 'c' to copies of them in 'room'. */
static void own_ports(struct topo_cond *c, topo_ref **room)
{
    c->in_ports = copy_ports(room, c->in_ports, c->n_in_ports);
    c->out_ports = copy_ports(room, c->out_ports, c->n_out_ports);
}

static bool needs_state(const struct topo_rule *r)
{
    bool translates = r->type == RULE_REV_DNAT || r->type == RULE_REV_SNAT ||
                      ((r->type == RULE_DNAT || r->type == RULE_SNAT) && !r->stateless);

    return translates || r->cond.has & (COND_BIT(FORWARD) | COND_BIT(RETURN));
}

static void copy_rules(struct topo_chain *c, const struct topo_rule *rules, size_t targets,
                       size_t ports)
{
    struct topo_nat_target *target = topo_extra(c, targets * sizeof *target);
    topo_ref *port = topo_extra(c, ports * sizeof *port);

    c->rules = topo_extra(c, c->n_rules * sizeof *c->rules);
    for (uint32_t i = 0; i < c->n_rules; i++) {
        struct topo_rule *r = &c->rules[i];
        *r = rules[i];
        own_ports(&r->cond, &port);
        r->targets = r->n_targets ? target : NULL;
        for (unsigned j = 0; j < (unsigned)r->n_targets + r->n_pool; j++)
            *target++ = rules[i].targets[j];
        c->stateful |= needs_state(r);
    }
}

struct topo_chain *topo_chain_make(const struct uuid *id, const char *name,
                                   const struct topo_rule *rules, uint32_t n_rules,
                                   const struct topo_logger *loggers, uint32_t n_loggers,
                                   const char *labels)
{
    size_t targets = 0, ports = 0, labels_size = labels && *labels ? strlen(labels) + 1 : 0;
    struct topo_chain *c;

    for (uint32_t i = 0; i < n_rules; i++) {
        targets += (size_t)rules[i].n_targets + rules[i].n_pool;
        ports += n_ports(&rules[i].cond);
    }
    c = topo_object(TOPO_CHAIN, sizeof *c,
                    n_rules * sizeof *rules + targets * sizeof *rules->targets +
                        ports * sizeof(topo_ref) + n_loggers * sizeof *loggers + labels_size +
                        5 * 16,
                    id, name);
    c->n_rules = n_rules;
    c->n_loggers = n_loggers;
    copy_rules(c, rules, targets, ports);
    c->loggers = topo_extra(c, n_loggers * sizeof *loggers);
    if (n_loggers)
        memcpy(c->loggers, loggers, n_loggers * sizeof *loggers);
    c->labels = topo_extra(c, labels_size);
    if (labels_size)
        memcpy(c->labels, labels, labels_size);
    c->index = rule_index_build(c->rules, n_rules);
    return c;
}

struct topo_mirror *topo_mirror_make(const struct uuid *id, topo_ref to_port,
                                     const struct topo_cond *conds, uint32_t n_conds)
{
    size_t ports = 0;
    struct topo_mirror *m;

    for (uint32_t i = 0; i < n_conds; i++)
        ports += n_ports(&conds[i]);
    m = topo_object(TOPO_MIRROR, sizeof *m, n_conds * sizeof *conds + ports * sizeof(topo_ref) + 32,
                    id, NULL);
    m->to_port = to_port;
    m->n_conds = n_conds;
    topo_ref *port = topo_extra(m, ports * sizeof *port);
    m->conds = topo_extra(m, n_conds * sizeof *conds);
    for (uint32_t i = 0; i < n_conds; i++) {
        m->conds[i] = conds[i];
        own_ports(&m->conds[i], &port);
    }
    return m;
}
