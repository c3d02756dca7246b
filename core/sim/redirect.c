/* Redirecting rules: service insertion, VPN and load-balancer containers. */
#include "sim/filter.h"

static bool takes(const struct topo_port *p, bool ingress)
{
    if (!p->admin_up || ingress)
        return p->admin_up;
    return topo_port_exterior(p) ? p->active : p->peer != 0;
}

/* A service that can't be reached is passed by: the packet goes on as if the service had sent it
 * back. */
static void out_of_service(struct run *r, const struct topo_rule *rule, const struct topo_port *p)
{
    if (!rule->fail_open) {
        drop(r, SIM_SERVICE_DOWN, &p->obj);
        return;
    }
    TRAIL_OBJ(r, &p->obj, "%s can't take it: passed by", name_of(r, p->obj.self));
    port_ingress_anyway(r, p);
}

void redirect(struct run *r, const struct topo_rule *rule)
{
    bool ended;
    const struct topo_port *p =
        (const struct topo_port *)find_object(r, rule->target_port, TOPO_PORT, &ended);

    if (ended)
        return;
    if (!p)
        drop_by(r, SIM_REDIRECT_GONE, TOPO_RULE, &rule->id, false);
    else if (!takes(p, rule->ingress))
        out_of_service(r, rule, p);
    else if (!uuid_is_zero(&rule->resume) && rule->ingress)
        port_ingress_resumed(r, p, &rule->resume);
    else if (!uuid_is_zero(&rule->resume))
        port_egress_resumed(r, p, &rule->resume);
    else if (rule->ingress)
        port_ingress_anyway(r, p);
    else
        port_egress_unfiltered(r, p);
}
