/* Chains that nobody configured: what follows from service insertions and from trace requests.
 *
 * A port's insertions, by position, are its chains insert_in (what the station sends) and
 * insert_out (what is sent to it): each rule hands the frame to a service's port.
 *
 *     vm --> P: insert_in [to S1, to S2] --> filter --> bridge     S1, S2: service ports
 *                    |  ^
 *                    v  | 'resume': goes on behind "to S1"
 *                    S1 (insert_in of S1: what comes back)
 *
 * A service port has for each insertion two rules that recognize what comes back, and knows nothing
 * of the other services: the frame re-enters (or leaves) P behind the rule that sent it.  All else
 * that comes from a service is dropped.  A frame passes by a service that is down and may be, as if
 * that had sent it back.
 *
 * With a VLAN the frame is tagged on its way through the service and expected back with the tag,
 * whose priority tells the direction, so that two stations behind one service can talk to each
 * other; without one the MAC alone tells. */
#include <stdlib.h>

#include "base/hash.h"
#include "packet/flow.h"
#include "topology/sync_policy.h"

enum { PCP_FROM = 1 << 13, PCP_TO = 2 << 13, TAG_MASK = 0xefff };

struct insertion {
    struct uuid id;
    topo_ref port, srv_port;
    struct mac mac;
    uint16_t vlan;
    int64_t position;
    bool fail_open;
    bool broken; /* can't be understood: nothing passes the port */
};

/* The id of a chain made for 'of', another in each life: nothing in the store can have it. */
static struct uuid chain_id(const struct sync *s, const struct uuid *of, const char *what)
{
    XXH128_canonical_t c;
    struct uuid id;

    XXH128_canonicalFromHash(
        &c, XXH3_128bits_withSeed(of, sizeof *of, XXH3_64bits(what, strlen(what)) ^ s->secret));
    memcpy(id.b, c.digest, sizeof id.b);
    id.b[6] = (id.b[6] & 0x0f) | 0x80;
    id.b[8] = (id.b[8] & 0x3f) | 0x80;
    return id;
}

/* A run that is still on its way to the chain must not find the slot empty and ask the store, which
 * has no such chain: something is left, which refuses where the chain sent packets to services. */
void sync_drop_made(struct sync *s, topo_ref chain)
{
    const struct topo_chain *old = topo_chain(s->topo, chain);
    const struct topo_rule drop = {.id = *topo_id(s->topo, chain), .type = RULE_DROP};

    if (!old || !old->n_rules)
        return;
    uint32_t n = old->rules[0].type != RULE_TRACE;
    topo_publish(s->topo, &topo_chain_make(&old->obj.id, "", &drop, n, NULL, 0, NULL)->obj);
    sync_changed(s, tag_object(chain));
}

/* Publishes it, or with no rules takes it away; 0 then. */
static topo_ref put_chain(struct sync *s, const struct uuid *of, const char *of_name,
                          const char *what, const struct topo_rule *rules, size_t n)
{
    struct uuid id = chain_id(s, of, what);
    topo_ref ref = topo_find(s->topo, &id);
    char name[48];

    if (!n) {
        sync_drop_made(s, ref);
        return 0;
    }
    if (ref)
        sync_changed(s, tag_object(ref));
    snprintf(name, sizeof name, "%s of %.20s", what, of_name);
    return topo_publish(s->topo,
                        &topo_chain_make(&id, name, rules, (uint32_t)n, NULL, 0, NULL)->obj);
}

static struct uuid *listed(const json_t *body, const char *key, size_t *n)
{
    const json_t *list = json_object_get(body, key), *v;
    struct uuid *ids = NEW_ARRAY(json_array_size(list), struct uuid);
    size_t i;

    *n = 0;
    json_array_foreach (list, i, v)
        *n += json_is_string(v) && !uuid_parse(json_string_value(v), &ids[*n]);
    return ids;
}

static int compare(const void *pa, const void *pb)
{
    const struct insertion *a = pa, *b = pb;
    int c = (a->position > b->position) - (a->position < b->position);

    return c ? c : memcmp(&a->id, &b->id, sizeof a->id);
}

static int read_insertions(struct sync *s, const json_t *body, const char *key,
                           struct insertion **out, size_t *n_out)
{
    size_t n;
    struct uuid *ids = listed(body, key, &n);
    json_t **bodies = NEW_ARRAY(n, json_t *);
    int rc = n ? sync_bodies(s, ST_L2INSERTION, ids, n, bodies) : 0;

    *out = NEW_ARRAY(n, struct insertion);
    *n_out = 0;
    for (size_t i = 0; i < n; i++) {
        struct insertion in = {.id = ids[i],
                               .port = sync_body_ref(s, bodies[i], "portId", TOPO_PORT),
                               .srv_port = sync_body_ref(s, bodies[i], "srvPortId", TOPO_PORT),
                               .vlan =
                                   (uint16_t)sync_body_int(bodies[i], "vlan", 0, 0, FLOW_VLAN_VID),
                               .position = sync_body_int(bodies[i], "position", 0, 0, INT32_MAX),
                               .fail_open = sync_body_bool(bodies[i], "failOpen", false)};
        in.broken = !sync_body_mac(bodies[i], "mac", &in.mac) || !in.port || !in.srv_port;
        (*out)[(*n_out)++] = in;
        json_decref(bodies[i]);
    }
    if (*n_out)
        qsort(*out, *n_out, sizeof **out, compare);
    free(bodies);
    free(ids);
    return rc;
}

