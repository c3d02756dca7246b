#include "datapath/upcall.h"

#include <stdlib.h>
#include <utlist.h>

#include "base/mem.h"

#define SMALL     512u /* room of one that is kept for reuse */
#define MAX_SPARE 1024u

struct upcall *upcall_new(struct upcall_turns *t, uint32_t size)
{
    struct upcall *u = t->spare;

    if (size <= SMALL && u) {
        t->spare = u->next;
        t->n_spare--;
    } else {
        uint32_t room = MAX(size, SMALL);

        u = mem_alloc(sizeof *u + room);
        u->room = room;
    }
    u->prev = u->next = NULL;
    u->up = (struct dp_upcall){.packet = u->data, .size = size};
    return u;
}

static void discard(struct upcall_turns *t, struct upcall *u)
{
    if (u->room != SMALL || t->n_spare >= MAX_SPARE) {
        free(u);
        return;
    }
    u->next = t->spare;
    t->spare = u;
    t->n_spare++;
}

void upcall_push(struct upcall_turns *t, struct upcall_port *port, struct upcall *u)
{
    if (!port->head)
        DL_APPEND(t->turn, port);
    DL_APPEND(port->head, u);
    port->n++;
    t->n_waiting++;
}

struct upcall *upcall_take(struct upcall_turns *t)
{
    struct upcall_port *port = t->turn;

    if (!port)
        return NULL;
    struct upcall *u = port->head;

    DL_DELETE(port->head, u);
    port->n--;
    t->n_waiting--;
    DL_DELETE(t->turn, port);
    if (port->head)
        DL_APPEND(t->turn, port);
    DL_APPEND(t->taken, u);
    return u;
}

static void discard_all(struct upcall_turns *t, struct upcall **list)
{
    struct upcall *u, *next;

    DL_FOREACH_SAFE(*list, u, next)
    {
        discard(t, u);
    }
    *list = NULL;
}

void upcall_release(struct upcall_turns *t)
{
    discard_all(t, &t->taken);
}

void upcall_drop_port(struct upcall_turns *t, struct upcall_port *port)
{
    if (!port->head)
        return;
    DL_DELETE(t->turn, port);
    t->n_waiting -= port->n;
    port->n = 0;
    discard_all(t, &port->head);
}

void upcall_free(struct upcall_turns *t)
{
    upcall_release(t);
    while (t->spare) {
        struct upcall *next = t->spare->next;
        free(t->spare);
        t->spare = next;
    }
    t->n_spare = 0;
}

uint64_t upcall_bytes(const struct upcall_turns *t)
{
    return (uint64_t)(t->n_waiting + t->n_spare) * (sizeof(struct upcall) + SMALL);
}
