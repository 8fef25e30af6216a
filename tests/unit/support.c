#include "tests/unit/support.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>

#include "base/cursor.h"
#include "ike/notify.h"
#include "lb/pool_config.h"
#include "tests/unit/unit.h"

#define DEFAULT_IDLE_MS      3600000
#define DEFAULT_HALF_OPEN_MS 30000

struct addr support_addr(const char *text)
{
    struct addr addr = {0};

    if (addr_parse(text, &addr) != 0)
        fail_msg("%s is no address", text);
    return addr;
}

struct endpoint support_endpoint(const char *text, uint16_t port)
{
    return (struct endpoint){.addr = support_addr(text), .port = port};
}

struct endpoint support_name_of(int fd)
{
    struct sockaddr_storage sa;
    struct endpoint at = {0};
    socklen_t len = sizeof sa;

    assert_int_equal(getsockname(fd, (struct sockaddr *)&sa, &len), 0);
    assert_int_equal(endpoint_from_sockaddr((struct sockaddr *)&sa, &at), 0);
    return at;
}

struct addr support_addr_v4(uint32_t number)
{
    const uint8_t bytes[4] = {10, (uint8_t)(number >> 16), (uint8_t)(number >> 8), (uint8_t)number};

    return addr_from_v4(bytes);
}

static void fill_backends(struct config_service *out, const struct support_backend *backends)
{
    for (; out->backend_count < SUPPORT_BACKENDS_MAX && backends[out->backend_count].name;
         out->backend_count++) {
        const struct support_backend *from = &backends[out->backend_count];
        struct config_backend *b = &out->backends[out->backend_count];
        *b = (struct config_backend){.address = support_addr(from->address),
                                     .weight = from->weight ? from->weight : 100,
                                     .state = from->state};
        snprintf(b->name, sizeof b->name, "%s", from->name);
    }
}

static void fill_service(struct config_service *out, const struct support_service *from)
{
    out->backends = calloc(SUPPORT_BACKENDS_MAX, sizeof *out->backends);
    out->snats = calloc(SUPPORT_SNATS_MAX, sizeof *out->snats);
    assert_true(out->backends && out->snats);
    snprintf(out->name, sizeof out->name, "%s", from->name);
    out->mode = from->mode;
    out->schedule = from->schedule;
    out->persistence.idle_timeout_ms = from->idle_timeout_ms ? from->idle_timeout_ms : DEFAULT_IDLE_MS;
    out->persistence.half_open_timeout_ms =
        from->half_open_timeout_ms ? from->half_open_timeout_ms : DEFAULT_HALF_OPEN_MS;
    out->persistence.spread_nat = from->spread_nat;
    for (; out->vip_count < CONFIG_VIPS_MAX && from->vips[out->vip_count]; out->vip_count++)
        out->vips[out->vip_count] = support_addr(from->vips[out->vip_count]);
    for (; out->snat_count < SUPPORT_SNATS_MAX && from->snats[out->snat_count]; out->snat_count++)
        out->snats[out->snat_count] = support_addr(from->snats[out->snat_count]);
    fill_backends(out, from->backends);
}

struct config *support_config(const struct support_service *services, size_t count)
{
    struct config *config = calloc(1, sizeof *config);

    assert_non_null(config);
    config->services = calloc(count, sizeof *config->services);
    assert_non_null(config->services);
    for (; config->service_count < count; config->service_count++)
        fill_service(&config->services[config->service_count], &services[config->service_count]);
    return config;
}

struct pool *support_pool(const struct support_service *services, size_t count)
{
    struct config *config = support_config(services, count);
    struct pool *pool = pool_create();

    assert_non_null(pool);
    assert_int_equal(pool_config_apply(pool, config, NULL), 0);
    for (size_t i = 0; i < pool->backend_count; i++)
        pool->backends[i].health = HEALTH_UP;
    config_destroy(config);
    return pool;
}

