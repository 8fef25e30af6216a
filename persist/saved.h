/*
 * The format of the state file: records to bytes and back. Whoever reads trusts nothing: a file is first
 * verified as a whole, each block by its checksum and each record by its fields, and used only then.
 *
 * A file is a header and blocks of at most SAVED_BLOCK_BYTES; a block is a sequence of records. All integers
 * are big-endian and have fixed widths. Magic and version stand first, so that every version can name every
 * other. Services and backends stand before the records that refer to them by index; a session belongs to
 * the latest pin before it, and the sessions of a pin follow it from the youngest to the oldest.
 *
 * Times are ages in milliseconds when the file was begun (`saved_wall_ms`). No clock and no I/O.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/addr.h"
#include "base/cursor.h"
#include "persist/pins.h"
#include "persist/story.h"

#define SAVED_VERSION 1

#define SAVED_HEADER_BYTES 44
#define SAVED_BLOCK_BYTES  ((size_t)128 * 1024) /* the most that a block takes, its frame included */
#define SAVED_RECORD_MAX   128                  /* bytes of the longest record */
#define SAVED_VIPS_MAX     2

/* The most that is read: some 200 bytes each for ten million clients, and some more. */
#define SAVED_FILE_MAX (UINT64_C(4) << 30)

/* A session's `slot` is below this: there are no larger tables. */
#define SAVED_SLOTS_MAX (UINT32_C(1) << 24)

enum saved_record_type {
    SAVED_SERVICE = 1,
    SAVED_BACKEND,
    SAVED_PIN,
    SAVED_SESSION,
    SAVED_FLOW,
};

/* `index` is what other records refer to it by. A service is known by its VIPs, as it is to a reload. */
struct saved_service {
    uint16_t index;
    uint8_t vip_count;
    struct addr vips[SAVED_VIPS_MAX];
    bool spread_nat;
};

/* Operator states are numbers below SAVED_OPERATOR_COUNT. */
#define SAVED_OPERATOR_COUNT 3
struct saved_backend {
    uint16_t index;
    uint16_t service;
    struct addr addr;
    uint8_t configured;     /* the operator state that the configuration file gave it ... */
    uint8_t operator_state; /* ... and the one that it had */
};

struct saved_pin {
    struct pin_key key;
    uint16_t backend;
    uint16_t roams;
    uint16_t ports[2];
    uint32_t created_age_ms;
    uint32_t seen_age_ms;
    uint8_t stage;
    uint8_t flags;  /* enum pin_flag; PIN_CONFIRMED is always there */
    bool has_flows; /* then their times count, not its own */
};

struct saved_session {
    uint32_t slot;      /* by which flows refer to it ... */
    uint8_t generation; /* ... together with this */
    uint32_t next_id;
    struct story story; /* its times are ages; `service` is not stored: it is that of the pin */
};

struct saved_flow {
    struct addr client;
    uint16_t client_port;
    uint16_t service;
    uint16_t port; /* 0: of UDP 500; 1: of 4500 */
    uint16_t part; /* of its pin's key */
    uint16_t backend;
    bool has_source; /* full NAT: */
    struct addr source;
    uint16_t source_port;
    uint8_t flags;
    uint8_t session_generation;
    uint32_t session; /* a slot, or SLOT_NONE */
    uint32_t client_age_ms;
    uint32_t seen_age_ms;
    uint32_t esp_spi;
    uint32_t proved_spi;
};

/* The flow flags that a file may have (lb/flows.h, which persist/ does not know), and the one it must. */
#define SAVED_FLOW_FLAGS     0x1f
#define SAVED_FLOW_CONFIRMED 0x01

struct saved_record {
    enum saved_record_type type;
    union {
        struct saved_service service;
        struct saved_backend backend;
        struct saved_pin pin;
        struct saved_session session;
        struct saved_flow flow;
    };
};

struct saved_header {
    uint64_t length; /* of the whole file */
    uint64_t saved_wall_ms;
    uint32_t block_count;
};

/* Writing: a block is begun in a buffer of SAVED_BLOCK_BYTES, and filled while there is room. */
struct writer saved_block_begin(void *buffer);
bool saved_block_has_room(const struct writer *block);

/* Is there no record in it yet? */
bool saved_block_is_empty(const struct writer *block);

/* Finishes the block, the `number`-th of the file (from 0), and returns its bytes. */
size_t saved_block_end(struct writer *block, uint32_t number, uint64_t saved_wall_ms);

/* The header is written last, over a place that was left for it: without it the file is not valid. */
void saved_header_put(const struct saved_header *header, uint8_t out[static SAVED_HEADER_BYTES]);

/* Each needs room for SAVED_RECORD_MAX bytes. */
void saved_service_put(struct writer *block, const struct saved_service *service);
void saved_backend_put(struct writer *block, const struct saved_backend *backend);
void saved_pin_put(struct writer *block, const struct saved_pin *pin);
void saved_session_put(struct writer *block, const struct saved_session *session);
void saved_flow_put(struct writer *block, const struct saved_flow *flow);

/* What can be wrong with a file; saved_fault_text() says it in words that follow the file's name. */
enum saved_fault {
    SAVED_FAULT_NONE,
    SAVED_FAULT_EMPTY,
    SAVED_FAULT_FOREIGN,   /* it is no state file */
    SAVED_FAULT_OLDER,     /* of an older version ... */
    SAVED_FAULT_NEWER,     /* ... or a newer one; `version` */
    SAVED_FAULT_TRUNCATED, /* it ends at `offset` */
    SAVED_FAULT_TOO_LONG,  /* it goes on after its end at `offset` */
    SAVED_FAULT_HEADER,    /* the header is damaged */
    SAVED_FAULT_BLOCK,     /* the block at `offset` is damaged */
    SAVED_FAULT_RECORD,    /* the record at `offset` has a right checksum and makes no sense */
};

struct saved_verdict {
    enum saved_fault fault;
    uint64_t offset;
    uint32_t version;
    struct saved_header header; /* SAVED_FAULT_NONE */
};

#define SAVED_FAULT_TEXT_MAX 160
const char *saved_fault_text(const struct saved_verdict *verdict, char text[static SAVED_FAULT_TEXT_MAX]);

/* Checks all of a file. */
struct saved_verdict saved_verify(const void *data, size_t len);

/* Walks the records of a verified file, which is borrowed. Visible so that it can live on the stack. */
struct saved_reader {
    struct saved_header header;
    struct cursor file;
    struct cursor block;
};

struct saved_reader saved_reader_over(const void *data, size_t len);

/* The next record, or false at the end. */
bool saved_reader_next(struct saved_reader *reader, struct saved_record *out);
