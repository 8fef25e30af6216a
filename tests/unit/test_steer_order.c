#include "tests/unit/unit.h"

#include <stdio.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

#include "lb/schedule.h"
#include "lb/steer.h"
#include "tests/unit/support.h"

/*
 * The order of steering as a table of cases: what is known, what arrives, what must come out. Each is tried
 * in both modes, with and without persistence.spread_nat.
 *
 * There are three backends, A, B and C. The client is one that source-hash gives to C, after that to A, then
 * to B; the schedule, least-clients, gives a client to A while nobody is anywhere.
 */
enum at { NOWHERE, A, B, C };
#define IN(at)     (1U << (at))
#define EVERYWHERE (IN(A) | IN(B) | IN(C))

#define HALF_OPEN_MS 3000
#define QUIET_MS     HALF_OPEN_MS

struct steer_case {
    const char *label;

    /* What is known. Time is in milliseconds ago. */
    enum at pin;            /* the client's pin */
    bool proved;            /* pin and flow are confirmed */
    enum at flow;           /* the flow that the packet comes on */
    bool left;              /* its client has gone on */
    bool tunnel;            /* ESP has passed there both ways */
    bool half_tunnel;       /* ESP has come from the client only */
    uint32_t quiet_ms;      /* its client's latest sign of a tunnel; the backend has just sent something */
    enum at session;        /* the session that the packet's SPIs name */
    bool from_elsewhere;    /* its client was known at another address */
    bool from_another_port; /* or at another port */
    bool session_proved;    /* it is confirmed */
    enum at begun;          /* a session that was begun with the packet's SPIi, without a full answer */
    uint32_t begun_ms;      /* its latest message */
    bool answered;          /* by a cookie */
    uint8_t asked;          /* so often; begun_ms is the first time, too */
    uint32_t heard_ms;      /* the pin's backend by anybody; 0: never */
    uint32_t probed_ms;     /* the same by a probe */
    enum at esp, esp_too;   /* flows of the client, from other ports, that the packet's ESP SPI was seen on */
    bool esp_unproved;      /* those are unconfirmed */
    bool esp_of_another;    /* or they are another client's */
    enum suspicion suspicion; /* of the pin's backend */
    unsigned int lost;        /* backends that are down, IN() */

    /* What arrives. */
    enum support_kind kind;
    bool on_500;     /* and not on the flow */
    bool not_to_pin; /* it may leave no trace */

    /* What comes out: rule, backend, where the client's pin leads then. */
    enum steer_rule rule;
    enum at to;
    enum at pin_after; /* NOWHERE: the choice has no pin */
    bool moved;
};

