/* Interfaces, ports and tunnels of the memory datapath: the control thread's side. */
#include <stdio.h>
#include <stdlib.h>
#include <utlist.h>

#include "base/mem.h"
#include "datapath/memory_internal.h"

struct upcall_turns *memory_turns_of(struct memory_dp *d, const struct memory_port *port)
{
    return &d->turns[port->port_no % d->opts.n_queues];
}

void memory_if_clear(struct memory_if *iface)
{
    struct memory_frame *f, *next;

    DL_FOREACH_SAFE(iface->out, f, next)
    {
        memory_frame_free(f);
    }
    iface->out = NULL;
    iface->n_out = 0;
}

static struct memory_if *find_if(struct memory_dp *d, const char *ifname)
{
    struct memory_if *iface;

    HASH_FIND_STR(d->ifs, ifname, iface);
    return iface;
}

int memory_if_add(struct dp *dp, const char *ifname)
{
    struct memory_dp *d = memory_of(dp);
    int rc = 0;

    pthread_mutex_lock(&d->lock);
    if (find_if(d, ifname)) {
        rc = -EEXIST;
    } else {
        struct memory_if *iface = NEW(struct memory_if);

        snprintf(iface->name, sizeof iface->name, "%s", ifname);
        HASH_ADD_STR(d->ifs, name, iface);
    }
    pthread_mutex_unlock(&d->lock);
    return rc;
}

int memory_if_del(struct dp *dp, const char *ifname)
{
    struct memory_dp *d = memory_of(dp);

    pthread_mutex_lock(&d->lock);
    struct memory_if *iface = find_if(d, ifname);

    if (iface) {
        if (iface->port)
            iface->port->iface = NULL;
        HASH_DEL(d->ifs, iface);
        memory_if_clear(iface);
        free(iface);
    }
    pthread_mutex_unlock(&d->lock);
    return iface ? 0 : -ENOENT;
}

int memory_inject(struct dp *dp, const char *ifname, const void *frame, size_t size)
{
    struct memory_dp *d = memory_of(dp);

    pthread_mutex_lock(&d->lock);
    struct memory_if *iface = find_if(d, ifname);

    if (iface && iface->port)
        memory_path_from_port(d, iface->port, frame, size);
    memory_unlock_and_send(d);
    return iface ? 0 : -ENOENT;
}

int memory_take(struct dp *dp, const char *ifname, void *buf, size_t room)
{
    struct memory_dp *d = memory_of(dp);
    int rc = 0;

    pthread_mutex_lock(&d->lock);
    struct memory_if *iface = find_if(d, ifname);

    if (!iface) {
        rc = -ENOENT;
    } else if (iface->out) {
        struct memory_frame *f = iface->out;

        DL_DELETE(iface->out, f);
        iface->n_out--;
        rc = (int)MIN(f->size, room);
        memcpy(buf, f->start, (size_t)rc);
        memory_frame_free(f);
    }
    pthread_mutex_unlock(&d->lock);
    return rc;
}

/* Ports. */

static struct memory_port *port_at(struct memory_dp *d, uint32_t port_no)
{
    return port_no < d->n_ports ? d->ports[port_no] : NULL;
}

static struct memory_port *new_port(struct memory_dp *d, const char *ifname)
{
    uint32_t no = 1;

    while (port_at(d, no))
        no++;
    if (no >= MEMORY_MAX_PORTS)
        return NULL;
    if (no >= d->n_ports) {
        uint32_t n = MAX(no + 1, d->n_ports * 2);

        d->ports = mem_resize(d->ports, n * sizeof *d->ports);
        memset(d->ports + d->n_ports, 0, (n - d->n_ports) * sizeof *d->ports);
        d->n_ports = n;
    }
    struct memory_port *port = NEW(struct memory_port);

    port->port_no = no;
    snprintf(port->ifname, sizeof port->ifname, "%s", ifname);
    d->ports[no] = port;
    return port;
}

static struct memory_port *find_port(struct memory_dp *d, const char *ifname)
{
    for (uint32_t i = 0; i < d->n_ports; i++)
        if (d->ports[i] && !strcmp(d->ports[i]->ifname, ifname))
            return d->ports[i];
    return NULL;
}

int memory_port_add(struct dp *dp, const char *ifname, uint32_t *port_no, struct error *e)
{
    struct memory_dp *d = memory_of(dp);
    int rc = 0;

    pthread_mutex_lock(&d->lock);
    struct memory_if *iface = find_if(d, ifname);
    struct memory_port *port = iface ? find_port(d, ifname) : NULL;

    if (!iface)
        rc = error_set(e, -ENODEV, NULL, "interface", "no interface '%s'", ifname);
    else if (!port && !(port = new_port(d, ifname)))
        rc = error_set(e, -ENOSPC, NULL, "interface", "no more than %u ports", MEMORY_MAX_PORTS);
    if (!rc) {
        port->iface = iface;
        iface->port = port;
        *port_no = port->port_no;
    }
    pthread_mutex_unlock(&d->lock);
    return rc;
}

