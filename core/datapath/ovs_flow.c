/* The flow table.  A flow's unique id is made of its name, so nothing has to be remembered here to
 * find it again: 60 bits of hash, the variant, and the name's hash once more under another seed. */
#include <netlink/attr.h>
#include <stdlib.h>

#include "base/hash.h"
#include "base/log.h"
#include "base/mem.h"
#include "datapath/ovs_internal.h"

#define LIGHT (OVS_UFID_F_OMIT_KEY | OVS_UFID_F_OMIT_MASK) /* the note has them */

struct ufid {
    uint64_t hash[2]; /* the variant in the lowest bits of the first */
};

static struct ufid ufid_of(const struct dp_flow *f, enum ovs_variant variant)
{
    struct flow_key name[2];

    dp_flow_name(f, &name[0], &name[1]);
    return (struct ufid){{(hash_stable(name, sizeof name, 1) & ~15ull) | variant,
                          hash_stable(name, sizeof name, 2)}};
}

static int put_new(struct ovs_dp *d, struct ovs_buf *b, const struct dp_flow *f,
                   enum ovs_variant variant)
{
    struct ufid id = ufid_of(f, variant);
    int ttl = ovs_actions_need_ttl(f) ? f->key.ip_ttl : -1;

    if (ttl >= 0 && f->mask.ip_ttl != 0xff)
        return -ENOTSUP;
    ovs_begin(b, d->families[OVS_FLOW], OVS_FLOW_CMD_NEW, NLM_F_CREATE | NLM_F_EXCL, d->ifindex);
    ovs_put(b, OVS_FLOW_ATTR_UFID, &id, sizeof id);
    int rc = ovs_key_put(b, &f->key, &f->mask, variant, ttl);

    if (!rc)
        rc = ovs_actions_put(b, d, f, ttl);
    if (rc)
        b->failed = true;
    return ovs_end(b) ? -ENOTSUP : 0;
}

static void put_del(struct ovs_dp *d, struct ovs_buf *b, const struct dp_flow *f,
                    enum ovs_variant variant)
{
    struct ufid id = ufid_of(f, variant);

    ovs_begin(b, d->families[OVS_FLOW], OVS_FLOW_CMD_DEL, NLM_F_ECHO, d->ifindex);
    ovs_put(b, OVS_FLOW_ATTR_UFID, &id, sizeof id);
    ovs_put_u32(b, OVS_FLOW_ATTR_UFID_FLAGS, LIGHT | OVS_UFID_F_OMIT_ACTIONS);
    ovs_end(b);
}

static void read_stats(struct nlattr **a, struct dp_flow_stats *s)
{
    if (a[OVS_FLOW_ATTR_STATS] &&
        nla_len(a[OVS_FLOW_ATTR_STATS]) >= (int)sizeof(struct ovs_flow_stats)) {
        struct ovs_flow_stats k;

        memcpy(&k, nla_data(a[OVS_FLOW_ATTR_STATS]), sizeof k);
        s->packets += k.n_packets;
        s->bytes += k.n_bytes;
    }
    if (a[OVS_FLOW_ATTR_USED] && nla_len(a[OVS_FLOW_ATTR_USED]) >= 8)
        s->used_ns = MAX(s->used_ns, nla_get_u64(a[OVS_FLOW_ATTR_USED]) * 1000000);
}

static int on_deleted(unsigned index, const struct nlmsghdr *h, void *aux)
{
    struct nlattr *a[OVS_FLOW_ATTR_MAX + 1];

    (void)index;
    if (aux && !ovs_attrs(h, a, OVS_FLOW_ATTR_MAX))
        read_stats(a, aux);
    return 0;
}

/* All variants of one flow; 0 when there was one. */
static int delete (struct ovs_dp *d, unsigned queue, const struct dp_flow *f,
                   struct dp_flow_stats *stats)
{
    struct ovs_queue *q = &d->queues[queue];
    unsigned variants = ovs_key_variants(&f->key, &f->mask), n = 0;
    int rcs[OVS_N_VARIANTS], rc = -ENOENT;

    ovs_buf_reset(&q->buf, &q->sock);
    for (unsigned v = 0; v < OVS_N_VARIANTS; v++)
        if (variants & 1u << v) {
            put_del(d, &q->buf, f, v);
            n++;
        }
    int failed = ovs_talk(&q->sock, &q->buf, rcs, on_deleted, stats);

    for (unsigned i = 0; i < n && !failed; i++)
        if (!rcs[i])
            rc = 0;
    return failed ? failed : rc;
}

