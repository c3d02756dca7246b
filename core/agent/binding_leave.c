/* Giving a port up, in the order of binding.h: the port map first, then its flows at each worker,
 * then the datapath.
 *
 * n_leaving is -1 until the port map has lost it, then the number of workers that still have flows
 * of it.  Thread: control, but for what each worker does in its own turn. */
#include "agent/binding_impl.h"
#include "base/log.h"

/* A worker's part of giving a port up. */
struct removal {
    struct inbox_call call;
    struct worker_removal flows;
    struct binding *binding;
    struct agent *agent;
};

static void removed(struct worker *w, struct worker_removal *flows)
{
    struct removal *r = caa_container_of(flows, struct removal, flows);
    struct agent *a = r->agent;

    (void)w;
    if (!__atomic_sub_fetch(&r->binding->n_leaving, 1, __ATOMIC_ACQ_REL))
        inbox_wake(&a->control); /* the binding may be gone by now */
}

static void removal_fn(void *worker, void *aux)
{
    worker_remove_port(worker, &((struct removal *)aux)->flows);
}

void binding_remove_flows(struct bindings *bs, struct binding *b)
{
    struct agent *a = bs->agent;

    if (!b->removals)
        b->removals = NEW_ARRAY(a->n_workers, struct removal);
    __atomic_store_n(&b->n_leaving, (int)a->n_workers, __ATOMIC_RELEASE);
    for (unsigned i = 0; i < a->n_workers; i++) {
        struct removal *r = &b->removals[i];
        *r = (struct removal){
            .binding = b,
            .agent = a,
            .call = {.fn = removal_fn, .aux = r},
            .flows = {.port = b->port, .port_no = b->port_no, .done = removed},
        };
        inbox_call(worker_inbox(a->workers[i]), &r->call);
    }
}

void binding_leave(struct bindings *bs, struct binding *b)
{
    log_info("agent", "port of interface %s is down: %s", b->ifname, b->why);
    b->state = LEAVING;
    __atomic_store_n(&b->n_leaving, -1, __ATOMIC_RELEASE);
    binding_drop_key(bs, b);
    binding_declare(bs->agent, b->port, 0, false);
}

bool binding_has_left(const struct binding *b)
{
    return !__atomic_load_n(&b->n_leaving, __ATOMIC_ACQUIRE);
}

void binding_left(struct bindings *bs, struct binding *b)
{
    dp_port_del(bs->agent->opts.dp, b->port_no, NULL);
    binding_restore_mtu(bs, b);
    b->state = IDLE;
    b->port_no = 0;
}
