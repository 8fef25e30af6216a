/* The end of a noun after a number: "1 client", "2 clients". */
#pragma once

#include <stdint.h>

static inline const char *plural(uint64_t count)
{
    return count == 1 ? "" : "s";
}