/* The order of members is that of their names below, so that each line reads as one sentence. */
static const struct steer_case cases[] = {
    /* 1. The packet's own flow. */
    {"ESP stays on its flow", .pin = A, .proved = true, .flow = A, .kind = SUPPORT_ESP, .rule = STEER_FLOW,
     .to = A, .pin_after = A},
    {"even if the pin has moved", .pin = B, .proved = true, .flow = A, .kind = SUPPORT_ESP,
     .rule = STEER_FLOW, .to = A, .pin_after = B},
    {"even if the backend is down", .pin = A, .proved = true, .flow = A, .lost = IN(A), .kind = SUPPORT_ESP,
     .rule = STEER_FLOW, .to = A, .pin_after = A},
    {"so does a keepalive", .pin = B, .flow = A, .lost = IN(A), .kind = SUPPORT_KEEPALIVE, .not_to_pin = true,
     .rule = STEER_FLOW, .to = A, .pin_after = B},
    {"a session at the flow's backend", .pin = B, .proved = true, .flow = A, .session = A,
     .session_proved = true, .lost = IN(A), .kind = SUPPORT_INFORMATIONAL, .rule = STEER_FLOW, .to = A,
     .pin_after = B},
    {"and its IKE_AUTH, although the pin has moved", .pin = B, .proved = true, .flow = A, .session = A,
     .kind = SUPPORT_AUTH, .rule = STEER_FLOW, .to = A, .pin_after = B},
    {"IKE of no known session", .pin = A, .proved = true, .flow = A, .kind = SUPPORT_INFORMATIONAL,
     .rule = STEER_FLOW, .to = A, .pin_after = A},
    {"stays when the pin has moved", .pin = B, .proved = true, .flow = A, .kind = SUPPORT_INFORMATIONAL,
     .rule = STEER_FLOW, .to = A, .pin_after = B},
    {"and when the backend is down but the pin is there", .pin = A, .proved = true, .flow = A, .lost = IN(A),
     .kind = SUPPORT_AUTH, .rule = STEER_FLOW, .to = A, .pin_after = A},
    {"follows a pin away from a lost backend", .pin = B, .proved = true, .flow = A, .lost = IN(A),
     .kind = SUPPORT_INFORMATIONAL, .rule = STEER_PIN, .to = B, .pin_after = B},
    {"IKE_AUTH of no known session follows a pin", .pin = B, .proved = true, .flow = A, .kind = SUPPORT_AUTH,
     .rule = STEER_PIN, .to = B, .pin_after = B},
    {"so does IKEv1's main mode", .pin = B, .proved = true, .flow = A, .kind = SUPPORT_V1_ENCRYPTED,
     .rule = STEER_PIN, .to = B, .pin_after = B},
    {"but takes no tunnel along", .pin = B, .proved = true, .flow = A, .tunnel = true, .kind = SUPPORT_AUTH,
     .rule = STEER_FLOW, .to = A, .pin_after = B},
    {"however quiet", .pin = B, .proved = true, .flow = A, .tunnel = true, .quiet_ms = 100 * QUIET_MS,
     .kind = SUPPORT_AUTH, .rule = STEER_FLOW, .to = A, .pin_after = B},
    {"unless its backend is lost", .pin = B, .proved = true, .flow = A, .tunnel = true, .lost = IN(A),
     .kind = SUPPORT_AUTH, .rule = STEER_PIN, .to = B, .pin_after = B},
    {"or its client has left it", .pin = B, .proved = true, .flow = A, .tunnel = true, .left = true,
     .kind = SUPPORT_AUTH, .rule = STEER_PIN, .to = B, .pin_after = B},
    {"a new handshake on a flow", .pin = A, .proved = true, .flow = A, .kind = SUPPORT_INIT,
     .rule = STEER_PIN, .to = A, .pin_after = A},
    {"goes where the pin has gone", .pin = B, .proved = true, .flow = A, .kind = SUPPORT_INIT,
     .rule = STEER_PIN, .to = B, .pin_after = B},
    {"but takes no flow from a tunnel", .pin = B, .proved = true, .flow = A, .tunnel = true,
     .kind = SUPPORT_INIT, .rule = STEER_FLOW, .to = A, .pin_after = B},
    {"that has been quiet for long", .pin = B, .proved = true, .flow = A, .tunnel = true,
     .quiet_ms = 100 * QUIET_MS, .kind = SUPPORT_INIT, .rule = STEER_FLOW, .to = A, .pin_after = B},
    {"unless its backend is down", .pin = B, .proved = true, .flow = A, .tunnel = true, .lost = IN(A),
     .kind = SUPPORT_INIT, .rule = STEER_PIN, .to = B, .pin_after = B},
    {"or the client has gone on", .pin = B, .proved = true, .flow = A, .tunnel = true, .left = true,
     .kind = SUPPORT_INIT, .rule = STEER_PIN, .to = B, .pin_after = B},
    {"or ESP has not gone both ways", .pin = B, .proved = true, .flow = A, .half_tunnel = true,
     .kind = SUPPORT_INIT, .rule = STEER_PIN, .to = B, .pin_after = B},
    {"or the flow is not proved", .pin = B, .flow = A, .half_tunnel = true, .kind = SUPPORT_INIT,
     .rule = STEER_PIN, .to = B, .pin_after = B},
    {"beside a living tunnel", .pin = A, .proved = true, .flow = A, .tunnel = true, .kind = SUPPORT_INIT,
     .rule = STEER_FLOW, .to = A, .pin_after = A},
    {"a new handshake leaves a lost backend, flow or not", .pin = A, .proved = true, .flow = A,
     .tunnel = true, .lost = IN(A), .kind = SUPPORT_INIT, .rule = STEER_PIN, .to = B, .pin_after = B},
    {"if it can", .pin = A, .proved = true, .flow = A, .lost = EVERYWHERE, .kind = SUPPORT_INIT,
     .rule = STEER_NOWHERE, .to = NOWHERE, .pin_after = A},

    /* The conflict: the flow leads to one backend, the session to another. */
    {"a flow in use stays whole", .pin = A, .proved = true, .flow = A, .quiet_ms = QUIET_MS - 1, .session = B,
     .kind = SUPPORT_AUTH, .rule = STEER_CONFLICT, .to = A, .pin_after = A},
    {"also from a session that is proved", .pin = A, .proved = true, .flow = A, .session = B,
     .session_proved = true, .kind = SUPPORT_INFORMATIONAL, .rule = STEER_CONFLICT, .to = A, .pin_after = A},
    {"a flow that is not proved gives way", .pin = A, .flow = A, .session = B, .kind = SUPPORT_AUTH,
     .rule = STEER_SESSION, .to = B, .pin_after = B},
    {"so does one whose client is quiet", .pin = A, .proved = true, .flow = A, .quiet_ms = QUIET_MS,
     .session = B, .kind = SUPPORT_AUTH, .rule = STEER_SESSION, .to = B, .pin_after = A},
    {"or down", .pin = A, .proved = true, .flow = A, .lost = IN(A), .session = B, .kind = SUPPORT_AUTH,
     .rule = STEER_SESSION, .to = B, .pin_after = A},
    {"or left by its client", .pin = A, .proved = true, .flow = A, .left = true, .session = B,
     .kind = SUPPORT_AUTH, .rule = STEER_SESSION, .to = B, .pin_after = A},
    {"or a tunnel of which nothing is seen any more", .pin = B, .proved = true, .flow = A, .tunnel = true,
     .quiet_ms = QUIET_MS, .session = B, .kind = SUPPORT_AUTH, .rule = STEER_SESSION, .to = B,
     .pin_after = B},
    {"but not for having been left by the pin, which comes back", .pin = B, .proved = true, .flow = A,
     .quiet_ms = QUIET_MS - 1, .session = B, .kind = SUPPORT_AUTH, .rule = STEER_CONFLICT, .to = A,
     .pin_after = A},
    {"if it is not a proved session's", .pin = B, .proved = true, .flow = A, .session = B,
     .session_proved = true, .kind = SUPPORT_INFORMATIONAL, .rule = STEER_CONFLICT, .to = A, .pin_after = B},

    /* 2. A known session. */
    {"a session without a flow", .pin = A, .proved = true, .session = A, .session_proved = true,
     .kind = SUPPORT_INFORMATIONAL, .rule = STEER_SESSION, .to = A, .pin_after = A},
    {"from another port", .pin = A, .proved = true, .session = A, .session_proved = true,
     .from_another_port = true, .kind = SUPPORT_INFORMATIONAL, .rule = STEER_SESSION, .to = A, .pin_after = A,
     .moved = true},
    {"from 4500 for the first time", .pin = A, .session = A, .from_another_port = true, .kind = SUPPORT_AUTH,
     .rule = STEER_SESSION, .to = A, .pin_after = A},
    {"that answered although the pin has gone on", .pin = B, .session = A, .kind = SUPPORT_AUTH,
     .rule = STEER_SESSION, .to = A, .pin_after = A},
    {"with a proved pin elsewhere", .pin = B, .proved = true, .session = A, .kind = SUPPORT_AUTH,
     .rule = STEER_SESSION, .to = A, .pin_after = B},
    {"at a backend that is down", .pin = B, .proved = true, .session = A, .session_proved = true,
     .lost = IN(A), .kind = SUPPORT_INFORMATIONAL, .rule = STEER_SESSION, .to = A, .pin_after = B},
    {"of a roamer", .session = B, .from_elsewhere = true, .session_proved = true,
     .kind = SUPPORT_INFORMATIONAL, .rule = STEER_SESSION, .to = B, .pin_after = B, .moved = true},
    {"who leaves no trace", .session = B, .from_elsewhere = true, .session_proved = true,
     .kind = SUPPORT_INFORMATIONAL, .not_to_pin = true, .rule = STEER_SESSION, .to = B, .pin_after = NOWHERE,
     .moved = true},
    {"who has begun elsewhere at his new address", .pin = A, .session = B, .from_elsewhere = true,
     .session_proved = true, .kind = SUPPORT_INFORMATIONAL, .rule = STEER_SESSION, .to = B, .pin_after = B,
     .moved = true},
    {"whose new address is somebody's", .pin = A, .proved = true, .session = B, .from_elsewhere = true,
     .session_proved = true, .kind = SUPPORT_INFORMATIONAL, .rule = STEER_SESSION, .to = B, .pin_after = A,
     .moved = true},
    {"whose new port has a flow that is not proved", .pin = A, .flow = A, .session = B,
     .from_elsewhere = true, .session_proved = true, .kind = SUPPORT_INFORMATIONAL, .rule = STEER_SESSION,
     .to = B, .pin_after = B, .moved = true},
    {"whose new port is in use", .pin = A, .proved = true, .flow = A, .session = B, .from_elsewhere = true,
     .session_proved = true, .kind = SUPPORT_INFORMATIONAL, .rule = STEER_CONFLICT, .to = A, .pin_after = A},
    {"or was, long ago", .pin = A, .proved = true, .flow = A, .quiet_ms = 100 * QUIET_MS, .session = B,
     .from_elsewhere = true, .session_proved = true, .kind = SUPPORT_INFORMATIONAL, .rule = STEER_CONFLICT,
     .to = A, .pin_after = A},
    {"of a backend that is down", .pin = A, .proved = true, .flow = A, .lost = IN(A), .session = B,
     .from_elsewhere = true, .session_proved = true, .kind = SUPPORT_INFORMATIONAL, .rule = STEER_CONFLICT,
     .to = A, .pin_after = A},
    {"although the pin has moved", .pin = C, .proved = true, .flow = A, .session = B, .from_elsewhere = true,
     .session_proved = true, .kind = SUPPORT_INFORMATIONAL, .rule = STEER_CONFLICT, .to = A, .pin_after = C},
    {"unless its client has left it", .pin = A, .proved = true, .flow = A, .left = true, .session = B,
     .from_elsewhere = true, .session_proved = true, .kind = SUPPORT_INFORMATIONAL, .rule = STEER_SESSION,
     .to = B, .pin_after = A, .moved = true},
    {"in the middle of a handshake", .session = B, .from_elsewhere = true, .kind = SUPPORT_AUTH,
     .rule = STEER_SESSION, .to = B, .pin_after = B, .moved = true},

    /* 3. An ESP SPI. */
    {"ESP from another port", .pin = A, .proved = true, .esp = A, .kind = SUPPORT_ESP, .rule = STEER_ESP,
     .to = A, .pin_after = A, .moved = true},
    {"goes before the pin", .pin = B, .proved = true, .esp = A, .kind = SUPPORT_ESP, .rule = STEER_ESP,
     .to = A, .pin_after = B, .moved = true},
    {"on two flows to one backend", .pin = A, .proved = true, .esp = A, .esp_too = A, .kind = SUPPORT_ESP,
     .rule = STEER_ESP, .to = A, .pin_after = A, .moved = true},
    {"on flows to two backends", .pin = B, .proved = true, .esp = A, .esp_too = C, .kind = SUPPORT_ESP,
     .rule = STEER_PIN, .to = B, .pin_after = B},
    {"on a flow that is not proved", .pin = B, .proved = true, .esp = A, .esp_unproved = true,
     .kind = SUPPORT_ESP, .rule = STEER_PIN, .to = B, .pin_after = B},
    {"of another address", .esp = A, .esp_of_another = true, .kind = SUPPORT_ESP, .rule = STEER_SCHEDULE,
     .to = C, .pin_after = C},
    {"is nothing to IKE", .pin = B, .proved = true, .esp = A, .kind = SUPPORT_INFORMATIONAL,
     .rule = STEER_PIN, .to = B, .pin_after = B},

    /* 4. The pin. */
    {"a new handshake of a pinned client", .pin = B, .kind = SUPPORT_INIT, .rule = STEER_PIN, .to = B,
     .pin_after = B},
    {"IKEv1's", .pin = B, .kind = SUPPORT_V1_INIT, .rule = STEER_PIN, .to = B, .pin_after = B},
    {"other IKE", .pin = B, .lost = IN(B), .kind = SUPPORT_INFORMATIONAL, .rule = STEER_PIN, .to = B,
     .pin_after = B},
    {"ESP", .pin = B, .lost = IN(B), .kind = SUPPORT_ESP, .rule = STEER_PIN, .to = B, .pin_after = B},
    {"a lost backend is left", .pin = A, .proved = true, .lost = IN(A), .kind = SUPPORT_INIT,
     .rule = STEER_PIN, .to = B, .pin_after = B},
    {"by IKEv1 too", .pin = A, .proved = true, .lost = IN(A) | IN(B), .kind = SUPPORT_V1_INIT,
     .rule = STEER_PIN, .to = C, .pin_after = C},
    {"if anybody else is there", .pin = A, .lost = EVERYWHERE, .kind = SUPPORT_INIT, .rule = STEER_NOWHERE,
     .to = NOWHERE, .pin_after = A},

    /* Failing over. */
    {"asked again, unanswered", .pin = A, .begun = A, .begun_ms = STEER_RETRANSMISSION_MS,
     .kind = SUPPORT_INIT, .rule = STEER_FAIL_OVER, .to = B, .pin_after = B},
    {"by IKEv1", .pin = A, .begun = A, .begun_ms = STEER_RETRANSMISSION_MS, .kind = SUPPORT_V1_INIT,
     .rule = STEER_FAIL_OVER, .to = B, .pin_after = B},
    {"after the last comes the first", .pin = B, .begun = B, .begun_ms = STEER_RETRANSMISSION_MS,
     .kind = SUPPORT_INIT, .rule = STEER_FAIL_OVER, .to = C, .pin_after = C},
    {"away from a flow", .pin = A, .flow = A, .begun = A, .begun_ms = STEER_RETRANSMISSION_MS,
     .kind = SUPPORT_INIT, .rule = STEER_FAIL_OVER, .to = B, .pin_after = B},
    {"not after a copy that the network made", .pin = A, .begun = A, .begun_ms = STEER_RETRANSMISSION_MS - 1,
     .kind = SUPPORT_INIT, .rule = STEER_PIN, .to = A, .pin_after = A},
    {"not after a cookie", .pin = A, .begun = A, .begun_ms = 9000, .answered = true, .kind = SUPPORT_INIT,
     .rule = STEER_PIN, .to = A, .pin_after = A},
    {"not if the pin has moved since", .pin = A, .begun = B, .begun_ms = 9000, .kind = SUPPORT_INIT,
     .rule = STEER_PIN, .to = A, .pin_after = A},
    {"not with other messages", .pin = A, .begun = A, .begun_ms = 9000, .kind = SUPPORT_AUTH,
     .rule = STEER_PIN, .to = A, .pin_after = A},
    {"not if nobody else is there", .pin = A, .begun = A, .begun_ms = 9000, .lost = IN(B) | IN(C),
     .kind = SUPPORT_INIT, .rule = STEER_PIN, .to = A, .pin_after = A},
    {"past who is lost", .pin = A, .begun = A, .begun_ms = 9000, .lost = IN(B), .kind = SUPPORT_INIT,
     .rule = STEER_FAIL_OVER, .to = C, .pin_after = C},
    {"a proved client stays", .pin = A, .proved = true, .begun = A, .begun_ms = 9000, .kind = SUPPORT_INIT,
     .rule = STEER_PIN, .to = A, .pin_after = A},
    {"even if it asks for the third time", .pin = A, .proved = true, .begun = A, .begun_ms = 9000,
     .asked = STEER_SURE_AFTER, .heard_ms = 9000, .kind = SUPPORT_INIT, .rule = STEER_PIN, .to = A,
     .pin_after = A},
    {"or probes are answered", .pin = A, .proved = true, .begun = A, .begun_ms = 9000,
     .asked = STEER_SURE_AFTER, .heard_ms = 9001, .probed_ms = 9000, .kind = SUPPORT_INIT, .rule = STEER_PIN,
     .to = A, .pin_after = A},
    {"unless nothing was heard since the first time", .pin = A, .proved = true, .begun = A, .begun_ms = 9000,
     .asked = STEER_SURE_AFTER, .heard_ms = 9001, .probed_ms = 9001, .kind = SUPPORT_INIT,
     .rule = STEER_FAIL_OVER, .to = B, .pin_after = B},
    {"or if a tunnel lives there", .pin = A, .proved = true, .flow = A, .quiet_ms = QUIET_MS - 1, .begun = A,
     .begun_ms = 9000, .asked = STEER_SURE_AFTER, .heard_ms = 9001, .probed_ms = 9001, .kind = SUPPORT_INIT,
     .on_500 = true, .rule = STEER_PIN, .to = A, .pin_after = A},
    {"not just lived", .pin = A, .proved = true, .flow = A, .quiet_ms = QUIET_MS, .begun = A,
     .begun_ms = 9000, .asked = STEER_SURE_AFTER, .heard_ms = 9001, .probed_ms = 9001, .kind = SUPPORT_INIT,
     .on_500 = true, .rule = STEER_FAIL_OVER, .to = B, .pin_after = B},
    {"or was left", .pin = A, .proved = true, .flow = A, .left = true, .begun = A, .begun_ms = 9000,
     .asked = STEER_SURE_AFTER, .heard_ms = 9001, .probed_ms = 9001, .kind = SUPPORT_INIT, .on_500 = true,
     .rule = STEER_FAIL_OVER, .to = B, .pin_after = B},
    {"which is not so sure at the second", .pin = A, .proved = true, .begun = A, .begun_ms = 9000,
     .asked = STEER_SURE_AFTER - 1, .heard_ms = 9001, .probed_ms = 9001, .kind = SUPPORT_INIT,
     .rule = STEER_PIN, .to = A, .pin_after = A},
    {"unless its backend is silent to all", .pin = A, .proved = true, .begun = A, .begun_ms = 9000,
     .suspicion = SUSPICION_SILENT, .kind = SUPPORT_INIT, .rule = STEER_FAIL_OVER, .to = B, .pin_after = B},
    {"but no flow is taken from a tunnel", .pin = A, .proved = true, .flow = A, .tunnel = true,
     .quiet_ms = QUIET_MS - 1, .begun = A, .begun_ms = 9000, .suspicion = SUSPICION_SILENT,
     .kind = SUPPORT_INIT, .rule = STEER_FLOW, .to = A, .pin_after = A},
    {"nor if nothing was heard since the first time", .pin = A, .proved = true, .flow = A, .tunnel = true,
     .begun = A, .begun_ms = 9000, .asked = STEER_SURE_AFTER, .heard_ms = 9001, .probed_ms = 9001,
     .kind = SUPPORT_INIT, .rule = STEER_FLOW, .to = A, .pin_after = A},
    {"however quiet that is", .pin = A, .proved = true, .flow = A, .tunnel = true, .quiet_ms = 100 * QUIET_MS,
     .begun = A, .begun_ms = 9000, .suspicion = SUSPICION_SILENT, .kind = SUPPORT_INIT, .rule = STEER_FLOW,
     .to = A, .pin_after = A},
    {"only where none was", .pin = A, .proved = true, .flow = A, .half_tunnel = true, .begun = A,
     .begun_ms = 9000, .suspicion = SUSPICION_SILENT, .kind = SUPPORT_INIT, .rule = STEER_FAIL_OVER, .to = B,
     .pin_after = B},
    {"be there a flow in use or not", .pin = A, .proved = true, .flow = A, .begun = A, .begun_ms = 9000,
     .suspicion = SUSPICION_SILENT, .kind = SUPPORT_INIT, .on_500 = true, .rule = STEER_FAIL_OVER, .to = B,
     .pin_after = B},
    {"or refuses all", .pin = A, .proved = true, .begun = A, .begun_ms = 9000,
     .suspicion = SUSPICION_REFUSING, .kind = SUPPORT_INIT, .rule = STEER_FAIL_OVER, .to = B, .pin_after = B},
    {"but not if it has a tunnel there", .pin = A, .proved = true, .flow = A, .quiet_ms = QUIET_MS - 1,
     .begun = A, .begun_ms = 9000, .suspicion = SUSPICION_REFUSING, .kind = SUPPORT_INIT, .on_500 = true,
     .rule = STEER_PIN, .to = A, .pin_after = A},
    {"on that very flow", .pin = A, .proved = true, .flow = A, .begun = A, .begun_ms = 9000,
     .suspicion = SUSPICION_REFUSING, .kind = SUPPORT_INIT, .rule = STEER_PIN, .to = A, .pin_after = A},
    {"which must live", .pin = A, .proved = true, .flow = A, .quiet_ms = QUIET_MS, .begun = A,
     .begun_ms = 9000, .suspicion = SUSPICION_REFUSING, .kind = SUPPORT_INIT, .on_500 = true,
     .rule = STEER_FAIL_OVER, .to = B, .pin_after = B},
    {"suspicion alone moves nobody", .pin = A, .suspicion = SUSPICION_SILENT, .kind = SUPPORT_INIT,
     .rule = STEER_PIN, .to = A, .pin_after = A},

    /* 5. and 6. A new client. */
    {"a new client", .kind = SUPPORT_INIT, .rule = STEER_SCHEDULE, .to = A, .pin_after = A},
    {"of IKEv1", .kind = SUPPORT_V1_INIT, .rule = STEER_SCHEDULE, .to = A, .pin_after = A},
    {"in the middle of something", .kind = SUPPORT_AUTH, .rule = STEER_SCHEDULE, .to = C, .pin_after = C},
    {"with a tunnel", .kind = SUPPORT_ESP, .rule = STEER_SCHEDULE, .to = C, .pin_after = C},
    {"that leaves no trace", .kind = SUPPORT_INFORMATIONAL, .not_to_pin = true, .rule = STEER_STATELESS,
     .to = C, .pin_after = NOWHERE},
    {"with a handshake", .kind = SUPPORT_INIT, .not_to_pin = true, .rule = STEER_STATELESS, .to = C,
     .pin_after = NOWHERE},
    {"without a backend", .lost = EVERYWHERE, .kind = SUPPORT_INIT, .rule = STEER_NOWHERE, .to = NOWHERE,
     .pin_after = NOWHERE},
    {"or a trace", .lost = EVERYWHERE, .kind = SUPPORT_ESP, .not_to_pin = true, .rule = STEER_NOWHERE,
     .to = NOWHERE, .pin_after = NOWHERE},
};

