#include "lb/routes.h"

#include "base/err.h"
#include "lb/sockets.h"

static void note_route(struct bindings *b, struct backend *backend, const struct addr *src,
                       const struct log *log)
{
    const struct service *service = &b->pool->services[backend->service];
    char text[ADDR_TEXT_MAX];

    if (service->mode != CONFIG_MODE_FULL_NAT || service->snat_count)
        return;
    const uint16_t source = snat_add(b->snat, src);
    if (source == backend->source)
        return;
    if (source == SNAT_NONE)
        log_warn(log, "service %s, backend %s: more than %d source addresses in use; keeping the old one",
                 service->name, backend->name, SNAT_MAX);
    else
        log_info(log, "service %s, backend %s: source address of full NAT is %s", service->name,
                 backend->name, addr_format(src, text));
    if (source != SNAT_NONE)
        backend->source = source;
}

static void refresh(struct bindings *b, struct backend *backend, const struct log *log)
{
    struct addr src;
    uint32_t mtu;
    const int err = sockets_route(&backend->addr, &src, &mtu);

    if (err) {
        if (!backend->unroutable)
            log_warn(log, "service %s, backend %s: no route: %s", b->pool->services[backend->service].name,
                     backend->name, err_text(err));
        backend->unroutable = true;
        return;
    }
    if (backend->unroutable)
        log_info(log, "service %s, backend %s: there is a route again",
                 b->pool->services[backend->service].name, backend->name);
    backend->unroutable = false;
    backend->mtu = mtu;
    note_route(b, backend, &src, log);
}

size_t routes_refresh(struct bindings *b, size_t first, size_t count, const struct log *log)
{
    size_t i = first;

    for (; i < b->pool->backend_count && i < first + count; i++)
        if (b->pool->backends[i].used)
            refresh(b, &b->pool->backends[i], log);
    return i < b->pool->backend_count ? i : 0;
}

/* Also one whose service has had addresses of its own so far. */
static bool is_unknown(const struct bindings *b, const struct backend *backend)
{
    const struct service *service = &b->pool->services[backend->service];
    const bool needs_source = service->mode == CONFIG_MODE_FULL_NAT && service->snat_count == 0;

    return backend->mtu == 0 || (needs_source && backend->source == SNAT_NONE);
}

void routes_refresh_new(struct bindings *b, const struct log *log)
{
    for (size_t i = 0; i < b->pool->backend_count; i++) {
        struct backend *backend = &b->pool->backends[i];
        if (backend->used && !backend->unroutable && is_unknown(b, backend))
            refresh(b, backend, log);
    }
}
