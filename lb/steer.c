#include "lb/steer.h"

#include <string.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

#include "lb/fastpath.h"
#include "lb/schedule.h"

static bool is_init(const struct steer_request *request)
{
    return request->datagram->class == IKE_CLASS_IKE && header_is_init_request(&request->datagram->header);
}

uint32_t steer_session(const struct bindings *b, uint16_t service, const struct ike_datagram *datagram)
{
    if (datagram->class != IKE_CLASS_IKE)
        return SESSION_NONE;
    return sessions_find(b->tracking.sessions, service, &datagram->header.spi_i, &datagram->header.spi_r);
}

/*
 * Where clients behind one address are spread, all of one handshake must hash alike although its messages
 * come from two ports: they have the SPIi in common. ESP has only its port.
 */
static struct schedule_key schedule_key(const struct bindings *b, const struct steer_request *request)
{
    struct schedule_key key = {.client = request->client.addr};
    const struct ike_spi *spi_i = &request->datagram->header.spi_i;

    if (!b->pool->services[request->service].persistence.spread_nat)
        return key;
    key.part = request->datagram->class == IKE_CLASS_IKE ? XXH3_64bits(spi_i->bytes, sizeof spi_i->bytes)
                                                         : request->client.port;
    return key;
}

/*
 * A tunnel lives on this flow as far as its client is concerned: it has lately sent ESP, IKE of a session
 * there, or at least keepalives, which it sends for as long as it has a tunnel (RFC 3948 section 4). What the
 * backend sends does not count: it also goes to clients that have begun anew and know nothing of it any more.
 */
static bool is_in_use(const struct bindings *b, const struct flow *flow, uint64_t now_ms)
{
    const struct service *service = &b->pool->services[flow->listener / IKE_PORT_COUNT];

    return (flow->flags & (FLOW_CONFIRMED | FLOW_LEFT)) == FLOW_CONFIRMED &&
           !pool_is_lost(&b->pool->backends[flow->backend]) &&
           (uint32_t)now_ms - flow->client_ms < service->persistence.half_open_timeout_ms;
}

static bool has_flow_in_use(const struct bindings *b, const struct pin *pin, uint64_t now_ms)
{
    for (int port = 0; port < IKE_PORT_COUNT; port++) {
        const uint32_t flow = bindings_flow_of_pin(b, pin, (enum ike_port)port);
        if (flow != FLOW_NONE && is_in_use(b, fastpath_flow(b, flow, now_ms), now_ms))
            return true;
    }
    return false;
}

/* Nothing was heard from the backend since then, by anybody. */
static bool is_silent_since(const struct backend *backend, uint64_t now_ms, uint32_t since_ms)
{
    const uint64_t begin_ms = now_ms - ((uint32_t)now_ms - since_ms);

    return backend->passive.heard_ms < begin_ms && backend->passive.probe_ms < begin_ms;
}

/*
 * May a client leave the backend that its pin is at, since its handshake is not answered? One that nothing is
 * known of yet may; one that has been proved only if the backend is silent, or if no tunnel of the
 * client lives there and the backend answers nobody or seems to be dead.
 */
static bool may_fail_over(const struct bindings *b, const struct pin *pin, const struct story *story,
                          uint64_t now_ms)
{
    const struct backend *backend = &b->pool->backends[pin->backend];

    if (!(pin->flags & PIN_CONFIRMED) || backend->passive.suspicion == SUSPICION_SILENT)
        return true;
    if (has_flow_in_use(b, pin, now_ms))
        return false;
    return backend->passive.suspicion == SUSPICION_REFUSING ||
           (story->init_count >= STEER_SURE_AFTER &&
            is_silent_since(backend, now_ms, story->stage_ms[STAGE_NONE]));
}

/* The first message of a handshake comes again, the backend has not said a word yet, and another may be
 * asked. */
