#include "base/pages.h"

#include <sys/mman.h>

void *pages_alloc(size_t count, size_t size)
{
    size_t bytes;

    if (__builtin_mul_overflow(count, size, &bytes) || bytes == 0)
        return NULL;
    void *pages =
        mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (pages == MAP_FAILED)
        return NULL;
    /* A table that is read at random places lives or dies by TLB misses. Only advice: small pages do as well.
     */
    (void)madvise(pages, bytes, MADV_HUGEPAGE);
    return pages;
}

void *pages_alloc_ready(size_t count, size_t size)
{
    void *pages = pages_alloc(count, size);

    /* Only advice again: a kernel before 5.14 clears them when touched. */
    if (pages)
        (void)madvise(pages, count * size, MADV_POPULATE_WRITE);
    return pages;
}

void pages_free(void *pages, size_t count, size_t size)
{
    if (pages)
        munmap(pages, count * size);
}
