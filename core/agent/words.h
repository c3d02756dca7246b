/* Objects, drops and tags in words, for people.
 *
 * A tag is a hash; what it was made of is found by making the tags of everything that is loaded,
 * which is done once for a whole listing.  Thread: any registered topology reader. */
#ifndef MN_AGENT_WORDS_H
#define MN_AGENT_WORDS_H

#include "agent/drops.h"
#include "state/state.h"
#include "topology/policy.h"

#define WORDS_SIZE 192

/* "bridge web", or with its id when it has no name; "rule 3 of chain web-in", "route 10.0.0.0/8 of
 * router edge"; "" for none.  Rules and routes are looked for in all that is loaded.  Returns buf.
 */
char *words_object(const struct topo *t, enum topo_kind kind, const struct uuid *id,
                   char buf[WORDS_SIZE]);
char *words_ref(const struct topo *t, topo_ref ref, char buf[WORDS_SIZE]);

/* "10.0.0.1:80", "[fd00::1]:80".  Returns buf. */
#define ENDPOINT_SIZE 56
char *words_endpoint(const struct ip *ip, uint16_t port, char buf[ENDPOINT_SIZE]);
/* "tcp", "icmpv6", or the number. */
char *words_proto(uint8_t proto, char buf[8]);
/* "snat udp 10.0.0.1:5 > 10.9.0.1:53 as 192.0.2.1:1024 at router edge" */
char *words_record(const struct topo *t, const struct state_rec *r, char buf[WORDS_SIZE]);

/* The rule and its chain, or null; *place counts from 1. */
const struct topo_rule *words_find_rule(const struct topo *t, const struct uuid *id,
                                        const struct topo_chain **chain, uint32_t *place);
/* "type drop proto 6 dst-port 23": as an operator would have written it, as far as it fits. */
char *words_rule(const struct topo *t, const struct topo_rule *r, char buf[WORDS_SIZE]);

struct tag_words;
/* 'state' may be null; of more than WORDS_RECORDS records the rest is told by kind only. */
#define WORDS_RECORDS 100000
struct tag_words *tag_words_new(const struct topo *t, const struct state *state);
void tag_words_free(struct tag_words *w); /* null is fine */
/* 'key' is of the flow that has the tag: addresses nobody has learned are looked for in it. */
char *tag_words(const struct tag_words *w, tag_t tag, const struct flow_key *key,
                char buf[WORDS_SIZE]);

#endif
