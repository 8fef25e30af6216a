#include "tests/unit/model_world.h"

#include <stdio.h>

#include "base/cursor.h"
#include "ike/notify.h"

static const struct support_service services[SERVICES] = {
    {.name = "vpn",
     .vips = {"203.0.113.10", "2001:db8::10"},
     .idle_timeout_ms = 60000,
     .half_open_timeout_ms = HALF_OPEN_MS,
     .backends = {{"a", "10.1.0.1", 0, CONFIG_STATE_ENABLED},
                  {"b", "10.1.0.2", 0, CONFIG_STATE_ENABLED},
                  {"c", "10.1.0.3", 50, CONFIG_STATE_ENABLED},
                  {"d", "2001:db8:1::1", 0, CONFIG_STATE_ENABLED},
                  {"e", "2001:db8:1::2", 0, CONFIG_STATE_ENABLED}}},
    {.name = "full",
     .vips = {"203.0.113.11"},
     .mode = CONFIG_MODE_FULL_NAT,
     .snats = {"10.2.0.100", "10.2.0.101"},
     .idle_timeout_ms = 60000,
     .half_open_timeout_ms = HALF_OPEN_MS,
     .backends = {{"f", "10.2.0.1", 0, CONFIG_STATE_ENABLED},
                  {"g", "10.2.0.2", 0, CONFIG_STATE_ENABLED},
                  {"h", "10.2.0.3", 0, CONFIG_STATE_ENABLED}}},
};

uint32_t model_world_below(struct world *w, uint32_t limit)
{
    return support_random_below(&w->random, limit);
}

void model_world_note(struct world *w, const char *format, ...)
{
    char text[LOG_LINE_MAX];
    va_list args;

    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    snprintf(w->log[w->log_count++ % LOG_LINES], sizeof w->log[0], "%llu %s", (unsigned long long)w->now_ms,
             text);
}

void model_world_show_log(const struct world *w)
{
    const uint32_t first = w->log_count > LOG_LINES ? w->log_count - LOG_LINES : 0;

    print_error("IKELB_TEST_SEQUENCE=%u, and so far:\n", (unsigned)w->number);
    for (uint32_t i = first; i < w->log_count; i++)
        print_error("  %s\n", w->log[i % LOG_LINES]);
}

static void note_packet(struct world *w, const struct packet *p, const struct content *c)
{
    char src[ENDPOINT_TEXT_MAX], dst[ENDPOINT_TEXT_MAX], what[LOG_LINE_MAX / 2] = "keepalive";
    const unsigned port = ike_port_number(p->port);

    endpoint_format(&p->src, src);
    endpoint_format(&p->dst, dst);
    if (c->class == IKE_CLASS_ESP)
        snprintf(what, sizeof what, "ESP %u", (unsigned)c->esp_spi);
    else if (c->class == IKE_CLASS_IKE)
        snprintf(what, sizeof what, "IKE %llx.%llx v%u exchange %u flags %#x id %u%s",
                 (unsigned long long)c->spi_i, (unsigned long long)c->spi_r, (unsigned)c->major,
                 (unsigned)c->exchange, (unsigned)c->flags, (unsigned)c->id,
                 c->encrypted ? " encrypted" : "");
    if (p->side == PACKET_FROM_CLIENT)
        model_world_note(w, "%s to %s:%u: %s", src, services[p->service].name, port, what);
    else
        model_world_note(w, "%s to %s: %s", src, dst, what);
}

/* --- Messages --- */

static size_t write_ike(const struct content *c, struct writer *w)
{
    const size_t start = writer_len(w);
    const uint8_t first = c->encrypted    ? (c->major == 1 ? 5 : IKE_PAYLOAD_ENCRYPTED)
                          : c->notify     ? IKE_PAYLOAD_NOTIFY
                          : c->major == 1 ? IKE_PAYLOAD_V1_SA
                                          : IKE_PAYLOAD_SA;

    writer_bytes(w, &c->spi_i, sizeof c->spi_i);
    writer_bytes(w, &c->spi_r, sizeof c->spi_r);
    writer_u8(w, first);
    writer_u8(w, (uint8_t)(c->major << 4));
    writer_u8(w, c->exchange);
    writer_u8(w, c->flags);
    writer_u32(w, c->id);
    writer_u32(w, IKE_HEADER_LEN + 12);
    writer_u8(w, IKE_PAYLOAD_NONE);
    writer_u8(w, 0);
    writer_u16(w, 12);
    writer_u16(w, 0);
    writer_u16(w, (uint16_t)c->notify);
    writer_u32(w, 0);
    return writer_len(w) - start;
}

