/* Policy in memory: chains of rules, groups of addresses, mirrors.
 *
 * Objects of topology.h like the others: immutable once published, named by slot.  A chain is
 * evaluated in the order of its rules; what makes that independent of how many there are is its
 * index (rule_index.h), built when the chain is made.  The members of an address group are the
 * exception to "immutable": a group may have 100,000 of them and changes one at a time, so its set
 * is shared by all versions of the object and written in place, as the learned tables are.
 *
 * Facts: MidoNet's conditions and rules (model.md section "Condition" and "Rule"). */
#ifndef MN_TOPOLOGY_POLICY_H
#define MN_TOPOLOGY_POLICY_H

#include "topology/tags.h"
#include "topology/topology.h"

/* What a condition tests; one bit each in 'has', and in 'inv' when the test is inverted.  In the
 * order in which they are tested one by one: what costs little and leaves the mask wide first. */
#define COND_FIELDS(X)                                                                             \
    X(IN_PORTS)       /* where it entered this device is in in_ports[] */                          \
    X(OUT_PORTS)      /* where it leaves this device is in out_ports[] */                          \
    X(PORT_GROUP)     /* the exterior port it entered the network by is in port_group */           \
    X(IN_PORT_GROUP)  /* in_port is in in_port_group */                                            \
    X(OUT_PORT_GROUP) /* out_port is in out_port_group */                                          \
    X(TRAVERSED)      /* it came through device 'traversed' */                                     \
    X(DST_REWRITTEN)  /* its destination was translated on this device */                          \
    X(ETH_TYPE)                                                                                    \
    X(NO_VLAN) /* no tag */                                                                        \
    X(VLAN)    /* outermost tag's VLAN, or more of the tag (vlan_mask) */                          \
    X(PROTO)                                                                                       \
    X(FRAG) /* 'frags' has the bit 1 << enum flow_frag; never inverted, nor by 'inverted' */       \
    X(TOS)                                                                                         \
    X(SRC) /* address within prefix; of ARP the sender's and target's */                           \
    X(DST)                                                                                         \
    X(ETH_SRC) /* under eth_src_mask */                                                            \
    X(ETH_DST)                                                                                     \
    X(SRC_GROUP) /* address is a member of src_group */                                            \
    X(DST_GROUP)                                                                                   \
    X(TP_SRC) /* within tp_src[0]..tp_src[1]; ICMP: type */                                        \
    X(TP_DST) /* ICMP: code */                                                                     \
    X(TCP_FLAGS)                                                                                   \
    X(ICMP_ID)                                                                                     \
    X(ICMP_DATA_SRC) /* of the packet that an ICMP error quotes */                                 \
    X(ICMP_DATA_DST)                                                                               \
    X(FORWARD) /* connection tracking: the direction it was opened in, or the other */             \
    X(RETURN)

enum cond_field {
#define X(name) COND_##name,
    COND_FIELDS(X)
#undef X
        COND_N_FIELDS
};
#define COND_BIT(name) (1u << COND_##name)
const char *cond_field_name(enum cond_field f); /* as the CLI's attribute: "src-port" */

/* All that 'has' says must hold; 'inverted' turns that round (but for FRAG, tested first).  An
 * empty condition holds. */
struct topo_cond {
    uint32_t has, inv;
    bool inverted;
    uint8_t proto, tos, frags;
    uint16_t eth_type;
    uint16_t vlan, vlan_mask;      /* 0x0fff: only the VID counts, 0xefff: PCP and VID */
    uint16_t tp_src[2], tp_dst[2]; /* inclusive */
    uint16_t tcp_flags, tcp_flags_mask;
    uint16_t icmp_id;
    uint16_t n_in_ports, n_out_ports;
    struct mac eth_src, eth_src_mask, eth_dst, eth_dst_mask;
    struct cidr src, dst, icmp_data_src, icmp_data_dst; /* networks */
    topo_ref src_group, dst_group;
    topo_ref port_group, in_port_group, out_port_group;
    topo_ref traversed;
    topo_ref *in_ports, *out_ports; /* sorted */
};

enum topo_rule_type {
    RULE_ACCEPT,
    RULE_DROP,
    RULE_REJECT,
    RULE_RETURN,
    RULE_CONTINUE, /* does nothing: counts, logs */
    RULE_JUMP,
    RULE_DNAT,
    RULE_SNAT,
    RULE_REV_DNAT,
    RULE_REV_SNAT,
    RULE_REDIRECT,
    RULE_L2, /* VLAN tag off and on, then 'action' */
    RULE_TRACE,
    RULE_LOG,    /* a record, then the next rule */
    RULE_BROKEN, /* the store's description of it can't be understood: drops */
    RULE_N_TYPES
};
const char *topo_rule_type_name(enum topo_rule_type t); /* as the CLI: "rev_snat" */

/* What a dynamic translation chooses from.  Ports 0..0: the port stays. */
struct topo_nat_target {
    struct ip from, to; /* inclusive, one family */
    uint16_t port_from, port_to;
};