int memory_port_del(struct dp *dp, uint32_t port_no, struct error *e)
{
    struct memory_dp *d = memory_of(dp);

    pthread_mutex_lock(&d->lock);
    struct memory_port *port = port_at(d, port_no);

    if (port) {
        if (port->iface)
            port->iface->port = NULL;
        upcall_drop_port(memory_turns_of(d, port), &port->waiting);
        d->ports[port_no] = NULL;
        free(port);
    }
    pthread_mutex_unlock(&d->lock);
    return port ? 0 : error_set(e, -ENOENT, NULL, "port", "no port %u", port_no);
}

int memory_port_each(struct dp *dp, dp_port_fn *fn, void *aux)
{
    struct memory_dp *d = memory_of(dp);
    int rc = 0;

    pthread_mutex_lock(&d->lock);
    for (uint32_t i = 0; i < d->n_ports && !rc; i++) {
        struct memory_port *port = d->ports[i];

        if (!port)
            continue;
        struct dp_port p = port->stats;

        p.port_no = port->port_no;
        p.ifindex = port->iface ? (int)port->port_no : 0;
        snprintf(p.ifname, sizeof p.ifname, "%s", port->ifname);
        rc = fn(&p, aux);
    }
    pthread_mutex_unlock(&d->lock);
    return rc;
}

int memory_port_limit(struct dp *dp, uint32_t port_no, uint32_t kbps, uint32_t burst_kb)
{
    struct memory_dp *d = memory_of(dp);

    pthread_mutex_lock(&d->lock);
    struct memory_port *port = port_at(d, port_no);

    if (port) {
        port->limit = dp_bucket_of(kbps, burst_kb);
        port->limit_ns = 0; /* a debt of another rate means nothing */
    }
    pthread_mutex_unlock(&d->lock);
    return port ? 0 : -ENOENT;
}

/* Tunnels. */

void memory_dp_join(struct dp *dp, struct memory_board *board)
{
    struct memory_dp *d = memory_of(dp);

    d->board = board;
    for (struct memory_local *l = d->locals; l; l = l->next)
        memory_board_claim(d, &l->addr);
}

int memory_tunnel_local(struct dp *dp, const struct ip *local, enum flow_tunnel type,
                        struct error *e)
{
    struct memory_dp *d = memory_of(dp);
    struct memory_local *l;
    char s[IP_STRLEN];

    (void)type;
    for (l = d->locals; l; l = l->next)
        if (ip_equal(&l->addr, local))
            return 0;
    if (memory_board_claim(d, local))
        return error_set(e, -EEXIST, NULL, "local", "another host has the address %s",
                         ip_format(local, s));
    l = NEW(struct memory_local);
    l->addr = *local;
    LL_PREPEND(d->locals, l);
    return 0;
}

int memory_tunnel_bind(struct dp *dp, uint32_t tun_id, uint32_t port_no, struct error *e)
{
    struct memory_dp *d = memory_of(dp);
    struct memory_bind *b = NULL;

    pthread_mutex_lock(&d->lock);
    struct memory_port *port = port_at(d, port_no);

    if (port) {
        HASH_FIND(hh, d->binds, &tun_id, sizeof tun_id, b);
        if (!b) {
            b = NEW(struct memory_bind);
            b->tun_id = tun_id;
            HASH_ADD(hh, d->binds, tun_id, sizeof b->tun_id, b);
        }
        b->port_no = port_no;
    }
    pthread_mutex_unlock(&d->lock);
    return port ? 0 : error_set(e, -ENOENT, NULL, "port", "no port %u", port_no);
}

int memory_tunnel_unbind(struct dp *dp, uint32_t tun_id)
{
    struct memory_dp *d = memory_of(dp);
    struct memory_bind *b;

    pthread_mutex_lock(&d->lock);
    HASH_FIND(hh, d->binds, &tun_id, sizeof tun_id, b);
    if (b) {
        HASH_DEL(d->binds, b);
        free(b);
    }
    pthread_mutex_unlock(&d->lock);
    return b ? 0 : -ENOENT;
}

void memory_tunnel_receive(struct memory_dp *d, uint32_t tun_id, struct memory_frame *f)
{
    struct memory_bind *b;

    pthread_mutex_lock(&d->lock);
    HASH_FIND(hh, d->binds, &tun_id, sizeof tun_id, b);
    if (b) {
        memory_path_to_port(d, b->port_no, f);
    } else {
        d->counters.unknown_tunnel_key++;
        memory_frame_free(f);
    }
    pthread_mutex_unlock(&d->lock);
}

void memory_inject_tunnel(struct dp *dp, uint32_t tun_id, const void *frame, size_t size)
{
    memory_tunnel_receive(memory_of(dp), tun_id, memory_path_copy(frame, size));
}
