#include "tests/unit/model_steer.h"

#define XXH_INLINE_ALL
#include <xxhash.h>

#include "lb/schedule.h"
#include "lb/steer.h"

/* With spread_nat handshakes are placed by address and SPIi, hashed, and the rest by address and port. */
static struct schedule_key key_of(const struct model *m, const struct packet *p, const struct ike_datagram *d)
{
    struct schedule_key key = {.client = p->src.addr};

    if (m->pool->services[p->service].persistence.spread_nat)
        key.part = d->class == IKE_CLASS_IKE ? XXH3_64bits(d->header.spi_i.bytes, 8) : p->src.port;
    return key;
}

/* The choice that the schedule would make if the pins were as the model has them; the pool stays as it is. */
static uint16_t ask_schedule(const struct model *m, uint16_t service, const struct schedule_key *key)
{
    int64_t round_robin[MODEL_BACKENDS] = {0};
    uint32_t clients[MODEL_BACKENDS] = {0};

    for (size_t i = 0; i < m->pool->backend_count; i++) {
        round_robin[i] = m->pool->backends[i].round_robin;
        clients[i] = m->pool->backends[i].clients;
        m->pool->backends[i].clients = 0;
    }
    for (uint32_t i = 0; i < m->top; i++) {
        if (m->pins[i].used)
            m->pool->backends[m->pins[i].backend].clients++;
    }
    const uint16_t backend = schedule_pick(m->pool, service, key);
    for (size_t i = 0; i < m->pool->backend_count; i++) {
        m->pool->backends[i].round_robin = round_robin[i];
        m->pool->backends[i].clients = clients[i];
    }
    return backend;
}

static uint32_t half_open_ms(const struct model *m, uint16_t service)
{
    return m->pool->services[service].persistence.half_open_timeout_ms;
}

static bool is_lost(const struct model *m, const struct model_flow *f)
{
    return pool_is_lost(&m->pool->backends[f->backend]);
}

/* Nobody but a lost backend loses it to a message that anybody can send. */
static bool has_tunnel(const struct model *m, uint32_t flow)
{
    const struct model_flow *f = &m->flows[flow];

    return f->esp_in && f->esp_out && !f->left && !is_lost(m, f);
}

static bool is_in_use(const struct model *m, uint32_t flow)
{
    const struct model_flow *f = &m->flows[flow];

    return f->confirmed && !f->left && !is_lost(m, f) && m->now_ms - f->used_ms < half_open_ms(m, f->service);
}

bool model_steer_is_transparent(const struct model *m, uint16_t service)
{
    return m->pool->services[service].mode == CONFIG_MODE_TRANSPARENT;
}

static bool has_flow_in_use(const struct model *m, uint32_t pin)
{
    const struct model_pin *p = &m->pins[pin];

    for (int port = 0; port < IKE_PORT_COUNT; port++) {
        const struct endpoint client = {p->client, p->ports[port]};
        const uint32_t flow = model_tables_find_flow(m, p->service, (enum ike_port)port, client);
        if (flow != MODEL_NONE && m->flows[flow].pin == pin && is_in_use(m, flow))
            return true;
    }
    return false;
}

/* May the client of this unanswered session leave its pin's backend? */
static bool may_fail_over(const struct model *m, uint32_t pin, const struct model_session *s)
{
    const struct model_passive *v = &m->passive[m->pins[pin].backend];

    if (!m->pins[pin].confirmed || v->suspicion == SUSPICION_SILENT)
        return true;
    if (has_flow_in_use(m, pin))
        return false;
    return v->suspicion == SUSPICION_REFUSING || (s->asked >= 2 && v->heard_ms < s->born_ms);
}

bool model_steer_opens(const struct ike_datagram *d)
{
    return d->class == IKE_CLASS_IKE && header_is_init_request(&d->header);
}

/* Does the packet repeat what its pin's backend has not answered with a single word, and may it go on? */
static bool must_fail_over(const struct model *m, uint32_t pin, const struct ike_datagram *d)
{
    const uint32_t begun = model_tables_find_begun(m, pin, &d->header.spi_i);
    const struct model_session *s = &m->sessions[begun == MODEL_NONE ? 0 : begun];

    return begun != MODEL_NONE && s->backend == m->pins[pin].backend && !s->answered &&
           m->now_ms - s->seen_ms >= STEER_RETRANSMISSION_MS && may_fail_over(m, pin, s);
}

