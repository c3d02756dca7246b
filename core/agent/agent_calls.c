/* How the agent's threads have each other do something: a function posted to the inbox of whose
 * turn it is to run it. */
#include <semaphore.h>
#include <stdlib.h>

#include "agent/agent_impl.h"

struct closure {
    struct inbox_call call;
    void (*fn)(void *a, void *aux);
    void *aux;
};

static void run_closure(void *agent, void *aux)
{
    struct closure *c = aux;

    c->fn(agent, c->aux);
    free(c);
}

void agent_post(struct inbox *in, void (*fn)(void *a, void *aux), void *aux)
{
    struct closure *c = NEW(struct closure);

    *c = (struct closure){.fn = fn, .aux = aux, .call = {.fn = run_closure, .aux = c}};
    inbox_call(in, &c->call);
}

void agent_call_topology(struct agent *a, void (*fn)(void *a, void *aux), void *aux)
{
    agent_post(&a->topology, fn, aux);
}

void agent_call_control(struct agent *a, void (*fn)(void *a, void *aux), void *aux)
{
    agent_post(&a->control, fn, aux);
}

void agent_run_calls(struct inbox *in, void *owner)
{
    struct tag_change *changes = NULL;
    struct inbox_call *calls;
    size_t room = 0;
    bool all;

    if (!inbox_any(in))
        return;
    inbox_take(in, &changes, &room, &all, &calls);
    while (calls) {
        struct inbox_call *next = calls->next;
        calls->fn(owner, calls->aux);
        calls = next;
    }
    free(changes);
}

struct question {
    struct inbox_call call;
    void (*fn)(void *worker, void *aux);
    void *aux;
    sem_t answered;
};

static void answer(void *worker, void *aux)
{
    struct question *q = aux;

    q->fn(worker, q->aux);
    sem_post(&q->answered);
}

void agent_ask_worker(struct agent *a, unsigned worker, void (*fn)(void *worker, void *aux),
                      void *aux)
{
    struct question q = {.fn = fn, .aux = aux, .call = {.fn = answer, .aux = &q}};

    if (!a->threaded) {
        fn(a->workers[worker], aux);
        return;
    }
    sem_init(&q.answered, 0, 0);
    inbox_call(worker_inbox(a->workers[worker]), &q.call);
    rcu_thread_offline();
    while (sem_wait(&q.answered))
        ;
    rcu_thread_online();
    sem_destroy(&q.answered);
}
