#include "tests/unit/unit.h"

#include "lb/roam.h"
#include "tests/unit/support.h"

static const struct support_service service = {
    .name = "vpn",
    .vips = {"203.0.113.10"},
    .backends = {{"one", "10.1.0.1", 0, CONFIG_STATE_ENABLED}},
};

#define NOW_MS 1000

struct fixture {
    struct support_net net;
    struct bindings *b;
    uint32_t session;
    uint32_t home; /* the flow of its first place */
};

static uint32_t add_flow(struct fixture *f, struct endpoint client, enum ike_port port)
{
    return support_add_flow(f->b, client, port, 0, NOW_MS);
}

static struct flow *flow_at(struct fixture *f, uint32_t flow)
{
    return flows_get(f->b->flows, flow);
}

static struct pin *pin_at(struct fixture *f, uint32_t flow)
{
    return pins_get(f->b->pins, flow_at(f, flow)->pin);
}

static struct session *session_at(struct fixture *f)
{
    return sessions_get(f->b->tracking.sessions, f->session);
}

static uint32_t begin_session(struct fixture *f, uint32_t flow, uint8_t number, bool confirmed)
{
    const uint16_t port = flow_at(f, flow)->client_port;
    struct story story = story_begin(0, 0, port, NOW_MS);

    story.spi_i = (struct ike_spi){{number, 1}};
    story.spi_r = (struct ike_spi){{number, 2}};
    if (flow_at(f, flow)->listener == IKE_PORT_4500)
        story.flags = STORY_NATT;
    return tracking_begin(&f->b->tracking, flow_at(f, flow)->pin, &story, confirmed, NOW_MS);
}

/* A session at 192.0.2.1 whose latest packets came from `port` towards `at`. */
static void begin(struct fixture *f, uint16_t port, enum ike_port at)
{
    support_net_init(&f->net, &service, 1, 64);
    f->b = &f->net.dp.bindings;
    f->home = add_flow(f, support_endpoint("192.0.2.1", port), at);
    f->session = begin_session(f, f->home, 1, true);
    tracking_reach(&f->b->tracking, f->session, STAGE_ESTABLISHED, NOW_MS);
}

struct move_case {
    const char *label;
    uint16_t from_port;
    enum ike_port from;
    const char *to;
    uint16_t to_port;
    enum ike_port at;
    int kind;  /* enum roam, or -1: that was no move */
    bool left; /* the old flow is not needed any more */
};

static const struct move_case move_cases[] = {
    {"from 500 to 4500", 500, IKE_PORT_500, "192.0.2.1", 4500, IKE_PORT_4500, -1, false},
    {"the same through a NAT", 1025, IKE_PORT_500, "192.0.2.1", 1026, IKE_PORT_4500, -1, false},
    {"and back", 4500, IKE_PORT_4500, "192.0.2.1", 500, IKE_PORT_500, -1, false},
    {"another port of its NAT", 4500, IKE_PORT_4500, "192.0.2.1", 1026, IKE_PORT_4500, ROAM_REBIND, true},
    {"and towards 500", 500, IKE_PORT_500, "192.0.2.1", 1026, IKE_PORT_500, ROAM_REBIND, true},
    {"another address", 4500, IKE_PORT_4500, "198.51.100.1", 4500, IKE_PORT_4500, ROAM_MOBIKE, true},
    {"and another port", 4500, IKE_PORT_4500, "198.51.100.1", 1026, IKE_PORT_4500, ROAM_MOBIKE, true},
    {"another address while going to 4500", 500, IKE_PORT_500, "198.51.100.1", 4500, IKE_PORT_4500,
     ROAM_MOBIKE, false},
};

static void check_journal(struct fixture *f, const struct move_case *t)
{
    const struct endpoint from = support_endpoint("192.0.2.1", t->from_port);
    const struct endpoint to = support_endpoint(t->to, t->to_port);
    struct journal_entry entries[JOURNAL_ENTRIES_MAX];
    const size_t at_from = journal_find(f->b->tracking.journal, &from.addr, entries);
    const bool same = addr_equal(&from.addr, &to.addr);

    assert_int_equal(at_from, t->kind < 0 ? 0 : same ? 2 : 1);
    if (t->kind < 0)
        return;
    const struct journal_entry left = entries[at_from - 1]; /* the oldest */
    assert_int_equal(left.event, JOURNAL_LEFT);
    assert_true(endpoint_equal(&left.client, &from) && endpoint_equal(&left.other, &to));
    assert_int_equal(left.at_ms, NOW_MS + 50);
    assert_int_equal(journal_find(f->b->tracking.journal, &to.addr, entries), same ? 2 : 1);
    assert_int_equal(entries[0].event, JOURNAL_CAME);
    assert_true(endpoint_equal(&entries[0].client, &to) && endpoint_equal(&entries[0].other, &from));
    assert_int_equal(entries[0].story.roams, 1);
}

