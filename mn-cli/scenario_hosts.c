#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "objects/objects.h"
#include "scenario.h"

static int find_host(struct scenario *s, const char *name, struct error *e)
{
    for (unsigned i = 0; name && i < s->n_hosts; i++)
        if (!strcmp(s->hosts[i].name, name))
            return (int)i;
    return error_set(e, -ENOENT, name, NULL, "no host of this name is in the scenario");
}

int scenario_host(struct scenario *s, const char *const *w, size_t n, struct error *e)
{
    struct scenario_host *h = &s->hosts[s->n_hosts];
    char address[24], uuid[UUID_STRLEN];
    struct ip underlay;
    int rc;

    if (n != 1 || strlen(w[0]) >= sizeof h->name || s->n_hosts == LAB_HOSTS)
        return error_set(e, -EINVAL, NULL, NULL, "host NAME (at most %d)", LAB_HOSTS);
    for (unsigned i = 0; i < s->n_hosts; i++)
        if (!strcmp(s->hosts[i].name, w[0]))
            return error_set(e, -EINVAL, w[0], NULL, "there is a host of this name already");
    if (!s->n_hosts &&
        (rc = scenario_cli(s, e, "create", "tunnel-zone", "name", "lab", "type", "vxlan", NULL)))
        return rc;
    snprintf(h->name, sizeof h->name, "%s", w[0]);
    uuid_random(&h->id);
    snprintf(address, sizeof address, "192.0.2.%u", s->n_hosts + 1);
    ip_parse(address, &underlay);
    if ((rc = s->lab->ops->host_add(s->lab, h->name, &h->id, &underlay, e)))
        return rc;
    s->n_hosts++;
    return scenario_cli(s, e, "tunnel-zone", "lab", "add", "member", "host",
                        uuid_format(&h->id, uuid), "address", address, NULL);
}

/* Is the port served?  Asked of the store, as other hosts would. */
static int port_active(struct scenario *s, const char *name, struct error *e)
{
    struct objects *db = objects_open(s->lab->ops->store(s->lab));
    struct uuid id;
    json_t *port = NULL;
    int rc = objects_resolve(db, ST_PORT, NULL, name, &id, e);

    if (!rc)
        rc = objects_get(db, ST_PORT, &id, &port, e);
    if (!rc)
        rc = json_is_true(json_object_get(port, "active"));
    json_decref(port);
    objects_close(db);
    return rc;
}

static int await_active(struct scenario *s, const char *name, bool active, struct error *e)
{
    for (unsigned waited = 0;;) {
        int rc = s->lab->ops->settle(s->lab, e);
        if (!rc)
            rc = port_active(s, name, e);
        if (rc < 0)
            return rc;
        if (rc == active)
            return s->lab->ops->settle(s->lab, e);
        if (waited >= 5 * s->lab->ops->patience_ms)
            return error_set(e, -ETIMEDOUT, name, NULL, "the port did not become %s",
                             active ? "active" : "inactive");
        waited += s->lab->ops->wait(s->lab, 20);
    }
}

/* Makes an interface on host 'h' and binds the port to it. */
static int bind_port(struct scenario *s, struct scenario_port *p, int h, struct error *e)
{
    char ifname[16], host[UUID_STRLEN];

    snprintf(ifname, sizeof ifname, "if%u", s->n_ifaces);
    int rc = s->lab->ops->iface_add(s->lab, (unsigned)h, ifname, e);
    if (rc < 0)
        return rc;
    s->n_ifaces++;
    p->iface = (unsigned)rc;
    p->host = (unsigned)h;
    p->down = false;
    rc = scenario_cli(s, e, "host", uuid_format(&s->hosts[h].id, host), "add", "binding", "port",
                      p->name, "interface", ifname, NULL);
    return rc || s->hosts[h].stopped ? rc : await_active(s, p->name, true, e);
}

int scenario_bind(struct scenario *s, const char *const *w, size_t n, struct error *e)
{
    struct scenario_port *p = &s->ports[s->n_ports];
    int h;

    if (n != 2 || strlen(w[0]) >= sizeof p->name || s->n_ifaces == LAB_IFACES)
        return error_set(e, -EINVAL, NULL, NULL, "bind PORT HOST (at most %d)", LAB_IFACES);
    if ((h = find_host(s, w[1], e)) < 0)
        return h;
    *p = (struct scenario_port){.iface = 0};
    snprintf(p->name, sizeof p->name, "%s", w[0]);
    s->n_ports++;
    return bind_port(s, p, h, e);
}

