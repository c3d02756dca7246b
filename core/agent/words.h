/* Objects, drops and tags in words, for people.
 *
 * A tag is a hash; what it was made of is found by making the tags of everything that is loaded,
 * which is done once for a whole listing.  Thread: any registered topology reader. */
#ifndef MN_AGENT_WORDS_H
#define MN_AGENT_WORDS_H

#include "agent/drops.h"

#define WORDS_SIZE 128

/* "bridge web", or with its id when it has no name; "" for none.  Returns buf. */
char *words_object(const struct topo *t, enum topo_kind kind, const struct uuid *id,
                   char buf[WORDS_SIZE]);
char *words_ref(const struct topo *t, topo_ref ref, char buf[WORDS_SIZE]);

struct tag_words;
struct tag_words *tag_words_new(const struct topo *t);
void tag_words_free(struct tag_words *w); /* null is fine */
/* 'key' is of the flow that has the tag: addresses nobody has learned are looked for in it. */
char *tag_words(const struct tag_words *w, tag_t tag, const struct flow_key *key,
                char buf[WORDS_SIZE]);

#endif
