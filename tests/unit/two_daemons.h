/* A daemon that saves its tables, and another one, whose monotonic clock is another, that restores them. */
#pragma once

#include "lb/restore.h"
#include "tests/unit/saved_file.h"
#include "tests/unit/support.h"
#include "tests/unit/unit.h"

#define CLIENTS   1000
#define WALL_MS   UINT64_C(1700000000000)
#define LATER_MS  UINT64_C(0x100000123) /* when the second daemon starts: its truncated times come round */
#define IDLE_MS   600000
#define HALF_OPEN 3000

#define BACKENDS                                                                                             \
    {                                                                                                        \
        {"a", "10.1.0.1", 0, CONFIG_STATE_ENABLED}, {"b", "10.1.0.2", 0, CONFIG_STATE_ENABLED},              \
        {                                                                                                    \
            "c", "10.1.0.3", 0, CONFIG_STATE_DRAIN                                                           \
        }                                                                                                    \
    }

enum { OPEN, FULL, SPREAD, SERVICES };

static const struct support_service services[SERVICES] = {
    [OPEN] = {.name = "open",
              .vips = {"203.0.113.10", "2001:db8::10"},
              .idle_timeout_ms = IDLE_MS,
              .half_open_timeout_ms = HALF_OPEN,
              .backends = {{"a", "10.1.0.1", 0, CONFIG_STATE_ENABLED},
                           {"b", "10.1.0.2", 0, CONFIG_STATE_ENABLED},
                           {"c", "10.1.0.3", 0, CONFIG_STATE_DRAIN},
                           {"six", "2001:db8:1::1", 0, CONFIG_STATE_ENABLED}}},
    [FULL] = {.name = "full",
              .vips = {"203.0.113.11"},
              .mode = CONFIG_MODE_FULL_NAT,
              .snats = {"10.1.0.100", "10.1.0.101"},
              .idle_timeout_ms = IDLE_MS,
              .half_open_timeout_ms = HALF_OPEN,
              .backends = BACKENDS},
    [SPREAD] = {.name = "spread",
                .vips = {"203.0.113.12"},
                .mode = CONFIG_MODE_FULL_NAT,
                .snats = {"10.1.0.102"},
                .idle_timeout_ms = IDLE_MS,
                .half_open_timeout_ms = HALF_OPEN,
                .spread_nat = true,
                .backends = BACKENDS},
};

static inline struct addr client_at(uint32_t number, bool v6)
{
    struct addr addr = support_addr("2001:db8:2::");

    if (!v6)
        return support_addr_v4(number);
    addr.bytes[15] = (uint8_t)number;
    return addr;
}

/* A client connects; its session has been established when ESP has passed both ways. */
static inline void connect_client(struct support_net *net, uint16_t service, struct addr client,
                                  uint16_t port)
{
    const struct endpoint on_500 = {.addr = client, .port = port};
    const struct endpoint on_4500 = {.addr = client, .port = (uint16_t)(port + 1000)};
    struct verdict v = support_from_client(net, service, on_500, IKE_PORT_500, SUPPORT_INIT_FRAGMENTATION);

    if (v.action != VERDICT_TO_BACKEND)
        return;
    support_reply(net, &v, SUPPORT_INIT_ANSWER_FRAGMENTATION);
    v = support_from_client(net, service, on_4500, IKE_PORT_4500, SUPPORT_AUTH);
    support_reply(net, &v, SUPPORT_AUTH_ANSWER);
    v = support_from_client(net, service, on_4500, IKE_PORT_4500, SUPPORT_ESP);
    support_reply(net, &v, SUPPORT_ESP);
}

/* What the daemon saves in one go, as of now. */
static inline struct saved_file save(struct support_net *net)
{
    return saved_file_of(&net->dp.bindings, net->now_ms, WALL_MS, 1000, NULL, NULL);
}

/* Another daemon of that configuration, started so long after. */
static inline struct restore_result start_again(const struct saved_file *file, struct support_net *out,
                                                const struct support_service *configured, size_t count,
                                                uint64_t away_ms)
{
    struct restore_result result;

    support_net_init(out, configured, count, CLIENTS);
    out->now_ms = LATER_MS;
    assert_int_equal(
        restore_bindings(&out->dp.bindings, file->data, file->len, out->now_ms, WALL_MS + away_ms, &result),
        0);
    assert_true(result.away_ms == away_ms);
    support_check_bindings(&out->dp.bindings);
    return result;
}
