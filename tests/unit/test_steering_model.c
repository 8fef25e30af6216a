#include <stdlib.h>

#include "ike/notify.h"
#include "lb/passive.h"
#include "tests/unit/model_world.h"

/*
 * The model test of steering: ten thousand random sequences of packets, each with a pool, tables and peers of
 * its own. After each packet the dataplane's verdict and its tables must be what the reference model says.
 * IKELB_TEST_SEED chooses the sequences, IKELB_TEST_SEQUENCE=NUMBER runs one of them alone.
 *
 * In most sequences servers are honest, as far as keys go: they send nothing encrypted but to where their
 * client is, or, answering again what was asked before, to wherever the same is asked from. In the others
 * they send anything anywhere. What must never happen is checked without the model.
 */

#define SEQUENCES 10000

/* --- Peers --- */

static struct endpoint peer_endpoint(const struct peer *peer, enum ike_port port)
{
    struct endpoint e = {.addr = support_addr_v4(peer->address), .port = peer->ports[port]};

    if (peer->is_v6) {
        e.addr = support_addr("2001:db8:99::");
        e.addr.bytes[15] = (uint8_t)peer->address;
    }
    return e;
}

static enum ike_port port_of(const struct peer *peer)
{
    return peer->natt ? IKE_PORT_4500 : IKE_PORT_500;
}

static void peer_sends(struct world *w, uint32_t index, enum ike_port port, const struct content *c)
{
    const struct peer *peer = &w->peers[index];

    model_world_from_client(w, peer->service, peer_endpoint(peer, port), port, c, index);
}

static struct content init_of(const struct peer *peer)
{
    return (struct content){
        .class = IKE_CLASS_IKE,
        .spi_i = peer->spi_i,
        .major = peer->is_v1 ? 1 : 2,
        .exchange = peer->is_v1 ? IKE_EXCHANGE_V1_MAIN : IKE_EXCHANGE_SA_INIT,
        .flags = peer->is_v1 ? 0 : IKE_FLAG_INITIATOR,
    };
}

static struct content request_of(const struct peer *peer, uint8_t exchange, uint32_t id)
{
    return (struct content){
        .class = IKE_CLASS_IKE,
        .spi_i = peer->spi_i,
        .spi_r = peer->spi_r,
        .major = peer->is_v1 ? 1 : 2,
        .exchange = !peer->is_v1                    ? exchange
                    : exchange == IKE_EXCHANGE_AUTH ? IKE_EXCHANGE_V1_MAIN
                                                    : IKE_EXCHANGE_V1_INFORMATIONAL,
        .flags = peer->is_v1 ? IKE_FLAG_V1_ENCRYPTED : IKE_FLAG_INITIATOR,
        .encrypted = true,
        .id = id,
    };
}

static void peer_begins(struct world *w, uint32_t index)
{
    static const uint16_t ports[] = {500, 1024, 1025, 1026};
    struct peer *peer = &w->peers[index];
    const struct peer before = *peer;

    *peer = (struct peer){
        .service = model_world_below(w, 4) ? w->service : (uint16_t)model_world_below(w, SERVICES),
        .is_v1 = model_world_below(w, 8) == 0,
        .natt = model_world_below(w, 4) != 0,
        .address = 1 + model_world_below(w, w->addresses),
        .spi_i = ++w->next_spi,
        .next_id = 1,
        .esp_spi = 100 + model_world_below(w, 2),
    };
    peer->is_v6 = peer->service == VPN && model_world_below(w, 4) == 0;
    peer->ports[0] = ports[model_world_below(w, 4)];
    peer->ports[1] = peer->ports[0] == 500 ? 4500 : (uint16_t)(2000 + model_world_below(w, 2));
    if (before.state != PEER_NONE && model_world_below(w, 2)) { /* again from the same place */
        peer->service = before.service;
        peer->is_v6 = before.is_v6;
        peer->address = before.address;
        peer->ports[0] = before.ports[0];
        peer->ports[1] = before.ports[1];
    }
    peer->state = PEER_INIT_SENT;
    const struct content c = init_of(peer);
    peer_sends(w, index, IKE_PORT_500, &c);
}

