/* Any bytes as a datagram from another agent: read without a fault, and what is taken for sound is
 * the same after it has been written and read again. */
#include <stdlib.h>

#include "base/mem.h"
#include "state/message.h"
#include "state/peer.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct copy {
    struct message m;
    uint32_t n;
};

static void on_record(void *aux, const struct message_group *g, const struct state_rec *r,
                      uint32_t idle_s)
{
    struct copy *c = aux;

    if (r->kind == STATE_NONE || r->kind >= STATE_N_KINDS || uuid_is_zero(&g->device))
        abort();
    c->n += message_add_record(&c->m, g, r, idle_s);
}

static void on_ask(void *aux, const struct uuid *port, uint32_t number)
{
    message_add_ask(&((struct copy *)aux)->m, port, number);
}

static void on_end(void *aux, uint32_t number)
{
    message_add_end(&((struct copy *)aux)->m, number);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct copy first = {.n = 0}, second = {.n = 0};
    struct message_reader reader = {&first, on_record, on_ask, on_end};
    struct uuid self = {{1}};
    struct message_head h, again;
    struct message due;

    if (size > MAIL_MAX || message_head(data, size, &h))
        return 0;
    message_begin(&first.m);
    message_read(data, size, &reader);
    message_finish(&first.m, &h);
    if (message_head(first.m.data, first.m.size, &again) || memcmp(&h.sender, &again.sender, 16) ||
        h.seq != again.seq)
        abort();
    reader.aux = &second;
    message_begin(&second.m);
    message_read(first.m.data, first.m.size, &reader);
    if (second.n != first.n)
        abort();

    struct peer *p = peer_new(&self, h.ack_inc);
    message_begin(&due);
    peer_say(p, &due, 1);
    peer_hear(p, &h, 2);
    h.seq += 3;
    peer_hear(p, &h, 3);
    for (uint64_t now = 4; now < 1ull << 32; now *= 3)
        peer_due(p, now, &due);
    peer_free(p);
    return 0;
}
