/* Large zeroed tables straight from the kernel: page-aligned, on huge pages where there are any, paid for
 * when touched. */
#pragma once

#include <stddef.h>

/* Zeroed memory of count * size bytes, or NULL. Free it with pages_free() and the same numbers. */
void *pages_alloc(size_t count, size_t size);

/* NULL is fine. */
void pages_free(void *pages, size_t count, size_t size);
