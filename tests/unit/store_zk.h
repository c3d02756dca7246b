/* Real ZooKeeper servers for tests: on loopback, on free ports, in a folder that goes away with
 * them.  They die with the test, whatever ends it. */
#ifndef MN_TEST_STORE_ZK_H
#define MN_TEST_STORE_ZK_H

#include <arpa/inet.h>
#include <endian.h>
#include <netinet/in.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include "store/zk_internal.h"
#include "store_test.h"

#define ZK_JAR     "/usr/share/java/zookeeper.jar"
#define ZK_SLF4J   "/usr/share/java/slf4j-simple.jar"
#define ZK_SERVERS 3

struct zk_server {
    int port, peer_port, vote_port;
    pid_t pid; /* 0: not running */
};

struct zk_ensemble {
    int n; /* 1 or 3 */
    char folder[64];
    struct zk_server servers[ZK_SERVERS];
};

/* Why there can be none, or null. */
static inline const char *zk_missing(void)
{
    if (access(ZK_JAR, R_OK) || access(ZK_SLF4J, R_OK))
        return "no " ZK_JAR " (Debian package zookeeper)";
    return access("/usr/bin/java", X_OK) ? "no /usr/bin/java" : NULL;
}

static inline int zk_socket(int port)
{
    struct sockaddr_in a = {.sin_family = AF_INET,
                            .sin_port = htons((uint16_t)port),
                            .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &(struct timeval){.tv_sec = 2}, sizeof(struct timeval));
    if (connect(fd, (struct sockaddr *)&a, sizeof a)) {
        close(fd);
        return -1;
    }
    return fd;
}

/* Below the range of outgoing connections, which may take any port while a server is down. */
static inline int zk_free_port(void)
{
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    static unsigned seed;
    int port, rc;

    if (!seed)
        seed = (unsigned)(clock_ns() ^ (unsigned)getpid());
    do {
        int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        port = 10000 + rand_r(&seed) % 20000;
        a.sin_port = htons((uint16_t)port);
        rc = bind(fd, (struct sockaddr *)&a, sizeof a);
        close(fd);
    } while (rc);
    return port;
}

/* What the server says of itself: "standalone", "leader", "follower", or "" when it doesn't. */
static inline const char *zk_mode(const struct zk_server *s)
{
    static const char *const modes[] = {"standalone", "leader", "follower"};
    char reply[4096];
    size_t size = 0;
    ssize_t n;
    int fd = s->pid ? zk_socket(s->port) : -1;

    if (fd < 0)
        return "";
    if (write(fd, "srvr", 4) == 4 && !shutdown(fd, SHUT_WR))
        while (size < sizeof reply - 1 && (n = read(fd, reply + size, sizeof reply - 1 - size)) > 0)
            size += (size_t)n;
    close(fd);
    reply[size] = '\0';
    const char *mode = strstr(reply, "Mode: ");
    for (size_t i = 0; mode && i < ARRAY_SIZE(modes); i++)
        if (!strncmp(mode + 6, modes[i], strlen(modes[i])))
            return modes[i];
    return "";
}

static inline void zk_configure(struct zk_ensemble *z, int i)
{
    char path[128];

    snprintf(path, sizeof path, "%s/%d", z->folder, i);
    assert_int_equal(mkdir(path, 0755), 0);
    snprintf(path, sizeof path, "%s/%d/myid", z->folder, i);
    FILE *f = fopen(path, "w");
    fprintf(f, "%d\n", i + 1);
    fclose(f);
    snprintf(path, sizeof path, "%s/%d/zoo.cfg", z->folder, i);
    f = fopen(path, "w");
    fprintf(f,
            "tickTime=%d\ninitLimit=20\nsyncLimit=10\ndataDir=%s/%d\nclientPort=%d\n"
            "clientPortAddress=127.0.0.1\n4lw.commands.whitelist=*\nadmin.enableServer=false\n"
            "minSessionTimeout=1000\nmaxSessionTimeout=60000\nmaxClientCnxns=0\n",
            z->n > 1 ? 500 : 1000, z->folder, i, z->servers[i].port);
    for (int k = 0; z->n > 1 && k < z->n; k++)
        fprintf(f, "server.%d=127.0.0.1:%d:%d\n", k + 1, z->servers[k].peer_port,
                z->servers[k].vote_port);
    fclose(f);
}

