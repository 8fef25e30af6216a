/* What the reference of steering (steering_model.h) remembers, in plain arrays that are searched from end to
 * end. */
#pragma once

#include "lb/dataplane.h"

#define MODEL_ENTRIES_MAX 256
#define MODEL_BACKENDS    8
#define MODEL_NONE        UINT32_MAX
#define MODEL_ROOM_TRIES  16 /* bounded work */
#define MODEL_SPARED      8

struct model_pin {
    bool used;
    struct addr client;
    uint16_t service;
    uint16_t part;
    uint16_t backend;
    bool confirmed;
    bool left;
    bool receives; /* the client has sent the SPI of an answer */
    uint16_t ports[2];
    uint64_t number; /* in order of birth */
    uint64_t born_ms;
    uint64_t seen_ms;
};

struct model_flow {
    bool used;
    struct endpoint client;
    uint16_t service;
    enum ike_port port;
    uint16_t backend;
    uint32_t pin;
    struct endpoint source; /* port 0: chosen by the dataplane with the first packet */
    bool confirmed;
    bool left;
    bool moved;
    bool esp_in;
    bool esp_out;
    uint64_t number; /* in order of birth */
    uint64_t born_ms;
    uint64_t seen_ms;
    uint64_t used_ms; /* by its client's tunnel or IKE SA, keepalives included; at first the birth */
    uint32_t esp_spi;
    uint32_t proved_spi;     /* the latest that its backend has answered with ESP */
    uint64_t esp_number;     /* in the order of being noted */
    uint32_t session;        /* seen here last ... */
    uint64_t session_number; /* ... whose number was this */
};

struct model_session {
    bool used;
    uint64_t number; /* in order of birth */
    struct ike_spi spi_i;
    struct ike_spi spi_r;
    uint16_t service;
    uint16_t backend;
    uint32_t pin;
    uint64_t pin_number; /* grows when it is given to a pin: the youngest has the largest */
    uint16_t client_port;
    enum ike_port port;
    bool answered;
    bool confirmed;
    bool conflict;
    bool may_end; /* in the latest sweep, by the order in which that looked at sessions */
    uint32_t failovers;
    uint32_t asked; /* messages that opened it */
    enum stage stage;
    uint64_t born_ms;
    uint64_t seen_ms;
    bool knows_id; /* ... of the latest response */
    uint32_t next_id;
    uint32_t moves_left;
    uint64_t move_ms;
};

/* What passive health must say of a backend. */
struct model_passive {
    uint32_t evidence; /* of handshakes in a row that were not answered */
    struct addr last_client;
    bool several; /* they came from more than one address */
    bool answers_v1;
    uint64_t since_ms;
    uint64_t asked_ms;
    uint64_t heard_ms;
    enum suspicion suspicion;
};

struct model {
    struct pool *pool; /* borrowed: operator state, health, and what the schedules need */
    uint32_t max_clients;
    uint64_t now_ms;
    uint64_t born; /* entries ever made */
    uint32_t top;  /* no entry of any array was ever used from here on */
    struct model_pin pins[MODEL_ENTRIES_MAX];
    struct model_flow flows[MODEL_ENTRIES_MAX];
    struct model_session sessions[MODEL_ENTRIES_MAX];
    struct model_passive passive[MODEL_BACKENDS];
    uint64_t conflicts;
    uint64_t rested; /* clients that went from a draining backend, since they were at rest ... */
    uint64_t kept;   /* ... and handshakes there of clients that were not */
    uint64_t failovers;
    uint64_t roams[ROAM_COUNT];
};

uint32_t model_tables_find_flow(const struct model *m, uint16_t service, enum ike_port port,
                                struct endpoint client);

uint32_t model_tables_find_flow_of_reply(const struct model *m, const struct packet *p);

uint32_t model_tables_find_pin(const struct model *m, uint16_t service, const struct addr *client,
                               uint16_t part);

/* With spread_nat a client is (address, port of its IKE_SA_INIT). */
uint16_t model_tables_part_of(const struct model *m, uint16_t service, struct endpoint client);

/* The pin of whoever sends this; a NAT that keeps the ports shows which 500 and 4500 are one client's. */
uint32_t model_tables_find_pin_of_sender(const struct model *m, const struct packet *p);

/* Of several with the same pair the one that was begun first. */
uint32_t model_tables_find_session(const struct model *m, uint16_t service, const struct ike_datagram *d);

/* The pin's youngest session with that SPIi. */
uint32_t model_tables_find_begun(const struct model *m, uint32_t pin, const struct ike_spi *spi_i);

bool model_tables_has_pin_room(const struct model *m, bool confirmed);

/* Does any flow belong to the pin? */
bool model_tables_has_flow(const struct model *m, uint32_t pin);

bool model_tables_has_flow_room(const struct model *m, bool confirmed);

void model_tables_end_pin(struct model *m, uint32_t pin);

uint32_t model_tables_add_pin(struct model *m, struct endpoint client, uint16_t service, uint16_t backend,
                              bool confirmed);

uint32_t model_tables_add_flow(struct model *m, const struct model_flow *flow);

/* A session like that one, which begins now; the oldest unconfirmed one gives way if it must. */
uint32_t model_tables_add_session(struct model *m, const struct model_session *session);

struct model_session model_tables_session_on(const struct model *m, uint32_t flow,
                                             const struct ike_header *h);
