#include "probe.h"

#include <poll.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/mem.h"
#include "echo.h"

#define WINDOW     64  /* probes in flight */
#define TRIES      3   /* echoes of one size before it counts as lost */
#define SMALL_SIZE 128 /* passes any link there is */

struct run {
    struct probe *p;
    struct echo echo;
    unsigned size;      /* of the echo in flight; 0: none yet */
    unsigned low, high; /* passes; is lost (or can't be sent) */
    unsigned hint;      /* what a router said would pass, 0: nothing */
    unsigned tries;
    uint64_t sent, deadline, wait;
};

static void finish(struct run *r, const char *reason)
{
    struct probe *p = r->p;

    p->mtu = r->low;
    if (reason && !p->reason[0])
        snprintf(p->reason, sizeof p->reason, "%s", reason);
    echo_close(&r->echo);
    r->p = NULL;
}

/* The next size worth trying, 0 when all is known. */
static unsigned next_size(const struct run *r)
{
    unsigned need = r->p->need;

    if (!r->low)
        return SMALL_SIZE;
    if (r->low >= need || r->high <= r->low + 1)
        return 0;
    if (r->low == SMALL_SIZE && r->high > r->echo.mtu && r->echo.mtu > r->low)
        return r->echo.mtu;
    if (r->hint > r->low && r->hint < r->high)
        return r->hint;
    if (need < r->high && r->low == SMALL_SIZE)
        return need;
    return (r->low + r->high) / 2;
}

static void explain(struct run *r)
{
    struct probe *p = r->p;

    if (r->low >= p->need)
        return;
    if (r->echo.mtu < p->need && r->low == r->echo.mtu)
        snprintf(p->reason, sizeof p->reason,
                 "the interface towards it has MTU %u, the overlay needs %u", r->low, p->need);
    else
        snprintf(p->reason, sizeof p->reason,
                 "packets over %u bytes are lost on the way, the overlay needs %u%s", r->low,
                 p->need, r->hint ? "" : " (and no router says so)");
}

static void send_next(struct run *r);

/* The size in flight was lost, or could not be sent. */
static void lost(struct run *r)
{
    if (!r->low) {
        finish(r, "no answer");
        return;
    }
    r->high = MIN(r->high, r->size);
    r->tries = 0;
    send_next(r);
}

static void send_next(struct run *r)
{
    unsigned size = next_size(r);
    int rc;

    if (!size) {
        explain(r);
        finish(r, NULL);
        return;
    }
    r->size = size;
    r->sent = clock_ns();
    r->deadline = r->sent + r->wait;
    r->tries++;
    rc = echo_send(&r->echo, size);
    if (rc == -EMSGSIZE)
        lost(r);
    else if (rc && rc != -EAGAIN && rc != -ENOBUFS && r->tries >= TRIES)
        finish(r, strerror(-rc));
}

static void answered(struct run *r)
{
    uint64_t rtt = clock_ns() - r->sent;

    if (!r->low) {
        r->p->reached = true;
        r->p->rtt_us = rtt / NSEC_PER_USEC;
        /* What a slow answer costs is known now: wait no longer than that needs. */
        r->wait = MIN(r->wait, MAX(8 * rtt, 200 * NSEC_PER_MSEC));
    }
    r->low = r->size;
    r->tries = 0;
    send_next(r);
}

static void timed_out(struct run *r)
{
    if (r->tries < TRIES)
        send_next(r);
    else
        lost(r);
}

/* Everything that waits on the socket. */
static void readable(struct run *r)
{
    struct echo_event ev;

    while (r->p && echo_receive(&r->echo, &ev)) {
        switch (ev.type) {
        case ECHO_ANSWER:
            if (ev.size == r->size)
                answered(r);
            break;
        case ECHO_TOO_BIG:
            if (ev.mtu)
                r->hint = ev.mtu;
            if (r->low && ev.size == r->size)
                lost(r);
            break;
        case ECHO_UNREACHABLE:
            if (!r->low)
                finish(r, ev.reason);
            break;
        }
    }
}

static int start(struct run *r, struct probe *p, unsigned timeout_ms, struct error *e)
{
    int rc;

    *r = (struct run){.p = p, .high = 65536, .wait = timeout_ms * NSEC_PER_MSEC};
    p->reached = false;
    p->mtu = 0;
    p->reason[0] = '\0';
    r->echo.fd = -1;
    if (!ip_is_none(&p->from) && ip_is4(&p->from) != ip_is4(&p->to)) {
        finish(r, "the two members' addresses are of different IP versions");
        return 0;
    }
    rc = echo_open(&r->echo, &p->from, &p->to);
    if (rc == -EPERM || rc == -EACCES) {
        r->p = NULL;
        error_set(e, -EPERM, NULL, NULL, "may not send ICMP echoes");
        error_hint(e, "needs root, CAP_NET_RAW or a group in net.ipv4.ping_group_range");
        return -EPERM;
    }
    if (rc == -EADDRNOTAVAIL)
        finish(r, "the address of the member to check from is not one of this machine");
    else if (rc)
        finish(r, strerror(-rc));
    else
        send_next(r);
    return 0;
}

static unsigned wait_ms(const struct run *runs, uint64_t now)
{
    uint64_t next = now + NSEC_PER_SEC;

    for (unsigned i = 0; i < WINDOW; i++)
        if (runs[i].p)
            next = MIN(next, runs[i].deadline);
    return next <= now ? 0 : (unsigned)((next - now) / NSEC_PER_MSEC + 1);
}

static void turn(struct run *runs)
{
    struct pollfd fds[WINDOW];

    for (unsigned i = 0; i < WINDOW; i++)
        fds[i] = (struct pollfd){.fd = runs[i].p ? runs[i].echo.fd : -1, .events = POLLIN};
    poll(fds, WINDOW, (int)wait_ms(runs, clock_ns()));
    for (unsigned i = 0; i < WINDOW; i++) {
        if (runs[i].p && fds[i].revents)
            readable(&runs[i]);
        if (runs[i].p && clock_ns() >= runs[i].deadline)
            timed_out(&runs[i]);
    }
}

int probe_all(struct probe *probes, size_t n, unsigned timeout_ms, struct error *e)
{
    struct run runs[WINDOW] = {{0}};
    size_t next = 0, running;
    int rc = 0;

    do {
        running = 0;
        for (unsigned i = 0; i < WINDOW; i++) {
            while (!runs[i].p && next < n && !rc)
                rc = start(&runs[i], &probes[next++], timeout_ms, e);
            if (rc && runs[i].p)
                finish(&runs[i], NULL);
            running += runs[i].p != NULL;
        }
        if (running)
            turn(runs);
    } while (running);
    return rc;
}