int ovs_flow_del(struct dp *dp, unsigned queue, const struct dp_flow *flows, size_t n,
                 struct dp_flow_stats *stats)
{
    struct ovs_dp *d = ovs_of(dp);
    int failed = 0;

    for (size_t i = 0; i < n; i++) {
        if (stats)
            stats[i] = (struct dp_flow_stats){0};
        if (delete (d, queue, &flows[i], stats ? &stats[i] : NULL))
            failed++;
        else
            atomic_fetch_sub(&d->n_flows, 1);
    }
    return failed;
}

static int refusal(int code)
{
    bool cant = code == -EINVAL || code == -ERANGE || code == -E2BIG || code == -EMSGSIZE;

    return cant ? -ENOTSUP : code;
}

/* One flow alone, in the place of what has its name; *replaced when there was such a one.  What
 * another flow covers stays covered by it: that is right for its packets, too. */
static int replace(struct ovs_dp *d, unsigned queue, const struct dp_flow *f, bool *replaced)
{
    struct ovs_queue *q = &d->queues[queue];
    unsigned variants = ovs_key_variants(&f->key, &f->mask), n = 0, made = 0;
    int rcs[OVS_N_VARIANTS], rc = -ENOTSUP;

    *replaced = !delete (d, queue, f, NULL);
    ovs_buf_reset(&q->buf, &q->sock);
    for (unsigned v = 0; v < OVS_N_VARIANTS; v++)
        n += variants & 1u << v && !put_new(d, &q->buf, f, v);
    if (n)
        rc = ovs_talk(&q->sock, &q->buf, rcs, NULL, NULL);
    for (unsigned i = 0; i < n && !rc; i++)
        made += rcs[i] == 0;
    if (rc || made)
        return rc;
    atomic_fetch_add(&d->overlap, 1);
    return -ENOTSUP;
}

struct batch {
    size_t flow[OVS_BATCH]; /* of each message */
    int rcs[OVS_BATCH];
};

/* The kernel says "exists" of the same flow and of another that covers this one's packets. */
static int settle(struct ovs_dp *d, unsigned queue, const struct dp_flow *f, int rc)
{
    bool replaced = false;

    if (rc == -EEXIST)
        rc = replace(d, queue, f, &replaced);
    else if (rc)
        delete (d, queue, f, NULL); /* one variant may be there */
    unsigned fewer = (rc != 0) + replaced;

    if (fewer)
        atomic_fetch_sub(&d->n_flows, fewer);
    return rc;
}

static void flush(struct ovs_dp *d, unsigned queue, struct batch *batch,
                  const struct dp_flow *flows, int *results)
{
    struct ovs_queue *q = &d->queues[queue];
    unsigned n = q->buf.n;
    int rc = ovs_talk(&q->sock, &q->buf, batch->rcs, NULL, NULL);

    for (unsigned i = 0; i < n; i++) {
        int *result = &results[batch->flow[i]], code = rc ? rc : batch->rcs[i];

        if (code && *result != -EEXIST)
            *result = code == -ENOENT ? -EEXIST : refusal(code);
    }
    for (unsigned i = 0; i < n; i++) {
        size_t at = batch->flow[i];

        if (results[at] && (!i || batch->flow[i - 1] != at))
            results[at] = settle(d, queue, &flows[at], results[at]);
    }
}

/* Is it there?  Asked only when the table is full: then only a replacement is possible. */
static bool exists(struct ovs_dp *d, unsigned queue, const struct dp_flow *f)
{
    struct ovs_queue *q = &d->queues[queue];
    struct ufid id = ufid_of(f, (enum ovs_variant)__builtin_ctz(
                                    ovs_key_variants(&f->key, &f->mask) | 1u << OVS_N_VARIANTS));

    ovs_buf_reset(&q->buf, &q->sock);
    ovs_begin(&q->buf, d->families[OVS_FLOW], OVS_FLOW_CMD_GET, 0, d->ifindex);
    ovs_put(&q->buf, OVS_FLOW_ATTR_UFID, &id, sizeof id);
    ovs_put_u32(&q->buf, OVS_FLOW_ATTR_UFID_FLAGS, LIGHT | OVS_UFID_F_OMIT_ACTIONS);
    ovs_end(&q->buf);
    return !ovs_talk_one(&q->sock, &q->buf, NULL, NULL);
}

static int add_one(struct ovs_dp *d, unsigned queue, const struct dp_flow *f, size_t at,
                   struct batch *batch)
{
    struct ovs_buf *b = &d->queues[queue].buf;
    unsigned variants = ovs_key_variants(&f->key, &f->mask);
    int rc = variants ? 0 : -ENOTSUP;