struct fixture {
    struct support_net net;
    struct bindings *b;
    struct endpoint client; /* on 4500 */
    uint32_t esp_session;   /* that the latest flow which knows an ESP SPI belongs to */
    struct ike_datagram datagram;
    uint8_t data[SUPPORT_MESSAGE_MAX];
};

static uint16_t backend_of(enum at at)
{
    return at == NOWHERE ? POOL_NONE : (uint16_t)(at - 1);
}

static enum at at_of(uint16_t backend)
{
    return backend == POOL_NONE ? NOWHERE : (enum at)(backend + 1);
}

static void begin(struct fixture *f, enum config_mode mode, bool spread_nat)
{
    const struct support_service service = {
        .name = "vpn",
        .vips = {"203.0.113.10"},
        .mode = mode,
        .schedule = CONFIG_SCHEDULE_LEAST_CLIENTS,
        .snats = {mode == CONFIG_MODE_FULL_NAT ? "10.1.0.100" : NULL},
        .half_open_timeout_ms = HALF_OPEN_MS,
        .spread_nat = spread_nat,
        .backends = {{"a", "10.1.0.1", 0, CONFIG_STATE_ENABLED},
                     {"b", "10.1.0.2", 0, CONFIG_STATE_ENABLED},
                     {"c", "10.1.0.3", 0, CONFIG_STATE_ENABLED}},
    };

    support_net_init(&f->net, &service, 1, 64);
    f->b = &f->net.dp.bindings;
    f->client.port = 4500;
}

