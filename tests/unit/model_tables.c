#include "tests/unit/model_tables.h"

#include "persist/sessions.h"
#include "tests/unit/unit.h"

uint32_t model_tables_find_flow(const struct model *m, uint16_t service, enum ike_port port,
                                struct endpoint client)
{
    for (uint32_t i = 0; i < m->top; i++) {
        const struct model_flow *f = &m->flows[i];
        if (f->used && f->service == service && f->port == port && endpoint_equal(&f->client, &client))
            return i;
    }
    return MODEL_NONE;
}

uint32_t model_tables_find_flow_of_reply(const struct model *m, const struct packet *p)
{
    for (uint32_t i = 0; i < m->top; i++) {
        const struct model_flow *f = &m->flows[i];
        if (f->used && f->port == p->port && endpoint_equal(&f->source, &p->dst) &&
            addr_equal(&m->pool->backends[f->backend].addr, &p->src.addr))
            return i;
    }
    return MODEL_NONE;
}

uint32_t model_tables_find_pin(const struct model *m, uint16_t service, const struct addr *client,
                               uint16_t part)
{
    for (uint32_t i = 0; i < m->top; i++) {
        const struct model_pin *p = &m->pins[i];
        if (p->used && p->service == service && p->part == part && addr_equal(&p->client, client))
            return i;
    }
    return MODEL_NONE;
}

uint16_t model_tables_part_of(const struct model *m, uint16_t service, struct endpoint client)
{
    return m->pool->services[service].persistence.spread_nat ? client.port : 0;
}

uint32_t model_tables_find_pin_of_sender(const struct model *m, const struct packet *p)
{
    const uint16_t part = model_tables_part_of(m, p->service, p->src);
    const enum ike_port other = p->port == IKE_PORT_500 ? IKE_PORT_4500 : IKE_PORT_500;
    const struct endpoint sibling = {p->src.addr, ike_port_number(other)};
    const uint32_t pin = model_tables_find_pin(m, p->service, &p->src.addr, part);

    if (pin != MODEL_NONE || part == 0 || p->src.port != ike_port_number(p->port))
        return pin;
    const uint32_t flow = model_tables_find_flow(m, p->service, other, sibling);
    return flow == MODEL_NONE ? MODEL_NONE : m->flows[flow].pin;
}

uint32_t model_tables_find_session(const struct model *m, uint16_t service, const struct ike_datagram *d)
{
    uint32_t found = MODEL_NONE;

    if (d->class != IKE_CLASS_IKE || header_spi_is_zero(&d->header.spi_r))
        return MODEL_NONE;
    for (uint32_t i = 0; i < m->top; i++) {
        const struct model_session *s = &m->sessions[i];
        if (s->used && s->service == service && header_spi_equal(&s->spi_i, &d->header.spi_i) &&
            header_spi_equal(&s->spi_r, &d->header.spi_r) &&
            (found == MODEL_NONE || s->number < m->sessions[found].number))
            found = i;
    }
    return found;
}

uint32_t model_tables_find_begun(const struct model *m, uint32_t pin, const struct ike_spi *spi_i)
{
    uint32_t found = MODEL_NONE;

    for (uint32_t i = 0; i < m->top; i++) {
        const struct model_session *s = &m->sessions[i];
        if (s->used && s->pin == pin && header_spi_equal(&s->spi_i, spi_i) &&
            (found == MODEL_NONE || s->number > m->sessions[found].number))
            found = i;
    }
    return found;
}

bool model_tables_has_pin_room(const struct model *m, bool confirmed)
{
    uint32_t count = 0, unconfirmed = 0;

    for (uint32_t i = 0; i < m->top; i++) {
        count += m->pins[i].used;
        unconfirmed += m->pins[i].used && !m->pins[i].confirmed;
    }
    return count < m->max_clients && (confirmed || unconfirmed < m->max_clients / BINDINGS_UNCONFIRMED_PART);
}

bool model_tables_has_flow(const struct model *m, uint32_t pin)
{
    for (uint32_t i = 0; i < m->top; i++) {
        if (m->flows[i].used && m->flows[i].pin == pin)
            return true;
    }
    return false;
}

bool model_tables_has_flow_room(const struct model *m, bool confirmed)
{
    const uint32_t room = m->max_clients * BINDINGS_FLOWS_PER_CLIENT;
    uint32_t count = 0, unconfirmed = 0;

    for (uint32_t i = 0; i < m->top; i++) {
        count += m->flows[i].used;
        unconfirmed += m->flows[i].used && !m->flows[i].confirmed;
    }
    return count < room && (confirmed || unconfirmed < room / BINDINGS_UNCONFIRMED_PART);
}

