/* Tunnels of both modes and families that the fast path comes to carry, for the tests of lb/fastpath.c. */
#pragma once

#include "tests/unit/fake_fastpath.h"

enum { VPN, FULL };
enum { VPN_A, VPN_SIX, FULL_A, FULL_SIX };

#define SPI   0xc0ffee01 /* of support_message() */
#define SPI_2 0xc0ffee02
#define SPI_3 0xc0ffee03

static const struct support_service fast_services[] = {
    {.name = "vpn",
     .vips = {"203.0.113.10", "2001:db8::10"},
     .idle_timeout_ms = 60000,
     .half_open_timeout_ms = 3000,
     .backends = {{"a", "10.1.0.1", 0, CONFIG_STATE_ENABLED},
                  {"six", "2001:db8:1::1", 0, CONFIG_STATE_ENABLED}}},
    {.name = "full",
     .vips = {"203.0.113.11", "2001:db8::11"},
     .mode = CONFIG_MODE_FULL_NAT,
     .snats = {"10.2.0.100", "2001:db8:2::100"},
     .idle_timeout_ms = 60000,
     .half_open_timeout_ms = 3000,
     .backends = {{"a", "10.2.0.1", 0, CONFIG_STATE_ENABLED},
                  {"six", "2001:db8:2::1", 0, CONFIG_STATE_ENABLED}}},
};

static const struct way {
    uint16_t service;
    uint16_t backend;
    const char *client;
    const char *vip;
    const char *snat; /* NULL: transparent */
} ways[] = {
    {VPN, VPN_A, "198.51.100.1", "203.0.113.10", NULL},
    {VPN, VPN_SIX, "2001:db8:c::1", "2001:db8::10", NULL},
    {FULL, FULL_A, "198.51.100.1", "203.0.113.11", "10.2.0.100"},
    {FULL, FULL_SIX, "2001:db8:c::1", "2001:db8::11", "2001:db8:2::100"},
};
#define WAYS (sizeof ways / sizeof ways[0])

struct fixture {
    struct support_net net;
    struct fake_fastpath fake;
    const struct way *way;
    struct endpoint client; /* where it sends from, to 4500 */
    struct verdict to;      /* what its backend was sent last */
};

static inline void begin(struct fixture *f, const struct way *way)
{
    support_net_init(&f->net, fast_services, 2, 100);
    fake_attach(&f->fake, &f->net);
    f->way = way;
    f->client = support_endpoint(way->client, 40000);
}

static inline void end(struct fixture *f)
{
    fake_check(&f->fake, &f->net);
    support_net_deinit(&f->net);
}

/* From the client to the backend, and the other way. */
static inline void ask(struct fixture *f, enum support_kind kind)
{
    const bool is_init = kind == SUPPORT_INIT;
    const struct endpoint on_500 = {.addr = f->client.addr, .port = 500};

    f->to = support_from_client(&f->net, f->way->service, is_init ? on_500 : f->client,
                                is_init ? IKE_PORT_500 : IKE_PORT_4500, kind);
    assert_int_equal(f->to.action, VERDICT_TO_BACKEND);
    assert_int_equal(f->to.backend, f->way->backend);
    fake_check(&f->fake, &f->net);
}

static inline void answer(struct fixture *f, enum support_kind kind)
{
    const struct verdict v = support_reply(&f->net, &f->to, kind);

    assert_int_equal(v.action, VERDICT_TO_CLIENT);
    fake_check(&f->fake, &f->net);
}

static inline void ask_esp(struct fixture *f, uint32_t spi)
{
    f->net.sa.esp_spi = spi;
    ask(f, SUPPORT_ESP);
    f->net.sa.esp_spi = 0;
}

static inline void shake_hands(struct fixture *f)
{
    ask(f, SUPPORT_INIT);
    answer(f, SUPPORT_INIT_ANSWER);
    ask(f, SUPPORT_AUTH);
    answer(f, SUPPORT_AUTH_ANSWER);
}

static inline struct flow *flow_of(struct fixture *f)
{
    struct flow *flow = support_flow(&f->net, f->way->service, f->client, IKE_PORT_4500);

    assert_non_null(flow);
    return flow;
}

static inline uint32_t index_of(struct fixture *f)
{
    const struct flow_in_key key = {
        .client = f->client.addr,
        .client_port = f->client.port,
        .listener = (uint16_t)(f->way->service * IKE_PORT_COUNT + IKE_PORT_4500),
    };

    return flows_find_in(f->net.dp.bindings.flows, &key);
}

/* A tunnel that the fast path carries. */
static inline void begin_fast(struct fixture *f, const struct way *way)
{
    begin(f, way);
    shake_hands(f);
    ask(f, SUPPORT_ESP);
    answer(f, SUPPORT_ESP);
    assert_int_equal(f->fake.count, 1);
}
