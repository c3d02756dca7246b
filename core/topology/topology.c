#include "topology/topology.h"

#include <stdlib.h>

#include "base/hash.h"
#include "base/mem.h"
#include "topology/dhcp.h"
#include "topology/lpm.h"
#include "topology/policy.h"
#include "topology/rule_index.h"
#include "topology/tables.h"

struct topo_name {
    struct uuid id;
    uint8_t kind;
};

struct topo {
    struct topo_slots *slots; /* first: topo_get() is inline */
    uint32_t used;            /* refs handed out are 1..used */
    uint64_t revs;
    uint32_t n_objects[TOPO_N_KINDS]; /* without placeholders */
};

/* In front of every object.  Object and arrays are one allocation, freed together. */
struct block {
    size_t size, used; /* of what follows */
    bool keep_tables, keep_routes, keep_hosts;
    char pad[13];
};
_Static_assert(sizeof(struct block) % 16 == 0, "objects are 16-byte aligned");

static const char *const kind_names[TOPO_N_KINDS] = {
    "none",       "port",          "bridge",        "router", "chain", "host",
    "port-group", "ip-addr-group", "load-balancer", "mirror", "route", "rule"};

const char *topo_kind_name(enum topo_kind k)
{
    return k < TOPO_N_KINDS ? kind_names[k] : "unknown";
}

static struct block *block_of(const void *obj)
{
    return (struct block *)(uintptr_t)obj - 1;
}

/* Never cuts a UTF-8 character in two: the name is printed as JSON later. */
static void copy_name(char out[40], const char *name)
{
    size_t size = strlen(name);

    if (size > 39) {
        size = 39;
        while (size && ((unsigned char)name[size] & 0xc0) == 0x80)
            size--;
    }
    memcpy(out, name, size);
}

void *topo_object(enum topo_kind kind, size_t size, size_t extra, const struct uuid *id,
                  const char *name)
{
    size_t used = (size + 15) & ~(size_t)15, total = used + ((extra + 15) & ~(size_t)15);
    struct block *b = mem_zalloc(sizeof *b + total);
    struct topo_obj *o = (struct topo_obj *)(b + 1);

    b->size = total;
    b->used = used;
    o->id = *id;
    o->kind = (uint8_t)kind;
    copy_name(o->name, name ? name : "");
    return o;
}

void *topo_extra(void *obj, size_t size)
{
    struct block *b = block_of(obj);
    size_t take = (size + 15) & ~(size_t)15;

    if (!size)
        return NULL;
    if (take > b->size - b->used)
        abort(); /* the caller's sum of sizes is wrong */
    b->used += take;
    return (char *)obj + b->used - take;
}

struct topo_shared *topo_shared_new(size_t size)
{
    struct topo_shared *p = mem_zalloc(sizeof *p + size);

    p->refs = 1;
    p->size = size;
    return p;
}

struct topo_shared *topo_shared_ref(struct topo_shared *p)
{
    if (p)
        __atomic_add_fetch(&p->refs, 1, __ATOMIC_RELAXED);
    return p;
}

static void shared_drop(struct topo_shared *p)
{
    if (p && !__atomic_sub_fetch(&p->refs, 1, __ATOMIC_ACQ_REL))
        free(p);
}

static size_t shared_memory(const struct topo_shared *p)
{
    return p ? sizeof *p + p->size : 0;
}

/* What hangs on an object outside its block. */
static void free_parts(struct topo_obj *o, const struct block *b)
{
    switch (o->kind) {
    case TOPO_BRIDGE:
        shared_drop(((struct topo_bridge *)o)->port_lists);
        shared_drop(((struct topo_bridge *)o)->seed_list);
        if (!b->keep_tables)
            topo_mac_table_free(((struct topo_bridge *)o)->macs);
        if (!b->keep_hosts)
            topo_dhcp_hosts_free(((struct topo_bridge *)o)->dhcp_hosts);
        break;
    case TOPO_ROUTER:
        if (!b->keep_tables)
            topo_neigh_table_free(((struct topo_router *)o)->neighs);
        if (!b->keep_routes)
            topo_lpm_free(((struct topo_router *)o)->routes);
        break;
    case TOPO_CHAIN:
        rule_index_free(((struct topo_chain *)o)->index);
        break;
    case TOPO_IP_GROUP:
        if (!b->keep_tables)
            topo_ip_set_free(((struct topo_ip_group *)o)->members);
        break;
    }
}