bool support_pools_alike(const struct pool *a, const struct pool *b)
{
    return a->service_count == b->service_count && a->backend_count == b->backend_count &&
           a->server_count == b->server_count && a->first_service == b->first_service &&
           a->service_hand == b->service_hand && a->backend_hand == b->backend_hand &&
           memcmp(a->services, b->services, POOL_SERVICES_MAX * sizeof *a->services) == 0 &&
           memcmp(a->backends, b->backends, POOL_BACKENDS_MAX * sizeof *a->backends) == 0 &&
           memcmp(a->servers, b->servers, POOL_BACKENDS_MAX * sizeof *a->servers) == 0;
}

struct recipe {
    uint8_t first_payload;
    uint8_t version;
    uint8_t exchange;
    uint8_t flags;
    uint8_t message_id;
    bool responder_spi;
    bool fragmentation;
    uint16_t notify; /* of a first payload that is a Notify */
};

static const struct recipe recipes[SUPPORT_KIND_COUNT] = {
    [SUPPORT_INIT] = {IKE_PAYLOAD_SA, 0x20, IKE_EXCHANGE_SA_INIT, IKE_FLAG_INITIATOR, 0, false, false, 0},
    [SUPPORT_INIT_FRAGMENTATION] = {IKE_PAYLOAD_SA, 0x20, IKE_EXCHANGE_SA_INIT, IKE_FLAG_INITIATOR, 0, false,
                                    true, 0},
    [SUPPORT_INIT_ANSWER] = {IKE_PAYLOAD_SA, 0x20, IKE_EXCHANGE_SA_INIT, IKE_FLAG_RESPONSE, 0, true, false,
                             0},
    [SUPPORT_INIT_ANSWER_FRAGMENTATION] = {IKE_PAYLOAD_SA, 0x20, IKE_EXCHANGE_SA_INIT, IKE_FLAG_RESPONSE, 0,
                                           true, true, 0},
    [SUPPORT_COOKIE] = {IKE_PAYLOAD_NOTIFY, 0x20, IKE_EXCHANGE_SA_INIT, IKE_FLAG_RESPONSE, 0, false, false,
                        IKE_NOTIFY_COOKIE},
    [SUPPORT_INVALID_KE] = {IKE_PAYLOAD_NOTIFY, 0x20, IKE_EXCHANGE_SA_INIT, IKE_FLAG_RESPONSE, 0, false,
                            false, IKE_NOTIFY_INVALID_KE_PAYLOAD},
    [SUPPORT_NO_PROPOSAL] = {IKE_PAYLOAD_NOTIFY, 0x20, IKE_EXCHANGE_SA_INIT, IKE_FLAG_RESPONSE, 0, false,
                             false, IKE_NOTIFY_NO_PROPOSAL_CHOSEN},
    [SUPPORT_AUTH] = {IKE_PAYLOAD_ENCRYPTED, 0x20, IKE_EXCHANGE_AUTH, IKE_FLAG_INITIATOR, 1, true, false, 0},
    [SUPPORT_AUTH_ANSWER] = {IKE_PAYLOAD_ENCRYPTED, 0x20, IKE_EXCHANGE_AUTH, IKE_FLAG_RESPONSE, 1, true,
                             false, 0},
    [SUPPORT_INFORMATIONAL] = {IKE_PAYLOAD_ENCRYPTED, 0x20, IKE_EXCHANGE_INFORMATIONAL, 0, 2, true, false, 0},
    [SUPPORT_INFORMATIONAL_ANSWER] = {IKE_PAYLOAD_ENCRYPTED, 0x20, IKE_EXCHANGE_INFORMATIONAL,
                                      IKE_FLAG_RESPONSE, 2, true, false, 0},
    [SUPPORT_V1_INIT] = {IKE_PAYLOAD_V1_SA, 0x10, IKE_EXCHANGE_V1_MAIN, 0, 0, false, false, 0},
    [SUPPORT_V1_ANSWER] = {IKE_PAYLOAD_V1_SA, 0x10, IKE_EXCHANGE_V1_MAIN, 0, 0, true, false, 0},
    [SUPPORT_V1_ENCRYPTED] = {5, 0x10, IKE_EXCHANGE_V1_MAIN, IKE_FLAG_V1_ENCRYPTED, 0, true, false, 0},
};

