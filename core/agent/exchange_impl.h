/* Between the files of the exchange.
 *
 *   exchange.c        partners, telling, timers
 *   exchange_hear.c   mail: who is believed, what comes of it
 *   exchange_fetch.c  connections of ports that move
 *   exchange_peers.c  who must know
 */
#ifndef MN_AGENT_EXCHANGE_IMPL_H
#define MN_AGENT_EXCHANGE_IMPL_H

#include <pthread.h>
#include <uthash.h>
#include <utlist.h>

#include "agent/exchange.h"
#include "agent/translate.h"
#include "base/clock.h"
#include "state/peer.h"
#include "topology/policy.h"

enum {
    WAITING_MAX = 4096, /* records whose device isn't interned yet */
    LETTERS_MAX = 64,   /* datagrams of hosts that are being looked up */
};

/* Another agent. */
struct partner {
    topo_ref host;
    struct peer *peer;
    struct wire_writer writer; /* begun while 'open' */
    uint8_t buf[WIRE_MAX];
    bool open, retell;
    uint64_t retell_at; /* place in the table */
    UT_hash_handle hh;
};

/* A record of a device nobody here has met. */
struct waiting {
    struct wire_record rec;
    uint64_t at;
    struct waiting *prev, *next;
};

/* A datagram of a host that is being looked up. */
struct letter {
    struct uuid sender;
    struct ip from;
    uint64_t at;
    struct letter *prev, *next;
    size_t size;
    uint8_t buf[];
};

/* A port that moved here, or (asked) whose connections are told to another host. */
struct fetch {
    topo_ref port, host;
    uint64_t question;
    uint64_t next_ns, until_ns;
    unsigned tries;
    bool asked;    /* by another */
    bool answered; /* the other has told all, up to number 'last' */
    uint64_t at;   /* asked: place in the table, UINT64_MAX at the end */
    uint64_t last;
    struct fetch *prev, *next;
};

/* A port that came from another host, or has gone there. */
struct moved {
    topo_ref port, host;
    UT_hash_handle hh;
};

struct exchange {
    struct exchange_options opts;
    struct exchange_callbacks cb;
    pthread_mutex_t lock; /* guards all that follows */
    struct partner *partners;
    struct waiting *waiting;
    unsigned n_waiting;
    struct letter *letters; /* oldest first */
    unsigned n_letters;
    struct fetch *fetches;
    struct moved *moved;
    uint64_t questions;
    unsigned n_meets; /* strangers looked up in this second */
    unsigned n_hosts_met;
    uint64_t meets_ns;
    struct exchange_counters counters;
    /* heard under the lock, told without it */
    size_t n_changes, changes_room;
    struct tag_change *changes;
    topo_ref *fetched;
    size_t n_fetched;
    uint64_t next_ns; /* when exchange_run() wanted to be called */
    bool due;         /* sooner than that: who waits for it shall not wait for the next timer */
};

struct partner *exchange_partner(struct exchange *x, topo_ref host);
void exchange_send(struct exchange *x, topo_ref host, const void *buf, size_t size);
void exchange_tell_one(struct exchange *x, struct partner *p, const struct state_rec *rec,
                       const struct state_via *via, uint64_t idle_ns, uint64_t now);
void exchange_close(struct exchange *x, struct partner *p, uint64_t now);
/* Without the lock: what was gathered under it. */
void exchange_announce(struct exchange *x);

/* The host that a port came here from, or has gone to; 0 none. */
topo_ref exchange_other(const struct exchange *x, topo_ref port);
void exchange_moves(struct exchange *x, topo_ref port, topo_ref host);

/* exchange_hear.c */
bool exchange_take_mail(struct exchange *x, uint64_t now); /* under the lock; true: some */
void exchange_commit(struct exchange *x, const struct wire_record *r, topo_ref device,
                     uint64_t now);

/* exchange_fetch.c; under the lock */
void exchange_asked(struct exchange *x, struct partner *p, const struct uuid *port,
                    uint64_t question, uint64_t now);
/* False: nobody asked that. */
bool exchange_answered(struct exchange *x, struct partner *p, uint64_t question, uint64_t last);
bool exchange_asking(const struct exchange *x, topo_ref host); /* for connections it has */
uint64_t exchange_run_fetches(struct exchange *x, uint64_t now);
/* Some more of what a partner that lost messages has to be told again. */
bool exchange_retell(struct exchange *x, struct partner *p, uint64_t now);

#endif