static void peer_talks(struct world *w, uint32_t index)
{
    struct peer *peer = &w->peers[index];
    const enum ike_port port = port_of(peer);
    struct content c;

    switch (model_world_below(w, 6)) {
    case 0:
        c = request_of(peer, IKE_EXCHANGE_INFORMATIONAL, peer->next_id);
        peer->next_id += model_world_below(w, 4) != 0; /* or the same comes again */
        break;
    case 1: /* the answer to a request of the server */
        c = request_of(peer, IKE_EXCHANGE_INFORMATIONAL, model_world_below(w, 3));
        c.flags |= peer->is_v1 ? 0 : IKE_FLAG_RESPONSE;
        break;
    case 2:
        c = (struct content){.class = IKE_CLASS_KEEPALIVE};
        break;
    default:
        c = (struct content){.class = IKE_CLASS_ESP, .esp_spi = peer->esp_spi};
        break;
    }
    if (c.class != IKE_CLASS_IKE && !peer->natt)
        return;
    peer_sends(w, index, port, &c);
}

/* Another address (RFC 4555), or another port of the NAT; the next message comes from there. */
static void peer_goes(struct world *w, uint32_t index)
{
    struct peer *peer = &w->peers[index];

    if (model_world_below(w, 2)) {
        peer->address = 1 + model_world_below(w, w->addresses);
        peer->is_v6 = peer->service == VPN && peer->is_v6 && model_world_below(w, 2);
    }
    if (model_world_below(w, 2)) {
        peer->ports[0] = (uint16_t)(1024 + model_world_below(w, 2));
        peer->ports[1] = (uint16_t)(2000 + model_world_below(w, 2));
    }
    model_world_note(w, "a peer goes");
    peer_talks(w, index);
}

/* The peers have new keys under a new pair of SPIs; either of them may speak first. */
static void peer_rekeys(struct world *w, uint32_t index)
{
    struct peer *peer = &w->peers[index];
    struct server_side *server = &peer->servers[peer->backend];

    if (peer->is_v1 || !server->established)
        return;
    peer->spi_i = ++w->next_spi;
    peer->spi_r = ++w->next_spi << 16;
    peer->next_id = 0;
    peer->esp_spi += model_world_below(w, 2);
    server->spi_r = peer->spi_r;
    server->last_id = UINT32_MAX;
    model_world_note(w, "a peer has rekeyed");
}

static void step_peer(struct world *w)
{
    const uint32_t index = model_world_below(w, PEERS);
    struct peer *peer = &w->peers[index];
    struct content c;

    if (peer->state == PEER_NONE || model_world_below(w, 30) == 0) {
        peer_begins(w, index);
    } else if (peer->state == PEER_INIT_SENT) {
        c = init_of(peer);
        peer_sends(w, index, model_world_below(w, 8) ? IKE_PORT_500 : IKE_PORT_4500, &c);
    } else if (peer->state == PEER_INIT_ANSWERED) {
        c = request_of(peer, IKE_EXCHANGE_AUTH, 1);
        peer->next_id = 2;
        peer_sends(w, index, port_of(peer), &c);
    } else if (model_world_below(w, 8) == 0) {
        peer_goes(w, index);
    } else if (model_world_below(w, 16) == 0) {
        peer_rekeys(w, index);
    } else {
        peer_talks(w, index);
    }
}

/* --- Servers --- */

static struct verdict from_server(struct world *w, uint16_t backend, struct endpoint dst, enum ike_port port,
                                  const struct content *c)
{
    struct packet p = {
        .side = PACKET_FROM_BACKEND,
        .port = port,
        .src = {w->pool->backends[backend].addr, ike_port_number(port)},
        .dst = dst,
    };

    return model_world_pass(w, &p, c);
}

/* Has the datagram come to where the peer is? */
static bool reaches(const struct peer *peer, const struct verdict *v, enum ike_port port)
{
    const struct endpoint here = peer_endpoint(peer, port);

    return v->action == VERDICT_TO_CLIENT && endpoint_equal(&v->dst, &here);
}