/* One payload of twelve bytes, or a Notify of type `notify`. */
static void put_payload(struct writer *w, uint8_t next, uint16_t notify)
{
    writer_u8(w, next);
    writer_u8(w, 0);
    writer_u16(w, 12);
    writer_u16(w, 0); /* a Notify's protocol and SPI size */
    writer_u16(w, notify);
    writer_u32(w, 0);
}

static void put_ike(struct writer *w, const struct recipe *r, struct support_sa sa)
{
    static const uint8_t none[8] = {0};
    const uint64_t spi_i = sa.spi_i ? sa.spi_i : UINT64_C(0x0807060504030201);
    const uint64_t spi_r = sa.spi_r ? sa.spi_r : UINT64_C(0x0203040506070809);
    const size_t start = writer_len(w);

    writer_bytes(w, &spi_i, sizeof spi_i);
    writer_bytes(w, r->responder_spi ? (const void *)&spi_r : none, sizeof spi_r);
    writer_u8(w, r->first_payload);
    writer_u8(w, r->version);
    writer_u8(w, r->exchange);
    writer_u8(w, r->flags);
    writer_u32(w, sa.message_id ? sa.message_id : r->message_id);
    writer_u32(w, 0);
    put_payload(w, r->fragmentation ? IKE_PAYLOAD_NOTIFY : IKE_PAYLOAD_NONE, r->notify);
    if (r->fragmentation)
        put_payload(w, IKE_PAYLOAD_NONE, IKE_NOTIFY_IKEV2_FRAGMENTATION_SUPPORTED);
    writer_patch_u32(w, start + 24, (uint32_t)(writer_len(w) - start));
}

size_t support_message(enum support_kind kind, enum ike_port port, struct support_sa sa,
                       uint8_t out[static SUPPORT_MESSAGE_MAX])
{
    struct writer w = writer_over(out, SUPPORT_MESSAGE_MAX);

    if (kind == SUPPORT_KEEPALIVE) {
        writer_u8(&w, IKE_NATT_KEEPALIVE);
    } else if (kind == SUPPORT_ESP) {
        writer_u32(&w, sa.esp_spi ? sa.esp_spi : 0xc0ffee01);
        writer_u32(&w, 1);
        writer_u32(&w, 0xdeadbeef);
    } else {
        if (port == IKE_PORT_4500)
            writer_u32(&w, 0);
        put_ike(&w, &recipes[kind], sa);
    }
    assert_false(w.failed);
    return writer_len(&w);
}

struct ike_datagram support_datagram(enum support_kind kind, enum ike_port port,
                                     uint8_t out[static SUPPORT_MESSAGE_MAX])
{
    struct ike_datagram d = {0};
    const size_t len = support_message(kind, port, (struct support_sa){0}, out);

    assert_int_not_equal(classify_datagram(out, len, port == IKE_PORT_4500, &d), IKE_CLASS_GARBAGE);
    return d;
}

void support_net_init(struct support_net *net, const struct support_service *services, size_t count,
                      uint32_t max_clients)
{
    *net = (struct support_net){.pool = support_pool(services, count), .now_ms = 1000000};
    const struct dataplane_settings settings = {.max_clients = max_clients, .seed = 0x123456789abcdef};
    assert_int_equal(dataplane_init(&net->dp, net->pool, &settings), 0);
}

struct support_sa support_sa_of(const struct support_net *net, const struct addr *client)
{
    const uint64_t hash = addr_hash(client, net->handshake);
    struct support_sa sa = net->sa;

    if (!sa.spi_i)
        sa.spi_i = hash | 1;
    if (!sa.spi_r)
        sa.spi_r = ~hash | 1;
    return sa;
}

void support_net_deinit(struct support_net *net)
{
    support_check_bindings(&net->dp.bindings);
    dataplane_deinit(&net->dp);
    pool_destroy(net->pool);
}

