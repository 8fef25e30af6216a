#include "lb/ports.h"

#include <stdlib.h>

#include "base/err.h"

#define WORD_BITS  64
#define WORD_COUNT (PORTS_COUNT / WORD_BITS)
_Static_assert(PORTS_COUNT % WORD_BITS == 0, "the bitmap has no ragged end");

struct ports {
    uint64_t taken[WORD_COUNT];
    uint32_t next; /* offset from PORTS_FIRST where the search begins */
    uint32_t count;
};

struct ports *ports_create(uint32_t start)
{
    struct ports *ports = calloc(1, sizeof *ports);

    if (ports)
        ports->next = start % PORTS_COUNT;
    return ports;
}

void ports_destroy(struct ports *ports)
{
    free(ports);
}

int ports_take(struct ports *ports, uint16_t *port)
{
    if (ports->count == PORTS_COUNT)
        return ERR_FULL;

    uint32_t word = ports->next / WORD_BITS;
    /* In the first word only the bits from `next` on; one word more than there are comes back to its other
     * bits. */
    uint64_t free_bits = ~ports->taken[word] & ~UINT64_C(0) << ports->next % WORD_BITS;
    while (!free_bits) {
        word = (word + 1) % WORD_COUNT;
        free_bits = ~ports->taken[word];
    }
    const uint32_t bit = (uint32_t)__builtin_ctzll(free_bits);
    const uint32_t offset = word * WORD_BITS + bit;
    ports->taken[word] |= UINT64_C(1) << bit;
    ports->next = (offset + 1) % PORTS_COUNT;
    ports->count++;
    *port = (uint16_t)(PORTS_FIRST + offset);
    return 0;
}

void ports_release(struct ports *ports, uint16_t port)
{
    const uint32_t offset = (uint32_t)port - PORTS_FIRST;
    const uint64_t bit = UINT64_C(1) << offset % WORD_BITS;

    if (offset < PORTS_COUNT && ports->taken[offset / WORD_BITS] & bit) {
        ports->taken[offset / WORD_BITS] &= ~bit;
        ports->count--;
    }
}

uint32_t ports_taken(const struct ports *ports)
{
    return ports->count;
}
