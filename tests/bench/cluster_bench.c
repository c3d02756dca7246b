/* How changes reach agents, and what that costs, as the cloud and its tables grow.
 *
 *     cluster_bench STORE N [ENTRIES...]        STORE: "memory:x" or "zk://.../root"
 *
 * N agents in one process (cluster.h).  One JSON line:
 *
 *   start_ms              all agents, started at once, serve their ports and know the others'
 *   object_p50_ms, _p99   a bridge is changed: until the last of N agents that use it has the
 * change object_reads          nodes each agent read for it changes_per_s         changes of that
 * bridge, one after the other, each committed by one writer, until the last agent has the last one
 *   few_p50_ms            a bridge that three agents use is changed
 *   few_others            store operations and wake-ups of the other N - 3 agents for that: 0
 *   table_ENTRIES_p50_ms  a MAC is learned in a table of so many entries: until the last of N
 * agents has it (learned entries are gathered for 20 ms before they are written)
 *   table_ENTRIES_p99_ms
 *   bytes_per_agent       resident memory of the process, each agent's share
 */
#include "base/log.h"
#include "cluster.h"

enum { ROUNDS = 60 };

static int by_size(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;

    return (x > y) - (x < y);
}

static double percentile(double *v, size_t n, unsigned p)
{
    qsort(v, n, sizeof *v, by_size);
    return v[(n - 1) * p / 100];
}

static size_t resident(void)
{
    unsigned long size, pages = 0;
    FILE *f = fopen("/proc/self/statm", "r");

    if (!f || fscanf(f, "%lu %lu", &size, &pages) != 2)
        give_up("/proc/self/statm");
    fclose(f);
    return pages * (size_t)sysconf(_SC_PAGESIZE);
}

struct wish {
    const struct uuid *bridge;
    bool up;
};

static bool has_state(struct node *n, void *aux)
{
    const struct wish *w = aux;
    struct topo *t = agent_topo(n->agent);
    const struct topo_bridge *b = topo_bridge(t, topo_find(t, w->bridge));

    return b && b->admin_up == w->up;
}

static double change_round(struct cluster *c, struct wish *w, uint32_t n_interested)
{
    w->up = !w->up;
    cluster_expect(c, n_interested, has_state, w);
    uint64_t start = clock_ns();
    change(c, ST_BRIDGE, w->bridge, json_of("{'adminStateUp':%s}", w->up ? "true" : "false"));
    return (double)(cluster_await(c, 60, "change") - start) / 1e6;
}

static void measure_objects(struct cluster *c)
{
    double ms[ROUNDS];
    struct wish all = {&c->all, true}, few = {&c->few, true};
    struct cluster_work before = cluster_work(c, 0), after;

    for (unsigned i = 0; i < ROUNDS; i++)
        ms[i] = change_round(c, &all, c->n_nodes);
    after = cluster_work(c, 0);
    printf("\"object_p50_ms\":%.2f,", percentile(ms, ROUNDS, 50));
    printf("\"object_p99_ms\":%.2f,", percentile(ms, ROUNDS, 99));
    printf("\"object_reads\":%.2f,",
           (double)(after.reads - before.reads) / ROUNDS / (double)c->n_nodes);
    uint32_t from = MIN(3u, c->n_nodes);
    poll(NULL, 0, 200); /* the last round's wake-ups are over */
    before = cluster_work(c, from);
    for (unsigned i = 0; i < ROUNDS; i++)
        ms[i] = change_round(c, &few, from);
    after = cluster_work(c, from);
    printf("\"few_p50_ms\":%.2f,\"few_others\":%llu,", percentile(ms, ROUNDS, 50),
           (unsigned long long)(after.reads - before.reads + after.writes - before.writes +
                                after.turns - before.turns));
}

static void measure_rate(struct cluster *c)
{
    struct wish w = {&c->all, true};
    uint64_t start = clock_ns(), n = 0;

    cluster_expect(c, 0, has_state, &w);
    while (clock_ns() - start < 2 * NSEC_PER_SEC) {
        w.up = !w.up;
        change(c, ST_BRIDGE, w.bridge, json_of("{'adminStateUp':%s}", w.up ? "true" : "false"));
        n++;
    }
    w.up = false; /* and it stays up */
    change_round(c, &w, c->n_nodes);
    printf("\"changes_per_s\":%.0f,", (double)(n + 1) * 1e9 / (double)(clock_ns() - start));
}

