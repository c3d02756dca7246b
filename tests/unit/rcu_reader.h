/* For cmocka_run_group_tests(): the test's thread reads the topology as a worker does. */
#ifndef MN_TESTS_RCU_READER_H
#define MN_TESTS_RCU_READER_H

#include "topology/topology.h"

static inline int reader_setup(void **state)
{
    (void)state;
    rcu_register_thread();
    return 0;
}

static inline int reader_teardown(void **state)
{
    (void)state;
    rcu_unregister_thread();
    return 0;
}

#endif
