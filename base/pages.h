/* Large zeroed tables straight from the kernel: page-aligned, on huge pages where there are any, paid for
 * when touched. */
#pragma once

#include <stddef.h>

/*
 * Zeroed memory of count * size bytes, or NULL. Free it with pages_free() and the same numbers. The kernel
 * clears a huge page, some tenths of a millisecond, when it is first touched: fit for tables that fill from
 * their beginning.
 */
void *pages_alloc(size_t count, size_t size);

/* The same, cleared by the time it returns: for tables that are touched at random places from the first entry
 * on. */
void *pages_alloc_ready(size_t count, size_t size);

/* NULL is fine. */
void pages_free(void *pages, size_t count, size_t size);
