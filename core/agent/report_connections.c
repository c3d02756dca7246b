#include <stdlib.h>

#include "agent/agent_impl.h"
#include "agent/report.h"
#include "agent/words.h"
#include "base/clock.h"

#define PAGE 256

struct connections {
    struct listing pub; /* first */
    struct agent *agent;
    bool of_one;
    struct ip address;
    uint64_t at;
    struct state_info page[PAGE];
};

static bool concerns(const struct connections *l, const struct state_rec *r)
{
    return !l->of_one || ip_equal(&r->fwd.src, &l->address) || ip_equal(&r->fwd.dst, &l->address) ||
           ip_equal(&r->to, &l->address);
}

static void set_endpoint(json_t *row, const char *name, const struct ip *ip, uint16_t port)
{
    char buf[ENDPOINT_SIZE];

    json_object_set_new(row, name, json_string(words_endpoint(ip, port, buf)));
}

static json_t *record_row(const struct topo *t, const struct state_info *info, uint64_t now)
{
    static const char *const origins[] = {
        [STATE_LOCAL] = "local", [STATE_RECEIVED] = "peer", [STATE_LOADED] = "backup"};
    const struct state_rec *r = &info->rec;
    char proto[8], name[WORDS_SIZE], id[UUID_STRLEN];
    json_t *row = json_object();

    json_object_set_new(row, "kind", json_string(state_kind_name((enum state_kind)r->kind)));
    json_object_set_new(row, "protocol", json_string(words_proto(r->fwd.proto, proto)));
    set_endpoint(row, "source", &r->fwd.src, r->fwd.sport);
    set_endpoint(row, "destination", &r->fwd.dst, r->fwd.dport);
    if (r->kind != STATE_CONN)
        set_endpoint(row, "translated", &r->to, r->to_port);
    json_object_set_new(row, "device", json_string(words_ref(t, r->device, name)));
    json_object_set_new(row, "device_id", json_string(uuid_format(topo_id(t, r->device), id)));
    json_object_set_new(row, "origin", json_string(origins[info->origin]));
    json_object_set_new(row, "age", report_since(now, info->made_ns));
    json_object_set_new(row, "idle", report_since(now, info->used_ns));
    return row;
}

static json_t *connection_page(struct listing *base, uint64_t now)
{
    struct connections *l = (struct connections *)base;
    json_t *rows = json_array();
    uint32_t n = state_dump(l->agent->state, &l->at, l->page, PAGE);

    for (uint32_t i = 0; i < n; i++)
        if (concerns(l, &l->page[i].rec))
            json_array_append_new(rows, record_row(l->agent->topo, &l->page[i], now));
    return json_pack("{s:o,s:b}", "connections", rows, "more", (int)(l->at != 0));
}

static void free_connections(struct listing *base)
{
    free(base);
}

struct listing *report_connections(struct agent *a, const struct ip *address)
{
    struct connections *l = NEW(struct connections);

    l->pub = (struct listing){connection_page, free_connections};
    l->agent = a;
    l->of_one = address;
    if (address)
        l->address = *address;
    return &l->pub;
}
