#include "tests/unit/unit.h"

#include "ike/notify.h"
#include "lb/diagnosis.h"
#include "lb/drop.h"
#include "tests/unit/support.h"

#define NOW_MS       UINT64_C(10000000000) /* beyond 32 bits: times in stories are truncated */
#define SESSIONS_MAX 2
#define ENTRIES_MAX  2

static const struct support_service services[] = {
    {.name = "plain",
     .vips = {"192.0.2.1"},
     .backends = {{.name = "vpn1", .address = "198.51.100.1"}, {.name = "vpn2", .address = "198.51.100.2"}}},
    {.name = "nat",
     .vips = {"192.0.2.2"},
     .mode = CONFIG_MODE_FULL_NAT,
     .snats = {"198.51.100.9"},
     .backends = {{.name = "nat1", .address = "198.51.100.3"}}},
};

enum { PLAIN, NAT };
enum { VPN1, VPN2, NAT1 };

/* A story in short: its stages come one millisecond after the other, the last one `age_ms` ago. */
struct brief {
    enum stage stage;
    uint32_t age_ms;
    uint16_t flags;
    uint16_t error;
    uint16_t service;
    uint16_t backend;
    uint8_t init_count; /* 0 stands for 1 */
    uint8_t failovers;
    uint8_t roams;
};

struct noted {
    enum journal_event event;
    uint32_t ended_ms; /* how long ago */
    struct brief brief;
    const char *other;
    uint16_t reason;
    uint32_t count;
};

struct pinned {
    bool is_there;
    enum stage stage;
    uint8_t flags;
    uint32_t session_count;
};

struct fact_case {
    const char *what;
    struct brief sessions[SESSIONS_MAX];
    size_t session_count;
    struct noted entries[ENTRIES_MAX];
    size_t entry_count;
    struct pinned pin;
    enum suspicion suspicion; /* of each backend */
    enum diagnosis_verdict verdict;
    uint64_t age_ms;
    const char *summary[2]; /* found in it */
    const char *advice;     /* found in some line; NULL: there is none at all */
    const char *not_advice; /* found in no line */
};

static struct story story_of(const struct brief *brief, uint64_t now_ms)
{
    const uint64_t begin_ms = now_ms - brief->age_ms - (uint64_t)brief->stage;
    struct story story = story_begin(brief->service, brief->backend, 4500, begin_ms);

    for (int stage = STAGE_INIT_SENT; stage <= (int)brief->stage; stage++)
        story_reach(&story, (enum stage)stage, begin_ms + (uint64_t)stage);
    story.seen_ms = (uint32_t)(now_ms - brief->age_ms);
    story.flags = brief->flags;
    if (brief->stage > STAGE_INIT_SENT)
        story.flags |= STORY_ANSWERED;
    story.error = brief->error;
    story.init_count = brief->init_count ? brief->init_count : 1;
    story.failovers = brief->failovers;
    story.roams = brief->roams;
    return story;
}

static struct journal_entry entry_of(const struct noted *noted)
{
    const uint64_t at_ms = NOW_MS - noted->ended_ms;

    return (struct journal_entry){
        .event = noted->event,
        .client = support_endpoint("203.0.113.7", 4500),
        .service = noted->brief.service,
        .reason = noted->reason,
        .count = noted->count,
        .at_ms = at_ms,
        .since_ms = at_ms,
        .other = noted->other ? support_endpoint(noted->other, 5555) : (struct endpoint){.port = 0},
        .story = story_of(&noted->brief, at_ms),
    };
}

static bool is_advised(const struct diagnosis *d, const char *words)
{
    for (size_t i = 0; i < d->advice_count; i++)
        if (strstr(d->advice[i], words))
            return true;
    return false;
}

static void compare(const struct fact_case *c, const struct diagnosis *d)
{
    if (d->verdict != c->verdict)
        fail_msg("%s: %s instead of %s: %s", c->what, diagnosis_word(d->verdict), diagnosis_word(c->verdict),
                 d->summary);
    if (d->age_ms != c->age_ms)
        fail_msg("%s: %llu ms ago instead of %llu", c->what, (unsigned long long)d->age_ms,
                 (unsigned long long)c->age_ms);
    for (int i = 0; i < 2; i++)
        if (c->summary[i] && !strstr(d->summary, c->summary[i]))
            fail_msg("%s: no '%s' in: %s", c->what, c->summary[i], d->summary);
    if (c->advice ? !is_advised(d, c->advice) : d->advice_count != 0)
        fail_msg("%s: the advice has %zu lines, first: %s", c->what, d->advice_count,
                 d->advice_count ? d->advice[0] : "none");
    if (c->not_advice && is_advised(d, c->not_advice))
        fail_msg("%s: '%s' is advised", c->what, c->not_advice);
}

