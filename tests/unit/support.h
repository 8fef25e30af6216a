/* What several unit tests share: small pools, IKE messages, a dataplane to send them through, random numbers.
 */
#pragma once

#include "lb/dataplane.h"

#define SUPPORT_BACKENDS_MAX 8
#define SUPPORT_SNATS_MAX    4
#define SUPPORT_MESSAGE_MAX  128

/* An array ends with the first entry without a name or text. */
struct support_backend {
    const char *name;
    const char *address;
    uint32_t weight; /* 0 stands for 100 */
    enum config_state state;
};

struct support_service {
    const char *name;
    const char *vips[CONFIG_VIPS_MAX];
    enum config_mode mode;
    enum config_schedule schedule;
    const char *snats[SUPPORT_SNATS_MAX];
    uint32_t idle_timeout_ms;      /* 0 stands for one hour */
    uint32_t half_open_timeout_ms; /* 0 stands for 30 s */
    bool spread_nat;
    struct support_backend backends[SUPPORT_BACKENDS_MAX];
};

/* Their configuration, to be freed by config_destroy(). Fails the test without memory. */
struct config *support_config(const struct support_service *services, size_t count);

/* A pool of these services whose backends are all up. Fails the test without memory. */
struct pool *support_pool(const struct support_service *services, size_t count);

/* Is all the same, bit by bit, also what is unused? */
bool support_pools_alike(const struct pool *a, const struct pool *b);

/* Fail the test if the text is no address. */
struct addr support_addr(const char *text);
struct endpoint support_endpoint(const char *text, uint16_t port);

/* Where a socket is bound. */
struct endpoint support_name_of(int fd);

/* The number-th address of 10.0.0.0/8. */
struct addr support_addr_v4(uint32_t number);

/* Messages by what they mean; each is well-formed. */
enum support_kind {
    SUPPORT_INIT,
    SUPPORT_INIT_FRAGMENTATION, /* announces IKEV2_FRAGMENTATION_SUPPORTED */
    SUPPORT_INIT_ANSWER,
    SUPPORT_INIT_ANSWER_FRAGMENTATION,
    SUPPORT_COOKIE,
    SUPPORT_INVALID_KE,
    SUPPORT_NO_PROPOSAL,
    SUPPORT_AUTH,
    SUPPORT_AUTH_ANSWER,
    SUPPORT_INFORMATIONAL,
    SUPPORT_INFORMATIONAL_ANSWER,
    SUPPORT_V1_INIT,
    SUPPORT_V1_ANSWER,
    SUPPORT_V1_ENCRYPTED,
    SUPPORT_ESP, /* port 4500 only */
    SUPPORT_KEEPALIVE,
    SUPPORT_KIND_COUNT,
};

/* The handshake, and the IKE SA that comes of it, that a message belongs to; 0 stands for the usual one. */
struct support_sa {
    uint64_t spi_i;
    uint64_t spi_r;
    uint32_t message_id;
    uint32_t esp_spi; /* of ESP */
};

/* Writes the UDP payload as it looks on that port; its length. */
size_t support_message(enum support_kind kind, enum ike_port port, struct support_sa sa,
                       uint8_t out[static SUPPORT_MESSAGE_MAX]);

/* The same, classified; the datagram borrows `out`. */
struct ike_datagram support_datagram(enum support_kind kind, enum ike_port port,
                                     uint8_t out[static SUPPORT_MESSAGE_MAX]);

/*
 * A dataplane with its pool; `now_ms` is the time of whatever is sent through it. The SPIs of its messages
 * come from the client's address and `handshake`, which a test counts up when clients begin anew, or from
 * `sa` where that has them, for a client that has gone elsewhere or who pretends to be another.
 */
struct support_net {
    struct pool *pool;
    struct dataplane dp;
    uint64_t now_ms;
    uint32_t handshake;
    struct support_sa sa;
};

/* The SPIs that messages of a client at this address have now. */
struct support_sa support_sa_of(const struct support_net *net, const struct addr *client);

void support_net_init(struct support_net *net, const struct support_service *services, size_t count,
                      uint32_t max_clients);
void support_net_deinit(struct support_net *net);

/* One of its own in *state for a test, and its end: for cmocka. */
int support_net_set_up(void **state, const struct support_service *services, size_t count,
                       uint32_t max_clients);
int support_net_tear_down(void **state);

/* Sends a message of a client to a service, of a server to an endpoint, or of a backend to where `to` came
 * from. */
struct verdict support_from_client(struct support_net *net, uint16_t service, struct endpoint client,
                                   enum ike_port port, enum support_kind kind);
struct verdict support_from_backend(struct support_net *net, struct addr server, struct endpoint dst,
                                    enum ike_port port, enum support_kind kind);
struct verdict support_reply(struct support_net *net, const struct verdict *to, enum support_kind kind);

/* A tunnel of the client, which begins at port 500 and goes on from there; what its backend was sent last. */
struct verdict support_establish(struct support_net *net, uint16_t service, struct endpoint client);

/* The pin of a client; fails the test if it has none. */
struct pin *support_pin(struct support_net *net, uint16_t service, struct addr client);

/* The flow of a client's endpoint, or NULL. */
struct flow *support_flow(struct support_net *net, uint16_t service, struct endpoint client,
                          enum ike_port port);

/* Makes a flow of the client to that backend, and its pin if it has none, both unconfirmed; its index. */
uint32_t support_add_flow(struct bindings *b, struct endpoint client, enum ike_port port, uint16_t backend,
                          uint64_t now_ms);

/*
 * Fails the test unless pins, flows and the pool's counts agree: each flow is found by both keys and belongs
 * to a pin of its client; flow_count and the backends' client counts are what a count gives; the age lists
 * hold exactly the unconfirmed entries, oldest first; no confirmed flow hangs on an unconfirmed pin; nothing
 * refers to a backend or service that is not in use.
 */
void support_check_bindings(struct bindings *b);

/* A seed for random sequences: IKELB_TEST_SEED from the environment, or a fixed one; printed. */
uint64_t support_seed(void);

/* The next number of the sequence, or one below `limit`. */
uint64_t support_random(uint64_t *state);
uint32_t support_random_below(uint64_t *state, uint32_t limit);