void topo_discard(struct topo_obj *o)
{
    struct block *b = block_of(o);

    if (!o->missing)
        free_parts(o, b);
    free(b);
}

static void free_retired(struct rcu_head *head)
{
    topo_discard(caa_container_of(head, struct topo_obj, rcu));
}

/* Marks what 'old' must leave alive because its successor uses it. */
static void hand_over(struct topo_obj *old, const struct topo_obj *successor)
{
    struct block *b = block_of(old);

    if (!successor || successor->kind != old->kind || successor->missing || old->missing)
        return;
    if (old->kind == TOPO_BRIDGE) {
        const struct topo_bridge *was = (struct topo_bridge *)old,
                                 *is = (const struct topo_bridge *)successor;
        b->keep_tables = was->macs == is->macs;
        b->keep_hosts = was->dhcp_hosts == is->dhcp_hosts;
    } else if (old->kind == TOPO_ROUTER) {
        const struct topo_router *was = (struct topo_router *)old,
                                 *is = (const struct topo_router *)successor;
        b->keep_tables = was->neighs == is->neighs;
        b->keep_routes = was->routes == is->routes;
    } else if (old->kind == TOPO_IP_GROUP) {
        b->keep_tables = ((struct topo_ip_group *)old)->members ==
                         ((const struct topo_ip_group *)successor)->members;
    }
}

static struct topo_slots *slots_new(uint32_t n)
{
    uint32_t n_index = n * 2; /* never more than half full */
    struct topo_slots *s =
        mem_zalloc(sizeof *s + n * (sizeof(struct topo_obj *) + sizeof(struct topo_name)) +
                   n_index * sizeof(uint32_t));

    s->n = n;
    s->index_mask = n_index - 1;
    s->index = (uint32_t *)(void *)&s->objs[n];
    s->names = (struct topo_name *)&s->index[n_index];
    return s;
}

static size_t slots_size(const struct topo_slots *s)
{
    return sizeof *s + s->n * (sizeof(struct topo_obj *) + sizeof(struct topo_name)) +
           (s->index_mask + 1) * sizeof(uint32_t);
}

static void free_slots(struct rcu_head *head)
{
    free(caa_container_of(head, struct topo_slots, rcu));
}

static uint32_t index_start(const struct topo_slots *s, const struct uuid *id)
{
    return (uint32_t)hash_bytes(id, sizeof *id, 0) & s->index_mask;
}

/* Where 'id' is in the index, or the free place where it would be. */
static uint32_t *index_place(const struct topo_slots *s, const struct uuid *id, topo_ref *ref)
{
    for (uint32_t i = index_start(s, id);; i = (i + 1) & s->index_mask) {
        *ref = __atomic_load_n(&s->index[i], __ATOMIC_ACQUIRE);
        if (!*ref || uuid_equal(&s->names[*ref].id, id))
            return &s->index[i];
    }
}

struct topo *topo_new(void)
{
    struct topo *t = NEW(struct topo);

    t->slots = slots_new(64);
    return t;
}

void topo_free(struct topo *t)
{
    if (!t)
        return;
    for (uint32_t i = 1; i <= t->used; i++) {
        if (t->slots->objs[i])
            topo_discard(t->slots->objs[i]);
    }
    rcu_barrier();
    free(t->slots);
    free(t);
}

static void grow(struct topo *t)
{
    struct topo_slots *old = t->slots, *s = slots_new(old->n * 2);
    topo_ref none;

    memcpy(s->objs, old->objs, old->n * sizeof old->objs[0]);
    memcpy(s->names, old->names, old->n * sizeof old->names[0]);
    for (topo_ref r = 1; r <= t->used; r++)
        *index_place(s, &s->names[r].id, &none) = r;
    __atomic_store_n(&t->slots, s, __ATOMIC_RELEASE);
    call_rcu(&old->rcu, free_slots);
}

