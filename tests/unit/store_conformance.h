/* What every store must do.  Included by one small main for each filling, which says how to get a
 * fresh tree.  Other processes are this same program, started again with a role. */
#ifndef MN_TEST_STORE_CONFORMANCE_H
#define MN_TEST_STORE_CONFORMANCE_H

#include "store_limit_tests.h"
#include "store_race_tests.h"
#include "store_tree_tests.h"
#include "store_watch_tests.h"

static const struct role conformance_roles[] = {
    {"hold", role_hold}, {"count", role_count}, {"hot", role_hot}, {0}};

#define CONFORMANCE_TESTS                                                                          \
    CLUSTER_TESTS, cmocka_unit_test(what_is_too_big_is_refused),                                   \
        cmocka_unit_test(the_largest_commit_passes),                                               \
        cmocka_unit_test(malformed_paths_are_refused), cmocka_unit_test(watches_are_bounded),      \
        cmocka_unit_test(a_hundred_thousand_objects)

/* What may come out otherwise with several servers than with one. */
#define CLUSTER_TESTS                                                                              \
    cmocka_unit_test(values_have_versions), cmocka_unit_test(a_tree_has_parents_and_children),     \
        cmocka_unit_test(a_commit_is_all_or_nothing), cmocka_unit_test(put_creates_or_sets),       \
        cmocka_unit_test(ephemeral_nodes_die_with_their_handle),                                   \
        cmocka_unit_test(watches_tell_what_changed), cmocka_unit_test(watches_miss_nothing),       \
        cmocka_unit_test(racing_writers_are_told), cmocka_unit_test(threads_may_share_a_handle),   \
        cmocka_unit_test(a_growing_tree_is_deleted)

/* Where other processes see the tree. */
#define PROCESS_TESTS                                                                              \
    cmocka_unit_test(ephemeral_nodes_die_with_their_process),                                      \
        cmocka_unit_test(watches_reach_other_processes)

#endif
