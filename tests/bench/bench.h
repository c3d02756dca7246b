/* What the load generators share.
 *
 * A generator is one process with a foot in two network namespaces: sockets are opened by name of
 * the namespace, then driven by a thread at each end, pinned, the sender on core 0, the receiver on
 * core 1.  So there is no start to coordinate and one clock.  Results go to stdout as one line of
 * numbers; anything wrong ends the program with a message. */
#ifndef MN_BENCH_BENCH_H
#define MN_BENCH_BENCH_H

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <sched.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define FRAME_64_PAYLOAD 18 /* of UDP over IPv4: 14 + 20 + 8 + 18 + 4 of the wire's checksum */

static inline void die(const char *what)
{
    fprintf(stderr, "%s: %s\n", what, strerror(errno));
    exit(1);
}

static inline uint64_t now_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static inline void pin(int core)
{
    cpu_set_t set;
    CPU_ZERO(&set);
    CPU_SET((unsigned)core, &set);
    sched_setaffinity(0, sizeof set, &set); /* on a machine with one core it just stays unpinned */
}

/* Moves the calling thread into a namespace of "ip netns". */
static inline void enter_ns(const char *name)
{
    char path[256];
    snprintf(path, sizeof path, "/run/netns/%s", name);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0 || setns(fd, CLONE_NEWNET) != 0)
        die(path);
    close(fd);
}

static inline struct sockaddr_in address(const char *ip, unsigned port)
{
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    if (inet_pton(AF_INET, ip, &a.sin_addr) != 1) {
        errno = EINVAL;
        die(ip);
    }
    return a;
}

/* A socket in namespace 'ns', bound to ip:port. */
static inline int bound_socket(const char *ns, int type, const char *ip, unsigned port)
{
    enter_ns(ns);
    int fd = socket(AF_INET, type, 0), one = 1, size = 4 << 20;
    if (fd < 0)
        die("socket");
    struct sockaddr_in a = address(ip, port);
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    if (type == SOCK_DGRAM)
        setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &size, sizeof size);
    if (bind(fd, (struct sockaddr *)&a, sizeof a) != 0)
        die(ip);
    return fd;
}

static inline int by_value(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return (x > y) - (x < y);
}

/* The p-th percentile of samples[0..n-1], which it sorts. */
static inline uint64_t percentile(uint64_t *samples, size_t n, unsigned p)
{
    qsort(samples, n, sizeof *samples, by_value);
    return n ? samples[(n - 1) * p / 100] : 0;
}

#endif
