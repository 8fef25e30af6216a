#include "tests/unit/model_watch.h"

#include "lb/passive.h"
#include "tests/unit/model_steer.h"

static void reach(struct model_session *s, enum stage stage)
{
    if (stage > s->stage)
        s->stage = stage;
}

static void forgive(struct model_passive *v)
{
    v->evidence = 0;
    v->several = false;
    v->suspicion = SUSPICION_NONE;
}

void model_watch_judge(struct model *m, uint16_t backend)
{
    struct model_passive *v = &m->passive[backend];
    const bool alive = v->heard_ms > v->since_ms + PASSIVE_ALIVE_MS;

    if (m->now_ms - v->asked_ms >= PASSIVE_FORGET_MS)
        forgive(v);
    if (v->evidence < 6 || m->now_ms - v->since_ms < (alive ? PASSIVE_WAIT_MS : PASSIVE_SILENT_MS))
        return;
    if (!alive)
        v->suspicion = SUSPICION_SILENT;
    else if (v->several && v->suspicion != SUSPICION_SILENT)
        v->suspicion = SUSPICION_REFUSING;
    else
        forgive(v); /* one address alone, or it is back */
}

/* Three clients in a row are evidence enough, and so are five handshakes of one address. */
static void asked(struct model *m, uint16_t backend, const struct addr *client, const struct ike_header *h)
{
    struct model_passive *v = &m->passive[backend];

    if (h->major == 1 && !v->answers_v1)
        return;
    if (m->now_ms - v->asked_ms >= PASSIVE_FORGET_MS)
        forgive(v);
    if (v->evidence == 0)
        v->since_ms = m->now_ms;
    const bool same = v->evidence && addr_equal(&v->last_client, client);
    v->several |= v->evidence && !same;
    v->evidence += same ? 1 : 2;
    v->last_client = *client;
    v->asked_ms = m->now_ms;
    model_watch_judge(m, backend);
}

static void see_session(struct model *m, uint32_t flow, uint32_t session)
{
    m->flows[flow].session = session;
    m->flows[flow].session_number = m->sessions[session].number;
}

/* The message model_steer_opens a session, or repeats that; whom another backend has answered begins anew at
 * this one. */
static void see_init(struct model *m, uint32_t flow, const struct ike_header *h)
{
    const struct model_flow *f = &m->flows[flow];
    uint32_t session = model_tables_find_begun(m, f->pin, &h->spi_i);

    if (session == MODEL_NONE ||
        (m->sessions[session].answered && m->sessions[session].backend != f->backend)) {
        struct model_session made = model_tables_session_on(m, flow, h);
        made.stage = STAGE_INIT_SENT;
        made.knows_id = true;
        made.asked = 1;
        if (model_tables_add_session(m, &made) != MODEL_NONE)
            asked(m, f->backend, &f->client.addr, h);
        return;
    }
    struct model_session *s = &m->sessions[session];
    if (s->backend != f->backend) {
        s->backend = f->backend;
        s->failovers++;
        m->failovers++;
        asked(m, f->backend, &f->client.addr, h);
    }
    s->asked++;
    s->seen_ms = m->now_ms;
}

/* After a failover two backends may have answered: the client has chosen. */
static void forget_others(struct model *m, uint32_t session)
{
    const struct model_session *chosen = &m->sessions[session];

    for (uint32_t i = 0; chosen->failovers && i < m->top; i++) {
        struct model_session *s = &m->sessions[i];
        if (s->used && i != session && s->pin == chosen->pin && header_spi_equal(&s->spi_i, &chosen->spi_i))
            s->used = false;
    }
}

/* IKEv1 has no IKE_AUTH; there its place is what is encrypted first. */
static bool is_auth(const struct ike_header *h)
{
    return h->major == 1 ? header_is_encrypted(h) : h->exchange == IKE_EXCHANGE_AUTH;
}

/* ESP has passed both ways: the session of this flow is established. */
static void see_esp(struct model *m, uint32_t flow, bool *direction)
{
    const struct model_flow *f = &m->flows[flow];
    const bool is_first = !*direction;

    *direction = true;
    if (is_first && f->esp_in && f->esp_out && model_steer_has_session(m, flow))
        reach(&m->sessions[f->session], STAGE_ESTABLISHED);
}