int support_net_set_up(void **state, const struct support_service *services, size_t count,
                       uint32_t max_clients)
{
    struct support_net *net = calloc(1, sizeof *net);

    assert_non_null(net);
    support_net_init(net, services, count, max_clients);
    *state = net;
    return 0;
}

int support_net_tear_down(void **state)
{
    support_net_deinit(*state);
    free(*state);
    return 0;
}

static struct verdict handle(struct support_net *net, struct packet *packet, const struct addr *client,
                             enum support_kind kind)
{
    uint8_t data[SUPPORT_MESSAGE_MAX];
    struct verdict verdict;

    packet->data = data;
    packet->len = support_message(kind, packet->port, support_sa_of(net, client), data);
    packet->ttl = 64;
    dataplane_handle(&net->dp, packet, net->now_ms, &verdict);
    return verdict;
}

struct verdict support_from_client(struct support_net *net, uint16_t service, struct endpoint client,
                                   enum ike_port port, enum support_kind kind)
{
    struct packet packet = {.side = PACKET_FROM_CLIENT, .service = service, .port = port, .src = client};

    return handle(net, &packet, &client.addr, kind);
}

struct verdict support_from_backend(struct support_net *net, struct addr server, struct endpoint dst,
                                    enum ike_port port, enum support_kind kind)
{
    struct packet packet = {
        .side = PACKET_FROM_BACKEND,
        .port = port,
        .src = {.addr = server, .port = ike_port_number(port)},
        .dst = dst,
    };
    const uint16_t source = snat_find(net->dp.bindings.snat, &dst.addr);
    const struct flow_out_key key = {
        .client = dst.addr,
        .source = source == SNAT_NONE ? FLOW_SOURCE_CLIENT : source,
        .source_port = dst.port,
        .server = pool_find_server(net->pool, &server),
        .port = (uint16_t)port,
    };
    const uint32_t flow = flows_find_out(net->dp.bindings.flows, &key);

    return handle(net, &packet,
                  flow == FLOW_NONE ? &dst.addr : &flows_get(net->dp.bindings.flows, flow)->client, kind);
}

struct verdict support_reply(struct support_net *net, const struct verdict *to, enum support_kind kind)
{
    assert_int_equal(to->action, VERDICT_TO_BACKEND);
    return support_from_backend(net, to->dst.addr, to->src,
                                to->dst.port == 500 ? IKE_PORT_500 : IKE_PORT_4500, kind);
}

struct verdict support_establish(struct support_net *net, uint16_t service, struct endpoint client)
{
    const struct endpoint on_500 = {.addr = client.addr, .port = 500};
    struct verdict v = support_from_client(net, service, on_500, IKE_PORT_500, SUPPORT_INIT);

    support_reply(net, &v, SUPPORT_INIT_ANSWER);
    v = support_from_client(net, service, client, IKE_PORT_4500, SUPPORT_AUTH);
    assert_int_equal(support_reply(net, &v, SUPPORT_AUTH_ANSWER).action, VERDICT_TO_CLIENT);
    v = support_from_client(net, service, client, IKE_PORT_4500, SUPPORT_ESP);
    assert_int_equal(support_reply(net, &v, SUPPORT_ESP).action, VERDICT_TO_CLIENT);
    return v;
}

struct pin *support_pin(struct support_net *net, uint16_t service, struct addr client)
{
    const struct pin_key key = {.client = client, .service = service};
    const uint32_t pin = pins_find(net->dp.bindings.pins, &key);

    assert_int_not_equal(pin, PIN_NONE);
    return pins_get(net->dp.bindings.pins, pin);
}

struct flow *support_flow(struct support_net *net, uint16_t service, struct endpoint client,
                          enum ike_port port)
{
    const struct flow_in_key key = {.client = client.addr,
                                    .client_port = client.port,
                                    .listener = (uint16_t)(service * IKE_PORT_COUNT + port)};
    const uint32_t flow = flows_find_in(net->dp.bindings.flows, &key);