topo_ref topo_intern(struct topo *t, enum topo_kind kind, const struct uuid *id)
{
    topo_ref ref;

    if (t->used + 1 == t->slots->n)
        grow(t);
    uint32_t *place = index_place(t->slots, id, &ref);
    if (ref) {
        if (!t->slots->names[ref].kind) /* met first by somebody who didn't know */
            __atomic_store_n(&t->slots->names[ref].kind, (uint8_t)kind, __ATOMIC_RELAXED);
        return ref;
    }
    ref = ++t->used;
    t->slots->names[ref] = (struct topo_name){*id, (uint8_t)kind};
    __atomic_store_n(place, ref, __ATOMIC_RELEASE);
    return ref;
}

static const struct topo_slots *slots_of(const struct topo *t)
{
    return __atomic_load_n(&t->slots, __ATOMIC_ACQUIRE);
}

topo_ref topo_find(const struct topo *t, const struct uuid *id)
{
    topo_ref ref;

    index_place(slots_of(t), id, &ref);
    return ref;
}

const struct uuid *topo_id(const struct topo *t, topo_ref ref)
{
    const struct topo_slots *s = slots_of(t);

    return ref && ref < s->n ? &s->names[ref].id : &uuid_zero;
}

enum topo_kind topo_kind_of(const struct topo *t, topo_ref ref)
{
    const struct topo_slots *s = slots_of(t);

    return ref && ref < s->n ? (enum topo_kind)s->names[ref].kind : TOPO_NONE;
}

static void put(struct topo *t, topo_ref ref, struct topo_obj *obj)
{
    struct topo_obj *old = t->slots->objs[ref];

    if (obj && !obj->missing)
        t->n_objects[obj->kind]++;
    if (old && !old->missing)
        t->n_objects[old->kind]--;
    __atomic_store_n(&t->slots->objs[ref], obj, __ATOMIC_RELEASE);
    if (old) {
        hand_over(old, obj);
        call_rcu(&old->rcu, free_retired);
    }
}

topo_ref topo_publish(struct topo *t, struct topo_obj *obj)
{
    topo_ref ref = topo_intern(t, (enum topo_kind)obj->kind, &obj->id);

    obj->self = ref;
    obj->rev = ++t->revs;
    put(t, ref, obj);
    return ref;
}

void topo_unload(struct topo *t, topo_ref ref)
{
    if (ref && ref <= t->used)
        put(t, ref, NULL);
}

uint32_t topo_count(const struct topo *t, enum topo_kind kind)
{
    return t->n_objects[kind];
}

static size_t object_memory(const struct topo_obj *o)
{
    const struct block *b = block_of(o);
    size_t size = sizeof *b + b->size;

    if (o->missing)
        return size;
    switch (o->kind) {
    case TOPO_BRIDGE:
        return size + topo_mac_memory(((const struct topo_bridge *)o)->macs) +
               shared_memory(((const struct topo_bridge *)o)->port_lists) +
               shared_memory(((const struct topo_bridge *)o)->seed_list) +
               topo_dhcp_memory(((const struct topo_bridge *)o)->dhcp_hosts);
    case TOPO_ROUTER:
        return size + topo_neigh_memory(((const struct topo_router *)o)->neighs) +
               topo_lpm_memory(((const struct topo_router *)o)->routes);
    case TOPO_CHAIN:
        return size + rule_index_memory(((const struct topo_chain *)o)->index);
    case TOPO_IP_GROUP:
        return size + topo_ip_set_memory(((const struct topo_ip_group *)o)->members);
    default:
        return size;
    }
}

size_t topo_memory(const struct topo *t)
{
    const struct topo_slots *s = slots_of(t);
    size_t size = sizeof *t + slots_size(s);

    for (uint32_t i = 1; i < s->n; i++) {
        const struct topo_obj *o = __atomic_load_n(&s->objs[i], __ATOMIC_ACQUIRE);
        if (o)
            size += object_memory(o);
    }
    return size;
}
