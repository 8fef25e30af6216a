#include "lb/xdp/traffic.h"

#include <bpf/bpf.h>
#include <errno.h>
#include <stdlib.h>

#include "lb/passive.h"

/* So many counters are read in one call: some tens of microseconds. */
#define READS_MAX 16384

int traffic_init(struct traffic_counts *counts, const struct maps *maps)
{
    *counts = (struct traffic_counts){
        .maps = maps,
        .taken = calloc(POOL_BACKENDS_MAX, sizeof *counts->taken),
        .per_cpu = calloc(maps->cpus, sizeof *counts->per_cpu),
    };
    return counts->taken && counts->per_cpu ? 0 : -ENOMEM;
}

void traffic_deinit(struct traffic_counts *counts)
{
    free(counts->taken);
    free(counts->per_cpu);
    *counts = (struct traffic_counts){0};
}

static struct xdp_count total(const struct maps *maps, size_t backend, enum traffic_direction direction)
{
    struct xdp_count sum = {0};

    for (size_t cpu = 0; cpu < maps->cpus; cpu++) {
        const struct xdp_count *one = &maps->counts[(cpu * XDP_PLACES_A_RUN + backend) * 2 + direction];
        sum.packets += __atomic_load_n(&one->packets, __ATOMIC_RELAXED);
        sum.bytes += __atomic_load_n(&one->bytes, __ATOMIC_RELAXED);
    }
    return sum;
}

static void add(struct traffic *traffic, const struct xdp_count *now, const struct xdp_count *before)
{
    traffic->packets += now->packets - before->packets;
    traffic->bytes += now->bytes - before->bytes;
}

static void collect(struct traffic_counts *counts, struct backend *backend, size_t index, uint64_t now_ms)
{
    for (int direction = TRAFFIC_IN; direction <= TRAFFIC_OUT; direction++) {
        struct xdp_count *taken = &counts->taken[index][direction];
        const struct xdp_count now = total(counts->maps, index, (enum traffic_direction)direction);
        if (now.packets == taken->packets)
            continue;
        add(&backend->traffic[direction], &now, taken);
        add(&backend->fast[direction], &now, taken);
        *taken = now;
        if (direction == TRAFFIC_OUT)
            passive_heard(backend, now_ms);
    }
}

void traffic_collect(struct traffic_counts *counts, struct pool *pool, uint64_t now_ms)
{
    const size_t reads = 2 * (size_t)counts->maps->cpus;
    const size_t most = READS_MAX / reads ? READS_MAX / reads : 1;

    for (size_t i = 0; i < most && i < pool->backend_count; i++) {
        if (counts->next >= pool->backend_count)
            counts->next = 0;
        if (pool->backends[counts->next].used)
            collect(counts, &pool->backends[counts->next], counts->next, now_ms);
        counts->next++;
    }
}

uint64_t traffic_passed(const struct traffic_counts *counts, uint32_t reason)
{
    uint64_t sum = 0;

    if (bpf_map_lookup_elem(counts->maps->passed_fd, &reason, counts->per_cpu) != 0)
        return 0;
    for (uint32_t cpu = 0; cpu < counts->maps->cpus; cpu++)
        sum += counts->per_cpu[cpu];
    return sum;
}
