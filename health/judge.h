/* Decides from a row of probe results whether a backend is up or down; pure. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

enum health_state { HEALTH_UNKNOWN, HEALTH_UP, HEALTH_DOWN };

/* Visible so that it can be embedded; use the functions. */
struct judge {
    enum health_state state;
    uint32_t rise;
    uint32_t fall;
    uint32_t streak; /* consecutive results that speak against `state`, at most the larger threshold */
};

/*
 * `rise` and `fall` are numbers of consecutive results, 0 counting as 1; `state` is what is believed at
 * first.
 */
void judge_init(struct judge *j, enum health_state state, uint32_t rise, uint32_t fall);

/*
 * Takes one result; true if the state has changed. `fall` failures in a row make a backend down, `rise`
 * successes in a row make a down one up. While nothing is known one success suffices: a fresh start shall not
 * wait to serve.
 */
bool judge_result(struct judge *j, bool success);

/* "unknown", "up", "down". */
const char *judge_state_name(enum health_state state);