void model_watch_from_client(struct model *m, uint32_t flow, const struct ike_datagram *d)
{
    struct model_flow *f = &m->flows[flow];

    if (d->class == IKE_CLASS_KEEPALIVE) {
        if (f->esp_spi == f->proved_spi)
            f->used_ms = m->now_ms;
    } else if (d->class == IKE_CLASS_ESP) {
        see_esp(m, flow, &f->esp_in);
        if (f->esp_spi != d->esp_spi) {
            f->esp_spi = d->esp_spi;
            f->esp_number = ++m->born;
        }
        if (f->esp_spi ==
            f->proved_spi) { /* else it may be another client's, on a port that a NAT gave him */
            f->used_ms = m->now_ms;
            f->left = false;
        }
    } else if (model_steer_opens(d)) {
        see_init(m, flow, &d->header);
    } else if (d->class == IKE_CLASS_IKE) {
        const uint32_t session = model_tables_find_session(m, f->service, d);
        if (session == MODEL_NONE || m->sessions[session].pin != f->pin ||
            m->sessions[session].backend != f->backend)
            return;
        f->used_ms = m->now_ms;
        f->left = false;
        m->sessions[session].seen_ms = m->now_ms;
        m->pins[f->pin].receives = true;
        if (is_auth(&d->header) && m->sessions[session].stage < STAGE_AUTH_ANSWERED) {
            reach(&m->sessions[session], STAGE_AUTH_SENT);
            forget_others(m, session);
        }
    }
}

bool model_watch_proves(const struct model *m, uint32_t session, struct endpoint client,
                        const struct ike_datagram *d)
{
    if (d->class != IKE_CLASS_IKE)
        return d->class == IKE_CLASS_ESP;
    if (!header_is_encrypted(&d->header))
        return false;
    if (session == MODEL_NONE)
        return true;
    const struct model_session *s = &m->sessions[session];
    const bool same_address = addr_equal(&m->pins[s->pin].client, &client.addr);
    if (d->header.major == 1)
        return same_address;
    return (same_address && s->client_port == client.port) || !(d->header.flags & IKE_FLAG_RESPONSE) ||
           (s->knows_id && d->header.message_id >= s->next_id);
}

void model_watch_response(struct model_session *s, const struct ike_header *h)
{
    if (h->flags & IKE_FLAG_RESPONSE && (!s->knows_id || h->message_id >= s->next_id)) {
        s->knows_id = true;
        s->next_id = h->message_id + 1;
    }
}

/* The session that a full answer makes of the one that was begun; MODEL_NONE: none. */
static uint32_t answered_session(struct model *m, uint32_t begun, uint16_t backend,
                                 const struct ike_datagram *d)
{
    struct model_session *s = &m->sessions[begun];
    const uint32_t known = model_tables_find_session(m, s->service, d);

    if (known != MODEL_NONE) /* the pair stays with whose it was first */
        return m->sessions[known].pin == s->pin ? known : MODEL_NONE;
    if (s->stage >= STAGE_AUTH_SENT) /* it has gone on with another's */
        return MODEL_NONE;
    if (header_spi_is_zero(&s->spi_r)) {
        s->spi_r = d->header.spi_r;
        s->backend = backend;
        return begun;
    }
    struct model_session made = *s; /* after a failover two may answer, and the client goes on with either */
    made.spi_r = d->header.spi_r;
    made.backend = backend;
    made.confirmed = false;
    made.next_id = 0;
    return model_tables_add_session(m, &made);
}

void model_watch_answer(struct model *m, uint32_t pin, uint16_t backend, const struct ike_datagram *d)
{
    const struct ike_header *h = &d->header;
    const uint32_t begun = pin == MODEL_NONE ? MODEL_NONE : model_tables_find_begun(m, pin, &h->spi_i);
    const bool is_full = !header_spi_is_zero(&h->spi_r) && h->next_payload != IKE_PAYLOAD_NOTIFY;

    m->passive[backend].answers_v1 |= h->major == 1;
    forgive(&m->passive[backend]);
    if (begun == MODEL_NONE)
        return;
    const uint32_t session = is_full ? answered_session(m, begun, backend, d) : MODEL_NONE;
    if (session != MODEL_NONE)
        reach(&m->sessions[session], STAGE_INIT_ANSWERED);
    else if (m->sessions[begun].backend != backend)
        return; /* a late word of one that the handshake has left */
    m->sessions[session == MODEL_NONE ? begun : session].answered = true;
    m->sessions[session == MODEL_NONE ? begun : session].seen_ms = m->now_ms;
}

