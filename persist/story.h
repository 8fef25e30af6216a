/* What was seen of one handshake and of the IKE SA that came of it: a plain value, which outlives both. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "ike/header.h"
#include "persist/stage.h"

enum story_flag {
    STORY_ANSWERED = 1 << 0,             /* the backend has sent something in clear, be it a cookie */
    STORY_CLIENT_FRAGMENTATION = 1 << 1, /* the client announced IKEV2_FRAGMENTATION_SUPPORTED ... */
    STORY_SERVER_FRAGMENTATION = 1 << 2, /* ... and so did the server, in a full answer */
    STORY_LARGE_FROM_CLIENT = 1 << 3,    /* an IKE message arrived that had been cut into IP fragments ... */
    STORY_LARGE_FROM_SERVER = 1 << 4,    /* ... or went out so */
    STORY_REKEYED = 1 << 5,     /* made by rekeying another IKE SA, or before our time: no IKE_SA_INIT */
    STORY_ASKED_AGAIN = 1 << 6, /* the last answer was COOKIE or INVALID_KE_PAYLOAD: a next round is due */
    STORY_CONFLICT =
        1 << 7,          /* kept from its backend by somebody else's flow from the same address and port */
    STORY_NATT = 1 << 8, /* client_port is towards port 4500 */
};

struct story {
    struct ike_spi spi_i;
    struct ike_spi spi_r; /* zero: there was no full answer yet */
    uint16_t service;
    uint16_t backend;     /* who answered, or was asked last */
    uint16_t client_port; /* of the path used last */
    uint16_t error;       /* the error notify (enum ike_notify_type) of the last clear answer; 0: none */
    uint16_t flags;       /* enum story_flag */
    uint8_t stage;        /* enum stage, the furthest */
    uint8_t reached;      /* bit 1 << stage for each stage that was seen */
    uint8_t init_count;   /* messages that opened the SA and came in, repetitions included; ends at 255 */
    uint8_t auth_count;   /* the same of IKE_AUTH before it was answered */
    uint8_t failovers;    /* times that the handshake was moved because a backend did not answer */
    uint8_t roams;        /* times that the client went on from another address or port */
    uint32_t stage_ms[STAGE_COUNT]; /* when each was first reached; [STAGE_NONE]: the begin. Truncated. */
    uint32_t seen_ms;               /* the latest IKE message */
};

/*
 * Notes the stage, and the time if it is reached for the first time; true if it is further than any before.
 * Leaves seen_ms alone.
 */
bool story_reach(struct story *story, enum stage stage, uint64_t now_ms);

/* A story that begins now. */
struct story story_begin(uint16_t service, uint16_t backend, uint16_t client_port, uint64_t now_ms);
