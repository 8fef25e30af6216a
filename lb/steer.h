/*
 * Steering: which backend a packet goes to, and whether it may use the flow that it came on. The order of the
 * rules is the order of docs/architecture.md, "Steering".
 */
#pragma once

#include <stdint.h>

#include "ike/classify.h"
#include "lb/bindings.h"

/* The same message again within this time is a copy that the network made, not a retransmission. */
#define STEER_RETRANSMISSION_MS 200

/* A client that has been proved at a backend takes it for dead after so many unanswered messages. */
#define STEER_SURE_AFTER 2

/*
 * A client at a backend that is being drained may go elsewhere with a new handshake after so many parts of
 * idle_timeout without a packet, and half_open_timeout at least.
 */
#define STEER_REST_PART 4

/* What is asked. */
struct steer_request {
    uint16_t service;
    enum ike_port port;
    struct endpoint client;
    const struct ike_datagram *datagram;
    uint32_t flow;    /* that the packet came on, or FLOW_NONE */
    uint32_t session; /* that its SPIs name (steer_session()), or SESSION_NONE */
    bool may_pin;     /* false: decide, but remember nothing of a new client */
};

/* Why a backend was chosen. */
enum steer_rule {
    STEER_FLOW,      /* the packet's own flow */
    STEER_CONFLICT,  /* the same, although the packet's session is elsewhere: the flow is in use */
    STEER_SESSION,   /* an IKE message of a known session */
    STEER_ESP,       /* an ESP SPI that was seen from the same address */
    STEER_PIN,       /* the client's pin */
    STEER_FAIL_OVER, /* its pin, which has just gone to another backend: the first did not answer */
    STEER_SCHEDULE,  /* a new client */
    STEER_STATELESS, /* a client that nothing is remembered of */
    STEER_NOWHERE,   /* no backend may get this client */
};

/* What is answered. */
struct steer_choice {
    enum steer_rule rule;
    uint16_t backend; /* POOL_NONE: nowhere */
    uint32_t pin;     /* PIN_NONE: the client could not be pinned, or should not */
    bool moved;       /* the client comes from a new place */
    bool over_limit;  /* its session has had so many new flows that this one gets none */
    uint32_t session; /* what the packet belongs to, as far as is known, or SESSION_NONE */
};

/* The session whose SPI pair the packet has, or SESSION_NONE. */
uint32_t steer_session(const struct bindings *b, uint16_t service, const struct ike_datagram *datagram);

/*
 * The first rule that matches:
 * 1. The packet has a flow that it may use: that.
 * 2. An IKE message whose full SPI pair is a known session: the session's backend. From another address it
 *    gets a pin of its own, unconfirmed; nothing of the old place changes. Each session allows few new flows
 *    (sessions_may_move()); over that there is no pin.
 * 3. ESP whose SPI was seen on flows of the same address to exactly one backend: that backend.
 * 4. The client has a pin: its backend. If the packet opens an IKE SA the pin moves to the schedule's choice
 *    away from a lost backend, or, after a long rest, from one that is being drained; or to the next in rank
 *    away from one that has not answered the same message before.
 * 5. A new client: the schedule chooses if the packet opens a new IKE SA, else source-hash; a pin is made.
 * 6. There is no room for a pin: source-hash, which needs no memory, so that nobody is refused.
 */
struct steer_choice steer(struct bindings *b, const struct steer_request *request, uint64_t now_ms);
