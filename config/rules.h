/* What the values of a configuration must be to each other: unique, of one family, in order. */
#pragma once

#include "config/config.h"
#include "config/node.h"

/* Checks what loader_fill() read from `root`, passing over the values that are wrong by themselves. */
void rules_check(struct node *root, const struct config *config, struct report *report);
