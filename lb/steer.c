#include "lb/steer.h"

#include "lb/schedule.h"

static struct steer_choice steer_pinned(struct bindings *b, const struct steer_request *request, uint32_t pin)
{
    const uint16_t held = pins_get(b->pins, pin)->backend;

    if (!request->is_init || !pool_is_lost(&b->pool->backends[held]))
        return (struct steer_choice){.backend = held, .pin = pin};

    const uint16_t chosen = schedule_pick(b->pool, request->service, &request->client);
    if (chosen != POOL_NONE)
        bindings_move_pin(b, pin, chosen);
    return (struct steer_choice){.backend = chosen, .pin = pin};
}

/*
 * What opens nothing belongs to a handshake or a tunnel that was forwarded without a pin, by source-hash, or
 * that began before our time: then that is the best guess, and the same on every node.
 */
static uint16_t pick_new(struct pool *pool, const struct steer_request *request)
{
    return request->is_init ? schedule_pick(pool, request->service, &request->client)
                            : schedule_pick_stateless(pool, request->service, &request->client);
}

struct steer_choice steer(struct bindings *b, const struct steer_request *request, uint64_t now_ms)
{
    struct steer_choice choice = {.backend = POOL_NONE, .pin = PIN_NONE};
    const uint32_t pin = pins_find(b->pins, request->service, &request->client);

    if (pin != PIN_NONE)
        return steer_pinned(b, request, pin);
    if (request->may_pin && pins_has_room(b->pins)) {
        choice.backend = pick_new(b->pool, request);
        if (choice.backend != POOL_NONE)
            (void)bindings_add_pin(b, &request->client, choice.backend, false, now_ms, &choice.pin);
        return choice;
    }
    choice.backend = schedule_pick_stateless(b->pool, request->service, &request->client);
    return choice;
}
