/* The way of a packet in words, for people who want to know why. */
#include <stdarg.h>
#include <stdio.h>

#include "sim/run.h"

static const char *vprint(struct run *r, const char *fmt, va_list ap)
{
    char text[400];
    int n = vsnprintf(text, sizeof text, fmt, ap);
    size_t size = n < 0 ? 0 : MIN((size_t)n, sizeof text - 1);
    char *copy = arena_alloc(r->arena, size + 1);

    memcpy(copy, text, size);
    copy[size] = '\0';
    return copy;
}

const char *print(struct run *r, const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    const char *s = vprint(r, fmt, ap);
    va_end(ap);
    return s;
}

/* Ports rarely have names: their interface or the start of their id, behind the device's name. */
static const char *port_name(struct run *r, const struct topo_port *p, const char *short_id)
{
    if (!p->device || topo_kind_of(r->topo, p->device) == TOPO_PORT)
        return print(r, "port %s", short_id);
    return print(r, "port %s of %s", *p->ifname ? p->ifname : short_id, name_of(r, p->device));
}

const char *name_of(struct run *r, topo_ref ref)
{
    const struct topo_obj *o = topo_get(r->topo, ref);
    char id[UUID_STRLEN];

    uuid_format(topo_id(r->topo, ref), id);
    id[8] = '\0';
    const char *kind = topo_kind_name(topo_kind_of(r->topo, ref));
    if (o && *o->name)
        return print(r, "%s %s", kind, o->name);
    if (o && o->kind == TOPO_PORT && !o->missing)
        return port_name(r, (const struct topo_port *)o, id);
    return print(r, "%s %s", kind, id);
}

/* Routes and rules live inside their devices and have no names. */
const char *name_by_id(struct run *r, enum topo_kind kind, const struct uuid *id)
{
    topo_ref ref = topo_find(r->topo, id);

    return ref ? name_of(r, ref) : print(r, "this %s", topo_kind_name(kind));
}

const char *ip_text(struct run *r, const struct ip *ip)
{
    return ip_format(ip, arena_alloc(r->arena, IP_STRLEN));
}

const char *mac_text(struct run *r, const struct mac *mac)
{
    return mac_format(mac, arena_alloc(r->arena, MAC_STRLEN));
}

void trail_add(struct run *r, enum topo_kind kind, const struct uuid *id, enum sim_reason reason,
               const char *fmt, ...)
{
    struct sim_result *res = r->res;
    va_list ap;

    res->steps = grow_list(r, res->steps, res->n_steps, &r->room_steps, sizeof *res->steps);
    va_start(ap, fmt);
    const char *text = vprint(r, fmt, ap);
    va_end(ap);
    res->steps[res->n_steps++] = (struct sim_step){
        .depth = r->at.depth,
        .device = r->at.device,
        .port = r->at.in_port,
        .object_kind = (uint8_t)kind,
        .object = *id,
        .reason = reason,
        .text = text,
        .hdr = r->at.raw,
    };
}