    return flow == FLOW_NONE ? NULL : flows_get(net->dp.bindings.flows, flow);
}

uint32_t support_add_flow(struct bindings *b, struct endpoint client, enum ike_port port, uint16_t backend,
                          uint64_t now_ms)
{
    struct binding_request request = {
        .client = client,
        .service = b->pool->backends[backend].service,
        .port = port,
        .backend = backend,
        .session = SESSION_NONE,
    };
    const struct pin_key key = bindings_pin_key(b, request.service, &client);
    enum drop_reason reason;
    uint32_t flow = FLOW_NONE;

    request.pin = pins_find(b->pins, &key);
    if (request.pin == PIN_NONE)
        assert_int_equal(bindings_add_pin(b, &client, backend, false, now_ms, &request.pin), 0);
    assert_int_equal(bindings_add_flow(b, &request, now_ms, &flow, &reason), 0);
    return flow;
}

static void check_flow(struct bindings *b, uint32_t index)
{
    const struct flow *flow = flows_get(b->flows, index);
    const struct flow_in_key in = {
        .client = flow->client, .client_port = flow->client_port, .listener = flow->listener};
    const struct flow_out_key out = flow_out_key(flow);
    const struct pin *pin = pins_get(b->pins, flow->pin);

    assert_int_equal(flows_find_in(b->flows, &in), index);
    assert_int_equal(flows_find_out(b->flows, &out), index);
    assert_true(addr_equal(&pin->client, &flow->client));
    assert_int_equal(pin->service, flow->listener / IKE_PORT_COUNT);
    const struct pin_key key = {.client = pin->client, .service = pin->service, .part = pin->part};
    assert_int_equal(pins_find(b->pins, &key), flow->pin);
    assert_true(b->pool->backends[flow->backend].used);
    assert_int_equal(flow->server, b->pool->backends[flow->backend].server);
    if (flow->flags & FLOW_CONFIRMED)
        assert_true(pin->flags & PIN_CONFIRMED);
}

static void check_flows(struct bindings *b, uint32_t *flows_by_pin)
{
    uint32_t cursor = 0, budget = UINT32_MAX, index, count = 0, unconfirmed = 0;

    while ((index = flows_next(b->flows, &cursor, &budget)) != FLOW_NONE) {
        check_flow(b, index);
        flows_by_pin[flows_get(b->flows, index)->pin]++;
        unconfirmed += !(flows_get(b->flows, index)->flags & FLOW_CONFIRMED);
        count++;
    }
    assert_int_equal(count, flows_count(b->flows));
    assert_int_equal(unconfirmed, flows_unconfirmed_count(b->flows));
}

/* By backend and stage of its pins. */
typedef uint32_t client_counts[STAGE_COUNT];

static void check_pins(struct bindings *b, const uint32_t *flows_by_pin, client_counts *clients)
{
    uint32_t cursor = 0, budget = UINT32_MAX, index, count = 0, unconfirmed = 0;

    while ((index = pins_next(b->pins, &cursor, &budget)) != PIN_NONE) {
        const struct pin *pin = pins_get(b->pins, index);
        assert_int_equal(pin->flow_count, flows_by_pin[index]);
        assert_true(b->pool->backends[pin->backend].used && b->pool->services[pin->service].used);
        assert_int_equal(b->pool->backends[pin->backend].service, pin->service);
        const struct pin_key key = {.client = pin->client, .service = pin->service, .part = pin->part};
        assert_int_equal(pins_find(b->pins, &key), index);
        clients[pin->backend][pin->stage]++;
        unconfirmed += !(pin->flags & PIN_CONFIRMED);
        count++;
    }
    assert_int_equal(count, pins_count(b->pins));
    assert_int_equal(unconfirmed, pins_unconfirmed_count(b->pins));
}

