/* Services for the tests of lb/bindings.c. */
#pragma once

#include "tests/unit/support.h"

enum {
    VPN,
    FULL,
    OWN
}; /* services: transparent; full NAT with addresses; full NAT with the route's address */

static const struct support_service services[] = {
    {.name = "vpn",
     .vips = {"203.0.113.10"},
     .idle_timeout_ms = 60000,
     .half_open_timeout_ms = 3000,
     .backends = {{"one", "10.1.0.1", 0, CONFIG_STATE_ENABLED},
                  {"two", "10.1.0.2", 0, CONFIG_STATE_ENABLED}}},
    {.name = "full",
     .vips = {"203.0.113.11"},
     .mode = CONFIG_MODE_FULL_NAT,
     .snats = {"10.1.0.100", "2001:db8::100", "10.1.0.101"},
     .idle_timeout_ms = 60000,
     .half_open_timeout_ms = 3000,
     .backends = {{"uno", "10.1.0.1", 0, CONFIG_STATE_ENABLED},
                  {"due", "10.1.0.2", 0, CONFIG_STATE_ENABLED}}},
    {.name = "own",
     .vips = {"203.0.113.12"},
     .mode = CONFIG_MODE_FULL_NAT,
     .idle_timeout_ms = 60000,
     .half_open_timeout_ms = 5000, /* longer than the others' */
     .backends = {{"solo", "10.1.0.3", 0, CONFIG_STATE_ENABLED}}},
};
enum { ONE, TWO, UNO, DUE, SOLO }; /* backends */
