/* QoS policies.  A port has what its own policy says, else its bridge's; what that comes to is in
 * the published port, so a change of a policy publishes the ports it reaches. */
#include <stdlib.h>

#include "topology/sync_policy.h"

/* Of several rules of a kind the first by id counts, everywhere the same. */
static int first_rule(struct sync *s, const struct qos_item *q, enum schema_type_id type,
                      json_t **body)
{
    struct uuid *ids;
    size_t n;
    int rc = sync_referrers(s, type, "policyId", &q->item, &ids, &n);

    *body = NULL;
    if (!rc && n)
        rc = sync_bodies(s, type, ids, 1, body);
    free(ids);
    return rc;
}

static void set_limit(struct qos_item *q, const json_t *body)
{
    q->max_kbps = (uint32_t)sync_body_int(body, "maxKbps", 0, 0, INT32_MAX);
    q->max_burst_kb = (uint32_t)sync_body_int(body, "maxBurstKb", 0, 0, INT32_MAX);
    if (!q->max_burst_kb)
        q->max_burst_kb = (uint32_t)((uint64_t)q->max_kbps * 8 / 10);
    q->max_burst_kb = q->max_kbps ? MAX(q->max_burst_kb, 1u) : 0;
}

static int load(struct sync *s, struct qos_item *q)
{
    int64_t rev;
    json_t *dscp = NULL, *limit = NULL;
    int rc = sync_watch_change(s, &q->item);

    if (!rc)
        rc = sync_read_rev(s, &q->item, &rev, NULL);
    if (!rc)
        rc = first_rule(s, q, ST_QOS_DSCP_RULE, &dscp);
    if (!rc)
        rc = first_rule(s, q, ST_QOS_BW_RULE, &limit);
    if (!rc) {
        int64_t mark = sync_body_int(dscp, "dscpMark", -1, 0, 63);
        q->mark = mark >= 0;
        q->dscp = (uint8_t)MAX(mark, 0);
        set_limit(q, limit);
        q->item.rev = rev;
        q->item.loaded = true;
    }
    json_decref(dscp);
    json_decref(limit);
    return rc;
}

static struct qos_item *policy(struct sync *s, topo_ref ref)
{
    struct item *it = sync_item(s, ref);

    return it && it->kind == ITEM_QOS ? (struct qos_item *)it : NULL;
}

int sync_know_qos(struct sync *s, const json_t *body, topo_ref *out)
{
    struct qos_item *q = NULL;

    *out = sync_body_ref(s, body, "qosPolicyId", TOPO_NONE);
    if (*out)
        q = sync_item_new(s, *out, ITEM_QOS, sizeof *q);
    if (!q)
        *out = 0;
    return q && !q->item.loaded ? load(s, q) : 0;
}

static topo_ref policy_of(struct sync *s, const struct port_item *p)
{
    const struct device_item *d = sync_device(s, p->device);

    return p->qos ? p->qos : d ? d->qos : 0;
}

void sync_apply_qos(struct sync *s, const struct port_item *p, struct topo_port *port)
{
    static const struct qos_item none;
    const struct qos_item *q = policy(s, policy_of(s, p));

    q = q ? q : &none;
    port->mark = q->mark;
    port->dscp = q->dscp;
    port->max_kbps = q->max_kbps;
    port->max_burst_kb = q->max_burst_kb;
}

int sync_work_qos(struct sync *s, struct qos_item *q, unsigned due)
{
    int64_t was = q->item.rev, rev;
    int rc = 0;

    if (q->item.loaded && !(due & DUE_LOAD)) {
        rc = sync_read_rev(s, &q->item, &rev, NULL);
        if (!rc && rev == was)
            return 0;
    }
    if (!rc)
        rc = load(s, q);
    for (topo_ref r = 1; r < s->n_items && !rc; r++) {
        const struct port_item *p = sync_port(s, r);
        if (p && policy_of(s, p) == q->item.ref)
            sync_refresh_port(s, r);
    }
    return rc;
}
