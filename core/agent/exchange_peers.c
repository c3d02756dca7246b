#include "agent/exchange_impl.h"

struct search {
    const struct topo *topo;
    topo_ref local, lacking;
    topo_ref *hosts;
    unsigned n;
};

static void add_host(struct search *s, topo_ref host)
{
    unsigned at = 0;

    if (!host || host == s->local)
        return;
    while (at < s->n && s->hosts[at] < host)
        at++;
    if ((at < s->n && s->hosts[at] == host) || s->n == EXCHANGE_PEERS)
        return;
    memmove(s->hosts + at + 1, s->hosts + at, (s->n - at) * sizeof *s->hosts);
    s->hosts[at] = host;
    s->n++;
}

static void add_port(struct search *s, topo_ref ref)
{
    const struct topo_obj *o = topo_get(s->topo, ref);

    if (!o)
        s->lacking = ref;
    if (!o || o->missing)
        return;
    add_host(s, ((const struct topo_port *)o)->host);
    add_host(s, ((const struct topo_port *)o)->former);
}

static void add_groups(struct search *s, topo_ref ref)
{
    const struct topo_port *p = topo_port(s->topo, ref);

    for (uint32_t i = 0; p && !p->obj.missing && i < p->groups.n; i++) {
        const struct topo_port_group *g = topo_port_group(s->topo, p->groups.v[i]);
        if (!g)
            s->lacking = p->groups.v[i];
        if (!g || g->obj.missing || !g->stateful)
            continue;
        for (uint32_t k = 0; k < g->ports.n; k++)
            add_port(s, g->ports.v[k]);
    }
}

unsigned exchange_peers(const struct topo *t, topo_ref local_host, topo_ref in,
                        const struct sim_out *outs, uint32_t n_outs, topo_ref hosts[EXCHANGE_PEERS],
                        topo_ref *lacking)
{
    struct search s = {.topo = t, .local = local_host, .hosts = hosts};

    add_port(&s, in); /* here; but while it moves, elsewhere too */
    add_groups(&s, in);
    for (uint32_t i = 0; i < n_outs; i++) {
        add_port(&s, outs[i].port);
        add_groups(&s, outs[i].port);
    }
    *lacking = s.lacking;
    return s.n;
}