    for (unsigned v = 0; v < OVS_N_VARIANTS && !rc; v++) {
        if (!(variants & 1u << v))
            continue;
        rc = put_new(d, b, f, v);
        if (!rc)
            batch->flow[b->n - 1] = at;
    }
    return rc;
}

int ovs_flow_put(struct dp *dp, unsigned queue, const struct dp_flow *flows, size_t n, int *rcs)
{
    struct ovs_dp *d = ovs_of(dp);
    struct ovs_buf *b = &d->queues[queue].buf;
    int *results = rcs ? rcs : NEW_ARRAY(n, int), failed = 0;
    struct batch batch;

    memset(results, 0, n * sizeof *results);
    ovs_buf_reset(b, &d->queues[queue].sock);
    for (size_t i = 0; i < n; i++) {
        if (b->n + OVS_N_VARIANTS > OVS_BATCH || b->size > OVS_BATCH_BYTES)
            flush(d, queue, &batch, flows, results);
        if (ovs_n_flows(d) >= d->opts.max_flows) {
            flush(d, queue, &batch, flows, results);
            if (!exists(d, queue, &flows[i])) {
                atomic_fetch_add(&d->table_full, 1);
                results[i] = -ENOSPC;
                continue;
            }
        }
        results[i] = add_one(d, queue, &flows[i], i, &batch);
        if (!results[i])
            atomic_fetch_add(&d->n_flows, 1);
    }
    flush(d, queue, &batch, flows, results);
    for (size_t i = 0; i < n; i++)
        failed += results[i] != 0;
    if (!rcs)
        free(results);
    return failed;
}

/* Dumps. */

struct pending { /* a flow of several variants, some of which have been seen */
    uint64_t id;
    unsigned left;
    struct dp_flow_stats stats;
    UT_hash_handle hh;
    uint8_t note[] __attribute__((aligned(8))); /* struct ovs_note */
};

struct dump {
    struct ovs_dp *d;
    dp_flow_fn *fn;
    void *aux;
    int n; /* told */
    struct pending *pending;
    struct ovs_note *note; /* of the flow at hand */
    struct ovs_buf
        *strangers; /* adopting: messages that delete flows which carry no note of ours */
};

static int tell(struct dump *dump, const struct ovs_note *note, const struct dp_flow_stats *stats)
{
    struct dp_flow f = {.key = note->key,
                        .mask = note->mask,
                        .cookie = note->cookie,
                        .outs = note->outs,
                        .n_outs = note->n_outs};

    dump->n++;
    return dump->fn(&f, stats, dump->aux);
}

static unsigned n_variants(const struct ovs_note *note)
{
    return (unsigned)__builtin_popcount(ovs_key_variants(&note->key, &note->mask));
}

static int tell_split(struct dump *dump, uint64_t id, size_t size,
                      const struct dp_flow_stats *stats)
{
    struct pending *p;

    HASH_FIND(hh, dump->pending, &id, sizeof id, p);
    if (!p) {
        p = mem_alloc(sizeof *p + size);
        p->id = id;
        p->left = n_variants(dump->note) - 1;
        p->stats = *stats;
        memcpy(p->note, dump->note, size);
        HASH_ADD(hh, dump->pending, id, sizeof id, p);
        return 0;
    }
    p->stats.packets += stats->packets;
    p->stats.bytes += stats->bytes;
    p->stats.used_ns = MAX(p->stats.used_ns, stats->used_ns);
    if (--p->left)
        return 0;
    int rc = tell(dump, dump->note, &p->stats);

    HASH_DEL(dump->pending, p);
    free(p);
    return rc;
}

/* Of another version, or somebody else's: nobody would ever remove it. */
static void put_del_stranger(struct dump *dump, struct nlattr **a)
{
    int which = a[OVS_FLOW_ATTR_UFID] ? OVS_FLOW_ATTR_UFID : OVS_FLOW_ATTR_KEY;

    if (!a[which])
        return;
    ovs_begin(dump->strangers, dump->d->families[OVS_FLOW], OVS_FLOW_CMD_DEL, 0, dump->d->ifindex);
    ovs_put(dump->strangers, which, nla_data(a[which]), (size_t)nla_len(a[which]));
    ovs_end(dump->strangers);
}

