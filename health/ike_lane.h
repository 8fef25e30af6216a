/* One question to one IKE port: a connected socket of its own that hears only what answers its SPI. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <uv.h>

#include "base/addr.h"
#include "health/cause.h"
#include "ike/classify.h"

/*
 * A lane is made for one exchange and thrown away after it. A socket kept for long would keep alive whatever
 * state a NAT or firewall on the way has for it, and so would go on seeing a server that a new client no
 * longer reaches.
 */
struct ike_lane;

/* A sound IKE answer with our SPI has come; the datagram is borrowed for the call. */
typedef void ike_lane_answer_fn(void *ctx, const struct ike_datagram *answer);

/* The socket reports an error, such as an ICMP message about what was sent. */
typedef void ike_lane_failure_fn(void *ctx, const char *cause);

struct ike_lane_settings {
    uv_loop_t *loop;
    struct addr target;
    bool natt_port; /* port 4500, else 500 */
    ike_lane_answer_fn *answer;
    ike_lane_failure_fn *failure;
    void *ctx;
};

/* A lane with a random SPI, to be closed by ike_lane_close(); NULL, with the cause, if that failed. */
struct ike_lane *ike_lane_open(const struct ike_lane_settings *settings, char cause[static CAUSE_MAX]);

/* Allowed within both callbacks; none comes any more. NULL is fine. */
void ike_lane_close(struct ike_lane *lane);

const struct ike_spi *ike_lane_spi(const struct ike_lane *lane);
uint16_t ike_lane_port(const struct ike_lane *lane);

/*
 * Sends a message as ike/message.h builds it; false, with the cause, if it cannot be sent. An empty one
 * cannot.
 */
bool ike_lane_send(struct ike_lane *lane, const void *message, size_t len, char cause[static CAUSE_MAX]);

/* Whether something has come that was no IKE answer to us: someone is there, but speaks another language. */
bool ike_lane_heard_noise(const struct ike_lane *lane);
