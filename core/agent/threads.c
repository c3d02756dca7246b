#include "agent/threads.h"

#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

#include "agent/agent_impl.h"
#include "base/clock.h"

#define SLEEP_MAX_NS NSEC_PER_SEC
#define MAIL_NS      (100 * NSEC_PER_MSEC)

enum { STOP_OTHERS = 1, STOP_ALL };

struct thread {
    struct agent_threads *all;
    unsigned worker; /* not the topology's */
    bool started;
    uint64_t served; /* atomic: the last ticket */
    pthread_t id;
};

struct agent_threads {
    struct agent *agent;
    uint64_t spin_ns;
    int stop;        /* atomic; workers serve on until it is STOP_ALL */
    uint64_t ticket; /* atomic */
    struct thread topology, log, mail, *workers;
};

static bool stopping(const struct thread *t)
{
    return __atomic_load_n(&t->all->stop, __ATOMIC_ACQUIRE);
}

/* Until 'fd' or the inbox has something, or 'next'. */
static void rest(struct inbox *in, int fd, uint64_t now, uint64_t next)
{
    uint64_t ns = next > now ? MIN(next - now, SLEEP_MAX_NS) : 0;
    struct timespec ts = {.tv_sec = (time_t)(ns / NSEC_PER_SEC),
                          .tv_nsec = (long)(ns % NSEC_PER_SEC)};
    struct pollfd p[] = {{.fd = in->fd, .events = POLLIN}, {.fd = fd, .events = POLLIN}};

    if (!inbox_sleep(in))
        return;
    rcu_thread_offline();
    ppoll(p, 2, &ts, NULL);
    rcu_thread_online();
    inbox_awake(in, p[0].revents);
}

static uint64_t ticket(const struct thread *t)
{
    return __atomic_load_n(&t->all->ticket, __ATOMIC_ACQUIRE);
}

static void serve(struct thread *t, uint64_t ticket)
{
    if (t->served == ticket)
        return;
    __atomic_store_n(&t->served, ticket, __ATOMIC_RELEASE);
    inbox_wake(agent_control_inbox(t->all->agent));
}

/* Nothing waits to be read from the store or to be written to it. */
static bool topology_is_quiet(struct agent *a)
{
    struct pollfd p = {.fd = agent_topology_fd(a), .events = POLLIN};
    struct sync_status s;

    sync_status(a->sync, &s);
    return !inbox_any(agent_topology_inbox(a)) && !poll(&p, 1, 0) &&
           (!s.connected || (!s.n_unshared && !s.n_needs));
}

static void *run_topology(void *aux)
{
    struct thread *t = aux;
    struct agent *a = t->all->agent;

    rcu_register_thread();
    while (!stopping(t)) {
        uint64_t drawn = ticket(t), now = agent_now(a), next = agent_run_topology(a, now);
        if (next <= now)
            continue;
        if (t->served != drawn && topology_is_quiet(a))
            serve(t, drawn);
        rest(agent_topology_inbox(a), agent_topology_fd(a), now, next);
    }
    rcu_unregister_thread();
    return NULL;
}

static void *run_worker(void *aux)
{
    struct thread *t = aux;
    struct agent *a = t->all->agent;
    const struct worker_counters *c = worker_counters(agent_worker(a, t->worker));
    uint64_t upcalls = 0, busy_until = 0;

    rcu_register_thread();
    while (__atomic_load_n(&t->all->stop, __ATOMIC_ACQUIRE) < STOP_ALL) {
        uint64_t drawn = ticket(t), now = agent_now(a), next = agent_run_worker(a, t->worker, now);
        if (c->upcalls != upcalls) {
            upcalls = c->upcalls;
            busy_until = agent_now(a) + t->all->spin_ns;
            continue;
        }
        if (next <= now)
            continue;
        serve(t, drawn);
        if (now >= busy_until)
            rest(agent_worker_inbox(a, t->worker), agent_worker_fd(a, t->worker), now, next);
    }
    rcu_unregister_thread();
    return NULL;
}

