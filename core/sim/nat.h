/* Connections and translations, between the files that know them.
 *
 *   conn.c       which way a packet goes, records of connections
 *   nat.c        rules that translate headers          nat_icmp.c   ... ICMP errors
 *   nat64.c      ... between IP versions
 *
 * A connection is known by its tuple.  TCP, UDP and SCTP have ports.  An ICMP echo has the port
 * "type of request" (8, 128) on the side that answers and its id on the side that asks, so that a
 * reply isn't taken for a request of the other direction.  What has neither is known by addresses
 * and protocol; so are later fragments.
 *
 * Records that this run proposes count like those in the table: one packet may meet the same
 * translation twice (hairpin), and a router answers a packet it has translated. */
#ifndef MN_SIM_NAT_H
#define MN_SIM_NAT_H

#include "sim/mask.h"
#include "state/state.h"
#include "topology/policy.h"

/* Does the id of an echo count?  Where it does no flow can be installed: datapaths don't match ids.
 * Connections are told apart well enough without; who shares one address among many needs it. */
enum tuple_kind { TUPLE_PLAIN, TUPLE_WITH_ID };
struct state_tuple tuple_of(const struct flow_key *h, enum tuple_kind kind);

static inline struct state_tuple tuple_swap(const struct state_tuple *t)
{
    return (struct state_tuple){t->dst, t->src, t->dport, t->sport, t->proto, {0}};
}

/* TCP, UDP, SCTP, ICMP echo, of which the ports (id) are in 'h'. */
bool tuple_has_ports(const struct flow_key *h);
/* A header with ports like 't' instead of those of 'h'. */
struct flow_key header_of(const struct flow_key *h, const struct state_tuple *t,
                          enum tuple_kind kind);

const char *tuple_text(struct run *r, const struct state_tuple *t);

/* The record, of this run or of the table; asking leaves a tag. */
bool record_find(struct run *r, enum state_kind kind, enum state_way way, topo_ref device,
                 const struct state_tuple *t, struct state_rec *rec);
/* The outcome stands on this record: made, or found and in use.  Packets that devices make keep no
 * state. */
void record_use(struct run *r, const struct state_rec *rec);

/* What 'rec' makes of a packet that goes its way. */
struct state_tuple record_apply(const struct state_rec *rec, enum state_way way,
                                const struct state_tuple *t);
/* Does it change the source?  Else the destination. */
static inline bool changes_source(enum state_kind kind, enum state_way way)
{
    return (kind == STATE_SNAT) == (way == STATE_FORTH);
}

/* nat_icmp.c.  Is the packet an error that quotes another? */
bool nat_is_error(struct run *r);
enum nat nat_error(struct run *r, const struct topo_rule *rule, enum state_kind kind,
                   enum state_way way);
enum nat nat_error_static(struct run *r, const struct topo_rule *rule);

/* nat64.c.  A rule with a pool; the way back, of which the source's record is found. */
enum nat nat64_forth(struct run *r, const struct topo_rule *rule);
bool nat64_is_way_back(const struct run *r, const struct state_rec *snat);
enum nat nat64_back(struct run *r, const struct topo_rule *rule, const struct state_rec *snat);

/* nat.c.  A target, or for a SNAT record a place in the pool, for a connection that has none. */
enum nat nat_choose64(struct run *r, const struct topo_rule *rule, struct state_rec *rec);
void nat_set_tuple(struct run *r, const struct state_tuple *t, enum tuple_kind kind);
/* How rules end. */
enum nat nat_skip(struct run *r, const struct topo_rule *rule, const char *why);
enum nat nat_drop(struct run *r, const struct topo_rule *rule, enum sim_reason reason);
void nat_say(struct run *r, const struct topo_rule *rule, const struct state_tuple *before,
             const struct state_tuple *after, const char *how);

#endif