/* Where clients behind one address are spread, IKE is hashed with its SPIi and the rest with its port. */
static struct schedule_key hash_key(const struct fixture *f)
{
    struct schedule_key key = {.client = f->client.addr};

    if (f->net.pool->services[0].persistence.spread_nat)
        key.part = f->datagram.class == IKE_CLASS_IKE
                       ? XXH3_64bits(&f->datagram.header.spi_i, sizeof f->datagram.header.spi_i)
                       : f->client.port;
    return key;
}

/* A client whose order of backends is C, A, B. */
static void choose_client(struct fixture *f)
{
    for (uint32_t i = 0; i < 1000; i++) {
        f->client.addr = support_addr_v4(i);
        const struct schedule_key key = hash_key(f);
        if (at_of(schedule_pick_stateless(f->net.pool, 0, &key)) == C &&
            at_of(schedule_pick_after(f->net.pool, 0, &key, backend_of(C))) == A)
            return;
    }
    fail_msg("no such client");
}

/* The client's pin, made if there is none. */
static uint32_t add_pin(struct fixture *f, const struct endpoint *client, enum at at, bool confirmed)
{
    const struct pin_key key = bindings_pin_key(f->b, 0, client);
    uint32_t pin = pins_find(f->b->pins, &key);

    if (pin == PIN_NONE)
        assert_int_equal(bindings_add_pin(f->b, client, backend_of(at), confirmed, f->net.now_ms, &pin), 0);
    return pin;
}