/* The flow of one of the pin's latest ports, or MODEL_NONE. */
static uint32_t latest_flow(const struct model *m, uint32_t pin, int port)
{
    const struct model_pin *p = &m->pins[pin];
    const struct endpoint client = {p->client, p->ports[port]};
    const uint32_t flow = model_tables_find_flow(m, p->service, (enum ike_port)port, client);

    return flow != MODEL_NONE && m->flows[flow].pin == pin ? flow : MODEL_NONE;
}

/* A quarter of the idle timeout without a packet, and half_open_timeout at least. */
static bool is_at_rest(const struct model *m, uint32_t pin)
{
    const struct config_persistence *limits = &m->pool->services[m->pins[pin].service].persistence;
    const uint32_t quarter_ms = limits->idle_timeout_ms / 4;
    const uint32_t rest_ms =
        quarter_ms < limits->half_open_timeout_ms ? limits->half_open_timeout_ms : quarter_ms;
    const uint32_t at_500 = latest_flow(m, pin, IKE_PORT_500);
    const uint32_t at_4500 = latest_flow(m, pin, IKE_PORT_4500);

    if (!model_tables_has_flow(m, pin))
        return m->now_ms - m->pins[pin].seen_ms >= rest_ms;
    if (at_500 == MODEL_NONE && at_4500 == MODEL_NONE)
        return false;
    return (at_500 == MODEL_NONE || m->now_ms - m->flows[at_500].seen_ms >= rest_ms) &&
           (at_4500 == MODEL_NONE || m->now_ms - m->flows[at_4500].seen_ms >= rest_ms);
}

/* Rule 3: where the pin leads, which may have to move for it. */
static struct place lead(struct model *m, uint32_t pin, const struct packet *p, const struct ike_datagram *d)
{
    struct model_pin *pinned = &m->pins[pin];
    const struct schedule_key key = key_of(m, p, d);

    if (model_steer_opens(d) && pool_is_lost(&m->pool->backends[pinned->backend])) {
        const uint16_t next = ask_schedule(m, p->service, &key);
        if (next == POOL_NONE)
            return (struct place){.backend = POOL_NONE, .pin = MODEL_NONE, .session = MODEL_NONE};
        pinned->backend = next;
    } else if (model_steer_opens(d) && pool_is_draining(&m->pool->backends[pinned->backend]) &&
               is_at_rest(m, pin)) {
        const uint16_t next = ask_schedule(m, p->service, &key);
        m->rested += next != POOL_NONE;
        if (next != POOL_NONE)
            pinned->backend = next;
    } else if (model_steer_opens(d) && must_fail_over(m, pin, d)) {
        const uint16_t next = schedule_pick_after(m->pool, p->service, &key, pinned->backend);
        if (next != POOL_NONE)
            pinned->backend = next;
    }
    m->kept += model_steer_opens(d) && pool_is_draining(&m->pool->backends[pinned->backend]);
    return (struct place){.backend = pinned->backend, .pin = pin, .session = MODEL_NONE};
}

/*
 * Its session is at another backend than its flow. A flow in use stays whole; and a session of another
 * address takes nothing that is confirmed and not left.
 */
static bool conflicts(struct model *m, uint32_t flow, uint32_t session, const struct packet *p)
{
    const struct model_flow *f = &m->flows[flow];
    struct model_session *s = &m->sessions[session];
    const bool is_here = addr_equal(&m->pins[s->pin].client, &p->src.addr);

    const bool is_silent = m->passive[f->backend].suspicion == SUSPICION_SILENT;
    if (is_here ? !is_in_use(m, flow) || is_silent : !f->confirmed || f->left)
        return false;
    m->conflicts += !s->conflict;
    s->conflict = true;
    if (is_here && !s->confirmed)
        m->pins[s->pin].backend = f->backend;
    return true;
}

/* May a packet that model_steer_opens nothing use the flow that it came on? */
static bool may_stay(struct model *m, uint32_t flow, uint32_t session, const struct packet *p,
                     const struct ike_datagram *d)
{
    const struct model_flow *f = &m->flows[flow];

    if (d->class != IKE_CLASS_IKE)
        return true;
    if (session != MODEL_NONE)
        return m->sessions[session].backend == f->backend || conflicts(m, flow, session, p);
    if (m->pins[f->pin].backend == f->backend || has_tunnel(m, flow))
        return true;
    if (d->header.exchange == IKE_EXCHANGE_AUTH || d->header.exchange == IKE_EXCHANGE_V1_MAIN)
        return false;
    return !pool_is_lost(&m->pool->backends[f->backend]);
}

