/* Reads the tree of a file into struct config by the tables of the schema. */
#pragma once

#include "config/config.h"
#include "config/node.h"

/*
 * Fills a zeroed configuration. Each value that is wrong by itself is reported, its node marked bad, and left
 * as it was: names empty, addresses unspecified, everything else at its default. Thus the values after it are
 * still read; what the values say about each other is the rules' business. List items keep their places: item
 * i of a list is element i of its array. 0, or -ENOMEM with the configuration filled in part; either way the
 * caller destroys it.
 */
int loader_fill(struct node *root, struct report *report, struct config *config);