/* By the main thread: the server dies with the thread that started it. */
static inline void zk_start(struct zk_ensemble *z, int i)
{
    char config[128], log[128];

    snprintf(config, sizeof config, "%s/%d/zoo.cfg", z->folder, i);
    snprintf(log, sizeof log, "%s/%d.log", z->folder, i);
    int fd = open(log, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
    pid_t parent = getpid(), pid = fork();
    if (!pid) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        if (getppid() != parent)
            _exit(1);
        dup2(fd, 1);
        dup2(fd, 2);
        execl("/usr/bin/java", "java", "-Xms64m", "-Xmx512m", "-XX:+UseSerialGC",
              "-XX:TieredStopAtLevel=1", "-cp", ZK_JAR ":" ZK_SLF4J, "-Dzookeeper.forceSync=no",
              "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn",
              "org.apache.zookeeper.server.quorum.QuorumPeerMain", config, NULL);
        _exit(1);
    }
    close(fd);
    z->servers[i].pid = pid;
}

static inline void zk_kill(struct zk_ensemble *z, int i)
{
    if (z->servers[i].pid)
        kill_hard(z->servers[i].pid);
    z->servers[i].pid = 0;
}

static inline int zk_leader(const struct zk_ensemble *z)
{
    for (int i = 0; i < z->n; i++)
        if (!strcmp(zk_mode(&z->servers[i]), z->n > 1 ? "leader" : "standalone"))
            return i;
    return -1;
}

static inline void zk_await(struct zk_ensemble *z)
{
    await(zk_leader(z) >= 0);
    for (int i = 0; i < z->n; i++)
        if (z->servers[i].pid)
            await(zk_mode(&z->servers[i])[0]);
}

static inline void zk_begin(struct zk_ensemble *z, int n)
{
    *z = (struct zk_ensemble){.n = n, .folder = "/tmp/mn-zk-XXXXXX"};
    assert_non_null(mkdtemp(z->folder));
    for (int i = 0; i < n; i++)
        z->servers[i] = (struct zk_server){zk_free_port(), zk_free_port(), zk_free_port(), 0};
    for (int i = 0; i < n; i++) {
        zk_configure(z, i);
        zk_start(z, i);
    }
    zk_await(z);
}

static inline void zk_end(struct zk_ensemble *z)
{
    char command[128];

    for (int i = 0; i < z->n; i++)
        zk_kill(z, i);
    snprintf(command, sizeof command, "rm -rf %s", z->folder);
    assert_int_equal(system(command), 0);
}

static inline void zk_url(const struct zk_ensemble *z, const char *root, char *url, size_t size)
{
    int n = snprintf(url, size, "zk://");

    for (int i = 0; i < z->n; i++)
        n +=
            snprintf(url + n, size - (size_t)n, "%s127.0.0.1:%d", i ? "," : "", z->servers[i].port);
    snprintf(url + n, size - (size_t)n, "%s", root);
}

/* Ends the session of a handle as the servers do when a client was silent for too long: another
 * connection that knows its id and password closes it.  The owner, whom that disconnects, may be
 * back before the second packet is read: then once more. */
static inline void zk_close_session(struct zk_ensemble *z, const clientid_t *id)
{
    struct __attribute__((packed)) {
        uint32_t connect_size, version;
        uint64_t last_zxid;
        uint32_t timeout;
        uint64_t session;
        uint32_t password_size;
        char password[16];
        uint8_t read_only;
        uint32_t close_size, close_xid, close_type;
    } packets = {.connect_size = htonl(45),
                 .timeout = htonl(4000),
                 .session = htobe64((uint64_t)id->client_id),
                 .password_size = htonl(16),
                 .close_size = htonl(8),
                 .close_xid = htonl(1),
                 .close_type = htonl((uint32_t)-11)};
    char reply[256];

    memcpy(packets.password, id->passwd, sizeof packets.password);
    int fd = zk_socket(z->servers[zk_leader(z)].port);
    assert_int_equal(write(fd, &packets, sizeof packets), sizeof packets);
    while (read(fd, reply, sizeof reply) > 0)
        ;
    close(fd);
}