/* Each session is found by its SPIs, is in the list of a pin of its service, and is counted. */
static void check_sessions(struct bindings *b)
{
    struct sessions *sessions = b->tracking.sessions;
    uint32_t *sessions_by_backend = calloc(b->pool->backend_count, sizeof *sessions_by_backend);
    uint32_t cursor = 0, budget = UINT32_MAX, index, count = 0, unconfirmed = 0;

    assert_non_null(sessions_by_backend);
    while ((index = sessions_next(sessions, &cursor, &budget)) != SESSION_NONE) {
        const struct session *session = sessions_get(sessions, index);
        const struct story *story = &session->story;
        assert_int_equal(pins_get(b->pins, session->pin)->service, story->service);
        assert_true(b->pool->backends[story->backend].used);
        assert_int_equal(b->pool->backends[story->backend].service, story->service);
        sessions_by_backend[story->backend]++;
        if (!header_spi_is_zero(&story->spi_r))
            assert_int_equal(sessions_find(sessions, story->service, &story->spi_i, &story->spi_r), index);
        unconfirmed += !session->confirmed;
        count++;
    }
    for (size_t i = 0; i < b->pool->backend_count; i++)
        assert_int_equal(b->pool->backends[i].sessions, sessions_by_backend[i]);
    free(sessions_by_backend);
    assert_int_equal(count, sessions_count(sessions));
    assert_int_equal(unconfirmed, sessions_unconfirmed_count(sessions));
    cursor = 0, budget = UINT32_MAX;
    while ((index = pins_next(b->pins, &cursor, &budget)) != PIN_NONE) {
        uint32_t previous = SESSION_NONE;
        for (uint32_t s = sessions_of_pin(sessions, index); s != SESSION_NONE;
             s = sessions_get(sessions, s)->pin_next, count--) {
            assert_int_equal(sessions_get(sessions, s)->pin, index);
            assert_int_equal(sessions_get(sessions, s)->pin_prev, previous);
            previous = s;
        }
    }
    assert_int_equal(count, 0);
}

static void check_flow_counts(const struct bindings *b)
{
    uint32_t cursor = 0, budget = UINT32_MAX, index;
    uint32_t *counts = calloc(b->pool->backend_count, sizeof *counts);

    assert_non_null(counts);
    while ((index = flows_next(b->flows, &cursor, &budget)) != FLOW_NONE)
        counts[flows_get(b->flows, index)->backend]++;
    for (size_t i = 0; i < b->pool->backend_count; i++)
        assert_int_equal(b->pool->backends[i].flows, counts[i]);
    free(counts);
}

static void check_client_counts(const struct backend *backend, const client_counts clients)
{
    uint32_t sum = 0;

    for (int stage = 0; stage < STAGE_COUNT; stage++) {
        assert_int_equal(backend->clients_at[stage], clients[stage]);
        sum += clients[stage];
    }
    assert_int_equal(backend->clients, sum);
}

void support_check_bindings(struct bindings *b)
{
    uint32_t *flows_by_pin = calloc(pins_capacity(b->pins), sizeof *flows_by_pin);
    client_counts *clients = calloc(b->pool->backend_count, sizeof *clients);

    assert_true(flows_by_pin && clients);
    check_flows(b, flows_by_pin);
    check_pins(b, flows_by_pin, clients);
    check_sessions(b);
    check_flow_counts(b);
    for (size_t i = 0; i < b->pool->backend_count; i++)
        check_client_counts(&b->pool->backends[i], clients[i]);
    free(flows_by_pin);
    free(clients);
}

uint64_t support_seed(void)
{
    const char *text = getenv("IKELB_TEST_SEED");
    const uint64_t seed = text ? strtoull(text, NULL, 0) : 0x5eed;

    print_message("IKELB_TEST_SEED=%#llx\n", (unsigned long long)seed);
    return seed;
}

/* SplitMix64: small, and good enough to choose among operations. */
uint64_t support_random(uint64_t *state)
{
    uint64_t z = *state += UINT64_C(0x9e3779b97f4a7c15);

    z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
    return z ^ z >> 31;
}

uint32_t support_random_below(uint64_t *state, uint32_t limit)
{
    return (uint32_t)(support_random(state) % limit);
}