static size_t write_content(const struct content *c, enum ike_port port,
                            uint8_t out[static SUPPORT_MESSAGE_MAX])
{
    struct writer w = writer_over(out, SUPPORT_MESSAGE_MAX);

    if (c->class == IKE_CLASS_KEEPALIVE) {
        writer_u8(&w, IKE_NATT_KEEPALIVE);
    } else if (c->class == IKE_CLASS_ESP) {
        writer_u32(&w, c->esp_spi);
        writer_u32(&w, 1);
        writer_u32(&w, 2);
    } else {
        if (port == IKE_PORT_4500)
            writer_u32(&w, 0);
        write_ike(c, &w);
    }
    return writer_len(&w);
}

/* --- Comparing the tables --- */

static struct pin_key pin_key_of(const struct model_pin *p)
{
    return (struct pin_key){.client = p->client, .service = p->service, .part = p->part};
}

static void compare_pins(struct world *w)
{
    const struct pins *pins = w->dp.bindings.pins;
    uint32_t count = 0;

    for (uint32_t i = 0; i < w->model.top; i++) {
        const struct model_pin *p = &w->model.pins[i];
        if (!p->used)
            continue;
        const struct pin_key key = pin_key_of(p);
        const uint32_t found = pins_find(pins, &key);
        CHECK(w, found != PIN_NONE);
        const struct pin *real = pins_get(w->dp.bindings.pins, found);
        CHECK_EQUAL(w, real->backend, p->backend);
        CHECK_EQUAL(w, (real->flags & PIN_CONFIRMED) != 0, p->confirmed);
        count++;
    }
    CHECK_EQUAL(w, pins_count(pins), count);
}

static void compare_flows(struct world *w)
{
    struct flows *flows = w->dp.bindings.flows;
    uint32_t count = 0;

    for (uint32_t i = 0; i < w->model.top; i++) {
        const struct model_flow *f = &w->model.flows[i];
        if (!f->used)
            continue;
        const struct flow_in_key key = {f->client.addr, f->client.port,
                                        (uint16_t)(f->service * IKE_PORT_COUNT + f->port)};
        const struct pin_key pin_key = pin_key_of(&w->model.pins[f->pin]);
        const uint32_t found = flows_find_in(flows, &key);
        CHECK(w, found != FLOW_NONE);
        const struct flow *real = flows_get(flows, found);
        CHECK_EQUAL(w, real->backend, f->backend);
        CHECK_EQUAL(w, real->pin, pins_find(w->dp.bindings.pins, &pin_key));
        CHECK_EQUAL(w, (real->flags & FLOW_CONFIRMED) != 0, f->confirmed);
        CHECK_EQUAL(w, (real->flags & FLOW_LEFT) != 0, f->left);
        count++;
    }
    CHECK_EQUAL(w, flows_count(flows), count);
}

/* While nobody has given a full answer two backends may have been asked. */
static bool is_same_session(const struct session *real, const struct model_session *s)
{
    return header_spi_equal(&real->story.spi_i, &s->spi_i) &&
           header_spi_equal(&real->story.spi_r, &s->spi_r) && real->story.backend == s->backend;
}

static void compare_sessions(struct world *w)
{
    struct sessions *sessions = w->dp.bindings.tracking.sessions;
    uint32_t count = 0;

    for (uint32_t i = 0; i < w->model.top; i++) {
        struct model_session *s = &w->model.sessions[i];
        if (!s->used)
            continue;
        const struct pin_key key = pin_key_of(&w->model.pins[s->pin]);
        uint32_t found = sessions_of_pin(sessions, pins_find(w->dp.bindings.pins, &key));
        while (found != SESSION_NONE && !is_same_session(sessions_get(sessions, found), s))
            found = sessions_get(sessions, found)->pin_next;
        s->used = found != SESSION_NONE || !s->may_end;
        s->may_end = false;
        if (!s->used)
            continue;
        CHECK(w, found != SESSION_NONE);
        const struct session *real = sessions_get(sessions, found);
        CHECK_EQUAL(w, real->confirmed, s->confirmed);
        CHECK_EQUAL(w, real->story.stage, s->stage);
        count++;
    }
    CHECK_EQUAL(w, sessions_count(sessions), count);
}

