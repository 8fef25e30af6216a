/* The configuration as an immutable value: what a valid YAML file says, with every default filled in. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "base/addr.h"
#include "base/log.h"

enum config_mode { CONFIG_MODE_TRANSPARENT, CONFIG_MODE_FULL_NAT };
enum config_schedule {
    CONFIG_SCHEDULE_BOUNDED_HASH,
    CONFIG_SCHEDULE_SOURCE_HASH,
    CONFIG_SCHEDULE_LEAST_CLIENTS,
    CONFIG_SCHEDULE_ROUND_ROBIN,
};
enum config_state { CONFIG_STATE_ENABLED, CONFIG_STATE_DRAIN, CONFIG_STATE_DISABLED };
enum config_fastpath {
    CONFIG_FASTPATH_AUTO,
    CONFIG_FASTPATH_NATIVE,
    CONFIG_FASTPATH_GENERIC,
    CONFIG_FASTPATH_OFF,
};
enum config_probe { CONFIG_PROBE_IKE, CONFIG_PROBE_ICMP, CONFIG_PROBE_TCP, CONFIG_PROBE_NONE };

#define CONFIG_NAME_MAX     64   /* bytes of a service's or backend's name, its NUL included */
#define CONFIG_VIPS_MAX     2    /* one IPv4, one IPv6 */
#define CONFIG_SNATS_MAX    64   /* SNAT addresses of one service */
#define CONFIG_BACKENDS_MAX 1024 /* backends of all services together */
#define CONFIG_SERVICES_MAX 256
#define CONFIG_PATH_MAX     108 /* any path, its NUL included; a UNIX socket's may be no longer */

struct config_backend {
    char name[CONFIG_NAME_MAX];
    struct addr address;
    uint32_t weight; /* 1..1000 */
    enum config_state state;
};

struct config_persistence {
    uint32_t idle_timeout_ms;
    uint32_t half_open_timeout_ms;
    bool spread_nat; /* balance the clients behind one address over several backends */
};

struct config_health {
    enum config_probe probe;
    uint16_t tcp_port; /* CONFIG_PROBE_TCP only */
    uint32_t interval_ms;
    uint32_t timeout_ms;
    uint32_t rise;
    uint32_t fall;
};

struct config_service {
    char name[CONFIG_NAME_MAX];
    struct addr vips[CONFIG_VIPS_MAX];
    size_t vip_count;
    enum config_mode mode;
    struct addr *snats; /* full-nat only; none: the source address of the route to each backend */
    size_t snat_count;
    enum config_schedule schedule;
    struct config_persistence persistence;
    struct config_health health;
    struct config_backend *backends;
    size_t backend_count;
};

struct config {
    struct config_service *services;
    size_t service_count;
    char admin_socket[CONFIG_PATH_MAX];
    struct endpoint admin_listen;           /* of the HTTP API on TCP; port 0: off */
    char admin_token_file[CONFIG_PATH_MAX]; /* whose content allows changes over TCP; empty: none */
    char state_file[CONFIG_PATH_MAX];       /* where bindings are saved; empty: nowhere */
    enum config_fastpath fastpath;
    uint32_t max_clients;
    uint32_t source_rate;  /* new handshakes and flows a second of one client address; 0: no limit */
    uint32_t source_burst; /* so many of them at once */
    enum log_level log_level;
    enum log_format log_format;
};

/*
 * Reads and validates a file. 0 with a configuration to be freed by config_destroy() in *out; ERR_CONFIG
 * after every error of the file has been written to `errors`, each as "FILE:LINE:COLUMN: key.path: what is
 * wrong and what is allowed"; -errno (also written to `errors`) if the file cannot be read.
 */
int config_load(const char *path, FILE *errors, struct config **out);

/* The same for text in memory; `name` stands in the errors where a file's path would. */
int config_parse(const char *text, size_t len, const char *name, FILE *errors, struct config **out);

/* Writes the whole effective configuration as YAML that config_load() reads back to an equal value. */
void config_print(const struct config *config, FILE *out);

void config_destroy(struct config *config);

/* The words of the file for each enum. */
const char *config_mode_name(enum config_mode mode);
const char *config_schedule_name(enum config_schedule schedule);
const char *config_state_name(enum config_state state);
