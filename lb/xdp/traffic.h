/* What the program has counted, brought into the pool's statistics. */
#pragma once

#include "lb/pool.h"
#include "lb/xdp/maps.h"

struct traffic_counts {
    const struct maps *maps;      /* borrowed */
    struct xdp_count (*taken)[2]; /* by backend and direction: what the pool has */
    uint64_t *per_cpu;            /* room for a value of each CPU */
    size_t next;                  /* backend to look at next */
};

/* 0 or -ENOMEM. */
int traffic_init(struct traffic_counts *counts, const struct maps *maps);
void traffic_deinit(struct traffic_counts *counts);

/* Adds what is new to the backends' traffic; who has sent something has been heard (lb/passive.h). */
void traffic_collect(struct traffic_counts *counts, struct pool *pool, uint64_t now_ms);

/* How many packets passed up for that reason (enum xdp_pass) since the program was loaded. */
uint64_t traffic_passed(const struct traffic_counts *counts, uint32_t reason);