void model_world_compare(struct world *w)
{
    uint64_t conflicts = 0, failovers = 0;

    compare_pins(w);
    compare_flows(w);
    compare_sessions(w);
    for (size_t i = 0; i < w->pool->service_count; i++) {
        conflicts += w->pool->services[i].conflicts_total;
        failovers += w->pool->services[i].failovers_total;
    }
    CHECK_EQUAL(w, conflicts, w->model.conflicts);
    CHECK_EQUAL(w, failovers, w->model.failovers);
    for (int kind = 0; kind < ROAM_COUNT; kind++)
        CHECK_EQUAL(w, w->pool->services[VPN].roams_total[kind] + w->pool->services[FULL].roams_total[kind],
                    w->model.roams[kind]);
    for (size_t i = 0; i < w->pool->backend_count; i++)
        CHECK_EQUAL(w, w->pool->backends[i].passive.suspicion, w->model.passive[i].suspicion);
}

/* --- Sending --- */

static void check_verdict(struct world *w, const struct verdict *v, struct model_verdict *e)
{
    CHECK_EQUAL(w, v->action, e->action);
    if (e->action == VERDICT_DROP) {
        CHECK_EQUAL(w, v->reason, e->reason);
        return;
    }
    CHECK_EQUAL(w, v->backend, e->backend);
    CHECK_EQUAL(w, addr_family(&v->src.addr), addr_family(&v->dst.addr));
    CHECK(w, endpoint_equal(&v->dst, &e->dst));
    if (e->src.port == 0 && e->flow != MODEL_NONE) { /* full NAT has chosen: that is its source from now on */
        const struct service *service = &w->pool->services[FULL];
        CHECK(w,
              addr_equal(&v->src.addr, &service->snats[0]) || addr_equal(&v->src.addr, &service->snats[1]));
        CHECK(w, v->src.port >= 1024);
        w->model.flows[e->flow].source = v->src;
    } else {
        CHECK(w, endpoint_equal(&v->src, &e->src));
    }
}

/* --- What must never happen, whatever the model says --- */

static bool is_outsider(const struct addr *addr)
{
    const struct addr first = support_addr_v4(OUTSIDER_BASE);

    return addr_is_v4(addr) && memcmp(addr->bytes, first.bytes, sizeof addr->bytes) >= 0;
}

/* A living tunnel: ESP was seen both ways, its backend is neither lost nor silent, and its client has used it
 * lately. */
static bool is_tunnel(const struct world *w, const struct flow *f)
{
    return (f->flags & (FLOW_CONFIRMED | FLOW_LEFT)) == FLOW_CONFIRMED &&
           (f->flags & FLOW_ESP_BOTH) == FLOW_ESP_BOTH && !pool_is_lost(&w->pool->backends[f->backend]) &&
           w->pool->backends[f->backend].passive.suspicion != SUSPICION_SILENT &&
           (uint32_t)w->now_ms - f->client_ms < HALF_OPEN_MS;
}

/* Remembers which flows are confirmed, and where, before a packet comes. */
static void remember_flows(struct world *w)
{
    struct flows *flows = w->dp.bindings.flows;
    uint32_t cursor = 0, budget = UINT32_MAX, index;

    w->proved_count = 0;
    while ((index = flows_next(flows, &cursor, &budget)) != FLOW_NONE) {
        const struct flow *f = flows_get(flows, index);
        if (f->flags & FLOW_CONFIRMED)
            w->proved[w->proved_count++] = (struct proved){.key = {f->client, f->client_port, f->listener},
                                                           .backend = f->backend,
                                                           .is_tunnel = is_tunnel(w, f)};
    }
}

/*
 * A confirmed flow stays where it is, unless an IKE message from its own address and port leaves it; and a
 * tunnel that lives stays even then.
 */