static uint32_t add_flow(struct fixture *f, const struct endpoint *client, enum at at, bool confirmed)
{
    (void)add_pin(f, client, at, confirmed);
    const uint32_t flow = support_add_flow(f->b, *client, IKE_PORT_4500, backend_of(at), f->net.now_ms);

    if (confirmed)
        bindings_confirm(f->b, flow, f->net.now_ms);
    return flow;
}

static uint32_t add_session(struct fixture *f, uint32_t pin, enum at at, uint16_t port, bool full)
{
    struct story story = story_begin(0, backend_of(at), port, f->net.now_ms);
    uint8_t data[SUPPORT_MESSAGE_MAX];
    const struct ike_datagram d = support_datagram(SUPPORT_AUTH, IKE_PORT_4500, data);

    story.spi_i = d.header.spi_i;
    if (full) {
        story.spi_r = d.header.spi_r;
        story.flags = STORY_ANSWERED;
    }
    const uint32_t index = tracking_begin(&f->b->tracking, pin, &story, false, f->net.now_ms);
    assert_int_not_equal(index, SESSION_NONE);
    return index;
}

static void know_session(struct fixture *f, const struct steer_case *t)
{
    const struct endpoint elsewhere = {.addr = support_addr("192.0.2.99"), .port = 4500};
    const struct endpoint *owner = t->from_elsewhere ? &elsewhere : &f->client;
    const uint32_t pin = add_pin(f, owner, t->session, t->session_proved);
    const uint32_t index = add_session(f, pin, t->session, t->from_another_port ? 500 : 4500, true);

    if (t->session_proved)
        sessions_confirm(f->b->tracking.sessions, index);
}

