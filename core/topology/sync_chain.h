/* Inside the loader: what the files about chains share (sync_policy.h).
 *
 *   sync_chain.c        load, follow the change log, publish
 *   sync_chain_rules.c  rules just read, put in order among those known
 *   sync_logging.c      loggers, and the resources they log to */
#ifndef MN_TOPOLOGY_SYNC_CHAIN_H
#define MN_TOPOLOGY_SYNC_CHAIN_H

#include "topology/sync_policy.h"

/* sync_chain.c; null body: name and labels stay. */
void sync_chain_publish(struct sync *s, struct chain_item *c, const struct topo_rule *rules,
                        size_t n, const json_t *body);

/* sync_chain_rules.c */
struct rules_read {
    struct arena arena; /* arrays of the rules' values */
    VEC(struct topo_rule) rules;
    uuids gone; /* asked for and not there; sorted */
};
int sync_rules_read(struct sync *s, const struct uuid *ids, size_t n, struct rules_read *out);
void sync_rules_free(struct rules_read *r);
/* The chain's rules in order: those just read, else as they were in 'old'; to be freed.  False when
 * there is one that is neither: the order is newer, or older, than the change log. */
bool sync_rules_in_order(const struct chain_item *c, const struct topo_chain *old,
                         const struct rules_read *r, struct topo_rule **out, size_t *n_out);

/* sync_logging.c */
/* A chain's loggers are few: all of them again. */
int sync_loggers_read(struct sync *s, struct chain_item *c);
/* Those whose resource is on; 'out' has room for c->loggers.n. */
uint32_t sync_loggers_active(struct sync *s, const struct chain_item *c, struct topo_logger *out);

#endif