static bool must_fail_over(const struct bindings *b, const struct steer_request *request, uint32_t index,
                           uint64_t now_ms)
{
    struct sessions *sessions = b->tracking.sessions;
    const struct pin *pin = pins_get(b->pins, index);
    const uint32_t begun = sessions_find_begun(sessions, index, &request->datagram->header.spi_i);

    if (begun == SESSION_NONE)
        return false;
    const struct story *story = &sessions_get(sessions, begun)->story;
    return !(story->flags & STORY_ANSWERED) && story->backend == pin->backend &&
           (uint32_t)now_ms - story->seen_ms >= STEER_RETRANSMISSION_MS &&
           may_fail_over(b, pin, story, now_ms);
}

/* A client that was quiet for so long and then begins anew has most likely no tunnel any more. */
static uint32_t rest_ms(const struct service *service)
{
    const struct config_persistence *limits = &service->persistence;
    const uint32_t part_ms = limits->idle_timeout_ms / STEER_REST_PART;

    return part_ms > limits->half_open_timeout_ms ? part_ms : limits->half_open_timeout_ms;
}

/* Nothing has come from the client or gone to it for that long, as far as its latest ports tell. */
static bool is_at_rest(const struct bindings *b, const struct pin *pin, uint64_t now_ms)
{
    const uint32_t limit_ms = rest_ms(&b->pool->services[pin->service]);
    bool any = false;

    if (pin->flow_count == 0)
        return (uint32_t)now_ms - pin->seen_ms >= limit_ms;
    for (int port = 0; port < IKE_PORT_COUNT; port++) {
        const uint32_t flow = bindings_flow_of_pin(b, pin, (enum ike_port)port);
        if (flow == FLOW_NONE)
            continue;
        if ((uint32_t)now_ms - fastpath_flow(b, flow, now_ms)->seen_ms < limit_ms)
            return false;
        any = true;
    }
    return any;
}

/* Where the client's pin leads, after it has moved if it must. */
static struct steer_choice steer_pinned(struct bindings *b, const struct steer_request *request,
                                        uint32_t index, uint64_t now_ms)
{
    const struct pin *pin = pins_get(b->pins, index);
    const struct schedule_key key = schedule_key(b, request);
    struct steer_choice choice = {
        .rule = STEER_PIN, .backend = pin->backend, .pin = index, .session = SESSION_NONE};

    if (!is_init(request))
        return choice;
    if (pool_is_lost(&b->pool->backends[pin->backend])) {
        choice.backend = schedule_pick(b->pool, request->service, &key);
    } else if (pool_is_draining(&b->pool->backends[pin->backend]) && is_at_rest(b, pin, now_ms)) {
        const uint16_t next = schedule_pick(b->pool, request->service, &key);
        if (next != POOL_NONE)
            choice.backend = next;
    } else if (must_fail_over(b, request, index, now_ms)) {
        const uint16_t next = schedule_pick_after(b->pool, request->service, &key, pin->backend);
        if (next != POOL_NONE) {
            choice.rule = STEER_FAIL_OVER;
            choice.backend = next;
        }
    }
    if (choice.backend == POOL_NONE)
        choice.rule = STEER_NOWHERE;
    else
        bindings_move_pin(b, index, choice.backend);
    return choice;
}

/* A message that only means something to the backend that got the handshake's first one. */
static bool continues_handshake(const struct ike_header *h)
{
    return h->exchange == IKE_EXCHANGE_AUTH || h->exchange == IKE_EXCHANGE_V1_MAIN;
}

/*
 * May the session's message take the flow for its own backend? From the flow's own address it may unless a
 * tunnel lives there, at a backend that is not silent: only the client can know the SPIs of its session. From
 * another address anybody can send his own session's messages as from here, so he gets nothing that a client
 * has proved to be its, however quiet that is; only what the client has left.
 */
static bool may_take(const struct bindings *b, const struct flow *flow, bool is_here, uint64_t now_ms)
{
    if (is_here)
        return !is_in_use(b, flow, now_ms) ||
               b->pool->backends[flow->backend].passive.suspicion == SUSPICION_SILENT;
    return (flow->flags & (FLOW_CONFIRMED | FLOW_LEFT)) != FLOW_CONFIRMED;
}