static void test_moves(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof move_cases / sizeof move_cases[0]; i++) {
        const struct move_case *t = &move_cases[i];
        struct fixture f;
        begin(&f, t->from_port, t->from);
        const uint32_t flow = add_flow(&f, support_endpoint(t->to, t->to_port), t->at);
        roam_confirmed(f.b, f.session, flow, NOW_MS + 50);
        roam_confirmed(f.b, f.session, flow, NOW_MS + 60); /* nothing more happens */
        const struct story *story = &session_at(&f)->story;
        const bool moved = t->kind >= 0;
        if (story->roams != moved || pin_at(&f, flow)->roams != moved ||
            f.net.pool->services[0].roams_total[ROAM_MOBIKE] != (t->kind == ROAM_MOBIKE) ||
            f.net.pool->services[0].roams_total[ROAM_REBIND] != (t->kind == ROAM_REBIND))
            fail_msg("%s: moved %d times", t->label, story->roams);
        assert_int_equal(story->client_port, t->to_port);
        assert_int_equal(!!(story->flags & STORY_NATT), t->at == IKE_PORT_4500);
        assert_int_equal(session_at(&f)->pin, flow_at(&f, flow)->pin);
        assert_int_equal(flow_at(&f, flow)->session, f.session);
        assert_int_equal(!!(flow_at(&f, f.home)->flags & FLOW_LEFT), t->left);
        assert_false(flow_at(&f, flow)->flags & FLOW_LEFT);
        check_journal(&f, t);
        support_net_deinit(&f.net);
    }
}

/* The pin that a session comes to takes over what is known of it; the one without sessions is left. */
static void test_the_pins(void **state)
{
    (void)state;
    for (int others = 0; others < 2; others++) {
        struct fixture f;
        begin(&f, 4500, IKE_PORT_4500);
        if (others) /* a second tunnel stays behind */
            begin_session(&f, f.home, 2, true);
        pin_at(&f, f.home)->flags |= PIN_CLIENT_FRAGMENTATION;
        const uint32_t flow = add_flow(&f, support_endpoint("198.51.100.1", 4500), IKE_PORT_4500);
        pin_at(&f, flow)->flags |= PIN_LEFT;
        roam_confirmed(f.b, f.session, flow, NOW_MS);
        assert_int_equal(pin_at(&f, flow)->stage, STAGE_ESTABLISHED);
        assert_true(pin_at(&f, flow)->flags & PIN_CLIENT_FRAGMENTATION);
        assert_false(pin_at(&f, flow)->flags & PIN_LEFT);
        assert_int_equal(!!(pin_at(&f, f.home)->flags & PIN_LEFT), !others);

        roam_confirmed(f.b, f.session, f.home, NOW_MS); /* and back */
        assert_false(pin_at(&f, f.home)->flags & PIN_LEFT);
        assert_false(flow_at(&f, f.home)->flags & FLOW_LEFT);
        assert_true(pin_at(&f, flow)->flags & PIN_LEFT);
        assert_true(flow_at(&f, flow)->flags & FLOW_LEFT);
        assert_int_equal(session_at(&f)->story.roams, 2);
        support_net_deinit(&f.net);
    }
}

/* The old flow may be gone, or be somebody else's by now, at the other port of the service. */
static void test_the_old_flow_is_gone(void **state)
{
    struct fixture f;

    (void)state;
    begin(&f, 4500, IKE_PORT_4500);
    const uint32_t on_500 = add_flow(&f, support_endpoint("192.0.2.1", 4500), IKE_PORT_500);
    bindings_remove_flow(f.b, f.home);
    const uint32_t flow = add_flow(&f, support_endpoint("198.51.100.1", 4500), IKE_PORT_4500);
    roam_confirmed(f.b, f.session, flow, NOW_MS);
    assert_false(flow_at(&f, on_500)->flags & FLOW_LEFT);
    assert_int_equal(session_at(&f)->story.roams, 1);
    support_net_deinit(&f.net);
}

