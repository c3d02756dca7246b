#include "cli/alias.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <uthash.h>

#include "base/mem.h"

struct name_key {
    struct uuid parent;
    char name[64]; /* zero-padded: hashed whole */
};

struct alias {
    struct uuid id;
    struct name_key name;
    enum schema_type_id type;
    UT_hash_handle by_id, by_name;
};

/* The next number for a prefix in a namespace. */
struct counter {
    struct name_key key; /* name: the prefix */
    unsigned next;
    UT_hash_handle hh;
};

struct aliases {
    struct alias *by_id, *by_name;
    struct counter *counters;
};

struct aliases *aliases_new(void)
{
    return NEW(struct aliases);
}

void aliases_free(struct aliases *as)
{
    struct alias *a, *next_alias;
    struct counter *c, *next_counter;

    if (!as)
        return;
    HASH_CLEAR(by_name, as->by_name);
    HASH_ITER (by_id, as->by_id, a, next_alias) {
        HASH_DELETE(by_id, as->by_id, a);
        free(a);
    }
    HASH_ITER (hh, as->counters, c, next_counter) {
        HASH_DEL(as->counters, c);
        free(c);
    }
    free(as);
}

static struct name_key key_of(const struct uuid *parent, const char *name)
{
    struct name_key k = {.parent = *parent};

    memcpy(k.name, name, strnlen(name, sizeof k.name - 1));
    return k;
}

static struct alias *find_name(const struct aliases *as, const struct name_key *key)
{
    struct alias *a;

    HASH_FIND(by_name, as->by_name, key, sizeof *key, a);
    return a;
}

static struct alias *find_id(const struct aliases *as, const struct uuid *id)
{
    struct alias *a;

    HASH_FIND(by_id, as->by_id, id, sizeof *id, a);
    return a;
}

const char *alias_of(const struct aliases *as, const struct uuid *id, struct uuid *parent)
{
    const struct alias *a = find_id(as, id);

    if (a)
        *parent = a->name.parent;
    return a ? a->name.name : NULL;
}

static unsigned *counter_of(struct aliases *as, const struct uuid *parent, const char *prefix)
{
    struct name_key key = key_of(parent, prefix);
    struct counter *c;

    HASH_FIND(hh, as->counters, &key, sizeof key, c);
    if (!c) {
        c = NEW(struct counter);
        c->key = key;
        HASH_ADD(hh, as->counters, key, sizeof c->key, c);
    }
    return &c->next;
}

const char *alias_give(struct aliases *as, const struct uuid *parent, enum schema_type_id type,
                       const struct uuid *id, alias_taken_fn *taken, void *aux)
{
    const char *prefix = schema_types[type].alias;
    char name[64];
    struct alias *a;

    if (!prefix)
        return NULL;
    a = find_id(as, id);
    if (a)
        return a->name.name;
    unsigned *next = counter_of(as, parent, prefix);
    do
        snprintf(name, sizeof name, "%s%u", prefix, (*next)++);
    while (taken && taken(name, aux));
    a = NEW(struct alias);
    a->id = *id;
    a->name = key_of(parent, name);
    a->type = type;
    HASH_ADD(by_id, as->by_id, id, sizeof a->id, a);
    HASH_ADD(by_name, as->by_name, name, sizeof a->name, a);
    return a->name.name;
}

bool alias_find(const struct aliases *as, const struct uuid *parent, const char *name,
                enum schema_type_id *type, struct uuid *id)
{
    struct name_key key = key_of(parent, name);
    const struct alias *a = strlen(name) < sizeof key.name ? find_name(as, &key) : NULL;

    if (!a)
        return false;
    *type = a->type;
    *id = a->id;
    return true;
}

void alias_each(const struct aliases *as, const struct uuid *parent, enum schema_type_id type,
                void (*fn)(const char *name, void *aux), void *aux)
{
    for (const struct alias *a = as->by_id; a; a = a->by_id.next)
        if (a->type == type && uuid_equal(&a->name.parent, parent))
            fn(a->name.name, aux);
}
