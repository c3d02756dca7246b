#include "datapath/ovs_view.h"

#include <netlink/attr.h>
#include <stdlib.h>

#include "base/mem.h"
#include "datapath/ovs_internal.h"

/* A conversation about one datapath. */
struct view {
    struct ovs_sock sock;
    struct ovs_buf buf;
    int families[OVS_N_FAMILIES];
    int ifindex;
    void *fn, *aux;
};

static int view_open(struct view *v, void *fn, void *aux, struct error *e)
{
    *v = (struct view){.sock.fd = -1, .fn = fn, .aux = aux};
    int rc = ovs_families(v->families, e);

    if (!rc && (rc = ovs_sock_open(&v->sock)))
        error_set(e, rc, NULL, NULL, "can't open a netlink socket");
    return rc;
}

static int view_close(struct view *v, int rc)
{
    ovs_sock_close(&v->sock);
    ovs_buf_free(&v->buf);
    return rc;
}

static int dump(struct view *v, enum ovs_family family, uint8_t cmd, ovs_reply_fn *fn)
{
    ovs_buf_reset(&v->buf, &v->sock);
    ovs_begin(&v->buf, v->families[family], cmd, NLM_F_DUMP, v->ifindex);
    ovs_end(&v->buf);
    return ovs_dump(&v->sock, &v->buf, fn, v);
}

/* Fixed-size contents of an attribute that may be missing or cut. */
static bool get(const struct nlattr *a, void *to, size_t size)
{
    memset(to, 0, size);
    if (!a || nla_len(a) < (int)size)
        return false;
    memcpy(to, nla_data(a), size);
    return true;
}

static int on_dp(unsigned index, const struct nlmsghdr *h, void *aux)
{
    const struct ovs_header *o = (const void *)((uint8_t *)NLMSG_DATA(h) + GENL_HDRLEN);
    struct view *v = aux;
    struct nlattr *a[OVS_DP_ATTR_MAX + 1];
    struct ovs_dp_megaflow_stats masks;
    struct ovs_dp_stats stats;
    struct ovs_view_dp d = {0};

    (void)index;
    if (ovs_attrs(h, a, OVS_DP_ATTR_MAX) || !a[OVS_DP_ATTR_NAME])
        return 0;
    nla_strlcpy(d.name, a[OVS_DP_ATTR_NAME], sizeof d.name);
    d.ifindex = o->dp_ifindex;
    get(a[OVS_DP_ATTR_STATS], &stats, sizeof stats);
    get(a[OVS_DP_ATTR_MEGAFLOW_STATS], &masks, sizeof masks);
    d.hit = stats.n_hit;
    d.missed = stats.n_missed;
    d.lost = stats.n_lost;
    d.n_flows = stats.n_flows;
    d.n_masks = masks.n_masks;
    return ((ovs_view_dp_fn *)v->fn)(&d, v->aux);
}

int ovs_view_each(ovs_view_dp_fn *fn, void *aux, struct error *e)
{
    struct view v;
    int rc = view_open(&v, fn, aux, NULL);

    if (rc == -ENOTSUP)
        return view_close(&v, 0);
    if (rc)
        error_set(e, rc, NULL, NULL, "can't ask the kernel: %s", strerror(-rc));
    else
        rc = dump(&v, OVS_DATAPATH, OVS_DP_CMD_GET, on_dp);
    return view_close(&v, rc);
}

struct wanted {
    const char *name;
    int ifindex;
};

static int is_wanted(const struct ovs_view_dp *d, void *aux)
{
    struct wanted *w = aux;

    if (!strcmp(d->name, w->name))
        w->ifindex = d->ifindex;
    return 0;
}

static int view_named(struct view *v, const char *name, void *fn, void *aux, struct error *e)
{
    struct wanted w = {.name = name};
    int rc = view_open(v, fn, aux, e);

    if (!rc)
        rc = ovs_view_each(is_wanted, &w, e);
    if (!rc && !w.ifindex)
        rc = error_set(e, -ENOENT, NULL, NULL, "no datapath '%s'", name);
    v->ifindex = w.ifindex;
    return rc;
}