static int on_flow(unsigned index, const struct nlmsghdr *h, void *aux)
{
    struct dump *dump = aux;
    struct nlattr *a[OVS_FLOW_ATTR_MAX + 1];
    struct dp_flow_stats stats = {0};
    uint64_t id;

    (void)index;
    if (ovs_attrs(h, a, OVS_FLOW_ATTR_MAX))
        return 0;
    size_t size = ovs_note_read(a[OVS_FLOW_ATTR_ACTIONS], dump->note);

    if (!size && dump->strangers)
        put_del_stranger(dump, a);
    if (size && dump->note->kind == OVS_NOTE_BIND && dump->strangers)
        ovs_tunnel_adopt_bind(dump->d, dump->note->tun_id, dump->note->port_no);
    if (!size || dump->note->kind != OVS_NOTE_FLOW || !a[OVS_FLOW_ATTR_UFID] ||
        nla_len(a[OVS_FLOW_ATTR_UFID]) < (int)sizeof(struct ufid))
        return 0;
    memcpy(&id, nla_data(a[OVS_FLOW_ATTR_UFID]), sizeof id);
    read_stats(a, &stats);
    if (n_variants(dump->note) < 2)
        return tell(dump, dump->note, &stats);
    return tell_split(dump, id & ~15ull, size, &stats);
}

/* Flows of which one variant isn't there: another flow covers its packets. */
static int tell_rest(struct dump *dump, int rc)
{
    struct pending *p, *next;

    HASH_ITER (hh, dump->pending, p, next) {
        HASH_DEL(dump->pending, p);
        if (!rc)
            rc = tell(dump, (const struct ovs_note *)p->note, &p->stats);
        free(p);
    }
    return rc;
}

static int dump_flows(struct dump *dump)
{
    struct ovs_dp *d = dump->d;

    dump->note = mem_alloc(OVS_NOTE_ROOM);
    ovs_buf_reset(&d->buf, &d->control);
    ovs_begin(&d->buf, d->families[OVS_FLOW], OVS_FLOW_CMD_GET, NLM_F_DUMP, d->ifindex);
    ovs_put_u32(&d->buf, OVS_FLOW_ATTR_UFID_FLAGS, LIGHT);
    ovs_end(&d->buf);
    int rc = tell_rest(dump, ovs_dump(&d->control, &d->buf, on_flow, dump));

    free(dump->note);
    return rc;
}

/* Also corrects the count of flows, unless it moves meanwhile: others may have removed some. */
int ovs_flow_each(struct dp *dp, dp_flow_fn *fn, void *aux)
{
    struct ovs_dp *d = ovs_of(dp);
    struct dump dump = {.d = d, .fn = fn, .aux = aux};
    int before = atomic_load(&d->n_flows), rc = dump_flows(&dump);

    if (!rc)
        atomic_compare_exchange_strong(&d->n_flows, &before, dump.n);
    return rc;
}

struct adoption {
    struct dump dump;
    struct dp_flow *stale;
    size_t n_stale;
};

/* Flows are counted; port numbers they lead to are not given away; what sends packets up to an
 * address we couldn't get again can't stay. */
static int adopt(const struct dp_flow *f, const struct dp_flow_stats *stats, void *aux)
{
    struct adoption *ad = aux;
    struct ovs_dp *d = ad->dump.d;

    (void)stats;
    atomic_fetch_add(&d->n_flows, 1);
    ovs_port_seen(d, f->key.in_port);
    for (unsigned i = 0; i < f->n_outs; i++)
        if (f->outs[i].kind == FLOW_OUT_PORT)
            ovs_port_seen(d, f->outs[i].port);
    if (ad->dump.note->pid_base == d->pid_base || !dp_ttl_needed(f->outs, f->n_outs))
        return 0;
    ad->stale = mem_resize(ad->stale, (ad->n_stale + 1) * sizeof *ad->stale);
    ad->stale[ad->n_stale] = *f;
    ad->stale[ad->n_stale++].n_outs = 0;
    return 0;
}

int ovs_flows_adopt(struct ovs_dp *d)
{
    struct ovs_buf strangers = {0};
    struct adoption ad = {.dump = {.d = d, .fn = adopt, .strangers = &strangers}};

    ad.dump.aux = &ad;
    int rc = dump_flows(&ad.dump);

    if (strangers.n)
        log_warn("datapath", "removed flows that can't be taken over name=%s flows=%u", d->name,
                 strangers.n);
    ovs_talk_many(&d->control, &strangers);
    ovs_buf_free(&strangers);
    ovs_flow_del(&d->dp, 0, ad.stale, ad.n_stale, NULL);
    free(ad.stale);
    return rc;
}
