/* The name of a flow, folded: its key and mask in as few bytes as they need.
 *
 * Masks are few and shared by many flows: each is kept once, with the list of its 32-bit words that
 * are not zero.  A flow then keeps only those words of its key.  For IPv4 the constant upper 96
 * bits of the mapped addresses are left out as well. Thread: the owner of the flow table. */
#ifndef MN_AGENT_FLOWNAME_H
#define MN_AGENT_FLOWNAME_H

#include <stdbool.h>

#include "packet/flow.h"

#define FLOW_WORDS (sizeof(struct flow_key) / 4)

struct flow_mask {
    struct flow_key mask;
    uint64_t hash;    /* stable */
    uint32_t n_flows; /* the owner counts; 0: the slot is free */
    bool ip4;         /* mapped prefixes left out */
    uint8_t n_words;  /* that a key of this mask takes */
    uint8_t words[FLOW_WORDS];
};

struct flow_masks {
    struct flow_mask *masks; /* [0] unused */
    uint32_t n, room;        /* slots, in use or free for the next mask */
};

/* Takes out what a datapath doesn't match, and what the key's bits outside the mask say. */
void flow_name_clean(struct flow_key *key, struct flow_key *mask);

/* The number of a (clean) mask for a key of that kind; 0 when it isn't there and 'add' is false, or
 * no number is left. */
uint32_t flow_masks_find(struct flow_masks *m, const struct flow_key *key,
                         const struct flow_key *mask, bool add);
void flow_masks_free(struct flow_masks *m);

/* The same for the same flow in every process: the cookie. */
uint64_t flow_name_hash(const struct flow_key *key, uint64_t mask_hash);
uint64_t flow_mask_hash(const struct flow_key *mask);

void flow_name_fold(const struct flow_mask *m, const struct flow_key *key, uint32_t *words);
void flow_name_unfold(const struct flow_mask *m, const uint32_t *words, struct flow_key *key);

#endif