static int on_port(unsigned index, const struct nlmsghdr *h, void *aux)
{
    static const char *const types[] = {[OVS_VPORT_TYPE_NETDEV] = "netdev",
                                        [OVS_VPORT_TYPE_INTERNAL] = "internal",
                                        [OVS_VPORT_TYPE_GRE] = "gre",
                                        [OVS_VPORT_TYPE_VXLAN] = "vxlan",
                                        [OVS_VPORT_TYPE_GENEVE] = "geneve"};
    struct view *v = aux;
    struct nlattr *a[OVS_VPORT_ATTR_MAX + 1];
    struct ovs_view_port p = {0};
    struct ovs_vport_stats s;
    uint32_t type;

    (void)index;
    if (ovs_attrs(h, a, OVS_VPORT_ATTR_MAX) || !a[OVS_VPORT_ATTR_NAME] ||
        !get(a[OVS_VPORT_ATTR_PORT_NO], &p.port_no, sizeof p.port_no))
        return 0;
    nla_strlcpy(p.name, a[OVS_VPORT_ATTR_NAME], sizeof p.name);
    get(a[OVS_VPORT_ATTR_TYPE], &type, sizeof type);
    p.type = type < ARRAY_SIZE(types) && types[type] ? types[type] : "unknown";
    get(a[OVS_VPORT_ATTR_STATS], &s, sizeof s);
    p.rx_packets = s.rx_packets;
    p.rx_bytes = s.rx_bytes;
    p.tx_packets = s.tx_packets;
    p.tx_bytes = s.tx_bytes;
    p.rx_dropped = s.rx_dropped;
    p.tx_dropped = s.tx_dropped;
    return ((ovs_view_port_fn *)v->fn)(&p, v->aux);
}

int ovs_view_ports(const char *name, ovs_view_port_fn *fn, void *aux, struct error *e)
{
    struct view v;
    int rc = view_named(&v, name, fn, aux, e);

    return view_close(&v, rc ? rc : dump(&v, OVS_VPORT, OVS_VPORT_CMD_GET, on_port));
}

static int on_flow(unsigned index, const struct nlmsghdr *h, void *aux)
{
    struct view *v = aux;
    struct nlattr *a[OVS_FLOW_ATTR_MAX + 1];
    struct ovs_view_flow f = {0};
    struct ovs_flow_stats s;
    struct strbuf sb = {0};
    uint64_t used_ms;

    (void)index;
    if (ovs_attrs(h, a, OVS_FLOW_ATTR_MAX) || !a[OVS_FLOW_ATTR_KEY])
        return 0;
    ovs_view_key(a[OVS_FLOW_ATTR_KEY], &f.key);
    if (a[OVS_FLOW_ATTR_MASK])
        ovs_view_mask(a[OVS_FLOW_ATTR_MASK], &f.mask);
    else
        memset(&f.mask, 0xff, sizeof f.mask); /* exact */
    ovs_view_actions(a[OVS_FLOW_ATTR_ACTIONS], &sb);
    get(a[OVS_FLOW_ATTR_STATS], &s, sizeof s);
    get(a[OVS_FLOW_ATTR_USED], &used_ms, sizeof used_ms);
    f.actions = sb_str(&sb);
    f.packets = s.n_packets;
    f.bytes = s.n_bytes;
    f.used_ns = used_ms * 1000000;
    int rc = ((ovs_view_flow_fn *)v->fn)(&f, v->aux);

    sb_free(&sb);
    return rc;
}

int ovs_view_flows(const char *name, ovs_view_flow_fn *fn, void *aux, struct error *e)
{
    struct view v;
    int rc = view_named(&v, name, fn, aux, e);

    return view_close(&v, rc ? rc : dump(&v, OVS_FLOW, OVS_FLOW_CMD_GET, on_flow));
}
