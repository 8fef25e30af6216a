/*
 * The IKE_SA_INIT that a server would accept, as it changes while the server makes demands: a cookie, another
 * key exchange. It knows no socket.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "ike/message.h"
#include "ike/payload.h"

/* Not to be copied: the message borrows the cookie. */
struct opening {
    struct message_init init;
    struct message_random random;
    uint8_t cookie[IKE_COOKIE_MAX];
    bool cookie_demanded; /* also if there was no answering it */
    bool group_changed;
};

/* Draws what is random in the message and in the probe. 0, or -errno. */
int opening_init(struct opening *o);

/* Names the handshake; to be done before the first opening_write(). */
void opening_name(struct opening *o, const struct ike_spi *spi_i);

/*
 * Writes the message as message_init() does. The bytes are the same each time until a demand has been met, so
 * that a repetition is a true retransmission.
 */
size_t opening_write(const struct opening *o, bool natt_port, void *buf, size_t size);

/*
 * Looks for a demand in an answer (RFC 7296 sections 1.3 and 2.6). True if it has been met, so that the
 * message is to be sent again. Each kind is met once.
 */
bool opening_meet_demand(struct opening *o, const struct ike_datagram *answer);

/* Whether the answer opens a handshake: IKEv2, with an SPI of the responder's own, and with no error. */
bool opening_is_accepted(const struct ike_datagram *answer);