static void check_flows_stayed(struct world *w, const struct packet *p)
{
    struct flows *flows = w->dp.bindings.flows;

    for (uint32_t i = 0; i < w->proved_count; i++) {
        const struct proved *before = &w->proved[i];
        const struct endpoint client = {before->key.client, before->key.client_port};
        const bool is_own = p->side == PACKET_FROM_CLIENT && endpoint_equal(&client, &p->src) &&
                            before->key.listener == (uint16_t)(p->service * IKE_PORT_COUNT + p->port);
        const uint32_t flow = flows_find_in(flows, &before->key);
        if (is_own && !before->is_tunnel)
            continue;
        CHECK(w, flow != FLOW_NONE);
        CHECK_EQUAL(w, flows_get(flows, flow)->backend, before->backend);
        CHECK(w, flows_get(flows, flow)->flags & FLOW_CONFIRMED);
    }
}

/* Where servers are honest nothing of an outsider's is ever confirmed, and no session comes to him. */
static void check_outsiders(struct world *w)
{
    const struct bindings *b = &w->dp.bindings;
    uint32_t cursor = 0, budget = UINT32_MAX, index;

    while ((index = pins_next(b->pins, &cursor, &budget)) != PIN_NONE) {
        const struct pin *pin = pins_get(b->pins, index);
        if (!is_outsider(&pin->client))
            continue;
        CHECK(w, !(pin->flags & PIN_CONFIRMED));
        for (uint32_t s = sessions_of_pin(b->tracking.sessions, index); s != SESSION_NONE;
             s = sessions_get(b->tracking.sessions, s)->pin_next)
            CHECK(w, !sessions_get(b->tracking.sessions, s)->confirmed);
    }
}

struct verdict model_world_pass(struct world *w, struct packet *p, const struct content *c)
{
    uint8_t data[SUPPORT_MESSAGE_MAX];
    struct ike_datagram d = {0};
    struct verdict verdict;

    p->data = data;
    p->len = write_content(c, p->port, data);
    p->ttl = 64;
    note_packet(w, p, c);
    CHECK_EQUAL(w, classify_datagram(data, p->len, p->port == IKE_PORT_4500, &d), c->class);
    remember_flows(w);
    struct model_verdict expected = steering_model_handle(&w->model, p, &d, w->now_ms);
    dataplane_handle(&w->dp, p, w->now_ms, &verdict);
    check_verdict(w, &verdict, &expected);
    check_flows_stayed(w, p);
    if (w->is_honest)
        check_outsiders(w);
    model_world_compare(w);
    p->data = NULL;
    return verdict;
}

/* A client's packet; what reaches a backend waits there. */
void model_world_from_client(struct world *w, uint16_t service, struct endpoint client, enum ike_port port,
                             const struct content *c, uint32_t peer)
{
    struct packet p = {.side = PACKET_FROM_CLIENT, .service = service, .port = port, .src = client};
    const struct verdict v = model_world_pass(w, &p, c);

    if (v.action == VERDICT_TO_BACKEND)
        w->inbox[w->inbox_count++ % INBOX] =
            (struct received){*c, v.src, port, v.backend, peer, is_outsider(&client.addr)};
    if (peer < PEERS && !is_outsider(&client.addr) && c->class != IKE_CLASS_KEEPALIVE)
        w->recorded[w->recorded_count++ % RECORDED] = (struct recorded){*c, service, port};
}

void model_world_init(struct world *w, uint64_t seed, uint32_t number)
{
    struct dataplane_settings settings = {.seed = seed};

    *w = (struct world){.random = seed + number * UINT64_C(0x632be59bd9b4e019), .number = number};
    settings.max_clients = model_world_below(w, 2) ? 100 : 24;
    w->now_ms =
        model_world_below(w, 2) ? UINT64_C(0xffffc000) : 1000000; /* the tables' times may wrap on the way */
    w->is_honest = model_world_below(w, 4) != 0;
    w->addresses = 1 + model_world_below(w, 3);
    w->service = (uint16_t)model_world_below(w, SERVICES);
    w->pool = support_pool(services, SERVICES);
    for (int i = 0; i < SERVICES; i++) {
        w->pool->services[i].schedule = (enum config_schedule)model_world_below(w, 4);
        w->pool->services[i].persistence.spread_nat = model_world_below(w, 3) == 0;
    }
    assert_int_equal(dataplane_init(&w->dp, w->pool, &settings), 0);
    steering_model_init(&w->model, w->pool, settings.max_clients);
}

void model_world_deinit(struct world *w)
{
    support_check_bindings(&w->dp.bindings);
    dataplane_deinit(&w->dp);
    pool_destroy(w->pool);
}
