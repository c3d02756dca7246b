#include "objects/impl.h"

#include <inttypes.h>
#include <stdio.h>

#include "base/hash.h"

void objects_path(enum schema_type_id type, const struct uuid *id, char path[STORE_PATH_MAX])
{
    char text[UUID_STRLEN];

    uuid_format(id, text);
    snprintf(path, STORE_PATH_MAX, "/%s/%.2s/%s", schema_types[type].plural, text, text);
}

void objects_change_path(enum schema_type_id type, const struct uuid *id, char path[STORE_PATH_MAX])
{
    objects_path(type, id, path);
    strcat(path, "/change");
}

void objects_state_path(enum schema_type_id type, const struct uuid *id, const char *key,
                        char path[STORE_PATH_MAX])
{
    char text[UUID_STRLEN];

    uuid_format(id, text);
    snprintf(path, STORE_PATH_MAX, "/state/%s/%.2s/%s%s%s", schema_types[type].plural, text, text,
             key[0] ? "/" : "", key);
}

unsigned objects_alive_group(const struct uuid *host)
{
    return host->b[0] / (256 / OBJECTS_ALIVE_GROUPS);
}

void objects_alive_folder(unsigned group, char path[STORE_PATH_MAX])
{
    snprintf(path, STORE_PATH_MAX, "/state/alive/%02x", group);
}

void objects_alive_path(const struct uuid *host, uint64_t inc, char path[STORE_PATH_MAX])
{
    char id[UUID_STRLEN];

    snprintf(path, STORE_PATH_MAX, "/state/alive/%02x/%s.%016" PRIx64, objects_alive_group(host),
             uuid_format(host, id), inc);
}

static size_t object_path(enum schema_type_id type, const struct uuid *id, char *path)
{
    objects_path(type, id, path);
    return strlen(path);
}

void path_refs(enum schema_type_id target, const struct uuid *id, enum schema_type_id from,
               const char *attr, unsigned shard, char path[STORE_PATH_MAX])
{
    size_t size = object_path(target, id, path);

    snprintf(path + size, STORE_PATH_MAX - size, "/%s.%s.%x", schema_types[from].plural, attr,
             shard);
}

void path_ref(enum schema_type_id target, const struct uuid *id, enum schema_type_id from,
              const char *attr, const struct uuid *referrer, char path[STORE_PATH_MAX])
{
    char text[UUID_STRLEN];

    path_refs(target, id, from, attr, referrer->b[0] >> 4, path);
    strcat(path, "/");
    strcat(path, uuid_format(referrer, text));
}

bool path_parse_refs(const char *folder, enum schema_type_id *from, char attr[64])
{
    const char *first = strchr(folder, '.'), *last = strrchr(folder, '.');
    size_t size = first && last > first ? (size_t)(last - first - 1) : 0;

    if (!size || size >= 64)
        return false;
    for (unsigned i = 0; i < ST_N_TYPES; i++)
        if (!strncmp(schema_types[i].plural, folder, (size_t)(first - folder)) &&
            !schema_types[i].plural[first - folder]) {
            *from = (enum schema_type_id)i;
            memcpy(attr, first + 1, size);
            attr[size] = '\0';
            return true;
        }
    return false;
}

void path_order(const struct uuid *chain, const char *chunk, char path[STORE_PATH_MAX])
{
    size_t size = object_path(ST_CHAIN, chain, path);

    snprintf(path + size, STORE_PATH_MAX - size, "/order%s%s", chunk ? "/" : "",
             chunk ? chunk : "");
}

static void hashed(const char *root, enum schema_type_id type, const char *text,
                   char path[STORE_PATH_MAX])
{
    XXH128_hash_t h = XXH3_128bits(text, strlen(text));

    snprintf(path, STORE_PATH_MAX, "/%s/%s/%02x/%016llx%016llx", root, schema_types[type].plural,
             (unsigned)(h.high64 >> 56), (unsigned long long)h.high64, (unsigned long long)h.low64);
}

void path_names(enum schema_type_id type, const char *name, char path[STORE_PATH_MAX])
{
    hashed("names", type, name, path);
}

void path_unique(enum schema_type_id type, const char *key, char path[STORE_PATH_MAX])
{
    hashed("unique", type, key, path);
}

void path_child(const char *parent, const char *name, char path[STORE_PATH_MAX])
{
    size_t size = strnlen(parent, STORE_PATH_MAX - 2);

    memcpy(path, parent, size);
    path[size] = '/';
    size_t more = strnlen(name, STORE_PATH_MAX - 2 - size);
    memcpy(path + size + 1, name, more);
    path[size + 1 + more] = '\0';
}

void generated_id(const char *key, struct uuid *id)
{
    XXH128_canonical_t c;

    XXH128_canonicalFromHash(&c, XXH3_128bits(key, strlen(key)));
    memcpy(id->b, c.digest, sizeof id->b);
    id->b[6] = (id->b[6] & 0x0f) | 0x80; /* version 8, as in schema_derived_id() */
    id->b[8] = (id->b[8] & 0x3f) | 0x80;
}

char *object_label(enum schema_type_id type, const struct uuid *id, char buf[96])
{
    char text[UUID_STRLEN];

    snprintf(buf, 96, "%s %s", schema_types[type].name, uuid_format(id, text));
    return buf;
}