static void check(const struct fact_case *c)
{
    struct pool *pool = support_pool(services, 2);
    struct story sessions[SESSIONS_MAX];
    struct journal_entry entries[ENTRIES_MAX];
    const struct diagnosis_client client = {
        .pin = {.stage = (uint8_t)c->pin.stage,
                .flags = c->pin.flags,
                .created_ms = (uint32_t)(NOW_MS - 9000),
                .seen_ms = (uint32_t)(NOW_MS - 7000)},
        .session_count = c->pin.session_count,
    };
    struct diagnosis d;

    for (size_t i = 0; i < c->session_count; i++)
        sessions[i] = story_of(&c->sessions[i], NOW_MS);
    for (size_t i = 0; i < c->entry_count; i++)
        entries[i] = entry_of(&c->entries[i]);
    for (size_t i = 0; i < pool->backend_count; i++)
        pool->backends[i].passive.suspicion = c->suspicion;
    const struct diagnosis_facts facts = {
        .pool = pool,
        .clients = &client,
        .client_count = c->pin.is_there,
        .sessions = sessions,
        .session_count = c->session_count,
        .entries = entries,
        .entry_count = c->entry_count,
        .now_ms = NOW_MS,
    };
    diagnosis_make(&facts, &d);
    compare(c, &d);
    pool_destroy(pool);
}

#define ONE(...)      .sessions = {{__VA_ARGS__}}, .session_count = 1
#define TWO(...)      .sessions = {__VA_ARGS__}, .session_count = 2
#define NOTED(...)    .entries = {{__VA_ARGS__}}, .entry_count = 1
#define BOTH_FRAGMENT (STORY_CLIENT_FRAGMENTATION | STORY_SERVER_FRAGMENTATION)

