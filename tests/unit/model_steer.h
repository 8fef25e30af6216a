/* The reference of "Steering" and "Several clients behind one address" in docs/architecture.md. */
#pragma once

#include "tests/unit/model_tables.h"

/* Where a packet goes. */
struct place {
    uint16_t backend; /* POOL_NONE: nowhere */
    uint32_t pin;     /* MODEL_NONE: it is not remembered */
    uint32_t session; /* that it is known to belong to */
    bool moved;       /* as its ESP shows */
    bool over_limit;
};

bool model_steer_is_transparent(const struct model *m, uint16_t service);

bool model_steer_opens(const struct ike_datagram *d);

/* Is the session that was seen on this flow last still its pin's? */
bool model_steer_has_session(const struct model *m, uint32_t flow);

/* The rules in their order. */
struct place model_steer_find_place(struct model *m, uint32_t flow, uint32_t session, const struct packet *p,
                                    const struct ike_datagram *d);