static void server_answers_init(struct world *w, const struct received *r)
{
    struct content c = r->content;
    const bool is_peer = r->peer < PEERS;
    struct peer *peer = &w->peers[is_peer ? r->peer : 0];
    struct server_side *server = &peer->servers[r->backend];
    const uint32_t what = model_world_below(w, 10);

    if (is_peer && (peer->spi_i != c.spi_i || server->established)) /* its window is past this */
        return;
    c.flags = c.major == 1 ? 0 : IKE_FLAG_RESPONSE;
    if (what == 0 && c.major == 2) {
        c.notify = IKE_NOTIFY_COOKIE;
    } else if (what == 1 && c.major == 2) {
        c.notify = IKE_NOTIFY_INVALID_KE_PAYLOAD;
    } else if (what == 2 && c.major == 2) {
        c.notify = IKE_NOTIFY_NO_PROPOSAL_CHOSEN;
    } else {
        c.spi_r = c.spi_i << 8 | (r->backend + 1U);
        if (is_peer)
            server->spi_r = c.spi_r;
    }
    const struct verdict v = from_server(w, r->backend, r->src, r->port, &c);
    if (is_peer && reaches(peer, &v, r->port) && c.spi_r && peer->state == PEER_INIT_SENT &&
        model_world_below(w, 8)) {
        peer->state = PEER_INIT_ANSWERED;
        peer->spi_r = c.spi_r;
        peer->backend = r->backend;
    }
}

/* Has the dataplane forgotten that session? Then it takes the first to repeat a request for its client. */
static bool is_forgotten(const struct world *w, uint16_t service, const struct content *c)
{
    struct ike_spi spi_i, spi_r;

    memcpy(spi_i.bytes, &c->spi_i, sizeof spi_i.bytes);
    memcpy(spi_r.bytes, &c->spi_r, sizeof spi_r.bytes);
    return sessions_find(w->dp.bindings.tracking.sessions, service, &spi_i, &spi_r) == SESSION_NONE;
}

/*
 * An honest request is answered if it is the next one, and so is the latest one again, from wherever. An
 * outsider's copy never comes first, which only somebody on the path could see to.
 */
static void server_answers(struct world *w, const struct received *r)
{
    struct peer *peer = &w->peers[r->peer];
    struct server_side *server = &peer->servers[r->backend];
    struct content c = r->content;

    if (c.spi_r != server->spi_r || c.spi_i != peer->spi_i || c.flags & IKE_FLAG_RESPONSE)
        return;
    if (r->is_copy && w->is_honest &&
        (c.id != server->last_id || server->was_lost || is_forgotten(w, peer->service, &c)))
        return;
    if (c.id == server->last_id + 1) {
        server->last_id = c.id;
        server->established = true;
        if (server->client.port == 0 ||
            model_world_below(w, 2)) { /* it has heard of the move, or never does */
            server->client = r->src;
            server->port = r->port;
        }
    } else if (c.id != server->last_id) {
        return;
    }
    c.flags = c.major == 1 ? c.flags : IKE_FLAG_RESPONSE;
    const struct verdict v = from_server(w, r->backend, r->src, r->port, &c);
    server->was_lost = v.action == VERDICT_DROP;
    if (reaches(peer, &v, r->port) && peer->state == PEER_INIT_ANSWERED && peer->backend == r->backend)
        peer->state = PEER_ESTABLISHED;
}

static void server_speaks(struct world *w)
{
    struct peer *peer = &w->peers[model_world_below(w, PEERS)];
    const uint16_t backend = peer->backend;
    const struct server_side *server = &peer->servers[backend];

    if (!server->established || w->frozen[backend])
        return;
    struct content c = request_of(peer, IKE_EXCHANGE_INFORMATIONAL, model_world_below(w, 3));
    c.flags = peer->is_v1 ? IKE_FLAG_V1_ENCRYPTED : 0;
    if (server->port == IKE_PORT_4500 && model_world_below(w, 2))
        c = (struct content){.class = IKE_CLASS_ESP, .esp_spi = 900};
    from_server(w, backend, server->client, server->port, &c);
}

/* Any message of any session to wherever anything came from. */
static void server_lies(struct world *w, const struct received *r)
{
    const struct peer *peer = &w->peers[model_world_below(w, PEERS)];
    struct content c = request_of(peer, IKE_EXCHANGE_INFORMATIONAL, model_world_below(w, 4));

    c.flags = peer->is_v1 ? IKE_FLAG_V1_ENCRYPTED : model_world_below(w, 2) ? IKE_FLAG_RESPONSE : 0;
    if (peer->spi_i == 0 || peer->spi_r == 0 || model_world_below(w, 4) == 0) {
        if (r->port == IKE_PORT_500)
            return;
        c = (struct content){.class = IKE_CLASS_ESP, .esp_spi = 901};
    }
    from_server(w, r->backend, r->src, r->port, &c);
}