/* One handshake, as far as it came. */
static void test_stages(void **state)
{
    static const struct fact_case cases[] = {
        {"nothing", .verdict = DIAGNOSIS_NOTHING_SEEN, .summary = {"Nothing of this address"},
         .advice = "VIP"},
        {"silence", ONE(STAGE_INIT_SENT, 5000), .verdict = DIAGNOSIS_INIT_UNANSWERED, .age_ms = 5000,
         .summary = {"handed to vpn1", "has not answered."}, .advice = "default gateway",
         .not_advice = "source address"},
        {"silence behind full NAT", ONE(STAGE_INIT_SENT, 5000, .service = NAT, .backend = NAT1),
         .verdict = DIAGNOSIS_INIT_UNANSWERED, .age_ms = 5000, .summary = {"handed to nat1"},
         .advice = "IkeNumEstablishedForInitialQuery", .not_advice = "gateway"},
        {"a server that refuses", ONE(STAGE_INIT_SENT, 5000), .suspicion = SUSPICION_REFUSING,
         .verdict = DIAGNOSIS_INIT_UNANSWERED, .age_ms = 5000, .advice = "no new client at the moment",
         .not_advice = "Nothing at all"},
        {"a dead server", ONE(STAGE_INIT_SENT, 5000), .suspicion = SUSPICION_SILENT,
         .verdict = DIAGNOSIS_INIT_UNANSWERED, .age_ms = 5000, .advice = "Nothing at all is heard"},
        {"only just sent", ONE(STAGE_INIT_SENT, 500), .verdict = DIAGNOSIS_INIT_UNANSWERED, .age_ms = 500,
         .summary = {"only a moment ago"}, .advice = "VPN service"},
        {"failed over", ONE(STAGE_INIT_SENT, 5000, .backend = VPN2, .failovers = 2),
         .verdict = DIAGNOSIS_INIT_UNANSWERED, .age_ms = 5000, .summary = {"2 times; vpn2 was the last"},
         .advice = "VPN service"},
        {"a cookie, not brought back", ONE(STAGE_INIT_SENT, 5000, STORY_ANSWERED | STORY_ASKED_AGAIN),
         .verdict = DIAGNOSIS_ANSWERED_NO_AUTH, .age_ms = 5000, .summary = {"asking for it once more"},
         .advice = "VIP's port 500", .not_advice = "4500"},
        {"silence after the cookie", ONE(STAGE_INIT_SENT, 5000, STORY_ANSWERED, .init_count = 2),
         .verdict = DIAGNOSIS_INIT_UNANSWERED, .age_ms = 5000, .summary = {"vpn1 asked the client"},
         .advice = "VPN service"},
        {"no proposal", ONE(STAGE_INIT_SENT, 5000, STORY_ANSWERED, IKE_NOTIFY_NO_PROPOSAL_CHOSEN),
         .verdict = DIAGNOSIS_INIT_REJECTED, .age_ms = 5000,
         .summary = {"vpn1 refused", "with NO_PROPOSAL_CHOSEN."}, .advice = "in common"},
        {"unknown error", ONE(STAGE_INIT_SENT, 100, STORY_ANSWERED, 4711), .verdict = DIAGNOSIS_INIT_REJECTED,
         .age_ms = 100, .summary = {"error number 4711."}, .advice = "server's log",
         .not_advice = "in common"},
        {"no reason", ONE(STAGE_INIT_SENT, 5000, STORY_ANSWERED), .verdict = DIAGNOSIS_INIT_REJECTED,
         .age_ms = 5000, .summary = {"did not accept"}, .advice = "server's log"},
        {"stall", ONE(STAGE_INIT_ANSWERED, 5000, BOTH_FRAGMENT), .verdict = DIAGNOSIS_ANSWERED_NO_AUTH,
         .age_ms = 5000, .summary = {"vpn1 answered", "(IKE_AUTH) has not arrived"},
         .advice = "most likely not the cause", .not_advice = "EnableServerFragmentation"},
        {"stall, 4500", ONE(STAGE_INIT_ANSWERED, 5000, BOTH_FRAGMENT), .verdict = DIAGNOSIS_ANSWERED_NO_AUTH,
         .age_ms = 5000, .advice = "UDP 4500"},
        {"stall, an earlier error", ONE(STAGE_INIT_ANSWERED, 5000, 0, IKE_NOTIFY_NO_PROPOSAL_CHOSEN),
         .verdict = DIAGNOSIS_ANSWERED_NO_AUTH, .age_ms = 5000, .advice = "UDP 4500"},
        {"stall, server without fragmentation", ONE(STAGE_INIT_ANSWERED, 5000, STORY_CLIENT_FRAGMENTATION),
         .verdict = DIAGNOSIS_ANSWERED_NO_AUTH, .age_ms = 5000, .advice = "EnableServerFragmentation",
         .not_advice = "update the client"},
        {"stall, client without fragmentation", ONE(STAGE_INIT_ANSWERED, 5000),
         .verdict = DIAGNOSIS_ANSWERED_NO_AUTH, .age_ms = 5000, .advice = "update the client",
         .not_advice = "EnableServerFragmentation"},
        {"stall, conflict", ONE(STAGE_INIT_ANSWERED, 5000, STORY_CONFLICT),
         .verdict = DIAGNOSIS_ANSWERED_NO_AUTH, .age_ms = 5000, .advice = "Another client behind the same"},
        {"no answer to IKE_AUTH", ONE(STAGE_AUTH_SENT, 5000), .verdict = DIAGNOSIS_AUTH_UNANSWERED,
         .age_ms = 5000, .summary = {"(IKE_AUTH) was handed to vpn1"}, .advice = "RADIUS",
         .not_advice = "fragments"},
        {"no answer to a large IKE_AUTH", ONE(STAGE_AUTH_SENT, 5000, STORY_LARGE_FROM_CLIENT),
         .verdict = DIAGNOSIS_AUTH_UNANSWERED, .age_ms = 5000, .advice = "fragments"},
        {"no answer to IKE_AUTH, way back", ONE(STAGE_AUTH_SENT, 5000), .verdict = DIAGNOSIS_AUTH_UNANSWERED,
         .age_ms = 5000, .advice = "way back"},
        {"no answer to IKE_AUTH behind full NAT", ONE(STAGE_AUTH_SENT, 5000, .service = NAT, .backend = NAT1),
         .verdict = DIAGNOSIS_AUTH_UNANSWERED, .age_ms = 5000, .advice = "RADIUS", .not_advice = "way back"},
        {"authenticated", ONE(STAGE_AUTH_ANSWERED, 500), .verdict = DIAGNOSIS_AUTH_ANSWERED, .age_ms = 500,
         .summary = {"no tunnel has carried"}, .advice = "password", .not_advice = "fragments"},
        {"authenticated by a large answer", ONE(STAGE_AUTH_ANSWERED, 5000, STORY_LARGE_FROM_SERVER),
         .verdict = DIAGNOSIS_AUTH_ANSWERED, .age_ms = 5000, .advice = "fragments"},
        {"established", ONE(STAGE_ESTABLISHED, 5000, BOTH_FRAGMENT), .verdict = DIAGNOSIS_ESTABLISHED,
         .age_ms = 5000, .summary = {"is connected: its tunnel to vpn1"}},
        {"established, moved here", ONE(STAGE_ESTABLISHED, 5000, .roams = 1),
         .verdict = DIAGNOSIS_ESTABLISHED, .age_ms = 5000, .summary = {"is connected", "port 1 time."}},
        {"rekeyed", ONE(STAGE_AUTH_ANSWERED, 5000, STORY_REKEYED), .verdict = DIAGNOSIS_TUNNEL_KNOWN,
         .age_ms = 5000, .summary = {"before ikelb's time"}},
        {"rekeyed, with traffic", ONE(STAGE_ESTABLISHED, 5000, STORY_REKEYED),
         .verdict = DIAGNOSIS_ESTABLISHED, .age_ms = 5000, .summary = {"is connected"}},
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
        check(&cases[i]);
}

/* What the journal and the pin know when the session is gone, or never was. */
static void test_without_session(void **state)
{
    static const struct fact_case cases[] = {
        {"ended in failure", NOTED(JOURNAL_ENDED, 60000, {STAGE_INIT_SENT, 25000}),
         .verdict = DIAGNOSIS_INIT_UNANSWERED, .age_ms = 85000, .summary = {"handed to vpn1"},
         .advice = "VPN service"},
        {"ended at once", NOTED(JOURNAL_ENDED, 60000, {STAGE_AUTH_SENT, 0}),
         .verdict = DIAGNOSIS_AUTH_UNANSWERED, .age_ms = 60000, .summary = {"has not answered it."},
         .advice = "RADIUS"},
        {"ended after all went well", NOTED(JOURNAL_ENDED, 60000, {STAGE_ESTABLISHED, 4000}),
         .verdict = DIAGNOSIS_ESTABLISHED, .age_ms = 64000, .summary = {"was connected to vpn1"}},
        {"moved", NOTED(JOURNAL_LEFT, 2000, {STAGE_ESTABLISHED, 9000, .backend = VPN2}, "203.0.113.8"),
         .verdict = DIAGNOSIS_MOVED, .age_ms = 2000, .summary = {"at vpn2", "gone on to 203.0.113.8:5555."},
         .advice = "ikelb explain"},
        {"another port only", NOTED(JOURNAL_LEFT, 2000, {STAGE_ESTABLISHED, 9000}, "203.0.113.7"),
         .verdict = DIAGNOSIS_NOTHING_SEEN, .advice = "VIP"},
        {"came", NOTED(JOURNAL_CAME, 2000, {STAGE_ESTABLISHED, 9000}, "203.0.113.8"),
         .verdict = DIAGNOSIS_NOTHING_SEEN, .advice = "VIP"},
        {"flood protection", NOTED(JOURNAL_REFUSED, 2000, .reason = DROP_RATE_LIMITED, .count = 12),
         .verdict = DIAGNOSIS_REFUSED, .age_ms = 2000,
         .summary = {"Flood protection refused 12 first messages"}, .advice = "dataplane.source_rate"},
        {"no backend", NOTED(JOURNAL_REFUSED, 2000, .reason = DROP_NO_BACKEND, .count = 1),
         .verdict = DIAGNOSIS_REFUSED, .age_ms = 2000, .summary = {"1 first message (", "no server that"},
         .advice = "ikelb status"},
        {"no port", NOTED(JOURNAL_REFUSED, 2000, .reason = DROP_NO_SNAT_PORT, .count = 1),
         .verdict = DIAGNOSIS_REFUSED, .age_ms = 2000, .summary = {"source ports"}, .advice = "`snat`"},
        {"no source", NOTED(JOURNAL_REFUSED, 2000, .reason = DROP_NO_SNAT_ADDRESS, .count = 1),
         .verdict = DIAGNOSIS_REFUSED, .age_ms = 2000, .summary = {"no source address"}, .advice = "routes"},
        {"no room", NOTED(JOURNAL_REFUSED, 2000, .reason = DROP_TABLE_FULL, .count = 1),
         .verdict = DIAGNOSIS_REFUSED, .age_ms = 2000, .summary = {"full"}, .advice = "max_clients"},
        {"another reason", NOTED(JOURNAL_REFUSED, 2000, .reason = DROP_SEND_BUSY, .count = 1),
         .verdict = DIAGNOSIS_REFUSED, .age_ms = 2000, .summary = {"send_busy"}, .advice = "ikelb status"},
        {"a tunnel from before", .pin = {true, STAGE_NONE, PIN_CONFIRMED}, .verdict = DIAGNOSIS_TUNNEL_KNOWN,
         .age_ms = 9000, .summary = {"The client is at vpn1"}},
        {"ESP into nothing", .pin = {true, STAGE_NONE}, .verdict = DIAGNOSIS_TUNNEL_UNANSWERED,
         .age_ms = 7000, .summary = {"vpn1 has not answered"}, .advice = "forgotten"},
        {"a handshake without a session", .pin = {true, STAGE_AUTH_SENT},
         .verdict = DIAGNOSIS_AUTH_UNANSWERED, .age_ms = 7000, .summary = {"vpn1"}, .advice = "RADIUS"},
        {"an unanswered one without a session", .pin = {true, STAGE_INIT_SENT},
         .verdict = DIAGNOSIS_INIT_UNANSWERED, .age_ms = 7000, .summary = {"vpn1"}, .advice = "VPN service"},
        {"a tunnel without a session", .pin = {true, STAGE_ESTABLISHED, PIN_CONFIRMED},
         .verdict = DIAGNOSIS_ESTABLISHED, .age_ms = 9000, .summary = {"is connected"}},
        {"left behind", NOTED(JOURNAL_LEFT, 2000, {STAGE_ESTABLISHED, 9000}, "203.0.113.8"),
         .pin = {true, STAGE_ESTABLISHED, PIN_CONFIRMED | PIN_LEFT}, .verdict = DIAGNOSIS_MOVED,
         .age_ms = 2000, .advice = "ikelb explain"},
        {"left behind, and forgotten by the journal",
         .pin = {true, STAGE_ESTABLISHED, PIN_CONFIRMED | PIN_LEFT}, .verdict = DIAGNOSIS_NOTHING_SEEN,
         .advice = "VIP"},
        {"the journal knows better", NOTED(JOURNAL_ENDED, 60000, {STAGE_INIT_ANSWERED, 5000}),
         .pin = {true, STAGE_INIT_SENT, PIN_CONFIRMED}, .verdict = DIAGNOSIS_ANSWERED_NO_AUTH,
         .age_ms = 65000, .advice = "4500"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
        check(&cases[i]);
}

/* Of several events the latest decides, but for a tunnel that lives. */
static void test_order(void **state)
{
    static const struct fact_case cases[] = {
        {"two failures", TWO({STAGE_AUTH_SENT, 9000}, {STAGE_INIT_SENT, 5000}),
         .verdict = DIAGNOSIS_INIT_UNANSWERED, .age_ms = 5000, .advice = "VPN service"},
        {"two failures, the other way", TWO({STAGE_AUTH_SENT, 4000}, {STAGE_INIT_SENT, 5000}),
         .verdict = DIAGNOSIS_AUTH_UNANSWERED, .age_ms = 4000, .advice = "RADIUS"},
        {"a failure, then a tunnel", TWO({STAGE_INIT_SENT, 9000}, {STAGE_ESTABLISHED, 5000}),
         .verdict = DIAGNOSIS_ESTABLISHED, .age_ms = 5000, .summary = {"is connected"}},
        {"a tunnel, then a failure", TWO({STAGE_INIT_SENT, 5000}, {STAGE_ESTABLISHED, 9000, .backend = VPN2}),
         .verdict = DIAGNOSIS_INIT_UNANSWERED, .age_ms = 5000,
         .summary = {"handed to vpn1", "Another tunnel of this address, to vpn2, is connected."},
         .advice = "VPN service"},
        {"a failure, a tunnel, and one that goes on",
         TWO({STAGE_AUTH_ANSWERED, 100}, {STAGE_ESTABLISHED, 9000}), .verdict = DIAGNOSIS_ESTABLISHED,
         .age_ms = 9000, .summary = {"is connected"}},
        {"a failure between two successes", TWO({STAGE_AUTH_ANSWERED, 100}, {STAGE_ESTABLISHED, 9000}),
         NOTED(JOURNAL_ENDED, 0, {STAGE_INIT_SENT, 5000}), .verdict = DIAGNOSIS_ESTABLISHED, .age_ms = 9000},
        {"an ended tunnel, then a failure", ONE(STAGE_INIT_ANSWERED, 1000),
         NOTED(JOURNAL_ENDED, 5000, {STAGE_ESTABLISHED, 9000}), .verdict = DIAGNOSIS_ANSWERED_NO_AUTH,
         .age_ms = 1000, .advice = "4500"},
        {"moved and came back", ONE(STAGE_ESTABLISHED, 9000),
         NOTED(JOURNAL_LEFT, 2000, {STAGE_ESTABLISHED, 7000}, "203.0.113.8"),
         .verdict = DIAGNOSIS_ESTABLISHED, .age_ms = 9000, .summary = {"is connected"}},
        {"refused while a handshake waits", ONE(STAGE_INIT_SENT, 4000),
         NOTED(JOURNAL_REFUSED, 2000, .reason = DROP_RATE_LIMITED, .count = 2), .verdict = DIAGNOSIS_REFUSED,
         .age_ms = 2000, .advice = "source_rate"},
        {"refused in the same millisecond", ONE(STAGE_INIT_SENT, 2000),
         NOTED(JOURNAL_REFUSED, 2000, .reason = DROP_RATE_LIMITED, .count = 2), .verdict = DIAGNOSIS_REFUSED,
         .age_ms = 2000, .advice = "source_rate"},
        {"a pin with a session says nothing", ONE(STAGE_INIT_ANSWERED, 8000),
         .pin = {true, STAGE_INIT_SENT, 0, 1}, .verdict = DIAGNOSIS_ANSWERED_NO_AUTH, .age_ms = 8000,
         .advice = "4500"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
        check(&cases[i]);
}

static void test_ages(void **state)
{
    (void)state;
    assert_int_equal(diagnosis_age_ms(NOW_MS, (uint32_t)(NOW_MS - 12)), 12);
    assert_int_equal(diagnosis_age_ms(NOW_MS, (uint32_t)NOW_MS), 0);
    assert_int_equal(diagnosis_age_ms(NOW_MS, (uint32_t)(NOW_MS + 5)),
                     0); /* seen after the page was asked for */
    const uint64_t month_ms = UINT64_C(40) * 86400 * 1000;
    assert_int_equal(diagnosis_age_ms(NOW_MS, (uint32_t)(NOW_MS - month_ms)), month_ms);
}

/* Users and scripts rely on the words, and on which of them mean success. */
static void test_words(void **state)
{
    static const struct {
        enum diagnosis_verdict verdict;
        const char *word;
        bool is_connected;
    } words[] = {
        {DIAGNOSIS_NOTHING_SEEN, "nothing-seen", false},
        {DIAGNOSIS_INIT_UNANSWERED, "init-unanswered", false},
        {DIAGNOSIS_INIT_REJECTED, "init-rejected", false},
        {DIAGNOSIS_ANSWERED_NO_AUTH, "answered-no-auth", false},
        {DIAGNOSIS_AUTH_UNANSWERED, "auth-unanswered", false},
        {DIAGNOSIS_REFUSED, "refused", false},
        {DIAGNOSIS_TUNNEL_UNANSWERED, "tunnel-unanswered", false},
        {DIAGNOSIS_AUTH_ANSWERED, "auth-answered", false},
        {DIAGNOSIS_ESTABLISHED, "established", true},
        {DIAGNOSIS_MOVED, "moved", true},
        {DIAGNOSIS_TUNNEL_KNOWN, "tunnel-known", true},
    };

    (void)state;
    assert_int_equal(sizeof words / sizeof words[0], DIAGNOSIS_COUNT);
    for (size_t i = 0; i < DIAGNOSIS_COUNT; i++) {
        assert_string_equal(diagnosis_word(words[i].verdict), words[i].word);
        assert_int_equal(diagnosis_is_connected(words[i].verdict), words[i].is_connected);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_stages), cmocka_unit_test(test_without_session), cmocka_unit_test(test_order),
        cmocka_unit_test(test_ages),   cmocka_unit_test(test_words),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