static bool has_session_room(const struct model *m, bool confirmed)
{
    uint32_t count = 0, unconfirmed = 0;

    for (uint32_t i = 0; i < m->top; i++) {
        count += m->sessions[i].used;
        unconfirmed += m->sessions[i].used && !m->sessions[i].confirmed;
    }
    return count < m->max_clients && (confirmed || unconfirmed < m->max_clients / BINDINGS_UNCONFIRMED_PART);
}

void model_tables_end_pin(struct model *m, uint32_t pin)
{
    for (uint32_t i = 0; i < m->top; i++) {
        if (m->sessions[i].used && m->sessions[i].pin == pin)
            m->sessions[i].used = false;
    }
    m->pins[pin].used = false;
}

/* The entry of that index is in use from now on. */
static void grow(struct model *m, uint32_t index)
{
    assert_in_range(index, 0, MODEL_ENTRIES_MAX - 1);
    if (index >= m->top)
        m->top = index + 1;
}

uint32_t model_tables_add_pin(struct model *m, struct endpoint client, uint16_t service, uint16_t backend,
                              bool confirmed)
{
    uint32_t i = 0;

    if (!model_tables_has_pin_room(m, confirmed))
        return MODEL_NONE;
    while (m->pins[i].used)
        i++;
    grow(m, i);
    m->pins[i] = (struct model_pin){.used = true,
                                    .client = client.addr,
                                    .service = service,
                                    .part = model_tables_part_of(m, service, client),
                                    .backend = backend,
                                    .confirmed = confirmed,
                                    .number = ++m->born,
                                    .born_ms = m->now_ms,
                                    .seen_ms = m->now_ms};
    return i;
}

uint32_t model_tables_add_flow(struct model *m, const struct model_flow *flow)
{
    uint32_t i = 0;

    if (!model_tables_has_flow_room(m, flow->confirmed))
        return MODEL_NONE;
    while (m->flows[i].used)
        i++;
    grow(m, i);
    m->flows[i] = *flow;
    m->flows[i].used = true;
    m->flows[i].number = ++m->born;
    m->flows[i].born_ms = m->flows[i].seen_ms = m->flows[i].used_ms = m->now_ms;
    m->pins[flow->pin].ports[flow->port] = flow->client.port;
    m->pins[flow->pin].left = false;
    m->pins[flow->pin].seen_ms = m->now_ms;
    return i;
}

/* The entry of the oldest unconfirmed session. */
static uint32_t oldest_session(const struct model *m)
{
    uint32_t oldest = MODEL_NONE;

    for (uint32_t i = 0; i < m->top; i++) {
        const struct model_session *s = &m->sessions[i];
        if (s->used && !s->confirmed && (oldest == MODEL_NONE || s->number < m->sessions[oldest].number))
            oldest = i;
    }
    return oldest;
}

uint32_t model_tables_add_session(struct model *m, const struct model_session *session)
{
    uint32_t i = 0, same_spi = 0;

    if (!has_session_room(m, session->confirmed) && oldest_session(m) != MODEL_NONE)
        m->sessions[oldest_session(m)].used = false;
    for (uint32_t k = 0; k < m->top; k++)
        same_spi += m->sessions[k].used && header_spi_equal(&m->sessions[k].spi_i, &session->spi_i);
    if (same_spi >= SESSIONS_SAME_SPI_MAX || !has_session_room(m, session->confirmed))
        return MODEL_NONE;
    while (m->sessions[i].used)
        i++;
    grow(m, i);
    m->sessions[i] = *session;
    m->sessions[i].used = true;
    m->sessions[i].number = m->sessions[i].pin_number = ++m->born;
    m->sessions[i].moves_left = SESSION_MOVES_MAX;
    return i;
}

struct model_session model_tables_session_on(const struct model *m, uint32_t flow, const struct ike_header *h)
{
    const struct model_flow *f = &m->flows[flow];

    return (struct model_session){.spi_i = h->spi_i,
                                  .service = f->service,
                                  .backend = f->backend,
                                  .pin = f->pin,
                                  .client_port = f->client.port,
                                  .port = f->port,
                                  .born_ms = m->now_ms,
                                  .seen_ms = m->now_ms};
}