static void know_esp(struct fixture *f, const struct steer_case *t)
{
    const enum at ats[] = {t->esp, t->esp_too};
    struct endpoint client = f->client;

    if (t->esp_of_another)
        client.addr = support_addr("192.0.2.99");
    for (size_t i = 0; i < 2 && ats[i] != NOWHERE; i++) {
        client.port = (uint16_t)(4600 + i);
        const struct pin_key key = bindings_pin_key(f->b, 0, &client);
        const uint32_t flow = add_flow(f, &client, ats[i], !t->esp_unproved);
        bindings_note_esp(f->b, flow, 0xc0ffee01);
        f->esp_session = add_session(f, flows_get(f->b->flows, flow)->pin, ats[i], client.port, false);
        bindings_see_session(f->b, flows_get(f->b->flows, flow), f->esp_session);
        if (t->pin) /* where each port has a pin of its own, it leads where the client's would */
            bindings_move_pin(f->b, pins_find(f->b->pins, &key), backend_of(t->pin));
    }
}

static void know(struct fixture *f, const struct steer_case *t, struct steer_request *request)
{
    if (t->pin)
        add_pin(f, &f->client, t->pin, t->proved);
    if (t->flow) {
        request->flow = add_flow(f, &f->client, t->flow, t->proved);
        struct flow *flow = flows_get(f->b->flows, request->flow);
        flow->flags |= (uint8_t)((t->tunnel ? FLOW_ESP_BOTH : 0) | (t->half_tunnel ? FLOW_ESP_IN : 0) |
                                 (t->left ? FLOW_LEFT : 0));
        flow->client_ms = (uint32_t)f->net.now_ms - t->quiet_ms;
    }
    if (t->session)
        know_session(f, t);
    know_esp(f, t);
    if (t->begun) {
        const uint32_t index =
            add_session(f, add_pin(f, &f->client, t->pin, t->proved), t->begun, 4500, false);
        struct story *story = &sessions_get(f->b->tracking.sessions, index)->story;
        story->flags |= t->answered ? STORY_ANSWERED | STORY_ASKED_AGAIN : 0;
        story->seen_ms = (uint32_t)f->net.now_ms - t->begun_ms;
        story->stage_ms[STAGE_NONE] = story->seen_ms;
        story->init_count = t->asked;
    }
    if (t->pin) {
        struct passive *passive = &f->net.pool->backends[backend_of(t->pin)].passive;
        passive->suspicion = t->suspicion;
        passive->heard_ms = t->heard_ms ? f->net.now_ms - t->heard_ms : 0;
        passive->probe_ms = t->probed_ms ? f->net.now_ms - t->probed_ms : 0;
    }
    for (enum at at = A; at <= C; at++)
        if (t->lost & IN(at))
            f->net.pool->backends[backend_of(at)].health = HEALTH_DOWN;
}

