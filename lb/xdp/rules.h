/* Policy rules, ip-rule(8). */
#pragma once

#include "lb/question.h"

/* Do they lead all packets without a mark to the main table, or that of their device's VRF? 1, 0 or -errno.
 */
int rules_are_direct(struct question *question, int family);
