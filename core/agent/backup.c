/* Connections across a restart: what workers commit is written down, and read back before adopted
 * flows are looked at, so that these are judged by what they stood on. */
#include <time.h>

#include "agent/agent_impl.h"
#include "base/clock.h"
#include "base/log.h"
#include "state/backup.h"

#define READ_TIMEOUT_MS 3000

uint64_t agent_wall_ms(uint64_t now)
{
    struct timespec ts;

    clock_gettime(CLOCK_REALTIME, &ts);
    int64_t ahead = (int64_t)(now - clock_ns());
    return (uint64_t)((int64_t)ts.tv_sec * 1000 + ts.tv_nsec / (int64_t)NSEC_PER_MSEC +
                      ahead / (int64_t)NSEC_PER_MSEC);
}

static void add_port(struct wire_record *w, const struct topo *t, topo_ref port)
{
    if (port)
        w->ports[w->n_ports++] = *topo_id(t, port);
}

void agent_remember(struct worker_host *h, const struct state_rec *recs, uint32_t n,
                    const struct state_via *via, uint64_t used, uint64_t now)
{
    struct agent *a = caa_container_of(h, struct agent, host);
    struct wire_record out[STATE_COMMIT_MAX];

    for (uint32_t i = 0; i < n; i++) {
        out[i] =
            (struct wire_record){.rec = recs[i],
                                 .device = *topo_id(a->topo, recs[i].device),
                                 .idle_ms = (uint32_t)((now - MIN(used, now)) / NSEC_PER_MSEC)};
        add_port(&out[i], a->topo, via->in);
        add_port(&out[i], a->topo, via->out);
    }
    a->opts.backup->ops->write(a->opts.backup, out, n, agent_wall_ms(now));
}

struct loading {
    struct agent *agent;
    uint64_t now;
    uint32_t n, n_refused;
};

/* Whatever device it names gets a slot: what kind it is will be known when it is loaded. */
static int load(const struct wire_record *w, void *aux)
{
    struct loading *l = aux;
    struct agent *a = l->agent;
    uint64_t idle = w->idle_ms * NSEC_PER_MSEC;
    struct state_via via = {0};
    struct state_rec rec = w->rec;

    if (idle > l->now || uuid_is_zero(&w->device))
        return 0;
    rec.device = topo_intern(a->topo, TOPO_NONE, &w->device);
    if (w->n_ports > 0)
        via.in = topo_intern(a->topo, TOPO_PORT, &w->ports[0]);
    if (w->n_ports > 1)
        via.out = topo_intern(a->topo, TOPO_PORT, &w->ports[1]);
    /* the latest of a connection comes first; older ones don't make it younger */
    if (state_commit_via(a->state, &rec, 1, &via, l->now - idle, STATE_LOADED, NULL))
        l->n_refused++;
    else
        l->n++;
    return 0;
}

void agent_load_backup(struct agent *a, uint64_t now)
{
    struct state_backup *b = a->opts.backup;
    struct loading l = {.agent = a, .now = now};

    if (!b)
        return;
    int rc = b->ops->read(b, NULL, 0, agent_wall_ms(now), READ_TIMEOUT_MS, load, &l);
    if (rc < 0)
        log_warn("agent", "backup of connections: %s", strerror(-rc));
    if (l.n || l.n_refused)
        log_info("agent", "connections read back: %u records, %u refused", l.n, l.n_refused);
    if (l.n)
        ports_adopt(a->leases, now, agent_wall_ms(now));
}
