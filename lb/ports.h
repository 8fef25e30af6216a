/*
 * The UDP source ports of one full-NAT source address towards one server and port: a bitmap that hands out
 * each port once, in rotation, so that a port that was given back rests as long as possible.
 */
#pragma once

#include <stdint.h>

/*
 * The range that is handed out, but for 4500, which is a VIP's if the source address is one. What lies above
 * is left to the health probes (health/socket.h).
 */
#define PORTS_FIRST    1024
#define PORTS_LAST     64511
#define PORTS_RESERVED 4500
#define PORTS_COUNT    (PORTS_LAST - PORTS_FIRST) /* ports there are to hand out */

struct ports;

/* `start` (any number) says where the rotation begins. NULL without memory. */
struct ports *ports_create(uint32_t start);
void ports_destroy(struct ports *ports);

/* 0 and a port in *port, or ERR_FULL when all are taken. */
int ports_take(struct ports *ports, uint16_t *port);

/* Takes that very port. 0; ERR_EXISTS if it is taken, ERR_RANGE if it is none of those that are handed out.
 */
int ports_claim(struct ports *ports, uint16_t port);

/* Gives a taken port back. */
void ports_release(struct ports *ports, uint16_t port);

uint32_t ports_taken(const struct ports *ports);
