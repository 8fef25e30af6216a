#include "lb/ports.h"

#include <stdlib.h>

#include "base/err.h"

#define SPAN       (PORTS_LAST - PORTS_FIRST + 1)
#define WORD_BITS  64
#define WORD_COUNT (SPAN / WORD_BITS)
_Static_assert(SPAN % WORD_BITS == 0, "the bitmap has no ragged end");

struct ports {
    uint64_t taken[WORD_COUNT];
    uint32_t next; /* offset from PORTS_FIRST where the search begins */
    uint32_t count;
};

static void mark(struct ports *ports, uint32_t offset)
{
    ports->taken[offset / WORD_BITS] |= UINT64_C(1) << offset % WORD_BITS;
}

struct ports *ports_create(uint32_t start)
{
    struct ports *ports = calloc(1, sizeof *ports);

    if (!ports)
        return NULL;
    ports->next = start % SPAN;
    mark(ports, PORTS_RESERVED - PORTS_FIRST);
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
    mark(ports, offset);
    ports->next = (offset + 1) % SPAN;
    ports->count++;
    *port = (uint16_t)(PORTS_FIRST + offset);
    return 0;
}

int ports_claim(struct ports *ports, uint16_t port)
{
    const uint32_t offset = (uint32_t)port - PORTS_FIRST;

    if (offset >= SPAN || port == PORTS_RESERVED)
        return ERR_RANGE;
    if (ports->taken[offset / WORD_BITS] & UINT64_C(1) << offset % WORD_BITS)
        return ERR_EXISTS;
    mark(ports, offset);
    ports->count++;
    return 0;
}

void ports_release(struct ports *ports, uint16_t port)
{
    const uint32_t offset = (uint32_t)port - PORTS_FIRST;
    const uint64_t bit = UINT64_C(1) << offset % WORD_BITS;

    if (offset < SPAN && port != PORTS_RESERVED && ports->taken[offset / WORD_BITS] & bit) {
        ports->taken[offset / WORD_BITS] &= ~bit;
        ports->count--;
    }
}

uint32_t ports_taken(const struct ports *ports)
{
    return ports->count;
}
