/*
 * The world of the model test (test_steering_model.c): a pool with a dataplane, the reference model beside
 * it, and who sends packets. Each packet goes through both, and both must agree.
 */
#pragma once

#include "tests/unit/steering_model.h"
#include "tests/unit/support.h"
#include "tests/unit/unit.h"

#define PEERS         6
#define INBOX         16
#define RECORDED      16
#define LOG_LINES     256
#define LOG_LINE_MAX  160
#define HALF_OPEN_MS  3000
#define OUTSIDER_BASE 1000 /* addresses from here on are never those of an honest peer */

enum { VPN, FULL, SERVICES };

/* What a message is, before it is written. */
struct content {
    enum ike_class class;
    uint64_t spi_i;
    uint64_t spi_r;
    uint8_t major;
    uint8_t exchange;
    uint8_t flags;
    bool encrypted;
    uint32_t id;
    uint32_t notify; /* 0: none */
    uint32_t esp_spi;
};

/* The server's side of an IKE SA: what a backend knows of a peer that was begun there. */
struct server_side {
    uint64_t spi_r; /* 0: the peer never began here */
    bool established;
    uint32_t last_id;
    bool was_lost;          /* its latest answer, which the dataplane had no flow for */
    struct endpoint client; /* where it takes the client to be, as it sees it; port 0: nowhere */
    enum ike_port port;
};

enum peer_state { PEER_NONE, PEER_INIT_SENT, PEER_INIT_ANSWERED, PEER_ESTABLISHED };

/* An honest client. */
struct peer {
    enum peer_state state;
    uint16_t service;
    bool is_v1;
    bool is_v6;
    bool natt; /* it goes on at port 4500 */
    uint32_t address;
    uint16_t ports[IKE_PORT_COUNT];
    uint64_t spi_i;
    uint64_t spi_r;
    uint16_t backend; /* whom it chose */
    uint32_t next_id;
    uint32_t esp_spi;
    struct server_side servers[MODEL_BACKENDS];
};

/* What a backend has received. */
struct received {
    struct content content;
    struct endpoint src; /* as the backend sees it */
    enum ike_port port;
    uint16_t backend;
    uint32_t peer; /* whose message it is, or PEERS */
    bool is_copy;  /* an outsider has sent it */
};

/* What an outsider has recorded on its way in. */
struct recorded {
    struct content content;
    uint16_t service;
    enum ike_port port;
};

/* A confirmed flow, as it was before a packet. */
struct proved {
    struct flow_in_key key;
    uint16_t backend;
    bool is_tunnel;
};

struct world {
    uint64_t random;
    uint64_t now_ms;
    struct pool *pool;
    struct dataplane dp;
    struct model model;
    struct peer peers[PEERS];
    struct received inbox[INBOX];
    uint32_t inbox_count;
    struct recorded recorded[RECORDED];
    uint32_t recorded_count;
    bool frozen[MODEL_BACKENDS];
    bool is_honest;
    uint32_t addresses; /* that peers have: where it is 1 they are all behind one NAT */
    uint16_t service;   /* that most of them use */
    struct proved proved[MODEL_ENTRIES_MAX];
    uint32_t proved_count;
    uint64_t next_spi;
    char log[LOG_LINES][LOG_LINE_MAX + 24]; /* with the time */
    uint32_t log_count;
    uint32_t number;
};

uint32_t model_world_below(struct world *w, uint32_t limit);

/* A line of the log, which a failure shows. */
__attribute__((format(printf, 2, 3))) void model_world_note(struct world *w, const char *format, ...);
void model_world_show_log(const struct world *w);

#define CHECK(w, condition)                                                                                  \
    do {                                                                                                     \
        if (!(condition)) {                                                                                  \
            model_world_show_log(w);                                                                         \
            fail_msg("%s", #condition);                                                                      \
        }                                                                                                    \
    } while (0)

#define CHECK_EQUAL(w, real, expected)                                                                       \
    do {                                                                                                     \
        const uint64_t real_value = (uint64_t)(real), expected_value = (uint64_t)(expected);                 \
        if (real_value != expected_value) {                                                                  \
            model_world_show_log(w);                                                                         \
            fail_msg("%s is %llu, and %s is %llu", #real, (unsigned long long)real_value, #expected,         \
                     (unsigned long long)expected_value);                                                    \
        }                                                                                                    \
    } while (0)

/* The pool, the tables and the model of that sequence. */
void model_world_init(struct world *w, uint64_t seed, uint32_t number);
void model_world_deinit(struct world *w);

/* Fails the test unless the dataplane's tables are as the model says. */
void model_world_compare(struct world *w);

/* Sends the packet through both; the verdict, on which they agree. */
struct verdict model_world_pass(struct world *w, struct packet *p, const struct content *c);

/* A client's packet; what reaches a backend waits there. `peer` is whose message it is, or PEERS. */
void model_world_from_client(struct world *w, uint16_t service, struct endpoint client, enum ike_port port,
                             const struct content *c, uint32_t peer);