/*
 * The packet's session is at one backend and its flow leads to another: two clients share an address and a
 * port, or a NAT has given a port to somebody else. A flow in use stays whole, or a tunnel would break; the
 * handshake cannot succeed there, but the next one of that client will begin at the flow's backend.
 */
static bool conflicts(struct bindings *b, const struct steer_request *request, const struct flow *flow,
                      uint64_t now_ms)
{
    struct session *session = sessions_get(b->tracking.sessions, request->session);
    const bool is_here = addr_equal(&pins_get(b->pins, session->pin)->client, &request->client.addr);

    if (may_take(b, flow, is_here, now_ms))
        return false;
    if (!(session->story.flags & STORY_CONFLICT)) {
        session->story.flags |= STORY_CONFLICT;
        b->pool->services[request->service].conflicts_total++;
    }
    if (is_here && !session->confirmed)
        bindings_move_pin(b, session->pin, flow->backend);
    return true;
}

/*
 * ESP has passed both ways. Anybody can send the messages that open an IKE SA, or of a session that we do not
 * know, as from the client of such a flow: they take it from nobody but a lost backend, or a client that has
 * left, however quiet the tunnel is.
 */
static bool has_tunnel(const struct bindings *b, const struct flow *flow)
{
    return (flow->flags & (FLOW_ESP_BOTH | FLOW_LEFT)) == FLOW_ESP_BOTH &&
           !pool_is_lost(&b->pool->backends[flow->backend]);
}

/*
 * With a flow: where the packet goes if that may still be the flow's backend. The messages that open an IKE
 * SA go where the pin leads, and the others of a handshake with an unknown session follow a pin that has
 * moved, unless that would take a flow from a living tunnel: anybody can send them as from here, so they move
 * no pin from there either. The rest of IKE follows the pin only away from a lost backend. ESP stays: a
 * tunnel may outlive what the probes think of its server.
 */
static bool may_use_flow(struct bindings *b, const struct steer_request *request, uint64_t now_ms,
                         struct steer_choice *choice)
{
    const struct flow *flow = fastpath_flow(b, request->flow, now_ms);
    const struct ike_header *h = &request->datagram->header;

    *choice = (struct steer_choice){
        .rule = STEER_FLOW, .backend = flow->backend, .pin = flow->pin, .session = request->session};
    if (request->datagram->class != IKE_CLASS_IKE)
        return true;
    if (request->session != SESSION_NONE) {
        if (sessions_get(b->tracking.sessions, request->session)->story.backend == flow->backend)
            return true;
        choice->rule = STEER_CONFLICT;
        return conflicts(b, request, flow, now_ms);
    }
    const bool moved = pins_get(b->pins, flow->pin)->backend != flow->backend;
    if (is_init(request)) {
        if (has_tunnel(b, flow))
            return true;
        *choice = steer_pinned(b, request, flow->pin, now_ms);
        return choice->backend == flow->backend;
    }
    if (!moved || has_tunnel(b, flow))
        return true;
    return !pool_is_lost(&b->pool->backends[flow->backend]) && !continues_handshake(h);
}

/* The pin of the client; where clients behind one address are spread, the one that a NAT which keeps ports
 * gives away: 500 and 4500 of one address are one client's. */
static uint32_t find_pin(const struct bindings *b, const struct steer_request *request)
{
    const struct pin_key key = bindings_pin_key(b, request->service, &request->client);
    const enum ike_port other = request->port == IKE_PORT_500 ? IKE_PORT_4500 : IKE_PORT_500;
    const uint32_t pin = pins_find(b->pins, &key);

    if (pin != PIN_NONE || key.part != ike_port_number(request->port))
        return pin;
    const struct flow_in_key sibling = {
        .client = request->client.addr,
        .client_port = ike_port_number(other),
        .listener = (uint16_t)(request->service * IKE_PORT_COUNT + other),
    };
    const uint32_t flow = flows_find_in(b->flows, &sibling);
    return flow == FLOW_NONE ? PIN_NONE : flows_get(b->flows, flow)->pin;
}

