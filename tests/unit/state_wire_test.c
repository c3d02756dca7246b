/* Messages of connections: what is written is read; what is damaged is refused. */
#include <stdlib.h>

#include "state/wire.h"
#include "state_util.h"

static struct wire_record record(unsigned i)
{
    struct wire_record r = {.idle_ms = i};

    r.rec = i % 3 == 0 ? state_record(STATE_CONN, 0, tuple("10.0.0.1", i, "8.8.8.8", 53), NULL, 0)
            : i % 3 == 1
                ? state_record(STATE_SNAT, 0, tuple("10.0.0.1", i, "8.8.8.8", 53), "1.2.3.4", 9)
                : state_record(STATE_DNAT, 0, tuple("fd00::1", i, "fd00::2", 53), "1.2.3.4", 9);
    r.device.b[0] = (uint8_t)(i % 5);
    r.n_ports = (uint8_t)(i % (WIRE_PORTS_MAX + 1));
    for (unsigned k = 0; k < r.n_ports; k++)
        r.ports[k].b[15] = (uint8_t)(k + i % 2 + 1);
    return r;
}

static const struct wire_header header = {WIRE_RECORDS, 3, {{1, 2, 3}}, 77, 5};

static void what_is_written_is_read(void **arg)
{
    struct wire_record out[WIRE_RECORDS_MAX];
    struct wire_header h;
    uint8_t buf[WIRE_MAX];
    struct wire_writer w;
    unsigned n = 0;

    (void)arg;
    wire_begin(&w, buf, sizeof buf, &header);
    for (struct wire_record r = record(0); wire_add(&w, &r); r = record(++n))
        ;
    assert_in_range(n, 20, WIRE_RECORDS_MAX);
    assert_int_equal(w.n_records, n);
    assert_int_equal(wire_header(buf, w.size, &h), 0);
    assert_memory_equal(&h.sender, &header.sender, sizeof h.sender);
    assert_int_equal(h.type, WIRE_RECORDS);
    assert_int_equal(h.stream, 3);
    assert_int_equal(h.life, 77);
    assert_int_equal(h.number, 5);
    assert_int_equal(wire_records(buf, w.size, out), n);
    for (unsigned i = 0; i < n; i++) {
        struct wire_record r = record(i);
        assert_memory_equal(&out[i].rec, &r.rec, sizeof r.rec);
        assert_memory_equal(&out[i].device, &r.device, sizeof r.device);
        assert_int_equal(out[i].idle_ms, i);
        assert_int_equal(out[i].n_ports, r.n_ports);
        assert_memory_equal(out[i].ports, r.ports, r.n_ports * sizeof r.ports[0]);
    }
}

static void one_connection_is_small(void **arg)
{
    struct wire_record c = {.rec = record(0).rec}, s = {.rec = record(1).rec};
    uint8_t buf[WIRE_MAX];
    struct wire_writer w;

    (void)arg;
    wire_begin(&w, buf, sizeof buf, &header);
    assert_true(wire_add(&w, &c) && wire_add(&w, &s));
    assert_in_range(w.size, 100, 150);
}

static void reports_are_read(void **arg)
{
    struct wire_report r = {9, 100, 2, 2, {{3, 4}, {7, 7}}}, out;
    uint8_t buf[WIRE_MAX];
    struct wire_writer w;

    (void)arg;
    wire_begin(&w, buf, sizeof buf, &header);
    assert_true(wire_add_report(&w, &r));
    assert_int_equal(wire_report(buf, w.size, &out), 0);
    assert_int_equal(out.life, 9);
    assert_int_equal(out.all, 100);
    assert_int_equal(out.stream, 2);
    assert_int_equal(out.n_missing, 2);
    assert_int_equal(out.missing[1].last, 7);
    r.missing[0] = (struct wire_range){3, WIRE_NUMBER_END};
    wire_begin(&w, buf, sizeof buf, &header);
    assert_true(wire_add_report(&w, &r));
    assert_int_equal(wire_report(buf, w.size, &out), -EINVAL);
    r.missing[0] = (struct wire_range){4, 3};
    wire_begin(&w, buf, sizeof buf, &header);
    assert_true(wire_add_report(&w, &r));
    assert_int_equal(wire_report(buf, w.size, &out), -EINVAL);
    wire_begin(&w, buf, sizeof buf, &header);
    assert_int_equal(wire_report(buf, w.size, &out), -EINVAL);
}

/* Cut anywhere it is refused, or reads as fewer records; no byte turned makes it read what isn't
 * there (the sanitizers watch). */
static void damage_is_refused(void **arg)
{
    struct wire_record out[WIRE_RECORDS_MAX];
    uint8_t buf[WIRE_MAX];
    struct wire_writer w;
    unsigned n_refused = 0;

    (void)arg;
    wire_begin(&w, buf, sizeof buf, &header);
    for (unsigned i = 0; i < 6; i++) {
        struct wire_record r = record(i);
        assert_true(wire_add(&w, &r));
    }
    for (size_t size = 0; size < w.size; size++) {
        uint8_t *copy = malloc(size ? size : 1);
        memcpy(copy, buf, size);
        int rc = wire_records(copy, size, out);
        n_refused += rc < 0;
        assert_true(rc < 6);
        free(copy);
    }
    assert_true(n_refused > w.size - 20);
    for (size_t i = 0; i < w.size; i++) {
        buf[i] ^= 0xff;
        wire_records(buf, w.size, out);
        buf[i] ^= 0xff;
    }
    buf[4] = 2;
    assert_int_equal(wire_records(buf, w.size, out), -EPROTONOSUPPORT);
}

/* From an agent that says more than we know. */
static void what_is_new_is_skipped(void **arg)
{
    struct wire_record out[WIRE_RECORDS_MAX], r = record(1);
    uint8_t buf[WIRE_MAX], longer[WIRE_MAX];
    struct wire_writer w;

    (void)arg;
    r.n_ports = 0;
    wire_begin(&w, buf, sizeof buf, &header);
    memcpy(buf + w.size, "\x7f\x01\x00\x03new", 7);
    w.size += 7;
    assert_true(wire_add(&w, &r));
    size_t at = w.size;
    r.rec.kind = STATE_N_KINDS; /* a kind to come */
    assert_true(wire_add(&w, &r));
    assert_int_equal(wire_records(buf, w.size, out), 1);
    /* the record grows by two bytes */
    memcpy(longer, buf, at);
    size_t size = at - 47 + 13, item;
    for (item = 47 + 20; longer[item + 1] != 2; item++)
        ;
    longer[item + 3] = (uint8_t)(longer[item + 3] + 2);
    longer[at] = longer[at + 1] = 0xee;
    (void)size;
    assert_int_equal(wire_records(longer, at + 2, out), 1);
    assert_int_equal(out[0].rec.to_port, 9);
}

static void a_full_buffer_stays_whole(void **arg)
{
    struct wire_record out[WIRE_RECORDS_MAX];
    uint8_t buf[WIRE_HEADER + 60];
    struct wire_writer w;
    struct wire_record r = record(4);

    (void)arg;
    for (size_t room = WIRE_HEADER; room < sizeof buf; room++) {
        wire_begin(&w, buf, room, &header);
        assert_false(wire_add(&w, &r));
        assert_int_equal(w.size, WIRE_HEADER);
        assert_int_equal(wire_records(buf, w.size, out), 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_written_is_read), cmocka_unit_test(one_connection_is_small),
        cmocka_unit_test(reports_are_read),        cmocka_unit_test(damage_is_refused),
        cmocka_unit_test(what_is_new_is_skipped),  cmocka_unit_test(a_full_buffer_stays_whole),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
