/*
 * From the records of a saved file to the tables of a daemon that has just been started. A service is found
 * again by its VIP and a backend by its address in the service, as by a reload (lb/pool_config.h); what
 * belongs to one that is no longer there is left out.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "lb/bindings.h"
#include "persist/saved.h"

struct restore_result {
    uint32_t pins; /* made */
    uint32_t sessions;
    uint32_t flows;
    uint32_t
        gone; /* pins whose service, VIP or backend there is no more, or whose clients are spread otherwise */
    uint32_t expired;    /* pins, meanwhile */
    uint32_t no_room;    /* pins */
    uint32_t lost_flows; /* of pins that were made: there is no such source address any more, or no room */
    uint32_t operator_states; /* set as they were */
    uint64_t away_ms;         /* since the file was begun; 0 if the wall clock has gone back */
};

/*
 * Fills empty tables, in one go, from a file that saved_verify() has found good. Expired is what would have
 * been by now (`wall_ms`). An operator's state is set only if the configuration still gives the backend the
 * state that it gave it then: an edited file wins. 0 or -ENOMEM; with some of it restored then.
 */
int restore_bindings(struct bindings *b, const void *data, size_t len, uint64_t now_ms, uint64_t wall_ms,
                     struct restore_result *result);
