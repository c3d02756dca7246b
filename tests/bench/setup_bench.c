/* New flows a second: every frame sent is the first of a flow nobody has seen, core 0 sends them as
 * fast as it can, and what arrives at the other end has been through the slow path.  Frames are
 * made by hand, so that what is new can be chosen:
 *
 *   setup_bench ports FROM_NS FROM_IP TO_NS TO_IP IFACE NEXT_HOP_MAC MS MAX    UDP ports
 *   setup_bench macs  ...                                                      source MACs
 *
 * Stops after MS milliseconds or MAX frames.  Prints frames sent, arrived, and arrived a second
 * from the first to the last arrival (counted by the receiving interface, polled each
 * millisecond). */
#include "bench.h"

#include <linux/if_packet.h>
#include <net/ethernet.h>
#include <net/if.h>
#include <netinet/ip.h>
#include <netinet/udp.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdatomic.h>
#include <sys/ioctl.h>

enum { BATCH = 32 };

struct frame {
    struct ether_header eth;
    struct iphdr ip;
    struct udphdr udp;
    char data[FRAME_64_PAYLOAD];
} __attribute__((packed));

static struct frame frames[BATCH];
static sem_t watching; /* the watcher has its first count */
static atomic_bool done;
static uint64_t first_count, last_count, first_ns, last_ns;
static const char *rx_iface, *rx_ns;

static uint64_t rx_packets(FILE *f)
{
    char line[512];
    rewind(f);
    fflush(f);
    while (fgets(line, sizeof line, f)) {
        char *p = strchr(line, ':');
        unsigned long long bytes, packets;
        if (!p)
            continue;
        *p = 0;
        if (strcmp(line + strspn(line, " "), rx_iface) == 0 &&
            sscanf(p + 1, "%llu %llu", &bytes, &packets) == 2)
            return packets;
    }
    return 0;
}

static void *watch(void *arg)
{
    (void)arg;
    enter_ns(rx_ns);
    FILE *f = fopen("/proc/thread-self/net/dev", "r");
    if (!f)
        die("/proc/thread-self/net/dev");
    first_count = last_count = rx_packets(f);
    sem_post(&watching);
    uint64_t quiet_since = 0;
    while (!done || now_ns() - quiet_since < 200000000u) {
        uint64_t count = rx_packets(f), now = now_ns();
        if (count != last_count) {
            first_ns = first_ns ? first_ns : now;
            last_count = count;
            last_ns = quiet_since = now;
        } else if (done && !quiet_since) {
            quiet_since = now;
        }
        usleep(1000);
    }
    fclose(f);
    return NULL;
}

static uint16_t ip_checksum(const void *header)
{
    const uint8_t *p = header;
    uint32_t sum = 0;
    for (size_t i = 0; i < sizeof(struct iphdr); i += 2)
        sum += (uint32_t)(p[i] << 8 | p[i + 1]);
    sum = (sum & 0xffff) + (sum >> 16);
    return htons((uint16_t) ~(sum + (sum >> 16)));
}

static void frame_init(struct frame *f, char **argv, const char *own_mac)
{
    unsigned m[6];
    if (sscanf(argv[7], "%x:%x:%x:%x:%x:%x", m, m + 1, m + 2, m + 3, m + 4, m + 5) != 6) {
        errno = EINVAL;
        die(argv[7]);
    }
    for (int i = 0; i < 6; i++)
        f->eth.ether_dhost[i] = (uint8_t)m[i];
    memcpy(f->eth.ether_shost, own_mac, 6);
    f->eth.ether_type = htons(ETHERTYPE_IP);
    f->ip = (struct iphdr){.version = 4,
                           .ihl = 5,
                           .ttl = 64,
                           .protocol = IPPROTO_UDP,
                           .tot_len = htons(sizeof *f - sizeof f->eth),
                           .saddr = address(argv[3], 0).sin_addr.s_addr,
                           .daddr = address(argv[5], 0).sin_addr.s_addr};
    f->ip.check = ip_checksum((uint8_t *)f + sizeof f->eth);
    f->udp.len = htons(sizeof f->udp + sizeof f->data);
}

/* The i-th new flow. */
static void make_new(struct frame *f, uint64_t i, bool macs)
{
    if (macs) {
        f->eth.ether_shost[0] = 0x06;
        for (int b = 5; b > 1; b--, i >>= 8)
            f->eth.ether_shost[b] = (uint8_t)i;
    } else {
        f->udp.source = htons((uint16_t)(10000 + i / 50000));
        f->udp.dest = htons((uint16_t)(10000 + i % 50000));
    }
}

static uint64_t send_new(int fd, bool macs, uint64_t ms, uint64_t max)
{
    struct mmsghdr msgs[BATCH];
    struct iovec iov[BATCH];
    uint64_t sent = 0, seed = macs ? now_ns() / 1000 : now_ns() / 1000000 % 1000 * 50000;
    memset(msgs, 0, sizeof msgs);
    for (int i = 0; i < BATCH; i++) {
        iov[i] = (struct iovec){&frames[i], sizeof frames[i]};
        msgs[i].msg_hdr = (struct msghdr){.msg_iov = &iov[i], .msg_iovlen = 1};
    }
    for (uint64_t end = now_ns() + ms * 1000000; sent < max && now_ns() < end;) {
        for (int i = 0; i < BATCH; i++)
            make_new(&frames[i], seed + sent + (uint64_t)i, macs);
        int n = sendmmsg(fd, msgs, BATCH, 0);
        if (n < 0 && errno != ENOBUFS)
            die("sendmmsg");
        sent += n > 0 ? (uint64_t)n : 0;
    }
    return sent;
}

int main(int argc, char **argv)
{
    if (argc != 10 || (strcmp(argv[1], "ports") != 0 && strcmp(argv[1], "macs") != 0)) {
        fprintf(stderr,
                "usage: %s ports|macs FROM_NS FROM_IP TO_NS TO_IP IFACE MAC MILLISECONDS MAX\n",
                argv[0]);
        return 2;
    }
    rx_ns = argv[4];
    rx_iface = argv[6];
    enter_ns(argv[2]);
    struct sockaddr_ll ll = {.sll_family = AF_PACKET, .sll_ifindex = (int)if_nametoindex(argv[6])};
    struct ifreq own = {0};
    int one = 1, fd = socket(AF_PACKET, SOCK_RAW, 0);
    snprintf(own.ifr_name, sizeof own.ifr_name, "%s", argv[6]);
    if (fd < 0 || bind(fd, (struct sockaddr *)&ll, sizeof ll) != 0)
        die("packet socket");
    setsockopt(fd, SOL_PACKET, PACKET_QDISC_BYPASS, &one, sizeof one);
    if (ioctl(fd, SIOCGIFHWADDR, &own) != 0)
        die(argv[6]);
    for (int i = 0; i < BATCH; i++)
        frame_init(&frames[i], argv, own.ifr_hwaddr.sa_data);
    pthread_t thread;
    sem_init(&watching, 0, 0);
    if (pthread_create(&thread, NULL, watch, NULL) != 0)
        die("pthread_create");
    pin(0);
    sem_wait(&watching);
    uint64_t sent =
        send_new(fd, argv[1][0] == 'm', strtoull(argv[8], NULL, 10), strtoull(argv[9], NULL, 10));
    done = true;
    pthread_join(thread, NULL);
    uint64_t arrived = last_count - first_count, took = last_ns > first_ns ? last_ns - first_ns : 1;
    printf("%llu %llu %.0f\n", (unsigned long long)sent, (unsigned long long)arrived,
           (double)arrived * 1e9 / (double)took);
    return 0;
}
