/* What the daemon may do: asked before it begins, so that a missing capability is named as such. */
#pragma once

#include "base/log.h"

/* 0, or -EPERM after each capability that is missing has been logged. */
int privileges_check(const struct log *log);
