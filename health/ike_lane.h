/* One question to one IKE port: a connected socket of its own that hears only what answers its SPI. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <uv.h>

#include "base/addr.h"
#include "health/cause.h"
#include "health/socket.h"
#include "ike/classify.h"

/*
 * A lane is made for one exchange and thrown away after it. A socket kept for long would keep alive whatever
 * state a NAT or firewall on the way has for it, and so would go on seeing a server that a new client no
 * longer reaches.
 */
struct ike_lane;

/* A sound IKE answer with our SPI has come; the datagram is borrowed for the call. */
typedef void ike_lane_answer_fn(void *ctx, const struct ike_datagram *answer);

/* The socket reports an error, such as an ICMP message about what was sent; ike_lane_error() tells which. */
typedef void ike_lane_failure_fn(void *ctx, const char *cause);

struct ike_lane_settings {
    uv_loop_t *loop;
    struct addr target;
    const struct ike_spi *spi; /* NULL: a random one */
    enum socket_fragments fragments;
    uint16_t source_port; /* 0: a free one */
    bool natt_port;       /* port 4500, else 500 */
    ike_lane_answer_fn *answer;
    ike_lane_failure_fn *failure;
    void *ctx;
};

/*
 * Opens a lane, to be closed by ike_lane_close(). 0; or -errno, its cause written and *out NULL. The settings
 * are copied, the SPI too.
 */
int ike_lane_open(const struct ike_lane_settings *settings, struct ike_lane **out,
                  char cause[static CAUSE_MAX]);

/* Allowed within both callbacks; none comes any more. NULL is fine. */
void ike_lane_close(struct ike_lane *lane);

const struct ike_spi *ike_lane_spi(const struct ike_lane *lane);
uint16_t ike_lane_port(const struct ike_lane *lane);

/*
 * Sends a message as ike/message.h builds it; false, with the cause, if it cannot be sent. An empty one
 * cannot.
 */
bool ike_lane_send(struct ike_lane *lane, const void *message, size_t len, char cause[static CAUSE_MAX]);

/* The last error that sending or the socket has met: -errno (or ERR_RANGE), 0 if there was none. */
int ike_lane_error(const struct ike_lane *lane);

/* After -EMSGSIZE: which size it would have to be. All zero if nobody said. */
struct socket_limit ike_lane_limit(const struct ike_lane *lane);

/* Whether something has come that was no IKE answer to us: someone is there, but speaks another language. */
bool ike_lane_heard_noise(const struct ike_lane *lane);
