/*
 * The rules of docs/architecture.md, from "Pins, flows, sessions" to "Health from real handshakes", as a slow
 * and obvious reference: plain arrays, linear search, no hashing. It foretells what the dataplane must do
 * with a packet, and what must stand in its tables afterwards. Only what a schedule chooses it asks of
 * lb/schedule, on the real pool and before the packet is handled.
 */
#pragma once

#include "tests/unit/model_tables.h"

struct model_verdict {
    enum verdict_action action;
    enum drop_reason reason;
    uint16_t backend;
    uint32_t flow;       /* that it uses, or MODEL_NONE */
    struct endpoint src; /* port 0: any that is free */
    struct endpoint dst;
};

void steering_model_init(struct model *m, struct pool *pool, uint32_t max_clients);

/* What becomes of the packet, which `datagram` is read from. */
struct model_verdict steering_model_handle(struct model *m, const struct packet *packet,
                                           const struct ike_datagram *datagram, uint64_t now_ms);

/* Everything that is due has ended. */
void steering_model_sweep(struct model *m, uint64_t now_ms);

/* Passive health is judged anew. */
void steering_model_review(struct model *m, uint64_t now_ms);
