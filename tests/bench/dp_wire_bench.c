/* The datapath alone: a port and its partner joined as by a wire, with the flows an agent would
 * have made for it but no agent and no simulator.
 *
 *   dp_wire_bench [-r] [-x] NAME PORT PORT                  two machines of one host
 *   dp_wire_bench [-r] [-x] NAME PORT LOCAL REMOTE KEY      a machine and a tunnel
 *
 * -r: routed (MACs rewritten, TTL less by one); -x: a flow for each connection instead of one for
 * each pair of MACs.  Runs until its standard input ends; prints what it counted. */
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/mem.h"
#include "datapath/datapath.h"
#include "packet/packet.h"

enum { AWAKE = 50 * NSEC_PER_USEC }; /* as long as a worker stays after its last packet */

struct wire {
    struct dp *dp;
    struct flow_out out[2]; /* for what comes from port[i] */
    uint32_t port[2];
    bool routed, exact;
};

static void fail(const struct error *e)
{
    fprintf(stderr, "dp_wire_bench: %s (%s)\n", e->message, e->hint);
    exit(1);
}

static struct flow_key mask_of(const struct wire *w, const struct flow_key *key)
{
    struct flow_key mask = {.in_port = ~0u, .eth_type = 0xffff};

    memset(&mask.eth_src, 0xff, sizeof mask.eth_src);
    memset(&mask.eth_dst, 0xff, sizeof mask.eth_dst);
    if (!w->exact || (key->eth_type != ETH_TYPE_IP && key->eth_type != ETH_TYPE_IP6))
        return mask;
    memset(&mask.ip_src, 0xff, sizeof mask.ip_src);
    memset(&mask.ip_dst, 0xff, sizeof mask.ip_dst);
    mask.ip_proto = mask.ip_frag = 0xff;
    mask.tp_src = mask.tp_dst = 0xffff;
    return mask;
}

static void take(struct wire *w, struct dp_upcall *up, struct dp_flow *flow, struct dp_exec *exec,
                 struct flow_out *out)
{
    struct packet_layers l;
    struct flow_key key = {0};
    unsigned from = up->port_no == w->port[1];

    packet_parse(up->packet, up->size, &key, &l);
    key.in_port = up->port_no;
    *out = w->out[from];
    if (w->routed && key.eth_type == ETH_TYPE_IP) {
        out->set = FLOW_SET_ETH_SRC | FLOW_SET_ETH_DST | FLOW_DEC_TTL;
        out->eth_src = key.eth_src;
        out->eth_dst = key.eth_dst;
        out->ttl_dec = 1;
    }
    *flow = (struct dp_flow){.key = key, .mask = mask_of(w, &key), .outs = out, .n_outs = 1};
    *exec = (struct dp_exec){.packet = up->packet,
                             .size = up->size,
                             .in_port = up->port_no,
                             .gso_size = up->gso_size,
                             .csum_partial = up->csum_partial,
                             .handle = up->handle,
                             .outs = out,
                             .n_outs = 1};
}

static void run(struct wire *w)
{
    static struct dp_upcall ups[64];
    static struct dp_flow flows[64];
    static struct dp_exec execs[64];
    static struct flow_out outs[64];
    struct pollfd fds[2] = {{.fd = 0, .events = POLLIN},
                            {.fd = dp_recv_fd(w->dp, 0), .events = POLLIN}};

    while (!fds[0].revents) {
        int n;

        uint64_t until = 0;

        while ((n = dp_recv(w->dp, 0, ups, 64)) > 0 || clock_ns() < until) {
            if (n <= 0)
                continue;
            for (int i = 0; i < n; i++)
                take(w, &ups[i], &flows[i], &execs[i], &outs[i]);
            dp_execute(w->dp, 0, execs, (size_t)n); /* in a worker's order */
            dp_flow_put(w->dp, 0, flows, (size_t)n, NULL);
            until = clock_ns() + AWAKE;
        }
        poll(fds, 2, -1);
    }
}

static int show_port(const struct dp_port *p, void *aux)
{
    (void)aux;
    printf("%s: rx %lu tx %lu up %lu lost %lu\n", p->ifname, (unsigned long)p->rx_packets,
           (unsigned long)p->tx_packets, (unsigned long)p->upcalls, (unsigned long)p->upcalls_lost);
    return 0;
}

static int show_counter(const char *name, uint64_t value, void *aux)
{
    (void)aux;
    if (value)
        printf("%s: %lu\n", name, (unsigned long)value);
    return 0;
}

static void set_up(struct wire *w, char **args, int n)
{
    struct error e = {0};
    struct ip local, remote;

    if (dp_port_add(w->dp, args[0], &w->port[0], &e))
        fail(&e);
    w->out[1] = (struct flow_out){.kind = FLOW_OUT_PORT, .port = w->port[0]};
    if (n == 2) {
        if (dp_port_add(w->dp, args[1], &w->port[1], &e))
            fail(&e);
        w->out[0] = (struct flow_out){.kind = FLOW_OUT_PORT, .port = w->port[1]};
        return;
    }
    uint32_t tun_id = (uint32_t)strtoul(args[3], NULL, 0);

    if (ip_parse(args[1], &local) || ip_parse(args[2], &remote))
        exit(2);
    w->out[0] = (struct flow_out){
        .kind = FLOW_OUT_TUNNEL, .tun_id = tun_id, .tun_local = local, .tun_remote = remote};
    if (dp_tunnel_local(w->dp, &local, FLOW_TUNNEL_VXLAN, &e) ||
        dp_tunnel_bind(w->dp, tun_id, w->port[0], &e))
        fail(&e);
}

int main(int argc, char **argv)
{
    struct wire w = {0};
    struct error e = {0};
    int c;

    while ((c = getopt(argc, argv, "rx")) != -1)
        if (c == 'r')
            w.routed = true;
        else
            w.exact = true;
    int n = argc - optind;

    if (n != 3 && n != 5) {
        fprintf(stderr, "usage: %s [-r] [-x] NAME PORT {PORT | LOCAL REMOTE KEY}\n", argv[0]);
        return 2;
    }
    struct dp_options opts = {.name = argv[optind], .upcalls_per_port = 4096};

    if (dp_open("ebpf", &opts, &w.dp, &e))
        fail(&e);
    set_up(&w, argv + optind + 1, n - 1);
    printf("ready\n");
    fflush(stdout);
    run(&w);
    dp_port_each(w.dp, show_port, NULL);
    dp_counters(w.dp, show_counter, NULL);
    dp_close(w.dp, false);
    return 0;
}