static bool take_move(struct model *m, struct model_session *s)
{
    while (s->moves_left < SESSION_MOVES_MAX && m->now_ms - s->move_ms >= SESSION_MOVE_REGAIN_MS) {
        s->moves_left++;
        s->move_ms += SESSION_MOVE_REGAIN_MS;
    }
    if (s->moves_left == 0)
        return false;
    if (s->moves_left == SESSION_MOVES_MAX)
        s->move_ms = m->now_ms;
    s->moves_left--;
    return true;
}

/* Rule 1. */
static struct place place_of_session(struct model *m, uint32_t session, const struct packet *p)
{
    struct model_session *s = &m->sessions[session];
    struct place place = {.backend = s->backend, .pin = MODEL_NONE, .session = session};

    place.over_limit = !take_move(m, s);
    if (place.over_limit)
        return place;
    if (addr_equal(&m->pins[s->pin].client, &p->src.addr))
        place.pin = s->pin;
    else
        place.pin = model_tables_find_pin_of_sender(m, p);
    if (place.pin == MODEL_NONE)
        place.pin = model_tables_add_pin(m, p->src, p->service, s->backend, false);
    if (place.pin != MODEL_NONE && !m->pins[place.pin].confirmed)
        m->pins[place.pin].backend = s->backend;
    return place;
}

bool model_steer_has_session(const struct model *m, uint32_t flow)
{
    const struct model_flow *f = &m->flows[flow];
    const struct model_session *s = &m->sessions[f->session == MODEL_NONE ? 0 : f->session];

    return f->session != MODEL_NONE && s->used && s->number == f->session_number && s->pin == f->pin;
}

/* Rule 2: the flow of that address and SPI, if those that have it are all at one backend; the latest. */
static uint32_t find_esp(const struct model *m, const struct packet *p, const struct ike_datagram *d)
{
    uint32_t found = MODEL_NONE;

    for (uint32_t i = 0; i < m->top; i++) {
        const struct model_flow *f = &m->flows[i];
        if (!f->used || !f->confirmed || f->service != p->service || f->esp_spi != d->esp_spi ||
            !addr_equal(&f->client.addr, &p->src.addr))
            continue;
        if (found != MODEL_NONE && m->flows[found].backend != f->backend)
            return MODEL_NONE;
        if (found == MODEL_NONE || f->esp_number > m->flows[found].esp_number)
            found = i;
    }
    return found;
}

/* Rules 4 to 6. */
static struct place place_of_stranger(struct model *m, const struct packet *p, const struct ike_datagram *d)
{
    const struct schedule_key key = key_of(m, p, d);
    const bool remember = d->class != IKE_CLASS_KEEPALIVE && model_tables_has_pin_room(m, false);
    struct place place = {.pin = MODEL_NONE, .session = MODEL_NONE};

    place.backend = remember && model_steer_opens(d) ? ask_schedule(m, p->service, &key)
                                                     : schedule_pick_stateless(m->pool, p->service, &key);
    if (place.backend != POOL_NONE && remember)
        place.pin = model_tables_add_pin(m, p->src, p->service, place.backend, false);
    return place;
}

struct place model_steer_find_place(struct model *m, uint32_t flow, uint32_t session, const struct packet *p,
                                    const struct ike_datagram *d)
{
    if (flow != MODEL_NONE) {
        const struct model_flow *f = &m->flows[flow];
        const struct place stay = {.backend = f->backend, .pin = f->pin, .session = MODEL_NONE};
        if (model_steer_opens(d))
            return has_tunnel(m, flow) ? stay : lead(m, f->pin, p, d);
        if (may_stay(m, flow, session, p, d))
            return stay;
    }
    if (session != MODEL_NONE)
        return place_of_session(m, session, p);
    const uint32_t esp = d->class == IKE_CLASS_ESP ? find_esp(m, p, d) : MODEL_NONE;
    if (esp != MODEL_NONE)
        return (struct place){.backend = m->flows[esp].backend,
                              .pin = m->flows[esp].pin,
                              .session = model_steer_has_session(m, esp) ? m->flows[esp].session : MODEL_NONE,
                              .moved = true};
    const uint32_t pin = flow != MODEL_NONE ? m->flows[flow].pin : model_tables_find_pin_of_sender(m, p);
    return pin != MODEL_NONE ? lead(m, pin, p, d) : place_of_stranger(m, p, d);
}
