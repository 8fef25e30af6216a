/* At the start: the clients, tunnels and operator states of the daemon that ran before. */
#pragma once

#include "base/log.h"
#include "lb/bindings.h"

/*
 * Restores the empty tables from the state file, and logs what came of it. Whatever is wrong with the file,
 * the daemon can go on: a file that is not good is not used at all, and is kept under the name PATH.bad.
 * Blocks for as long as it takes: about two seconds for a million clients.
 */
void recall_state(const char *path, struct bindings *bindings, const struct log *log);