/* The machine moves; it keeps what it knows. */
int scenario_rebind(struct scenario *s, const char *const *w, size_t n, struct error *e)
{
    int port = scenario_find_port(s, n == 2 ? w[0] : NULL, e), h, rc;
    char host[UUID_STRLEN];

    if (port < 0)
        return port;
    struct scenario_port *p = &s->ports[port];
    if ((h = find_host(s, w[1], e)) < 0)
        return h;
    rc = scenario_cli(s, e, "host", uuid_format(&s->hosts[p->host].id, host), "binding", "port",
                      p->name, "delete", NULL);
    if (!rc)
        rc = s->lab->ops->iface_del(s->lab, p->iface, e);
    return rc ? rc : bind_port(s, p, h, e);
}

int scenario_unplug(struct scenario *s, const char *const *w, size_t n, struct error *e)
{
    int port = scenario_find_port(s, n == 1 ? w[0] : NULL, e);

    if (port < 0)
        return port;
    s->ports[port].down = true;
    int rc = s->lab->ops->iface_del(s->lab, s->ports[port].iface, e);
    return rc ? rc : await_active(s, w[0], false, e);
}

int scenario_link(struct scenario *s, const char *const *w, size_t n, struct error *e)
{
    int port = scenario_find_port(s, n == 2 ? w[0] : NULL, e);

    if (port < 0)
        return port;
    bool up = !strcmp(w[1], "up");
    if (!up && strcmp(w[1], "down"))
        return error_set(e, -EINVAL, NULL, NULL, "link PORT up|down");
    s->ports[port].down = !up;
    int rc = s->lab->ops->link(s->lab, s->ports[port].iface, up, e);
    return rc ? rc : await_active(s, w[0], up, e);
}

int scenario_clock(struct scenario *s, const char *const *w, size_t n, struct error *e)
{
    char *end = NULL;
    double seconds = n == 1 ? strtod(w[0], &end) : -1;

    if (!(seconds >= 0 && seconds <= 1e6) || *end)
        return error_set(e, -EINVAL, NULL, NULL, "clock SECONDS");
    int rc = s->lab->ops->clock(s->lab, (uint64_t)(seconds * 1e9), e);
    return rc ? rc : s->lab->ops->settle(s->lab, e);
}

int scenario_stop(struct scenario *s, const char *const *w, size_t n, struct error *e)
{
    bool keep = n == 2 && !strcmp(w[1], "keep");
    int h = find_host(s, n == 1 || keep ? w[0] : NULL, e);

    if (h < 0)
        return h;
    if (s->hosts[h].stopped)
        return error_set(e, -EINVAL, w[0], NULL, "is stopped already");
    s->hosts[h].stopped = true;
    return s->lab->ops->stop(s->lab, (unsigned)h, keep, e);
}

int scenario_start(struct scenario *s, const char *const *w, size_t n, struct error *e)
{
    int h = find_host(s, n == 1 ? w[0] : NULL, e), rc;

    if (h < 0)
        return h;
    if (!s->hosts[h].stopped)
        return error_set(e, -EINVAL, w[0], NULL, "runs");
    s->hosts[h].stopped = false;
    if ((rc = s->lab->ops->start(s->lab, (unsigned)h, e)))
        return rc;
    for (unsigned i = 0; i < s->n_ports; i++) {
        const struct scenario_port *p = &s->ports[i];
        if (p->host == (unsigned)h && !p->down && (rc = await_active(s, p->name, true, e)))
            return rc;
    }
    return 0;
}

int scenario_restart(struct scenario *s, const char *const *w, size_t n, struct error *e)
{
    int rc = scenario_stop(s, w, n, e);

    return rc ? rc : scenario_start(s, w, 1, e);
}

int scenario_flows(struct scenario *s, const char *const *w, size_t n, struct error *e)
{
    int h = find_host(s, n == 2 ? w[0] : NULL, e), rc;
    uint64_t flows;
    long wanted;

    if (h < 0)
        return h;
    if (!scenario_number(w[1], 0, LONG_MAX, &wanted))
        return error_set(e, -EINVAL, NULL, NULL, "flows HOST N");
    if ((rc = s->lab->ops->settle(s->lab, e)) ||
        (rc = s->lab->ops->n_flows(s->lab, (unsigned)h, &flows, e)))
        return rc;
    if (flows == (uint64_t)wanted)
        return 0;
    return error_set(e, -EPROTO, w[0], NULL, "%llu flows are installed, not %s",
                     (unsigned long long)flows, w[1]);
}
