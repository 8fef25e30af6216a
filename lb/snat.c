#include "lb/snat.h"

#include <errno.h>
#include <stdlib.h>

#include "base/err.h"
#include "lb/ports.h"

/* Open addressing over twice the room: a probe ends at an empty slot. */
#define INDEX_SIZE (2 * SNAT_MAX)

struct snat {
    struct addr addrs[SNAT_MAX];
    uint16_t count;
    uint16_t index[INDEX_SIZE];     /* address number + 1; 0: empty */
    struct ports **ports[SNAT_MAX]; /* by 2 * server + port; made when first used */
    uint32_t server_count;
    uint32_t seed;
};

struct snat *snat_create(uint32_t server_count, uint32_t seed)
{
    struct snat *snat = calloc(1, sizeof *snat);

    if (!snat)
        return NULL;
    snat->server_count = server_count;
    snat->seed = seed;
    return snat;
}

void snat_destroy(struct snat *snat)
{
    if (!snat)
        return;
    for (uint16_t source = 0; source < snat->count; source++) {
        for (uint32_t i = 0; i < 2 * snat->server_count; i++)
            ports_destroy(snat->ports[source][i]);
        free(snat->ports[source]);
    }
    free(snat);
}

/* The slot that holds the address, or the empty one where it belongs. */
static uint32_t index_slot(const struct snat *snat, const struct addr *addr)
{
    uint32_t slot = (uint32_t)addr_hash(addr, 0) % INDEX_SIZE;

    while (snat->index[slot] && !addr_equal(&snat->addrs[snat->index[slot] - 1], addr))
        slot = (slot + 1) % INDEX_SIZE;
    return slot;
}

uint16_t snat_find(const struct snat *snat, const struct addr *addr)
{
    if (snat->count == 0)
        return SNAT_NONE;
    const uint16_t entry = snat->index[index_slot(snat, addr)];
    return entry ? (uint16_t)(entry - 1) : SNAT_NONE;
}

uint16_t snat_add(struct snat *snat, const struct addr *addr)
{
    const uint32_t slot = index_slot(snat, addr);

    if (snat->index[slot])
        return (uint16_t)(snat->index[slot] - 1);
    if (snat->count == SNAT_MAX)
        return SNAT_NONE;
    snat->ports[snat->count] = calloc(2 * (size_t)snat->server_count, sizeof *snat->ports[0]);
    if (!snat->ports[snat->count])
        return SNAT_NONE;
    snat->addrs[snat->count] = *addr;
    snat->index[slot] = (uint16_t)(snat->count + 1);
    return snat->count++;
}

const struct addr *snat_addr(const struct snat *snat, uint16_t source)
{
    return &snat->addrs[source];
}

uint16_t snat_count(const struct snat *snat)
{
    return snat->count;
}

/* The ports of a source towards server:port, made if this is the first time; NULL without memory. */
static struct ports *ports_towards(struct snat *snat, uint16_t source, uint16_t server, uint16_t port)
{
    struct ports **ports = &snat->ports[source][2 * server + port];

    if (!*ports)
        *ports = ports_create(snat->seed);
    return *ports;
}

int snat_take(struct snat *snat, uint16_t source, uint16_t server, uint16_t port, uint16_t *source_port)
{
    struct ports *ports = ports_towards(snat, source, server, port);

    return ports ? ports_take(ports, source_port) : -ENOMEM;
}

int snat_claim(struct snat *snat, uint16_t source, uint16_t server, uint16_t port, uint16_t source_port)
{
    struct ports *ports = ports_towards(snat, source, server, port);

    return ports ? ports_claim(ports, source_port) : -ENOMEM;
}

void snat_release(struct snat *snat, uint16_t source, uint16_t server, uint16_t port, uint16_t source_port)
{
    ports_release(snat->ports[source][2 * server + port], source_port);
}
