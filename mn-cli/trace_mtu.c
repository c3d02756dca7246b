#include <jansson.h>
#include <stdio.h>
#include <string.h>

#include "agent/mtu.h"
#include "objects/objects.h"
#include "trace.h"

#define MOST 1500 /* what agents tell at most, unless they are started with another --dhcp-mtu */

/* A row of what an agent reports of its interfaces (ifaces.h), as far as it matters here. */
static void add_row(struct ifaces *all, const json_t *row)
{
    const char *name = json_string_value(json_object_get(row, "name"));
    json_int_t mtu = json_integer_value(json_object_get(row, "mtu"));
    struct net_iface iface = {.mtu = mtu > 0 && mtu <= UINT16_MAX ? (unsigned)mtu : 0};
    json_t *address;
    size_t i;

    if (!name)
        return;
    snprintf(iface.name, sizeof iface.name, "%s", name);
    json_array_foreach (json_object_get(row, "addresses"), i, address) {
        const char *text = json_string_value(address);

        if (text && iface.n_addrs < NET_IFACE_ADDRS &&
            !ip_parse(text, &iface.addrs[iface.n_addrs].addr))
            iface.n_addrs++;
    }
    ifaces_set(all, &iface, false);
}

uint16_t trace_mtu(struct store *store, const struct uuid *id, const struct topo_host *host)
{
    struct ifaces *all = ifaces_new();
    struct store_value v = {0};
    char path[STORE_PATH_MAX];
    json_t *rows = NULL, *row;
    size_t i;

    objects_state_path(ST_HOST, id, "interfaces", path);
    if (!store_get(store, path, &v, NULL))
        rows = json_loadb(v.data, v.size, 0, NULL);
    json_array_foreach (rows, i, row)
        add_row(all, row);
    uint16_t mtu = overlay_mtu(host, all, MOST);

    json_decref(rows);
    store_value_free(&v);
    ifaces_free(all);
    return mtu;
}