/* Workers take mail too; what they leave to be done is due in tens of milliseconds. */
static void *run_mail(void *aux)
{
    struct thread *t = aux;
    struct agent *a = t->all->agent;

    rcu_register_thread();
    while (!stopping(t)) {
        uint64_t now = agent_now(a), next = now + MAIL_NS;
        clock_sooner(&next, agent_run_mail(a, now));
        rest(agent_mail_inbox(a), agent_mail_fd(a), now, next);
    }
    rcu_unregister_thread();
    return NULL;
}

static void *run_log(void *aux)
{
    struct thread *t = aux;
    struct inbox *in = agent_log_inbox(t->all->agent);

    rcu_register_thread();
    while (!stopping(t)) {
        agent_run_log(t->all->agent);
        rest(in, -1, 0, SLEEP_MAX_NS);
    }
    rcu_unregister_thread();
    return NULL;
}

uint64_t agent_threads_ticket(struct agent_threads *t)
{
    uint64_t drawn = __atomic_add_fetch(&t->ticket, 1, __ATOMIC_ACQ_REL);

    inbox_wake(agent_topology_inbox(t->agent));
    for (unsigned i = 0; i < agent_n_workers(t->agent); i++)
        inbox_wake(agent_worker_inbox(t->agent, i));
    return drawn;
}

bool agent_threads_served(const struct agent_threads *t, uint64_t ticket)
{
    bool all = __atomic_load_n(&t->topology.served, __ATOMIC_ACQUIRE) >= ticket;

    for (unsigned i = 0; i < agent_n_workers(t->agent); i++)
        all &= __atomic_load_n(&t->workers[i].served, __ATOMIC_ACQUIRE) >= ticket;
    return all;
}

static int start(struct thread *t, void *(*fn)(void *), const char *name)
{
    int rc = -pthread_create(&t->id, NULL, fn, t);

    t->started = !rc;
    if (!rc)
        pthread_setname_np(t->id, name);
    return rc;
}

int agent_threads_start(struct agent *a, uint64_t spin_ns, struct agent_threads **out,
                        struct error *e)
{
    struct agent_threads *t = NEW(struct agent_threads);
    unsigned n = agent_n_workers(a);
    char name[16];

    t->agent = a;
    t->spin_ns = spin_ns ? spin_ns : 50 * NSEC_PER_USEC;
    t->workers = NEW_ARRAY(n, struct thread);
    t->topology.all = t->log.all = t->mail.all = t;
    a->threaded = true;
    int rc = start(&t->topology, run_topology, "mn-topology");
    if (!rc)
        rc = start(&t->log, run_log, "mn-log");
    if (!rc && agent_mail_fd(a) >= 0)
        rc = start(&t->mail, run_mail, "mn-mail");
    for (unsigned i = 0; i < n && !rc; i++) {
        t->workers[i] = (struct thread){.all = t, .worker = i};
        snprintf(name, sizeof name, "mn-worker-%u", i % 1000);
        rc = start(&t->workers[i], run_worker, name);
    }
    if (rc) {
        agent_threads_stop(t);
        return error_set(e, rc, "agent", NULL, "cannot start a thread");
    }
    *out = t;
    return 0;
}

void agent_threads_stop(struct agent_threads *t)
{
    if (!t)
        return;
    __atomic_store_n(&t->stop, STOP_OTHERS, __ATOMIC_RELEASE);
    rcu_thread_offline(); /* they may wait for a grace period on their way out */
    if (t->topology.started) {
        inbox_wake(agent_topology_inbox(t->agent));
        pthread_join(t->topology.id, NULL);
    }
    if (t->mail.started) {
        inbox_wake(agent_mail_inbox(t->agent));
        pthread_join(t->mail.id, NULL);
    }
    if (t->log.started) {
        inbox_wake(agent_log_inbox(t->agent));
        pthread_join(t->log.id, NULL);
    }
    __atomic_store_n(&t->stop, STOP_ALL, __ATOMIC_RELEASE);
    for (unsigned i = 0; i < agent_n_workers(t->agent); i++) {
        if (!t->workers[i].started)
            continue;
        inbox_wake(agent_worker_inbox(t->agent, i));
        pthread_join(t->workers[i].id, NULL);
    }
    rcu_thread_online();
    t->agent->threaded = false;
    free(t->workers);
    free(t);
}