static void step_server(struct world *w)
{
    if (w->inbox_count == 0)
        return;
    const uint32_t held = w->inbox_count < INBOX ? w->inbox_count : INBOX;
    const struct received r =
        w->inbox[(w->inbox_count - 1 -
                  model_world_below(w, model_world_below(w, 3) ? (held < 3 ? held : 3) : held)) %
                 INBOX];

    if (w->frozen[r.backend])
        return;
    if (!w->is_honest && model_world_below(w, 6) == 0) {
        server_lies(w, &r);
        return;
    }
    if (r.content.class != IKE_CLASS_IKE) {
        if (r.peer < PEERS && model_world_below(w, 2))
            server_speaks(w);
    } else if (r.content.spi_r == 0) {
        server_answers_init(w, &r);
    } else if (r.peer < PEERS) {
        server_answers(w, &r);
    }
}

/* --- Outsiders --- */

static struct endpoint outsider(struct world *w)
{
    return (struct endpoint){.addr = support_addr_v4(OUTSIDER_BASE + model_world_below(w, 6)),
                             .port = (uint16_t)(1024 + model_world_below(w, 2))};
}

static void step_outsider(struct world *w)
{
    const uint32_t held = w->recorded_count < RECORDED ? w->recorded_count : RECORDED;
    struct endpoint src = outsider(w);

    if (held == 0 || model_world_below(w, 6) == 0) { /* a handshake of a spoofed source */
        const struct content c = {.class = IKE_CLASS_IKE,
                                  .spi_i = ++w->next_spi,
                                  .major = 2,
                                  .exchange = IKE_EXCHANGE_SA_INIT,
                                  .flags = IKE_FLAG_INITIATOR};
        model_world_from_client(w, (uint16_t)model_world_below(w, SERVICES), src, IKE_PORT_500, &c, PEERS);
        return;
    }
    const struct recorded *r = &w->recorded[model_world_below(w, held)];
    struct content c = r->content;
    if (w->is_honest && c.major == 1 && c.spi_r == 0) /* an IKEv1 session stays where it was answered first */
        return;
    uint32_t owner = PEERS;
    if (c.class == IKE_CLASS_IKE && c.spi_r && model_world_below(w, 3) == 0) { /* half right */
        if (model_world_below(w, 2))
            c.spi_r ^= UINT64_C(1) << 60;
        else
            c.spi_i ^= UINT64_C(1) << 60;
    } else {
        for (uint32_t i = 0; i < PEERS; i++) {
            if (c.class == IKE_CLASS_IKE && w->peers[i].spi_i == c.spi_i)
                owner = i;
        }
    }
    model_world_from_client(w, r->service, src, r->port, &c, c.class == IKE_CLASS_IKE ? owner : PEERS);
    for (uint32_t n = model_world_below(w, 8) ? 0 : 6; n > 0; n--) /* more than a session allows */
        model_world_from_client(w, r->service, outsider(w), r->port, &c,
                                c.class == IKE_CLASS_IKE ? owner : PEERS);
}

static void step_flood(struct world *w)
{
    const uint16_t service = (uint16_t)model_world_below(w, SERVICES);

    for (uint32_t n = 1 + model_world_below(w, 12); n > 0; n--) {
        const struct endpoint src = {support_addr_v4(OUTSIDER_BASE + 100 + model_world_below(w, 1000)), 500};
        const struct content c = {.class = IKE_CLASS_IKE,
                                  .spi_i = ++w->next_spi,
                                  .major = 2,
                                  .exchange = IKE_EXCHANGE_SA_INIT,
                                  .flags = IKE_FLAG_INITIATOR};
        model_world_from_client(w, service, src, IKE_PORT_500, &c, PEERS);
    }
}

/* --- Everything else that happens --- */

