/* The reference of what is learnt from handshakes, of clients that move and of passive health
 * (docs/architecture.md). */
#pragma once

#include "tests/unit/model_tables.h"

void model_watch_judge(struct model *m, uint16_t backend);

void model_watch_from_client(struct model *m, uint32_t flow, const struct ike_datagram *d);

/*
 * Does this datagram of a backend prove that its client is there? A repeated response shows only that a
 * request was repeated; and IKEv1, whose message IDs have no order, does not roam.
 */
bool model_watch_proves(const struct model *m, uint32_t session, struct endpoint client,
                        const struct ike_datagram *d);

/* The backend has answered this message ID. */
void model_watch_response(struct model_session *s, const struct ike_header *h);

/* A backend has answered the first message of that pin's handshake. */
void model_watch_answer(struct model *m, uint32_t pin, uint16_t backend, const struct ike_datagram *d);

void model_watch_from_backend(struct model *m, uint32_t flow, const struct ike_datagram *d);