static inline void zk_expire(struct zk_ensemble *z, struct store *s)
{
    struct zk_store *zk = (struct zk_store *)s;
    unsigned before = 0, now = 0;
    clientid_t id;

    pthread_mutex_lock(&zk->lock);
    before = now = zk->generation;
    id = *zoo_client_id(zk->zh);
    pthread_mutex_unlock(&zk->lock);
    for (uint64_t end = clock_ns() + DEADLINE_NS; now == before && clock_ns() < end;) {
        zk_close_session(z, &id);
        for (int i = 0; i < 100 && now == before; i++) {
            usleep(2000);
            pthread_mutex_lock(&zk->lock);
            now = zk->generation;
            pthread_mutex_unlock(&zk->lock);
        }
    }
    assert_int_not_equal(now, before);
}

/* A wire that can be cut: forwards connections to a server.  While it is cut, connections are
 * dropped at once. */
struct wire {
    int listener, port, server_port;
    atomic_bool cut, stop;
    pthread_t thread;
};

#define WIRE_ENDS 64

static inline void wire_close(struct pollfd *ends, int i)
{
    for (int k = i & ~1; k < (i | 1) + 1; k++)
        if (ends[k].fd >= 0) {
            close(ends[k].fd);
            ends[k].fd = -1;
        }
}

static inline void wire_accept(struct wire *w, struct pollfd *ends)
{
    int a = accept(w->listener, NULL, NULL), b = w->cut ? -1 : zk_socket(w->server_port);

    for (int i = 0; a >= 0 && b >= 0 && i < WIRE_ENDS; i += 2)
        if (ends[i].fd < 0) {
            ends[i] = (struct pollfd){.fd = a, .events = POLLIN};
            ends[i + 1] = (struct pollfd){.fd = b, .events = POLLIN};
            return;
        }
    if (a >= 0)
        close(a);
    if (b >= 0)
        close(b);
}

static inline void *wire_run(void *arg)
{
    struct wire *w = arg;
    struct pollfd ends[WIRE_ENDS + 1];
    char buf[65536];

    for (int i = 0; i < WIRE_ENDS; i++)
        ends[i].fd = -1;
    ends[WIRE_ENDS] = (struct pollfd){.fd = w->listener, .events = POLLIN};
    while (!w->stop) {
        poll(ends, WIRE_ENDS + 1, 20);
        if (ends[WIRE_ENDS].revents)
            wire_accept(w, ends);
        for (int i = 0; i < WIRE_ENDS; i++) {
            ssize_t n = 1;
            if (ends[i].fd >= 0 && ends[i].revents) {
                n = read(ends[i].fd, buf, sizeof buf);
                if (n > 0 && send(ends[i ^ 1].fd, buf, (size_t)n, MSG_NOSIGNAL) != n)
                    n = -1;
            }
            if (n <= 0 || w->cut)
                wire_close(ends, i);
        }
    }
    for (int i = 0; i < WIRE_ENDS; i++)
        wire_close(ends, i);
    return NULL;
}

static inline void wire_begin(struct wire *w, int server_port)
{
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};

    *w = (struct wire){.port = zk_free_port(), .server_port = server_port};
    a.sin_port = htons((uint16_t)w->port);
    w->listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(w->listener, (struct sockaddr *)&a, sizeof a), 0);
    assert_int_equal(listen(w->listener, 16), 0);
    assert_int_equal(pthread_create(&w->thread, NULL, wire_run, w), 0);
}

static inline void wire_end(struct wire *w)
{
    w->stop = true;
    pthread_join(w->thread, NULL);
    close(w->listener);
}

#endif