static void check_pin(struct fixture *f, const struct steer_case *t, const struct steer_choice *choice,
                      const char *how)
{
    if (t->pin_after == NOWHERE) {
        if (choice->pin != PIN_NONE)
            fail_msg("%s, %s: a pin", t->label, how);
        return;
    }
    if (choice->pin == PIN_NONE)
        fail_msg("%s, %s: no pin", t->label, how);
    const struct pin *pin = pins_get(f->b->pins, choice->pin);
    if (pin->backend != backend_of(t->pin_after))
        fail_msg("%s, %s: pin at %d", t->label, how, (int)at_of(pin->backend));
    assert_true(addr_equal(&pin->client, &f->client.addr));
}

/* What is known of the packet's session goes with it to its flow; a pin or a schedule knows nothing. */
static uint32_t session_after(const struct fixture *f, const struct steer_case *t,
                              const struct steer_request *request)
{
    switch (t->rule) {
    case STEER_FLOW:
    case STEER_CONFLICT:
    case STEER_SESSION:
        return request->session;
    case STEER_ESP:
        return f->esp_session;
    case STEER_PIN:
    case STEER_FAIL_OVER:
    case STEER_SCHEDULE:
    case STEER_STATELESS:
    case STEER_NOWHERE:
    default:
        return SESSION_NONE;
    }
}

