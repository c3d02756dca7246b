#include "zone.h"

#include <ifaddrs.h>
#include <net/if.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>

#include "cli/ref.h"

static char *host_name(struct cli *cli, const struct uuid *id)
{
    char text[UUID_STRLEN], *name = NULL;
    json_t *host;

    if (!objects_get(cli->db, ST_HOST, id, &host, NULL)) {
        const char *s = json_string_value(json_object_get(host, "name"));
        if (s && *s)
            name = mem_strdup(s);
        json_decref(host);
    }
    return name ? name : mem_strdup(uuid_format(id, text));
}

struct loading {
    struct cli *cli;
    struct zone *zone;
};

static int add_member(json_t *obj, void *aux)
{
    struct loading *l = aux;
    struct zone *z = l->zone;
    const char *host = json_string_value(json_object_get(obj, "hostId"));
    const char *address = json_string_value(json_object_get(obj, "ipAddress"));
    struct zone_member m;

    if (!host || !address || uuid_parse(host, &m.host) || ip_parse(address, &m.address))
        return 0;
    m.name = host_name(l->cli, &m.host);
    if (z->n % 16 == 0)
        z->members = mem_resize(z->members, (z->n + 16) * sizeof *z->members);
    z->members[z->n++] = m;
    return 0;
}

static int by_name(const void *a, const void *b)
{
    const struct zone_member *x = a, *y = b;
    int order = strcmp(x->name, y->name);

    return order ? order : memcmp(&x->host, &y->host, sizeof x->host);
}

int zone_load(struct cli *cli, const char *text, struct zone *z, struct error *e)
{
    struct loading l = {cli, z};
    json_t *obj;

    *z = (struct zone){0};
    int rc = cli_connect(cli, e);
    if (!rc)
        rc = ref_resolve(cli, ST_TUNNEL_ZONE, text, &z->id, e);
    if (!rc)
        rc = objects_get(cli->db, ST_TUNNEL_ZONE, &z->id, &obj, e);
    if (rc)
        return rc;
    const char *name = json_string_value(json_object_get(obj, "name"));
    const char *type = json_string_value(json_object_get(obj, "type"));
    z->name = mem_strdup(name ? name : text);
    z->type = mem_strdup(type ? type : "vxlan");
    json_decref(obj);
    rc = objects_each(cli->db, ST_TUNNEL_ZONE_HOST, &z->id, add_member, &l, e);
    if (z->n)
        qsort(z->members, z->n, sizeof *z->members, by_name);
    return rc;
}

void zone_free(struct zone *z)
{
    for (size_t i = 0; i < z->n; i++)
        free(z->members[i].name);
    free(z->members);
    free(z->name);
    free(z->type);
    *z = (struct zone){0};
}

static bool is_local(const struct ifaddrs *all, const struct ip *address)
{
    for (const struct ifaddrs *i = all; i; i = i->ifa_next) {
        struct ip ip;

        if (!i->ifa_addr)
            continue;
        if (i->ifa_addr->sa_family == AF_INET)
            ip = ip_from4(((struct sockaddr_in *)i->ifa_addr)->sin_addr.s_addr);
        else if (i->ifa_addr->sa_family == AF_INET6)
            memcpy(ip.b, &((struct sockaddr_in6 *)i->ifa_addr)->sin6_addr, sizeof ip.b);
        else
            continue;
        if (ip_equal(&ip, address))
            return true;
    }
    return false;
}

static int find_local(const struct zone *z, const struct zone_member **self, struct error *e)
{
    struct ifaddrs *all;

    if (getifaddrs(&all))
        return error_set(e, -errno, NULL, NULL, "can't list addresses: %s", strerror(errno));
    *self = NULL;
    for (size_t i = 0; i < z->n && !*self; i++)
        if (is_local(all, &z->members[i].address))
            *self = &z->members[i];
    freeifaddrs(all);
    if (*self)
        return 0;
    error_set(e, -ENOENT, z->name, NULL, "no member of the zone has an address of this host");
    error_hint(e, "run it on a member, or read all published checks with --all");
    return -ENOENT;
}

int zone_self(const struct zone *z, const char *text, const struct zone_member **self,
              struct error *e)
{
    char id[UUID_STRLEN], address[IP_STRLEN];

    if (!text)
        return find_local(z, self, e);
    for (size_t i = 0; i < z->n; i++) {
        *self = &z->members[i];
        if (!strcmp(text, (*self)->name) || !strcmp(text, uuid_format(&(*self)->host, id)) ||
            !strcmp(text, ip_format(&(*self)->address, address)))
            return 0;
    }
    return error_set(e, -ENOENT, z->name, NULL, "'%s' isn't a member of the zone", text);
}

unsigned zone_overhead(const struct zone *z, const struct ip *address)
{
    unsigned outer = ip_is4(address) ? 20 : 40;

    /* GRE with a key, else UDP and VXLAN; and the inner Ethernet header. */
    return outer + (!strcmp(z->type, "gre") ? 8 : 8 + 8) + 14;
}