/* A known session that comes from an address that is not its pin's. */
static struct steer_choice steer_roamer(struct bindings *b, const struct steer_request *request,
                                        uint64_t now_ms)
{
    const uint16_t backend = sessions_get(b->tracking.sessions, request->session)->story.backend;
    struct steer_choice choice = {.rule = STEER_SESSION,
                                  .backend = backend,
                                  .pin = PIN_NONE,
                                  .moved = true,
                                  .session = request->session};

    if (!request->may_pin)
        return choice;
    choice.pin = find_pin(b, request);
    if (choice.pin == PIN_NONE)
        (void)bindings_add_pin(b, &request->client, backend, false, now_ms, &choice.pin);
    else if (!(pins_get(b->pins, choice.pin)->flags & PIN_CONFIRMED))
        bindings_move_pin(b, choice.pin, backend);
    return choice;
}

static struct steer_choice steer_session_known(struct bindings *b, const struct steer_request *request,
                                               uint64_t now_ms)
{
    const struct session *session = sessions_get(b->tracking.sessions, request->session);
    const struct pin *pin = pins_get(b->pins, session->pin);
    struct steer_choice choice = {
        .rule = STEER_SESSION,
        .backend = session->story.backend,
        .pin = session->pin,
        .moved = session->confirmed && session->story.client_port != request->client.port,
        .session = request->session,
    };

    if (!sessions_may_move(b->tracking.sessions, request->session, now_ms)) {
        choice.pin = PIN_NONE;
        choice.moved = true;
        choice.over_limit = true;
        return choice;
    }
    if (!addr_equal(&pin->client, &request->client.addr))
        return steer_roamer(b, request, now_ms);
    if (!(pin->flags & PIN_CONFIRMED)) /* its answer has told the client which backend to go on with */
        bindings_move_pin(b, session->pin, session->story.backend);
    return choice;
}

/*
 * What opens nothing belongs to a handshake or a tunnel that was forwarded without a pin, by source-hash, or
 * that began before our time: then that is the best guess, and the same on every node.
 */
static struct steer_choice steer_new(struct bindings *b, const struct steer_request *request, uint64_t now_ms)
{
    const struct schedule_key key = schedule_key(b, request);
    struct steer_choice choice = {.rule = STEER_STATELESS, .pin = PIN_NONE, .session = SESSION_NONE};
    const bool remember = request->may_pin && pins_has_room(b->pins);

    choice.backend = remember && is_init(request) ? schedule_pick(b->pool, request->service, &key)
                                                  : schedule_pick_stateless(b->pool, request->service, &key);
    if (choice.backend == POOL_NONE) {
        choice.rule = STEER_NOWHERE;
    } else if (remember) {
        choice.rule = STEER_SCHEDULE;
        (void)bindings_add_pin(b, &request->client, choice.backend, false, now_ms, &choice.pin);
    }
    return choice;
}

struct steer_choice steer(struct bindings *b, const struct steer_request *request, uint64_t now_ms)
{
    struct steer_choice choice;

    if (request->flow != FLOW_NONE && (may_use_flow(b, request, now_ms, &choice) || is_init(request)))
        return choice;
    if (request->session != SESSION_NONE)
        return steer_session_known(b, request, now_ms);
    if (request->datagram->class == IKE_CLASS_ESP) {
        const uint32_t index =
            bindings_find_esp(b, request->service, &request->client.addr, request->datagram->esp_spi);
        if (index != FLOW_NONE) {
            const struct flow *flow = flows_get(b->flows, index);
            return (struct steer_choice){.rule = STEER_ESP,
                                         .backend = flow->backend,
                                         .pin = flow->pin,
                                         .moved = true,
                                         .session = bindings_session_of_flow(b, flow)};
        }
    }
    const uint32_t pin =
        request->flow != FLOW_NONE ? flows_get(b->flows, request->flow)->pin : find_pin(b, request);
    return pin != PIN_NONE ? steer_pinned(b, request, pin, now_ms) : steer_new(b, request, now_ms);
}
