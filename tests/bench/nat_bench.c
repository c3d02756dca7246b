/* New connections through connection tracking and a dynamic translation of the source, one core,
 * without a datapath (null_dp.h).  Each has two records, one at the bridge where it is tracked and
 * one at the router.  One JSON line:
 *
 *   nat_conn_per_s   connections set up a second: parse, simulate, pick a port, commit, flow
 *   nat_conn_bytes   of the table of records, of a size for as many, without the flows
 */
#include "null_dp.h"

enum { N = 150000 };

int main(void)
{
    struct world *w = NEW(struct world);
    struct null_dp *d = NEW(struct null_dp);
    struct worker_options opts = {.flows.max_flows = N};
    struct state *state;

    rcu_register_thread();
    world_init(w);
    if (state_new(&(struct state_limits){.max_records = 2 * N}, &state))
        return 1;
    state_ports_all(state, true);
    struct dev *left = bridge(w, "left"), *right = bridge(w, "right"), *rt = router(w, "rt");
    struct prt *a = vm(left, "a"), *z = vm(right, "z");
    struct prt *lr = rport(rt, "lr", "10.0.1.1/24"), *rr = rport(rt, "rr", "10.0.2.1/24");
    plug(port(left, "lp"), lr);
    plug(port(right, "rp"), rr);
    struct chn *track = chain(w, "track"), *post = chain(w, "post");
    rule(track, "accept fwd-flow");
    rule(track, "accept return-flow");
    left->infilter = track->ref;
    rule(post, "snat out-ports rr target 10.0.2.240-10.0.2.243:1024-65535");
    rt->outfilter = post->ref;
    publish(w);
    knows(rr, "10.0.2.10", "02:00:00:00:00:0c");
    mac_behind(a, 0, "02:00:00:00:00:0a");
    mac_behind(z, 0, "02:00:00:00:00:0c");

    d->dp.ops = &null_ops;
    struct portmap_entry entries[] = {{a->ref, 1}, {z->ref, 2}};
    struct portmap *map = portmap_new(entries, 2);
    struct worker_host host = {.topo = w->topo,
                               .dp = &d->dp,
                               .local_host = w->local,
                               .ports = &map,
                               .state = state,
                               .need = need,
                               .learn = learn};
    struct worker *worker;
    if (worker_new(&host, &opts, &worker))
        return 1;
    d->port_no = 1;
    struct flow_key k = {.eth_src = MAC("02:00:00:00:00:0a"),
                         .eth_dst = lr->mac,
                         .eth_type = ETH_TYPE_IP,
                         .ip_src = IP("10.0.1.10"),
                         .ip_dst = IP("10.0.2.10"),
                         .ip_proto = 17,
                         .ip_ttl = 64};
    null_frames(d, &k);
    d->wanted = N;
    uint64_t t0 = cpu_ns();
    run(worker);
    uint64_t t1 = cpu_ns();
    if (state_size(state) != 2 * N)
        fprintf(stderr, "only %u records\n", state_size(state));
    printf("{\"nat_conn_per_s\": %.0f, \"nat_conn_bytes\": %.0f}\n", N * 1e9 / (double)(t1 - t0),
           (double)state_memory(state) / N);
    return 0;
}