static void try_case(const struct steer_case *t, enum config_mode mode, bool spread_nat)
{
    struct fixture f = {0};
    char how[64];

    snprintf(how, sizeof how, "mode %d, spread_nat %d", (int)mode, spread_nat);
    begin(&f, mode, spread_nat);
    f.datagram = support_datagram(t->kind, IKE_PORT_4500, f.data);
    choose_client(&f);
    struct steer_request request = {
        .port = t->on_500 ? IKE_PORT_500 : IKE_PORT_4500,
        .client = f.client,
        .datagram = &f.datagram,
        .flow = FLOW_NONE,
        .may_pin = !t->not_to_pin,
    };
    know(&f, t, &request);
    if (t->on_500)
        request.flow = FLOW_NONE;
    request.session = steer_session(f.b, 0, &f.datagram);

    const struct steer_choice choice = steer(f.b, &request, f.net.now_ms);
    if (choice.rule != t->rule || at_of(choice.backend) != t->to || choice.moved != t->moved)
        fail_msg("%s, %s: rule %d to %d, moved %d", t->label, how, (int)choice.rule,
                 (int)at_of(choice.backend), choice.moved);
    check_pin(&f, t, &choice, how);
    if (choice.session != session_after(&f, t, &request))
        fail_msg("%s, %s: session %u", t->label, how, choice.session);
    assert_int_equal(f.net.pool->services[0].conflicts_total, t->rule == STEER_CONFLICT);
    support_net_deinit(&f.net);
}

static void test_the_order(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
        for (int how = 0; how < 4; how++)
            try_case(&cases[i], how & 1 ? CONFIG_MODE_FULL_NAT : CONFIG_MODE_TRANSPARENT, how & 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_order),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