/* A frame from behind interface a to the machine behind b, that nobody has to flood. */
static void learn(struct node *n, uint32_t number, const struct mac *dst, const char *ifname)
{
    uint8_t frame[64] = {0};
    struct mac src = {{2, 0x77, (uint8_t)(number >> 24), (uint8_t)(number >> 16),
                       (uint8_t)(number >> 8), (uint8_t)number}};

    memcpy(frame, dst, 6);
    memcpy(frame + 6, &src, 6);
    frame[12] = 0x88; /* a local experimental ethertype (IEEE 802) */
    frame[13] = 0xb5;
    if (memory_inject(n->dp, ifname, frame, sizeof frame))
        give_up("inject");
}

struct entry {
    struct mac mac;
};

static bool has_mac(struct node *n, void *aux)
{
    const struct entry *e = aux;
    struct topo *t = agent_topo(n->agent);
    const struct topo_bridge *b = topo_bridge(t, topo_find(t, &n->cluster->all));

    return b && topo_mac_lookup(b->macs, 0, &e->mac);
}

static struct entry entry_of(uint32_t number)
{
    return (struct entry){{{2, 0x77, (uint8_t)(number >> 24), (uint8_t)(number >> 16),
                            (uint8_t)(number >> 8), (uint8_t)number}}};
}

static uint32_t n_learned;

/* MACs up to 'size', behind the first host; all agents have them when it returns. */
static void fill_table(struct cluster *c, uint32_t size, const struct mac *sink)
{
    struct entry last;

    while (n_learned < size) {
        uint32_t upto = MIN(size, n_learned + 200);
        while (n_learned < upto)
            learn(&c->nodes[0], ++n_learned, sink, "a");
        last = entry_of(n_learned);
        cluster_expect(c, 1, has_mac, &last);
        cluster_await(c, 60, "learning");
    }
    last = entry_of(n_learned);
    cluster_expect(c, c->n_nodes, has_mac, &last);
    cluster_await(c, 300, "filling the table");
}

static void measure_table(struct cluster *c, uint32_t size)
{
    struct mac sink = {{2, 0x77, 0xff, 0xff, 0xff, 0xff}};
    double ms[ROUNDS];

    learn(&c->nodes[0], 0xffffffff, &sink, "b"); /* where the frames go */
    struct entry e = {sink};
    cluster_expect(c, c->n_nodes, has_mac, &e);
    cluster_await(c, 60, "learning");
    fill_table(c, size, &sink);
    for (unsigned i = 0; i < ROUNDS; i++) {
        e = entry_of(++n_learned);
        cluster_expect(c, c->n_nodes, has_mac, &e);
        uint64_t start = clock_ns();
        learn(&c->nodes[0], n_learned, &sink, "a");
        ms[i] = (double)(cluster_await(c, 60, "learned") - start) / 1e6;
    }
    printf("\"table_%u_p50_ms\":%.2f,", size, percentile(ms, ROUNDS, 50));
    printf("\"table_%u_p99_ms\":%.2f,", size, percentile(ms, ROUNDS, 99));
}

int main(int argc, char **argv)
{
    uint32_t n = argc > 2 ? (uint32_t)atoi(argv[2]) : 0;
    struct cluster c;
    double ms;

    if (n < 1) {
        fprintf(stderr, "usage: cluster_bench STORE N [ENTRIES...]\n");
        return 2;
    }
    log_level = LOG_LVL_ERROR;
    rcu_register_thread();
    rcu_thread_offline();
    size_t before = resident();
    /* A thread of an agent waits for the answers of a remote store; others run meanwhile. */
    cluster_up(&c, argv[1], n, strncmp(argv[1], "zk:", 3) ? 2 : 64, &ms);
    printf("{\"agents\":%u,\"start_ms\":%.0f,", n, ms);
    printf("\"bytes_per_agent\":%.0f,", (double)(resident() - before) / n);
    measure_objects(&c);
    measure_rate(&c);
    for (int i = 3; i < argc; i++)
        measure_table(&c, (uint32_t)atoi(argv[i]));
    cluster_down(&c);
    printf("\"cpus\":%ld}\n", sysconf(_SC_NPROCESSORS_ONLN));
    rcu_thread_online();
    rcu_unregister_thread();
    return 0;
}
