/* Learned tables, as the loader keeps them: claims of all hosts, chunks in the store, what is to be
 * written.  For the files of the loader only. */
#ifndef MN_TOPOLOGY_SYNC_TABLE_H
#define MN_TOPOLOGY_SYNC_TABLE_H

#include "topology/sync_impl.h"

/* sync_claim.c */
#define CHUNK_NAME 80

struct chunk {
    char name[CHUNK_NAME]; /* HOST.INC.K; key of the hash */
    topo_ref host;
    uint64_t inc;
    struct claim *claims;
    uint32_t n, gen;
    bool own, due, created; /* own chunks: to be written; is in the store */
    UT_hash_handle hh;
};

struct claim_key {
    uint64_t a, b; /* MAC and VLAN, 0; or the address */
    uint64_t port; /* 0; or the router port */
};

struct claim {
    struct claim_key key;
    struct chunk *chunk;
    struct claim *prev, *next; /* of its chunk */
    int64_t seq; /* revision of the log that made it; not yet written: -1 - the revision then */
    uint32_t gen;
    uint64_t at;    /* MAC: last seen here; neighbour: learned; by 'now' */
    topo_ref port;  /* MAC: the value */
    struct mac mac; /* neighbour: the value */
    UT_hash_handle hh;
};

/* A seeded MAC: what holds when nobody claims it. */
struct table_seed {
    struct claim_key key;
    topo_ref port;
};

enum { LOG_MAX = 32 };

struct table_log {
    int64_t rev, version; /* version of the node; -1: isn't there */
    unsigned n;
    struct {
        int64_t rev;
        char name[CHUNK_NAME];
    } entries[LOG_MAX]; /* newest first */
};

struct table {
    struct device_item *device;
    bool loaded, watched;
    struct table_log log;
    struct chunk *chunks;
    struct claim *claims;
    uint32_t n_own;       /* claims in own chunks */
    uint32_t n_unwritten; /* of them, those with seq < 0 */
    struct chunk *open;   /* own, where the next claim goes */
    bool due;             /* an own chunk is */
    uint64_t flush_at, flushed_at;
    unsigned conflicts;           /* in a row */
    refs came;                    /* hosts whose chunks have to be looked for */
    VEC(struct table_seed) seeds; /* sorted by key */
    /* The published tables; the device's published object owns them. */
    struct topo_mac_table *macs;
    struct topo_neigh_table *neighs;
};

void sync_table_free(struct sync *s, struct device_item *d);
struct table *sync_table(struct sync *s, struct device_item *d); /* made if there is none */
void sync_table_path(const struct sync *s, const struct device_item *d, const char *chunk,
                     char path[STORE_PATH_MAX]);
struct claim_key sync_mac_key(uint16_t vlan, const struct mac *mac);
struct claim_key sync_neigh_key(topo_ref port, const struct ip *ip);
struct claim *sync_claim_find(struct table *t, const struct claim_key *key);
struct claim *sync_claim_take(struct table *t, const struct claim_key *key, struct chunk *chunk);
/* Out of its chunk and the table; what follows for the topology is announced. */
void sync_claim_drop(struct sync *s, struct table *t, struct claim *c);
/* Enters what the claim says, or with null what holds without one, into the published table. */
void sync_table_set(struct sync *s, struct table *t, const struct claim_key *key,
                    const struct claim *c);
size_t sync_table_memory(const struct table *t);

/* sync_table.c */
int sync_refresh_table(struct sync *s, struct device_item *d);
/* The host is there in a new life, or again: the tables become due. */
void sync_tables_of_host(struct sync *s, const struct host_item *h);
int sync_table_catch_up(struct sync *s, struct table *t);

/* sync_share.c */
void sync_share_mac(struct sync *s, const struct said *w);
void sync_share_neigh(struct sync *s, const struct said *w);
void sync_share_forget(struct sync *s, struct table *t, struct claim *c);
void sync_share_forget_port(struct sync *s, topo_ref port);
void sync_share_lost(struct sync *s, struct table *t, struct chunk *own);
int sync_share_flush(struct sync *s);
/* Own state and learned tables that are due are written at some moment within 'ns'. */
void sync_share_spread(struct sync *s, uint64_t ns);
void sync_share_sweep(struct sync *s);

/* sync_learn.c */
void sync_inbox_init(struct sync *s);
void sync_inbox_free(struct sync *s);
void sync_take_inbox(struct sync *s);

#endif
