/* Small-packet rate of one UDP flow: core 0 does nothing but send, so its time a packet (its own
 * stack, everything between the two namespaces, delivery into the receiver's socket) is what is
 * measured; core 1 receives and counts.  Prints thousands of packets a second that arrived. */
#include "bench.h"

#include <linux/udp.h>
#include <pthread.h>
#include <stdatomic.h>

enum { BATCH = 64 };

struct batch {
    struct mmsghdr msgs[BATCH];
    struct iovec iov;
    char data[FRAME_64_PAYLOAD];
};

static _Atomic uint64_t received;
static int rx_fd;

static void batch_init(struct batch *b)
{
    memset(b, 0, sizeof *b);
    b->iov = (struct iovec){b->data, sizeof b->data};
    for (int i = 0; i < BATCH; i++)
        b->msgs[i].msg_hdr = (struct msghdr){.msg_iov = &b->iov, .msg_iovlen = 1};
}

static void *receive(void *arg)
{
    (void)arg;
    struct batch b;
    batch_init(&b);
    pin(1);
    for (;;) {
        int n = recvmmsg(rx_fd, b.msgs, BATCH, MSG_DONTWAIT, NULL);
        if (n < 0 && errno != EAGAIN)
            die("recvmmsg");
        if (n > 0)
            atomic_fetch_add_explicit(&received, (uint64_t)n, memory_order_relaxed);
    }
    return NULL;
}

static void send_for(int fd, uint64_t ns)
{
    struct batch b;
    batch_init(&b);
    for (uint64_t end = now_ns() + ns; now_ns() < end;)
        if (sendmmsg(fd, b.msgs, BATCH, 0) < 0 && errno != ENOBUFS && errno != ECONNREFUSED)
            die("sendmmsg");
}

int main(int argc, char **argv)
{
    if (argc != 6) {
        fprintf(stderr, "usage: %s FROM_NS FROM_IP TO_NS TO_IP MILLISECONDS\n", argv[0]);
        return 2;
    }
    uint64_t ns = strtoull(argv[5], NULL, 10) * 1000000u;
    rx_fd = bound_socket(argv[3], SOCK_DGRAM, argv[4], 9000);
    int fd = bound_socket(argv[1], SOCK_DGRAM, argv[2], 9001);
    struct sockaddr_in to = address(argv[4], 9000);
    if (connect(fd, (struct sockaddr *)&to, sizeof to) != 0)
        die("connect");
    pthread_t thread;
    if (pthread_create(&thread, NULL, receive, NULL) != 0)
        die("pthread_create");
    pin(0);
    send_for(fd, ns / 4); /* warm: ARP, flows, caches */
    uint64_t count = received, start = now_ns();
    send_for(fd, ns);
    uint64_t took = now_ns() - start;
    printf("%.1f\n", (double)(received - count) * 1e6 / (double)took);
    return 0;
}