/* A client comes back, after a rest or not, to a backend that has been told to drain meanwhile. */
static void step_drain(struct world *w)
{
    static const uint32_t rests_ms[] = {100, 5000, 14000, 15000, 20000};
    const uint32_t index = model_world_below(w, PEERS);
    const struct peer *peer = &w->peers[index];

    if (peer->state < PEER_INIT_ANSWERED)
        return;
    w->pool->backends[peer->backend].state = CONFIG_STATE_DRAIN;
    w->now_ms += rests_ms[model_world_below(w, sizeof rests_ms / sizeof rests_ms[0])];
    model_world_note(w, "backend %s drains", w->pool->backends[peer->backend].name);
    peer_begins(w, index);
}

static void step_pool(struct world *w)
{
    const uint32_t index = model_world_below(w, (uint32_t)w->pool->backend_count);
    struct backend *b = &w->pool->backends[index];

    switch (model_world_below(w, 4)) {
    case 0:
        b->health = (enum health_state)model_world_below(w, 3);
        break;
    case 1:
        b->state = (enum config_state)model_world_below(w, 3);
        break;
    case 2:
        w->frozen[index] = !w->frozen[index];
        break;
    default: /* most backends are well most of the time */
        for (size_t i = 0; i < w->pool->backend_count; i++) {
            w->pool->backends[i].health = HEALTH_UP;
            w->pool->backends[i].state = CONFIG_STATE_ENABLED;
            w->frozen[i] = false;
        }
        break;
    }
    model_world_note(w, "backend %s: health %d, state %d, frozen %d", b->name, (int)b->health, (int)b->state,
                     w->frozen[index]);
}

static void step_time(struct world *w)
{
    static const uint32_t jumps_ms[] = {200, 1000, 1500, 3000, 5000, 15000, 59000, 61000};

    w->now_ms += jumps_ms[model_world_below(w, model_world_below(w, 3) ? 4 : 8)];
    if (model_world_below(w, 2)) {
        for (int i = 0; i < 3; i++)
            dataplane_sweep(&w->dp, w->now_ms, 100000);
        steering_model_sweep(&w->model, w->now_ms);
        model_world_note(w, "sweep");
        model_world_compare(w);
    }
}

static void step_review(struct world *w)
{
    passive_review(w->pool, w->now_ms);
    steering_model_review(&w->model, w->now_ms);
    model_world_note(w, "review");
    for (size_t i = 0; i < w->pool->backend_count; i++)
        CHECK_EQUAL(w, w->pool->backends[i].passive.suspicion, w->model.passive[i].suspicion);
}

static void step(struct world *w)
{
    const uint32_t what = model_world_below(w, 1000);

    w->now_ms += model_world_below(w, 4) ? model_world_below(w, 20) : 200;
    if (what < 400)
        step_peer(w);
    else if (what < 730)
        step_server(w);
    else if (what < 800)
        server_speaks(w);
    else if (what < 870)
        step_outsider(w);
    else if (what < 885)
        step_flood(w);
    else if (what < 910)
        step_pool(w);
    else if (what < 950)
        step_time(w);
    else if (what < 970)
        step_drain(w);
    else
        step_review(w);
}

/* How often rules applied that few sequences come to: struct model. */
struct reached {
    uint64_t rested;
    uint64_t kept;
};

static void run_sequence(struct world *w, uint64_t seed, uint32_t number, struct reached *reached)
{
    model_world_init(w, seed, number);
    for (uint32_t n = 30 + model_world_below(w, 70); n > 0; n--)
        step(w);
    reached->rested += w->model.rested;
    reached->kept += w->model.kept;
    model_world_deinit(w);
}

static void test_the_model_foretells_every_packet(void **state)
{
    const char *only = getenv("IKELB_TEST_SEQUENCE");
    const uint64_t seed = support_seed();
    struct world *w = malloc(sizeof *w);
    struct reached reached = {0};

    (void)state;
    if (!w) {
        fail_msg("no memory");
        return;
    }
    for (uint32_t i = 0; i < SEQUENCES; i++) {
        if (!only || strtoul(only, NULL, 0) == i)
            run_sequence(w, seed, i, &reached);
    }
    free(w);
    print_message("draining backends: %llu handshakes kept, %llu clients at rest left\n",
                  (unsigned long long)reached.kept, (unsigned long long)reached.rested);
    assert_true(only || (reached.kept > 100 && reached.rested > 100));
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_the_model_foretells_every_packet)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
