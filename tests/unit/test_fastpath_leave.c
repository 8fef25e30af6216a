#include "tests/unit/unit.h"

#include <stdlib.h>

#include "lb/restore.h"
#include "tests/unit/fast_tunnel.h"
#include "tests/unit/saved_file.h"

/* When flows come back from the fast path, by themselves or with the daemon. */

static void remove_it(struct fixture *f)
{
    bindings_remove_flow(&f->net.dp.bindings, index_of(f));
}

static void expire_it(struct fixture *f)
{
    f->fake.ages = (struct fastpath_ages){60000, 60000};
    f->net.now_ms += 60000;
    dataplane_sweep(&f->net.dp, f->net.now_ms, 1000);
    assert_int_equal(flows_count(f->net.dp.bindings.flows), 0);
}

/* RFC 4555: the session is elsewhere when the backend has answered there. */
static void go_elsewhere(struct fixture *f)
{
    const struct endpoint old = f->client;

    f->net.sa = support_sa_of(&f->net, &old.addr);
    f->client.addr.bytes[15] = 77;
    ask(f, SUPPORT_INFORMATIONAL);
    assert_int_equal(f->fake.leaves, 0);
    answer(f, SUPPORT_INFORMATIONAL_ANSWER);
    f->client = old;
    assert_true(flow_of(f)->flags & FLOW_LEFT);
}

/* The client's NAT gives it another port, which its ESP shows. */
static void rebind(struct fixture *f)
{
    const struct endpoint old = f->client;

    f->net.sa.esp_spi = flow_of(f)->esp_spi;
    f->client.port = 41000;
    ask(f, SUPPORT_ESP);
    assert_int_equal(f->fake.leaves, 0);
    answer(f, SUPPORT_ESP);
    f->client = old;
    assert_true(flow_of(f)->flags & FLOW_LEFT);
}

/* Another IKE SA from the same port: its tunnel is known when its own ESP has passed. */
static void begin_anew(struct fixture *f)
{
    f->net.handshake++;
    ask(f, SUPPORT_INIT);
    answer(f, SUPPORT_INIT_ANSWER);
    ask(f, SUPPORT_AUTH);
    assert_int_equal(f->fake.leaves, 0);
    answer(f, SUPPORT_AUTH_ANSWER);
}

static void test_it_leaves(void **state)
{
    static void (*const ends[])(struct fixture *) = {remove_it, expire_it, go_elsewhere, rebind, begin_anew};

    (void)state;
    for (size_t i = 0; i < WAYS * sizeof ends / sizeof ends[0]; i++) {
        struct fixture f;
        struct fastpath_binding binding;
        begin_fast(&f, &ways[i % WAYS]);
        ask_esp(&f, i % 2 ? SPI_2 : SPI); /* asked or not */
        assert_true(fastpath_describe(&f.net.dp.bindings, flow_of(&f), &binding));
        ends[i / WAYS](&f);
        assert_int_equal(f.fake.leaves, 1);
        assert_true(fake_is_same_flow(&f.fake.last, &binding) || f.fake.enters == 2);
        assert_null(fake_find(&f.fake, &binding));
        end(&f);
    }
}

/* After a new handshake ESP must pass both ways again. */
static void test_it_comes_back(void **state)
{
    struct fixture f;

    (void)state;
    begin_fast(&f, &ways[0]);
    begin_anew(&f);
    answer(&f, SUPPORT_ESP);
    assert_int_equal(f.fake.enters, 1);
    ask_esp(&f, SPI_2);
    assert_int_equal(f.fake.enters, 1);
    answer(&f, SUPPORT_ESP);
    assert_int_equal(f.fake.enters, 2);
    assert_int_equal(f.fake.last.spi, SPI_2);
    end(&f);
}

/* Saved and restored, a flow is on the slow path until its backend's next packet. */
static void test_saving(void **state)
{
    (void)state;
    for (size_t i = 0; i < WAYS; i++) {
        struct fixture f, g;
        struct restore_result result;
        begin_fast(&f, &ways[i]);
        if (i % 2)
            ask_esp(&f, SPI_2);
        struct saved_file file =
            saved_file_of(&f.net.dp.bindings, f.net.now_ms, UINT64_C(1700000000000), 100, NULL, NULL);
        begin(&g, &ways[i]);
        assert_int_equal(restore_bindings(&g.net.dp.bindings, file.data, file.len, g.net.now_ms,
                                          UINT64_C(1700000000000), &result),
                         0);
        free(file.data);
        assert_int_equal(flow_of(&g)->flags, flow_of(&f)->flags & ~(FLOW_FAST | FLOW_ASKED));
        assert_int_equal(fastpath_may_enter(&g.net.dp.bindings, flow_of(&g)), i % 2 == 0);
        g.to = f.to;
        answer(&g, SUPPORT_ESP);
        assert_int_equal(g.fake.enters, 1);
        assert_int_equal(g.fake.last.spi, i % 2 ? SPI_2 : SPI);
        end(&f);
        end(&g);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_it_leaves),
        cmocka_unit_test(test_it_comes_back),
        cmocka_unit_test(test_saving),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
