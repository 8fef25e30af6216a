/*
 * The pool: services and backends as the daemon runs them, built from the configuration (lb/pool_config.h).
 * Operator state and health are kept apart; who may get a new client follows from both.
 *
 * All other parts name services, backends and servers by index. An index stays what it is as long as anything
 * refers to it, also through a reload: what the configuration has no more is `removed` and goes when its last
 * client has gone; its index is then given to something else as late as possible.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/addr.h"
#include "base/histogram.h"
#include "config/config.h"
#include "health/judge.h"
#include "persist/stage.h"

/* The two UDP ports of IKE, RFC 7296 section 2 and 3948. A listener is one of them at one service. */
enum ike_port { IKE_PORT_500, IKE_PORT_4500 };
#define IKE_PORT_COUNT 2

static inline uint16_t ike_port_number(enum ike_port port)
{
    return port == IKE_PORT_500 ? 500 : 4500;
}

/* Packets and bytes (UDP payload) since start. */
struct traffic {
    uint64_t packets;
    uint64_t bytes;
};

enum traffic_direction { TRAFFIC_IN, TRAFFIC_OUT }; /* client to backend, backend to client */

/* What a backend announced of IKEV2_FRAGMENTATION_SUPPORTED (RFC 7383 section 2.3) to clients that announced
 * it. */
enum fragmentation { FRAGMENTATION_UNKNOWN, FRAGMENTATION_YES, FRAGMENTATION_NO };

/* What became of the handshakes that were steered to a backend. A handshake counts once at each, with all its
 * repetitions, cookies and rounds for another key exchange group. */
struct handshake_counts {
    uint64_t reached[STAGE_COUNT];  /* by enum stage: how many came so far */
    uint64_t answered_total;        /* their first message was answered, be it by a cookie or an error */
    uint64_t unanswered_total;      /* it never was, by the time that the client went elsewhere or gave up */
    uint64_t stalled_total;         /* answered in full, but no IKE_AUTH followed */
    uint64_t auth_unanswered_total; /* IKE_AUTH came, and had no answer */
    uint64_t large_in_total;        /* IKE messages that took more than one IP packet of 1,500 bytes ... */
    uint64_t large_out_total;       /* ... and those to clients */
};

/* Whether a backend answers new handshakes, judged by those of real clients (lb/passive.h). */
enum suspicion { SUSPICION_NONE, SUSPICION_SILENT, SUSPICION_REFUSING, SUSPICION_COUNT };

struct passive {
    enum suspicion suspicion;
    bool avoided;            /* new clients go elsewhere if they can */
    uint32_t evidence;       /* from handshakes in a row, since the last answer, that were not answered */
    struct addr last_client; /* the last of them */
    bool several;            /* they came from more than one address */
    bool answers_v1;         /* it has answered IKEv1 once */
    uint64_t asked_ms;       /* when the last of them came */
    uint64_t since_ms;       /* when the first of them came */
    uint64_t tried_ms;       /* when a client was last sent there all the same */
    uint64_t heard_ms;       /* the latest packet of the backend to any client */
    uint64_t probe_ms;       /* the latest answered probe */
};

#define POOL_NONE UINT16_MAX

/* Room for what is removed beside everything that a configuration can have. */
#define POOL_SERVICES_MAX 512
#define POOL_BACKENDS_MAX 2048
_Static_assert(POOL_SERVICES_MAX == 2 * CONFIG_SERVICES_MAX && POOL_BACKENDS_MAX == 2 * CONFIG_BACKENDS_MAX,
               "twice as many as a configuration has");

/* A removed one whose name is taken again goes on as "NAME@ADDRESS". */
#define POOL_NAME_MAX (CONFIG_NAME_MAX + ADDR_TEXT_MAX)

struct backend {
    char name[POOL_NAME_MAX];
    struct addr addr;
    bool used;        /* false: there is nothing at this index */
    bool removed;     /* the configuration has it no more: it is drained, then it goes */
    uint16_t next;    /* of the service's backends, in the order of the configuration; POOL_NONE ends it */
    uint16_t service; /* index of its service */
    uint16_t server;  /* index of its address: backends of several services may be one server */
    uint32_t weight;
    uint64_t seed;                /* hash of the name, for rendezvous hashing */
    enum config_state state;      /* of the configuration, or what an operator has said since */
    enum config_state configured; /* of the configuration */
    enum health_state health;
    uint32_t probe_us;            /* round trip of the last answered probe; 0: none yet */
    struct histogram probe_times; /* of all answered probes */
    uint64_t probes_failed_total;
    enum fragmentation fragmentation;
    int64_t round_robin;              /* current weight of smooth weighted round robin */
    uint16_t source;                  /* full-nat without `snat`: index of the source address, or SNAT_NONE */
    uint32_t mtu;                     /* path MTU towards it, bytes; 0: not known */
    bool unroutable;                  /* the kernel knows no way to it */
    uint32_t flows;                   /* flows that lead here */
    uint32_t sessions;                /* sessions whose other end is here, be their pins elsewhere by now */
    uint32_t clients;                 /* pins that point here ... */
    uint32_t clients_at[STAGE_COUNT]; /* ... and of these, by their stage; see tracking_set_stage() */
    uint64_t new_clients_total;       /* pins ever made */
    struct handshake_counts handshakes;
    struct passive passive;
    struct traffic traffic[2]; /* by enum traffic_direction */
    struct traffic fast[2];    /* of these, what the fast path has carried */
    struct traffic sampled[2]; /* at the last pool_sample() */
    struct traffic rate[2];    /* a second, as of the last pool_sample() */
    uint64_t fast_sampled;     /* packets of the fast path, both ways, at the last pool_sample() */
    uint64_t fast_pps;         /* and of these a second */
};