struct sharer_case {
    const char *label;
    uint16_t port; /* where the other session is */
    bool confirmed;
    bool elsewhere; /* at another address */
    uint8_t count;
    bool left; /* the flow, when the first session has gone */
};

static const struct sharer_case sharer_cases[] = {
    {"nobody else", 0, false, false, 0, true},
    {"a second tunnel on the same port", 4500, true, false, 1, false},
    {"on another port", 1026, true, false, 1, true},
    {"a handshake on the same port", 4500, false, false, 1, true},
    {"another address", 4500, true, true, 1, true},
    {"as many on other ports as are looked at, with its own", 1026, true, false, 31, true},
    {"more: a carrier's NAT, of which nothing is known", 1026, true, false, 32, false},
};

/* A flow that two tunnels of one pin share is not left when one of them goes. */
static void test_a_shared_flow(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof sharer_cases / sizeof sharer_cases[0]; i++) {
        const struct sharer_case *t = &sharer_cases[i];
        struct fixture f;
        begin(&f, 4500, IKE_PORT_4500);
        const uint32_t at =
            t->elsewhere ? add_flow(&f, support_endpoint("192.0.2.2", 4500), IKE_PORT_4500) : f.home;
        for (uint8_t number = 2; number < 2 + t->count; number++) {
            const uint32_t other = begin_session(&f, at, number, t->confirmed);
            sessions_get(f.b->tracking.sessions, other)->story.client_port = t->port;
        }
        const uint32_t flow = add_flow(&f, support_endpoint("198.51.100.1", 4500), IKE_PORT_4500);
        roam_confirmed(f.b, f.session, flow, NOW_MS);
        if (!!(flow_at(&f, f.home)->flags & FLOW_LEFT) != t->left)
            fail_msg("%s: flags %#x", t->label, flow_at(&f, f.home)->flags);
        support_net_deinit(&f.net);
    }
}

/* ESP alone: with the flow's session if that is of the same pin, else only a count. */
static void test_esp(void **state)
{
    (void)state;
    for (int known = 0; known < 3; known++) {
        struct fixture f;
        begin(&f, 4500, IKE_PORT_4500);
        const uint32_t flow = add_flow(&f, support_endpoint("192.0.2.1", 1026), IKE_PORT_4500);
        const uint32_t other = add_flow(&f, support_endpoint("192.0.2.2", 1026), IKE_PORT_4500);
        bindings_see_session(f.b, flow_at(&f, flow),
                             known == 1   ? f.session
                             : known == 2 ? begin_session(&f, other, 2, true)
                                          : SESSION_NONE);
        roam_confirmed_esp(f.b, flow, NOW_MS);
        assert_int_equal(f.net.pool->services[0].roams_total[ROAM_REBIND], 1);
        assert_int_equal(f.net.pool->services[0].roams_total[ROAM_MOBIKE], 0);
        assert_int_equal(pin_at(&f, flow)->roams, 1);
        assert_int_equal(session_at(&f)->story.roams, known == 1);
        assert_int_equal(session_at(&f)->story.client_port, known == 1 ? 1026 : 4500);
        assert_int_equal(!!(flow_at(&f, f.home)->flags & FLOW_LEFT), known == 1);
        support_net_deinit(&f.net);
    }
}

static void test_counts_end(void **state)
{
    struct fixture f;

    (void)state;
    begin(&f, 4500, IKE_PORT_4500);
    const uint32_t flow = add_flow(&f, support_endpoint("198.51.100.1", 4500), IKE_PORT_4500);
    session_at(&f)->story.roams = UINT8_MAX;
    pin_at(&f, flow)->roams = UINT16_MAX;
    roam_confirmed(f.b, f.session, flow, NOW_MS);
    assert_int_equal(session_at(&f)->story.roams, UINT8_MAX);
    assert_int_equal(pin_at(&f, flow)->roams, UINT16_MAX);
    assert_int_equal(f.net.pool->services[0].roams_total[ROAM_MOBIKE], 1);
    support_net_deinit(&f.net);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_moves),
        cmocka_unit_test(test_the_pins),
        cmocka_unit_test(test_the_old_flow_is_gone),
        cmocka_unit_test(test_a_shared_flow),
        cmocka_unit_test(test_esp),
        cmocka_unit_test(test_counts_end),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
