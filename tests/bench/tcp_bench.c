/* Throughput of one TCP connection: writes of 128 KiB, reads of as much, copied at both ends as an
 * ordinary program does.  Prints gigabits a second.
 *
 * Congestion control is CUBIC, Linux' default, whatever this machine's is: BBR sends at the pace it
 * has estimated, by timers, and what would be compared is how well it guesses. */
#include "bench.h"

#include <netinet/tcp.h>
#include <pthread.h>
#include <stdatomic.h>

enum { CHUNK = 128 << 10 };

static _Atomic uint64_t received;
static int listen_fd;

static void *receive(void *arg)
{
    pin(1);
    (void)arg;
    int fd = accept(listen_fd, NULL, NULL);
    char *buf = malloc(CHUNK);
    if (fd < 0 || !buf)
        die("accept");
    for (ssize_t n; (n = recv(fd, buf, CHUNK, 0)) > 0;)
        atomic_fetch_add_explicit(&received, (uint64_t)n, memory_order_relaxed);
    return NULL;
}

static void send_for(int fd, const char *buf, uint64_t ns)
{
    for (uint64_t end = now_ns() + ns; now_ns() < end;)
        if (send(fd, buf, CHUNK, MSG_NOSIGNAL) < 0)
            die("send");
}

int main(int argc, char **argv)
{
    if (argc != 6) {
        fprintf(stderr, "usage: %s FROM_NS FROM_IP TO_NS TO_IP MILLISECONDS\n", argv[0]);
        return 2;
    }
    uint64_t ns = strtoull(argv[5], NULL, 10) * 1000000u;
    struct timeval patience = {.tv_sec = 3};
    char *buf = calloc(1, CHUNK);
    listen_fd = bound_socket(argv[3], SOCK_STREAM, argv[4], 9100);
    if (!buf || listen(listen_fd, 1) != 0)
        die("listen");
    int fd = bound_socket(argv[1], SOCK_STREAM, argv[2], 0);
    struct sockaddr_in to = address(argv[4], 9100);
    setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience);
    if (setsockopt(fd, IPPROTO_TCP, TCP_CONGESTION, "cubic", 5) != 0)
        die("cubic");
    pthread_t thread;
    if (pthread_create(&thread, NULL, receive, NULL) != 0)
        die("pthread_create");
    pin(0);
    if (connect(fd, (struct sockaddr *)&to, sizeof to) != 0)
        die("connect");
    send_for(fd, buf, ns / 4); /* past slow start */
    uint64_t count = received, start = now_ns();
    send_for(fd, buf, ns);
    uint64_t took = now_ns() - start;
    printf("%.2f\n", (double)(received - count) * 8 / (double)took);
    return 0;
}
