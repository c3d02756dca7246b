/* What the topology's tests share: readers in threads, small constructors, a random source. */
#ifndef TOPO_UTIL_H
#define TOPO_UTIL_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka wants the four above first */
#include <cmocka.h>
#include <pthread.h>
#include <stdio.h>

#include "base/mem.h"
#include "topology/topology.h"

/* A grace period orders a reader's last access before free(), which ThreadSanitizer can't see
 * inside liburcu: it is told to ignore the thread that frees.  AddressSanitizer checks the same
 * accesses for use after free. */
#ifdef __SANITIZE_THREAD__
void AnnotateIgnoreReadsBegin(const char *file, int line);
void AnnotateIgnoreWritesBegin(const char *file, int line);

static void ignore_this_thread(struct rcu_head *head)
{
    (void)head;
    AnnotateIgnoreReadsBegin(__FILE__, __LINE__);
    AnnotateIgnoreWritesBegin(__FILE__, __LINE__);
}

__attribute__((constructor)) static void ignore_reclaimer(void)
{
    static struct rcu_head head;

    call_rcu(&head, ignore_this_thread);
}

const char *__tsan_default_suppressions(void);
const char *__tsan_default_suppressions(void)
{
    return "called_from_lib:liburcu-qsbr.so\n";
}
#endif

struct random {
    uint64_t x;
};

static inline uint64_t rnd(struct random *r)
{
    r->x ^= r->x << 13;
    r->x ^= r->x >> 7;
    r->x ^= r->x << 17;
    return r->x * 0x2545f4914f6cdd1dull;
}

static inline struct uuid uuid_n(uint64_t n)
{
    struct uuid u = {{0}};

    for (int i = 0; i < 8; i++)
        u.b[15 - i] = (uint8_t)(n >> (8 * i));
    u.b[0] = 0x77;
    return u;
}

static inline struct ip ip_of(const char *s)
{
    struct ip ip = ip_none;

    assert_int_equal(ip_parse(s, &ip), 0);
    return ip;
}

static inline struct cidr cidr_of(const char *s)
{
    struct cidr c = {ip_none, 0};

    assert_int_equal(cidr_parse(s, &c), 0);
    return c;
}

static inline struct mac mac_n(uint64_t n)
{
    return (struct mac){{2, (uint8_t)(n >> 32), (uint8_t)(n >> 24), (uint8_t)(n >> 16),
                         (uint8_t)(n >> 8), (uint8_t)n}};
}

/* Registered readers that run 'fn' until told to stop, quiescent after each call. */
struct readers {
    pthread_t threads[2];
    void (*fn)(void *aux, struct random *r);
    void *aux;
    bool stop;
    unsigned long rounds;
};

static inline void *reader_main(void *arg)
{
    struct readers *rs = arg;
    struct random r = {(uintptr_t)&r | 1};

    rcu_register_thread();
    while (!__atomic_load_n(&rs->stop, __ATOMIC_RELAXED)) {
        rs->fn(rs->aux, &r);
        __atomic_fetch_add(&rs->rounds, 1, __ATOMIC_RELAXED);
        rcu_quiescent_state();
    }
    rcu_unregister_thread();
    return NULL;
}

static inline void readers_start(struct readers *rs, void (*fn)(void *, struct random *), void *aux)
{
    *rs = (struct readers){.fn = fn, .aux = aux};
    for (size_t i = 0; i < ARRAY_SIZE(rs->threads); i++)
        assert_int_equal(pthread_create(&rs->threads[i], NULL, reader_main, rs), 0);
    while (!__atomic_load_n(&rs->rounds, __ATOMIC_RELAXED))
        sched_yield();
}

static inline void readers_stop(struct readers *rs)
{
    __atomic_store_n(&rs->stop, true, __ATOMIC_RELAXED);
    for (size_t i = 0; i < ARRAY_SIZE(rs->threads); i++)
        pthread_join(rs->threads[i], NULL);
}

#endif
