#include "lb/settle.h"

#include <assert.h>
#include <string.h>

static void settle_service(const struct service *service, struct config_service *config)
{
    config->mode = service->mode;
    config->persistence.spread_nat = service->persistence.spread_nat;
    config->vip_count = service->vip_count;
    memcpy(config->vips, service->vips, sizeof config->vips);
    config->snat_count = service->snat_count; /* those of the configuration, or none */
}

void settle_config(const struct pool *pool, struct config *config)
{
    uint16_t s =
        pool->first_service; /* in the order of the configuration; what it does not have comes last */

    for (size_t i = 0; i < config->service_count; i++, s = pool->services[s].next) {
        assert(s != POOL_NONE);
        settle_service(&pool->services[s], &config->services[i]);
    }
}