/* How a session that is followed has moved: to another address (RFC 4555), or to another port of its NAT. */
enum roam { ROAM_MOBIKE, ROAM_REBIND, ROAM_COUNT };

struct service {
    char name[POOL_NAME_MAX];
    bool used;                        /* false: there is nothing at this index */
    bool removed;                     /* the configuration has it no more, nor any of its backends */
    uint16_t next;                    /* in the order of the configuration; POOL_NONE ends it */
    uint16_t first_backend;           /* the others follow by their `next`; POOL_NONE: none */
    uint64_t failovers_total;         /* handshakes that were moved from a backend that did not answer */
    uint64_t roams_total[ROAM_COUNT]; /* confirmed moves */
    uint64_t conflicts_total; /* handshakes kept away from their backend by a flow in use (lb/steer.h) */
    enum config_mode mode;
    enum config_schedule schedule;
    struct addr vips[CONFIG_VIPS_MAX];
    size_t vip_count;
    struct config_persistence persistence;
    struct addr snats[CONFIG_SNATS_MAX]; /* full-nat; none: each backend's own */
    uint16_t sources[CONFIG_SNATS_MAX];  /* their indices in lb/snat, which lb/bindings fills in */
    size_t snat_count;
    uint64_t no_address_ms; /* when a client was last refused for want of a source address; 0: never */
    uint64_t no_port_ms;    /* when a client was last refused for want of a source port; 0: never */
    uint64_t no_room_ms;    /* when a client was last refused a pin or a flow for want of room; 0: never */
};

/* A distinct backend address. */
struct server {
    struct addr addr;
    bool used;
};

/* The arrays have room for everything and never move; from the counts on nothing was ever used. */
struct pool {
    struct service *services;
    size_t service_count;
    uint16_t first_service; /* in use; the others follow by their `next` */
    uint16_t service_hand;  /* where the search for a free index goes on */
    uint16_t backend_hand;
    struct backend *backends;
    size_t backend_count;
    struct server *servers; /* POOL_BACKENDS_MAX */
    size_t server_count;
    struct server_slot *server_index; /* by address */
    uint64_t sampled_ms;
    uint64_t fragments_lost_ms; /* when IP fragments were last lost in numbers (lb/alarms.h); 0: never */
};

/* An empty pool, to be filled by pool_config_apply(). NULL without memory. */
struct pool *pool_create(void);
void pool_destroy(struct pool *pool);

/*
 * Makes `pool` what it was when `copy` was made of it: for a change that turns out to be impossible before
 * any packet has seen it. NULL without memory.
 */
struct pool *pool_copy(const struct pool *pool);
void pool_restore(struct pool *pool, const struct pool *copy);

/* Index of the service, or of the service's backend, of that name; POOL_NONE if there is none. */
uint16_t pool_find_service(const struct pool *pool, const char *name);
uint16_t pool_find_backend(const struct pool *pool, uint16_t service, const char *name);

/* Gives each backend its server, the same for the same address, and frees those that have none any more. */
void pool_index_servers(struct pool *pool);

/* Index of the server with that address, or POOL_NONE. */
uint16_t pool_find_server(const struct pool *pool, const struct addr *addr);

/* The VIP of the service of that family, or NULL. */
const struct addr *pool_vip(const struct service *service, int family);

/* Index of the service with that VIP, or POOL_NONE. */
uint16_t pool_find_vip(const struct pool *pool, const struct addr *addr);

/* Index of the service's backend at that address; POOL_NONE if there is none, or no service. */
uint16_t pool_find_address(const struct pool *pool, uint16_t service, const struct addr *addr);

/*
 * May the backend get a new client? 0: no. The most for one that is enabled and up; less with no verdict of a
 * probe yet; less still if it is avoided (lb/passive.h). Only those of the best fitness that any has are
 * chosen from.
 */
int pool_fitness(const struct backend *backend);

/* Must a client that starts a new handshake leave this backend? True when it is down or disabled. */
bool pool_is_lost(const struct backend *backend);

/* Does it keep its clients, but get no new ones? By an operator's word, or because it was removed. */
bool pool_is_draining(const struct backend *backend);

/* Was it removed, and have its last pin and flow gone? Then it goes itself when no session names it any more.
 */
bool pool_is_left(const struct backend *backend);

/* The operator's decision on a backend, while ikelb runs: steering follows it from the next packet on. */
void pool_set_state(struct backend *backend, enum config_state state);

/* Any backend of the service that may get a new client of that address family? */
bool pool_has_fit(const struct pool *pool, const struct service *service, int family);

/* Turns counters into rates: call about every second. */
void pool_sample(struct pool *pool, uint64_t now_ms);
