/* What connection state costs; one JSON line.
 *
 *   state_commit_per_s     new connections (CONN and SNAT, one commit) a second, up to a million
 *                          records
 *   state_commit_worst_us  the longest of 16 such commits in a row: growth is in it
 *   state_find_ns          looking one up among a million, by either direction, in random order
 *   state_miss_ns          looking up what isn't there
 *   state_touch_ns         using one
 *   state_sweep_ns         a record looked at that stays
 *   state_expire_ns        a record looked at that goes
 *   state_pick_ns          a free source port, each of 512 destinations in turn half used
 *   bytes_per_conn         of the table, CONN and SNAT, when a million records are in it
 *   state_encode_us        writing a new connection into a message of its own, and reading it
 *   state_message_us       the same, ten connections a message
 *
 * One thread, pinned; CPU time of it, so that what else the machine does doesn't count. */
#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/mem.h"
#include "bench.h"
#include "state/state.h"
#include "state/wire.h"
#include "topology/policy.h"

enum { CONNS = 500000, LOOKS = 1000000, DEVICE = 1 };

static struct state *table;
static uint32_t order[LOOKS];

/* Clients of a /12 behind one router, their ports translated into those of 16 addresses. */
static void conn(uint32_t i, struct state_rec r[2])
{
    struct state_tuple t = {.src = ip_from4(htonl(0x0a000000u + i % 50000)),
                            .dst = ip_from4(htonl(0x08080000u + i % 1000)),
                            .sport = (uint16_t)(1024 + i / 50000),
                            .dport = 443,
                            .proto = 6};

    memset(r, 0, 2 * sizeof *r);
    r[0] = (struct state_rec){.fwd = t, .kind = STATE_SNAT, .device = DEVICE};
    r[0].to = ip_from4(htonl(0x01010100u + i % 16));
    r[0].to_port = (uint16_t)(1024 + i / 16);
    r[1] = (struct state_rec){.kind = STATE_CONN, .device = DEVICE};
    r[1].fwd = (struct state_tuple){t.dst, r[0].to, t.dport, r[0].to_port, 6, {0}};
}

static uint64_t cpu_ns(void)
{
    struct timespec t;

    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (uint64_t)t.tv_sec * NSEC_PER_SEC + (uint64_t)t.tv_nsec;
}

static double per(uint64_t start, uint64_t n)
{
    return (double)(cpu_ns() - start) / (double)n;
}

static void commits(void)
{
    uint64_t start = cpu_ns(), before = start, worst = 0;
    struct state_rec r[2];

    for (uint32_t i = 0; i < CONNS; i++) {
        conn(i, r);
        if (state_commit(table, r, 2, 1, STATE_LOCAL, NULL))
            die("state_commit");
        if (i % 16)
            continue;
        uint64_t t = cpu_ns();
        worst = MAX(worst, t - before);
        before = t;
        rcu_quiescent_state();
    }
    printf("{\"state_commit_per_s\":%.0f,\"state_commit_worst_us\":%.0f", 1e9 / per(start, CONNS),
           (double)worst / 1000);
    printf(",\"bytes_per_conn\":%.0f", (double)state_memory(table) / CONNS);
}

static void looks(void)
{
    struct state_rec r[2], out;
    unsigned found = 0;

    uint64_t start = cpu_ns();
    for (uint32_t i = 0; i < LOOKS; i++) {
        conn(order[i], r);
        struct state_tuple t = i % 2 ? state_back(&r[0]) : r[0].fwd;
        found += state_find(table, STATE_SNAT, i % 2 ? STATE_BACK : STATE_FORTH, DEVICE, &t, &out);
    }
    printf(",\"state_find_ns\":%.0f", per(start, LOOKS));
    start = cpu_ns();
    for (uint32_t i = 0; i < LOOKS; i++) {
        conn(order[i], r);
        found += state_find(table, STATE_SNAT, STATE_FORTH, DEVICE + 1, &r[0].fwd, &out);
    }
    printf(",\"state_miss_ns\":%.0f", per(start, LOOKS));
    start = cpu_ns();
    for (uint32_t i = 0; i < LOOKS; i++) {
        conn(order[i], r);
        found += state_touch(table, &r[1], 2);
    }
    printf(",\"state_touch_ns\":%.0f", per(start, LOOKS));
    if (found != 2 * LOOKS)
        die("what was entered isn't found");
}

static void picks(void)
{
    enum { DSTS = 512, EACH = 512 };
    struct topo_nat_target t = {ip_from4(htonl(0x02020202)), ip_from4(htonl(0x02020202)), 1024,
                                2047};
    struct state_rec r = {.kind = STATE_SNAT, .device = 9, .fwd = {.proto = 6}};
    uint16_t port_to;
    uint64_t start = 0;
    struct state *s;

    state_new(NULL, &s);
    state_ports_all(s, true);
    for (uint32_t i = 0; i < 2 * DSTS * EACH; i++) {
        if (i == DSTS * EACH)
            start = cpu_ns();
        r.fwd.src = ip_from4(htonl(0x0a000000u + i));
        r.fwd.dst = ip_from4(htonl(0x08080000u + i % DSTS));
        if (state_pick_source(s, 9, &r.fwd, &t, 1, &r.to, &r.to_port, &port_to))
            die("state_pick_source");
        if (!start)
            state_commit(s, &r, 1, 1, STATE_LOCAL, NULL);
        if (i % 256 == 0)
            rcu_quiescent_state();
    }
    printf(",\"state_pick_ns\":%.0f", per(start, DSTS * EACH));
    state_free(s);
}

static void sweeps(void)
{
    uint64_t start = cpu_ns();

    if (state_sweep(table, 3, 2 * CONNS, NULL, NULL))
        die("state_sweep");
    printf(",\"state_sweep_ns\":%.1f", per(start, 2 * CONNS));
    start = cpu_ns();
    uint32_t gone = state_sweep(table, 100 * NSEC_PER_SEC, 2 * CONNS, NULL, NULL);
    printf(",\"state_expire_ns\":%.0f", per(start, MAX(gone, 1u)));
}

static void messages(unsigned each, const char *key)
{
    enum { N = 200000 };
    const struct wire_header h = {.type = WIRE_RECORDS};
    struct wire_record out[WIRE_RECORDS_MAX];
    struct uuid device = {{1}}, ports[2] = {{{2}}, {{3}}};
    uint8_t buf[WIRE_MAX];
    struct state_rec r[2];
    uint64_t start = cpu_ns();

    for (uint32_t i = 0; i < N; i += each) {
        struct wire_writer w;
        wire_begin(&w, buf, sizeof buf, &h);
        for (uint32_t k = 0; k < each; k++) {
            conn(i + k, r);
            if (!wire_add_rec(&w, &r[0], &device, 0, ports, 2) ||
                !wire_add_rec(&w, &r[1], &device, 0, ports, 2))
                die("wire_add_rec");
        }
        if (wire_records(buf, w.size, out) != (int)(2 * each))
            die("wire_records");
    }
    printf(",\"%s\":%.3f", key, per(start, N) / 1000);
}

int main(void)
{
    unsigned seed = 1;

    rcu_register_thread();
    pin(0);
    state_new(NULL, &table);
    for (uint32_t i = 0; i < LOOKS; i++)
        order[i] = (uint32_t)rand_r(&seed) % CONNS;
    commits();
    looks();
    sweeps();
    picks();
    messages(1, "state_encode_us");
    messages(10, "state_message_us");
    puts("}");
    state_free(table);
    rcu_barrier();
    rcu_unregister_thread();
    return 0;
}
