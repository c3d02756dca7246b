/* The exchange among the agent's threads: who hears of what it hears. */
#include "agent/agent_impl.h"
#include "base/clock.h"

#define FETCH_NS (3 * NSEC_PER_SEC) /* a port waits so long for its connections */

static void changed(void *aux, const struct tag_change *changes, size_t n)
{
    agent_announce(aux, changes, n);
}

static void need(void *aux, topo_ref ref)
{
    sync_need(((struct agent *)aux)->sync, ref);
}

struct stranger {
    enum topo_kind kind;
    struct uuid id;
};

static void meet_fn(void *agent, void *aux)
{
    struct stranger *s = aux;
    struct agent *a = agent;

    /* a device: what kind it is will be known when somebody needs it */
    topo_ref ref = s->kind == TOPO_NONE ? topo_intern(a->topo, TOPO_NONE, &s->id)
                                        : sync_load(a->sync, s->kind, &s->id);
    exchange_met(a->exchange, ref, a->topology_ns);
    free(s);
}

static void meet(void *aux, enum topo_kind kind, const struct uuid *id)
{
    struct stranger *s = NEW(struct stranger);

    *s = (struct stranger){kind, *id};
    agent_call_topology(aux, meet_fn, s);
}

static void fetched_fn(void *agent, void *aux)
{
    bindings_fetched(((struct agent *)agent)->bindings, (topo_ref)(uintptr_t)aux);
}

static void fetched(void *aux, topo_ref port)
{
    agent_call_control(aux, fetched_fn, (void *)(uintptr_t)port);
}

static void due(void *aux)
{
    inbox_wake(&((struct agent *)aux)->mail);
}

int agent_open_exchange(struct agent *a)
{
    struct exchange_callbacks cb = {
        .aux = a, .changed = changed, .need = need, .meet = meet, .due = due, .fetched = fetched};
    struct timespec wall;

    clock_gettime(CLOCK_REALTIME, &wall);
    struct exchange_options o = {.host = a->opts.host,
                                 .local_host = a->local_host,
                                 .life =
                                     (uint64_t)wall.tv_sec * NSEC_PER_SEC + (uint64_t)wall.tv_nsec,
                                 .mail = a->opts.mail,
                                 .topo = a->topo,
                                 .state = a->state};
    if (a->opts.mail)
        a->exchange = exchange_new(&o, &cb);
    return 0;
}

void agent_fetch(struct agent *a, topo_ref port, topo_ref host, uint64_t now)
{
    exchange_fetch(a->exchange, port, host, FETCH_NS, now);
    inbox_wake(&a->mail);
}

uint64_t agent_run_mail(struct agent *a, uint64_t now)
{
    __atomic_store_n(&a->mail.posted, 0, __ATOMIC_SEQ_CST); /* before looking: see inbox_take() */
    uint64_t next = a->exchange ? exchange_run(a->exchange, now) : UINT64_MAX;

    rcu_quiescent_state();
    return next;
}

int agent_mail_fd(struct agent *a)
{
    return a->opts.mail ? mail_fd(a->opts.mail) : -1;
}

struct inbox *agent_mail_inbox(struct agent *a)
{
    return &a->mail;
}

void agent_exchange(struct agent *a, struct exchange_counters *out)
{
    *out = (struct exchange_counters){0};
    if (a->exchange)
        exchange_counters(a->exchange, out);
}