static void of_station(struct topo_cond *c, const struct mac *mac, bool from)
{
    static const struct mac all = {{0xff, 0xff, 0xff, 0xff, 0xff, 0xff}};

    *(from ? &c->eth_src : &c->eth_dst) = *mac;
    *(from ? &c->eth_src_mask : &c->eth_dst_mask) = all;
    c->has |= from ? COND_BIT(ETH_SRC) : COND_BIT(ETH_DST);
}

static uint16_t tag_of(const struct insertion *in, bool from)
{
    return in->vlan | (from ? PCP_FROM : PCP_TO);
}

/* At the inspected port: to the service. */
static struct topo_rule to_service(const struct insertion *in, bool from)
{
    if (in->broken)
        return (struct topo_rule){.id = in->id, .type = RULE_BROKEN};
    struct topo_rule r = {.id = in->id,
                          .type = RULE_REDIRECT,
                          .action = RULE_REDIRECT,
                          .target_port = in->srv_port,
                          .fail_open = in->fail_open};

    of_station(&r.cond, &in->mac, from);
    if (in->vlan) {
        r.type = RULE_L2;
        r.push = true;
        r.push_tci = tag_of(in, from) | FLOW_VLAN_PRESENT;
    }
    return r;
}

/* At the service's port: back from it. */
static struct topo_rule from_service(const struct insertion *in, bool from)
{
    struct topo_rule r = {.id = in->id,
                          .type = RULE_REDIRECT,
                          .action = RULE_REDIRECT,
                          .target_port = in->port,
                          .ingress = from,
                          .resume = in->id};

    of_station(&r.cond, &in->mac, from);
    if (in->vlan) {
        r.type = RULE_L2;
        r.pop_vlan = true;
        r.cond.vlan = tag_of(in, from);
        r.cond.vlan_mask = TAG_MASK;
        r.cond.has |= COND_BIT(VLAN);
    }
    return r;
}

int sync_make_insertions(struct sync *s, struct topo_port *port, const json_t *body)
{
    const struct topo_port *old = topo_port(s->topo, topo_find(s->topo, &port->obj.id));
    struct insertion *own, *served = NULL;
    size_t n_own, n_served = 0, n_in = 0, n_out = 0;
    int rc = read_insertions(s, body, "insertionIds", &own, &n_own);

    if (!rc)
        rc = read_insertions(s, body, "srvInsertionIds", &served, &n_served);
    bool had = old && !old->obj.missing && (old->insert_in || old->insert_out);
    if (rc || !(had || n_own || n_served)) {
        free(own);
        free(served);
        return rc;
    }
    struct topo_rule *in = NEW_ARRAY(n_own + 2 * n_served + 1, struct topo_rule);
    struct topo_rule *out = NEW_ARRAY(n_own + 1, struct topo_rule);
    for (size_t i = 0; i < n_served; i++) {
        if (served[i].broken)
            continue;
        in[n_in++] = from_service(&served[i], true);
        in[n_in++] = from_service(&served[i], false);
    }
    for (size_t i = 0; i < n_own && !n_served; i++) {
        in[n_in++] = to_service(&own[i], true);
        out[n_out++] = to_service(&own[i], false);
    }
    port->service = n_served > 0;
    if (port->service)
        in[n_in++] = (struct topo_rule){.id = port->obj.id, .type = RULE_DROP};
    port->insert_in = put_chain(s, &port->obj.id, port->obj.name, "insertions-in", in, n_in);
    port->insert_out = put_chain(s, &port->obj.id, port->obj.name, "insertions-out", out, n_out);
    free(out);
    free(in);
    free(served);
    free(own);
    return 0;
}

int sync_make_traces(struct sync *s, const struct uuid *of, const char *name, const json_t *body,
                     topo_ref *chain)
{
    size_t n, n_rules = 0;
    struct uuid *ids = listed(body, "traceRequestIds", &n), id = chain_id(s, of, "traces");
    json_t **bodies = NEW_ARRAY(n, json_t *);
    struct topo_rule *rules = NEW_ARRAY(n, struct topo_rule);
    struct arena arena;
    int rc = n ? sync_bodies(s, ST_TRACE_REQUEST, ids, n, bodies) : 0;

    arena_init(&arena, 512);
    for (size_t i = 0; i < n; i++) {
        if (sync_body_bool(bodies[i], "enabled", false)) {
            struct topo_rule *r = &rules[n_rules++];
            *r = (struct topo_rule){.id = ids[i], .type = RULE_TRACE, .request = ids[i]};
            r->limit = (uint64_t)sync_body_int(bodies[i], "limit", 0, 0, INT64_MAX);
            sync_parse_cond(s, bodies[i], &arena, &r->cond);
        }
        json_decref(bodies[i]);
    }
    *chain = 0;
    if (!rc && (n_rules || topo_find(s->topo, &id)))
        *chain = put_chain(s, of, name, "traces", rules, n_rules);
    arena_free(&arena);
    free(rules);
    free(bodies);
    free(ids);
    return rc;
}
