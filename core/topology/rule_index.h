/* Which rules of a chain may hold for a packet, without trying them all. */
#ifndef MN_TOPOLOGY_RULE_INDEX_H
#define MN_TOPOLOGY_RULE_INDEX_H

#include "topology/policy.h"

struct rule_index;

/* Null when there are so few that trying them in turn costs less.  'rules' must outlive it. */
struct rule_index *rule_index_build(const struct topo_rule *rules, uint32_t n);
void rule_index_free(struct rule_index *x); /* null is fine */
size_t rule_index_memory(const struct rule_index *x);

#endif
