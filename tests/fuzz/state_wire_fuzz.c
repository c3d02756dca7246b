/* Messages from another agent: any bytes.  What is accepted is written again and reads the same;
 * the machinery of a peer survives a sequence of messages, and comes to rest. */
#include <stdint.h>
#include <stdlib.h>

#include "state/peer.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_records(const uint8_t *data, size_t size)
{
    struct wire_record in[WIRE_RECORDS_MAX], again[WIRE_RECORDS_MAX];
    uint8_t buf[65536];
    struct wire_header h;
    struct wire_writer w;
    int n = wire_records(data, size, in);

    if (n < 0)
        return;
    if (n > WIRE_RECORDS_MAX || wire_header(data, size, &h))
        abort();
    wire_begin(&w, buf, sizeof buf, &h);
    for (int i = 0; i < n; i++) {
        if (!wire_add(&w, &in[i]))
            abort();
    }
    if (wire_records(buf, w.size, again) != n || memcmp(in, again, (size_t)n * sizeof *in) != 0)
        abort();
}

/* The input as messages of its first byte's length, times passing in between. */
static void check_peer(const uint8_t *data, size_t size)
{
    const struct uuid self = {{1}};
    struct peer *p = peer_new(&self, 1, 0);
    struct peer_news news = {0};
    uint64_t now = 1;
    uint8_t buf[WIRE_MAX];

    while (size > 2) {
        size_t n = data[0] + 1u < size - 1 ? data[0] + 1u : size - 2;
        if (data[1] & 1) {
            const struct wire_header h = peer_next(p);
            struct wire_writer w;
            wire_begin(&w, buf, sizeof buf, &h);
            peer_sent(p, &w, now);
        }
        now += (uint64_t)data[1] << 20;
        peer_receive(p, data + 2, n, now, &news);
        for (unsigned i = 0; peer_poll(p, now, buf); i++) {
            if (i > 10000)
                abort();
        }
        data += n + 1;
        size -= n + 1;
    }
    peer_free(p);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct wire_report report;

    check_records(data, size);
    if (!wire_report(data, size, &report) && report.n_missing > WIRE_MISSING_MAX)
        abort();
    check_peer(data, size);
    return 0;
}
