/* The search for the largest packet that passes: which sizes to try next. Pure; the caller asks the network.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#define MTU_SEARCH_WIDTH 8 /* sizes tried at once */

struct mtu_search {
    uint32_t passes; /* the largest size known to pass */
    uint32_t fails;  /* the smallest size above it that is known not to */
};

/*
 * Writes the sizes to try next, evenly between what passes and what fails, and returns how many: 0 when there
 * is none left between them.
 */
size_t mtu_search_next(const struct mtu_search *s, uint16_t sizes[static MTU_SEARCH_WIDTH]);

/*
 * Take what became of a size; of those tried at once first all that passed, which outweigh smaller ones that
 * seemed not to: those were lost by chance.
 */
void mtu_search_passed(struct mtu_search *s, uint16_t size);
void mtu_search_failed(struct mtu_search *s, uint16_t size);
