/* A dialogue of clients with two backends of one service, told to lb/handshake message by message. */
#pragma once

#include "tests/unit/support.h"

enum { DIALOGUE_ONE, DIALOGUE_TWO }; /* backends */

/* Addresses of clients. */
#define DIALOGUE_HOME      "192.0.2.1"
#define DIALOGUE_ELSEWHERE "198.51.100.1"

struct dialogue {
    struct support_net net;
    struct bindings *b; /* of `net`, as are the sessions */
    struct sessions *sessions;
};

void dialogue_begin(struct dialogue *d);
void dialogue_end(struct dialogue *d);

/* A flow of the client to port 4500 of a backend, with its pin; unconfirmed. */
uint32_t dialogue_add_flow(struct dialogue *d, const char *address, uint16_t port, uint16_t backend);
uint32_t dialogue_pin_of(struct dialogue *d, uint32_t flow);

/*
 * A message of the SA whose SPIs are its number and the complement of that, with a message ID of its own if
 * that is not 0; it borrows `data`.
 */
struct ike_datagram dialogue_message(enum support_kind kind, uint64_t number, uint32_t message_id,
                                     uint8_t data[static SUPPORT_MESSAGE_MAX]);

/* Tells that the message goes over the flow; from a backend, true if it proves the client. */
void dialogue_from_client(struct dialogue *d, uint32_t flow, enum support_kind kind, uint64_t number);
bool dialogue_from_backend(struct dialogue *d, uint32_t flow, enum support_kind kind, uint64_t number,
                           uint32_t message_id);

/* A whole handshake over the flow, which is confirmed then. */
void dialogue_complete(struct dialogue *d, uint32_t flow, uint64_t number);

/* The session of an SA, or SESSION_NONE; its story, which fails the test if there is none. */
uint32_t dialogue_session_of(struct dialogue *d, uint64_t number);
struct story *dialogue_story_of(struct dialogue *d, uint64_t number);

/* The story of the youngest session of the flow's pin, for what has no full pair yet. */
struct story *dialogue_latest(struct dialogue *d, uint32_t flow);
