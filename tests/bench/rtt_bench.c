/* Latency seen by one spinning program that holds both ends: no wake-up of the receiver blurs what
 * lies between.
 *
 *   rtt_bench echo  ...  N    one flow: median request and response, microseconds
 *   rtt_bench first ...  N US PORT  N new flows from source ports PORT on, US microseconds of
 * silence before each (0: none, the slow path is still awake). Prints one way of the first packet
 * p50 p90 p99, then of the next packet p50, then the round trip of a first request and response p50
 *   rtt_bench wake  N US      no network: a thread asleep on core 1 is woken from core 0, p50; what
 *                             the machine itself takes of a "first" after silence */
#include "bench.h"

#include <pthread.h>
#include <stdatomic.h>
#include <sys/eventfd.h>
#include <sys/resource.h>

static struct sockaddr_in there;

/* Sends on 'from' and waits for it at 'to'; nanoseconds, 0 when it never came. */
static uint64_t one_way(int from, int to, const struct sockaddr_in *dest, struct sockaddr_in *src)
{
    char data[FRAME_64_PAYLOAD] = "";
    socklen_t len = sizeof *src;
    uint64_t start = now_ns();
    if (sendto(from, data, sizeof data, 0, (const struct sockaddr *)dest, sizeof *dest) < 0)
        die("sendto");
    while (recvfrom(to, data, sizeof data, MSG_DONTWAIT, (struct sockaddr *)src, &len) < 0)
        if (now_ns() - start > 1000000000u)
            return 0;
    return now_ns() - start;
}

static void drain(int fd)
{
    char data[64];
    while (recv(fd, data, sizeof data, MSG_DONTWAIT) >= 0)
        ;
}

static void echo(int a, int b, size_t n)
{
    struct sockaddr_in src;
    uint64_t *us = calloc(n, sizeof *us);
    size_t got = 0;
    for (size_t i = 0; us && i < n; i++) {
        uint64_t out = one_way(a, b, &there, &src), back;
        if (out && (back = one_way(b, a, &src, &src)))
            us[got++] = out + back;
    }
    if (got < n / 2) {
        fprintf(stderr, "%zu of %zu came back\n", got, n);
        exit(1);
    }
    printf("%.2f\n", (double)percentile(us, got, 50) / 1e3);
}

static void first(const char *ns, const char *ip, int b, size_t n, unsigned silence_us,
                  unsigned base)
{
    uint64_t *firsts = calloc(n, sizeof *firsts), *laters = calloc(n, sizeof *laters);
    uint64_t *trips = calloc(n, sizeof *trips);
    int *fds = calloc(n, sizeof *fds);
    struct sockaddr_in src;
    size_t got = 0;
    if (!firsts || !laters || !trips || !fds)
        die("memory");
    for (size_t i = 0; i < n; i++)
        fds[i] = bound_socket(ns, SOCK_DGRAM, ip, base + (unsigned)i);
    for (size_t i = 0; i < n; i++) {
        if (silence_us)
            usleep(silence_us);
        uint64_t out = one_way(fds[i], b, &there, &src);
        uint64_t back = out ? one_way(b, fds[i], &src, &src) : 0;
        uint64_t later = back ? one_way(fds[i], b, &there, &src) : 0;
        if (later) {
            firsts[got] = out;
            trips[got] = out + back;
            laters[got++] = later;
        } else {
            drain(b);
        }
    }
    if (got < n / 2) {
        fprintf(stderr, "%zu of %zu new flows passed\n", got, n);
        exit(1);
    }
    printf("%.2f %.2f %.2f %.2f %.2f\n", (double)percentile(firsts, got, 50) / 1e3,
           (double)percentile(firsts, got, 90) / 1e3, (double)percentile(firsts, got, 99) / 1e3,
           (double)percentile(laters, got, 50) / 1e3, (double)percentile(trips, got, 50) / 1e3);
}

static _Atomic uint64_t woken_ns;
static int wake_fd;

static void *sleeper(void *arg)
{
    uint64_t count;

    (void)arg;
    pin(1);
    while (read(wake_fd, &count, sizeof count) == sizeof count)
        woken_ns = now_ns();
    return NULL;
}

static void wake(size_t n, unsigned silence_us)
{
    uint64_t *took = calloc(n, sizeof *took), one = 1;
    pthread_t thread;

    wake_fd = eventfd(0, EFD_CLOEXEC);
    if (!took || wake_fd < 0 || pthread_create(&thread, NULL, sleeper, NULL) != 0)
        die("wake");
    for (size_t i = 0; i < n; i++) {
        usleep(silence_us);
        woken_ns = 0;
        uint64_t start = now_ns();
        if (write(wake_fd, &one, sizeof one) != sizeof one)
            die("eventfd");
        while (!woken_ns)
            ;
        took[i] = woken_ns - start;
    }
    printf("%.2f\n", (double)percentile(took, n, 50) / 1e3);
}

int main(int argc, char **argv)
{
    if (argc == 4 && strcmp(argv[1], "wake") == 0) {
        pin(0);
        wake(strtoul(argv[2], NULL, 10), (unsigned)strtoul(argv[3], NULL, 10));
        return 0;
    }
    bool is_first = argc == 9 && strcmp(argv[1], "first") == 0;
    if (!is_first && !(argc == 7 && strcmp(argv[1], "echo") == 0)) {
        fprintf(stderr,
                "usage: %s echo|first FROM_NS FROM_IP TO_NS TO_IP N [SILENCE_US PORT]\n"
                "       %s wake N SILENCE_US\n",
                argv[0], argv[0]);
        return 2;
    }
    size_t n = strtoul(argv[6], NULL, 10);
    struct rlimit files = {n + 64, n + 64};
    struct sockaddr_in src;
    setrlimit(RLIMIT_NOFILE, &files);
    pin(0);
    int b = bound_socket(argv[4], SOCK_DGRAM, argv[5], 9200);
    int a = bound_socket(argv[2], SOCK_DGRAM, argv[3], 9201);
    there = address(argv[5], 9200);
    for (int i = 0; i < 20; i++) /* ARP and code paths warm */
        if (one_way(a, b, &there, &src))
            one_way(b, a, &src, &src);
    if (is_first)
        first(argv[2], argv[3], b, n, (unsigned)strtoul(argv[7], NULL, 10),
              (unsigned)strtoul(argv[8], NULL, 10));
    else
        echo(a, b, n);
    return 0;
}
