/* What trace requests show: a line a step in the agent's log. */
#include "agent/agent_impl.h"
#include "base/log.h"

void agent_trace(struct worker_host *h, const struct uuid *request, uint64_t n,
                 const struct sim_result *r)
{
    struct agent *a = caa_container_of(h, struct agent, host);
    const struct topo_obj *port;
    char id[UUID_STRLEN];

    uuid_format(request, id);
    for (uint32_t i = 0; i < r->n_steps; i++) {
        const struct sim_step *s = &r->steps[i];
        port = s->port ? topo_get(a->topo, s->port) : NULL;
        log_info("trace", "request=%s packet=%llu step=%u port=%s %*s%s", id, (unsigned long long)n,
                 i + 1, port && *port->name ? port->name : "-", 2 * s->depth, "", s->text);
    }
    log_info("trace", "request=%s packet=%llu end=%s", id, (unsigned long long)n,
             sim_reason_name(r->reason));
}