/* The backend has proved the session's client here; what is left behind lives for seconds. */
static void come(struct model *m, uint32_t session, uint32_t flow)
{
    struct model_session *s = &m->sessions[session];
    const struct model_flow *f = &m->flows[flow];
    const struct endpoint old = {m->pins[s->pin].client, s->client_port};
    const bool same_address = addr_equal(&old.addr, &f->client.addr);
    const bool moved = !same_address || (s->port == f->port && old.port != f->client.port);
    const uint32_t old_flow = model_tables_find_flow(m, s->service, f->port, old);
    const uint32_t old_pin = s->pin;
    bool is_shared = false;

    for (uint32_t i = 0; i < m->top; i++) {
        const struct model_session *o = &m->sessions[i];
        is_shared |=
            o->used && i != session && o->pin == old_pin && o->confirmed && o->client_port == old.port;
    }
    see_session(m, flow, session);
    m->flows[flow].left = false;
    s->client_port = f->client.port;
    s->port = f->port;
    if (!moved)
        return;
    m->roams[same_address ? ROAM_REBIND : ROAM_MOBIKE]++;
    if (old_flow != MODEL_NONE && !is_shared)
        m->flows[old_flow].left = true;
    if (old_pin == f->pin)
        return;
    s->pin = f->pin;
    s->pin_number = ++m->born;
    m->pins[f->pin].left = false;
    m->pins[old_pin].left = true;
    for (uint32_t i = 0; i < m->top; i++) {
        if (m->sessions[i].used && m->sessions[i].pin == old_pin)
            m->pins[old_pin].left = false;
    }
}

static void confirm(struct model *m, uint32_t flow)
{
    m->flows[flow].confirmed = true;
    m->flows[flow].seen_ms = m->now_ms;
    m->pins[m->flows[flow].pin].confirmed = true;
}

/* An encrypted IKE message that model_watch_proves its client; the pair of a session that nothing is known of
 * is learnt. */
static void see_protected(struct model *m, uint32_t flow, uint32_t session, const struct ike_header *h)
{
    struct model_flow *f = &m->flows[flow];

    if (session == MODEL_NONE) {
        struct model_session made = model_tables_session_on(m, flow, h);
        made.spi_r = h->spi_r;
        made.confirmed = true;
        made.answered = true;
        session = model_tables_add_session(m, &made);
    }
    if (session == MODEL_NONE || m->sessions[session].backend != f->backend)
        return;
    struct model_session *s = &m->sessions[session];
    s->confirmed = true;
    s->seen_ms = m->now_ms;
    model_watch_response(s, h);
    come(m, session, flow);
    if (s->stage < STAGE_AUTH_ANSWERED) {
        reach(s, STAGE_AUTH_ANSWERED);
        if (is_auth(h)) /* a new tunnel waits for ESP of its own */
            f->esp_in = f->esp_out = false;
        else if (f->esp_in && f->esp_out)
            reach(s, STAGE_ESTABLISHED);
    }
}

void model_watch_from_backend(struct model *m, uint32_t flow, const struct ike_datagram *d)
{
    struct model_flow *f = &m->flows[flow];
    const uint32_t session = model_tables_find_session(m, f->service, d);
    const bool proof = model_watch_proves(m, session, f->client, d);

    if (d->class == IKE_CLASS_ESP) {
        if (f->moved && model_steer_has_session(m, flow))
            come(m, f->session, flow);
        else
            m->roams[ROAM_REBIND] += f->moved;
        see_esp(m, flow, &f->esp_out);
        f->proved_spi = f->esp_spi;
    } else if (proof) {
        see_protected(m, flow, session, &d->header);
    } else if (d->class == IKE_CLASS_IKE && header_is_init_response(&d->header)) {
        model_watch_answer(m, f->pin, f->backend, d);
    } else if (session != MODEL_NONE && header_is_encrypted(&d->header)) {
        model_watch_response(&m->sessions[session], &d->header);
    }
    if (proof) {
        f->moved = false;
        confirm(m, flow);
    }
}