struct topo_rule {
    struct uuid id;
    uint8_t type;       /* enum topo_rule_type */
    uint8_t action;     /* of NAT and L2: RULE_ACCEPT, RULE_CONTINUE, RULE_RETURN, RULE_REDIRECT */
    bool stateless;     /* NAT: one address, ports kept: a rewrite, no state */
    bool ingress;       /* redirect: enters by the target port instead of leaving */
    bool fail_open;     /* redirect: passes by a target port that can't take it */
    bool pop_vlan;      /* L2 */
    bool push;          /* L2: 'push_tci' */
    uint16_t push_tci;  /* the whole tag: PCP, DEI as FLOW_VLAN_PRESENT, VID */
    uint16_t n_targets; /* NAT */
    uint16_t n_pool;    /* dnat of IPv6 to IPv4: behind the targets so many more, for sources */
    topo_ref jump;      /* chain; 0 or missing: the rule does nothing */
    topo_ref target_port; /* redirect; 0: gone, the packet is dropped */
    uint64_t limit;       /* trace: packets at most, 0 any number */
    struct uuid request;  /* trace: of which request */
    /* Redirect: back from a service.  The packet goes on at the target port behind this rule of its
     * insert_in (ingress) or insert_out, and so past what comes before that: mirrors, trace, or
     * outfilter.  Zero: ingress does all that, egress skips the port's outbound chains. */
    struct uuid resume;
    struct topo_nat_target *targets;
    struct topo_cond cond;
};

enum { TOPO_LOG_ACCEPT = 1, TOPO_LOG_DROP = 2 };
/* Whoever wants this chain's verdicts recorded. */
struct topo_logger {
    struct uuid id;
    uint8_t events;       /* TOPO_LOG_* */
    struct uuid resource; /* the LoggingResource whose file the records go to */
};

struct rule_index;

struct topo_chain {
    struct topo_obj obj;
    uint32_t n_rules, n_loggers;
    struct topo_rule *rules; /* in order of evaluation */
    struct topo_logger *loggers;
    struct rule_index *index; /* null: few enough to be tried in turn */
    bool stateful;            /* a rule asks for the direction, or translates with state */
    /* Metadata of the chain for log records: "key=value key=value", or null. */
    char *labels;
};

/* Addresses, each a whole one; both families. */
struct topo_ip_set;
struct topo_ip_set *topo_ip_set_new(void);
void topo_ip_set_free(struct topo_ip_set *s);
bool topo_ip_set_has(const struct topo_ip_set *s, const struct ip *ip); /* any reader, no lock */
bool topo_ip_set_add(struct topo_ip_set *s, const struct ip *ip);       /* false: it was there */
bool topo_ip_set_del(struct topo_ip_set *s, const struct ip *ip);
size_t topo_ip_set_size(const struct topo_ip_set *s);
size_t topo_ip_set_memory(const struct topo_ip_set *s);

struct topo_ip_group {
    struct topo_obj obj;
    struct topo_ip_set *members; /* shared by all versions; freed with the last */
};

struct topo_port_group {
    struct topo_obj obj;
    bool stateful; /* what entered by one of them may return by another */
    struct topo_refs ports;
};

/* A copy of what matches goes to a port anywhere in the network, as if it left by it. */
struct topo_mirror {
    struct topo_obj obj;
    topo_ref to_port;
    uint32_t n_conds; /* one of them must hold; none: nothing is copied */
    struct topo_cond *conds;
};

static inline const struct topo_chain *topo_chain(const struct topo *t, topo_ref r)
{
    return (const struct topo_chain *)topo_get(t, r);
}

static inline const struct topo_ip_group *topo_ip_group(const struct topo *t, topo_ref r)
{
    return (const struct topo_ip_group *)topo_get(t, r);
}

static inline const struct topo_port_group *topo_port_group(const struct topo *t, topo_ref r)
{
    return (const struct topo_port_group *)topo_get(t, r);
}

static inline const struct topo_mirror *topo_mirror(const struct topo *t, topo_ref r)
{
    return (const struct topo_mirror *)topo_get(t, r);
}

/* Builds a chain from rules that live elsewhere (they, and all they point to, are copied), with
 * its index.  Not published yet: topo_publish(), or topo_discard(). */
struct topo_chain *topo_chain_make(const struct uuid *id, const char *name,
                                   const struct topo_rule *rules, uint32_t n_rules,
                                   const struct topo_logger *loggers, uint32_t n_loggers,
                                   const char *labels);
struct topo_mirror *topo_mirror_make(const struct uuid *id, topo_ref to_port,
                                     const struct topo_cond *conds, uint32_t n_conds);

/* Whether 'ip' is in the group was asked. */
static inline tag_t tag_group_ip(topo_ref group, const struct ip *ip)
{
    return tag_make(TAG_GROUP_IP, hash_u64(ip->q[1] ^ hash_u64(ip->q[0] ^ group)));
}

#endif
