#include <stdio.h>
#include <stdlib.h>

#include "base/mem.h"
#include "state/ports_impl.h"

/* A folder of an address says nothing any more when nobody leases a block of it and none that was
 * used rests.  It goes in one commit, which whoever leases meanwhile makes fail. */

static int recycle_address(struct ports *p, const char *folder, uint64_t wall_ms)
{
    struct used used[STATE_BLOCKS];
    struct blocks b[2];
    unsigned n = 0, n_ops = 0;
    bool some;
    int rc = ports_list(p, folder, b, &some);

    for (unsigned i = 0; i < BLOCK_WORDS && !rc; i++) {
        if (b[0].w[i])
            return 0;
    }
    if (!rc)
        rc = ports_read_used(p, folder, &b[1], used, &n);
    for (unsigned i = 0; i < n && !rc; i++) {
        if (ports_rests(&used[i], wall_ms, p->opt.quarantine_ns / 1000000))
            return used[i].state == USED_HELD ? ports_mark_lost(p, folder, used, n, wall_ms) : 0;
    }
    if (rc)
        return rc;
    struct store_op *ops = NEW_ARRAY(n + 3, struct store_op);
    for (unsigned i = 0; i < n; i++)
        ops[n_ops++] = (struct store_op){.type = STORE_DELETE,
                                         .path = mem_printf("%s/used/%u", folder, used[i].block),
                                         .version = used[i].version};
    ops[n_ops++] = (struct store_op){
        .type = STORE_DELETE, .path = mem_printf("%s/used", folder), .version = STORE_ANY};
    ops[n_ops++] = (struct store_op){
        .type = STORE_DELETE, .path = mem_printf("%s/taken", folder), .version = STORE_ANY};
    ops[n_ops++] = (struct store_op){
        .type = STORE_DELETE, .path = mem_printf("%s", folder), .version = STORE_ANY};
    rc = store_commit(p->store, ops, n_ops, NULL, NULL);
    for (unsigned i = 0; i < n_ops; i++)
        free((char *)(uintptr_t)ops[i].path);
    free(ops);
    return rc == -ENOTEMPTY || rc == -ESTALE || rc == -ENOENT ? 0 : rc;
}

static int recycle_device(struct ports *p, const char *device, uint64_t wall_ms)
{
    struct store_names ips;
    char path[STORE_PATH_MAX];
    int rc = store_children(p->store, device, &ips, NULL);

    if (rc)
        return rc == -ENOENT ? 0 : rc;
    for (size_t i = 0; i < ips.n && !rc; i++) {
        snprintf(path, sizeof path, "%.200s/%.100s", device, ips.names[i]);
        rc = recycle_address(p, path, wall_ms);
    }
    store_names_free(&ips);
    if (!rc)
        rc = store_delete(p->store, device, STORE_ANY, NULL);
    return rc == -ENOTEMPTY || rc == -ENOENT ? 0 : rc;
}

int ports_recycle(struct ports *p, unsigned shard, uint64_t wall_ms)
{
    struct store_names devices;
    char path[STORE_PATH_MAX];

    snprintf(path, sizeof path, "/nat/%02x", shard);
    int rc = store_children(p->store, path, &devices, NULL);
    if (rc)
        return rc == -ENOENT ? 0 : rc;
    for (size_t i = 0; i < devices.n && !rc; i++) {
        snprintf(path, sizeof path, "/nat/%02x/%.100s", shard, devices.names[i]);
        rc = recycle_device(p, path, wall_ms);
    }
    store_names_free(&devices);
    return rc;
}
