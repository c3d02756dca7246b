/* Random chains, random packets: the index finds what rules tried in turn find, masks hold. */
#include "../unit/sim_random.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { PACKETS = 4 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct random_world *rw;
    static struct flow_key keys[PACKETS];
    static struct sim_result results[PACKETS];
    static struct arena arenas[PACKETS];
    struct dice d = {data, size, 1};

    if (!rw) {
        rcu_register_thread();
        rw = NEW(struct random_world);
        random_world_init(rw);
        for (unsigned i = 0; i < PACKETS; i++)
            arena_init(&arenas[i], 1 << 14);
    }
    random_chains(&d, rw, 1 + roll(&d, 64));
    if (check_packets(&d, rw, keys, results, arenas, PACKETS, 8))
        abort();
    rcu_quiescent_state();
    return 0;
}
