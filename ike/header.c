#include "ike/header.h"

#include <string.h>

#include "base/cursor.h"
#include "base/err.h"

static struct ike_spi read_spi(struct cursor *c)
{
    struct ike_spi spi = {0};
    const uint8_t *bytes = cursor_bytes(c, sizeof spi.bytes);

    if (bytes)
        memcpy(spi.bytes, bytes, sizeof spi.bytes);
    return spi;
}

int header_read(const uint8_t *data, size_t len, struct ike_header *out)
{
    struct cursor c = cursor_over(data, len);

    out->spi_i = read_spi(&c);
    out->spi_r = read_spi(&c);
    out->next_payload = cursor_u8(&c);
    const uint8_t version = cursor_u8(&c);
    out->major = version >> 4;
    out->minor = version & 0x0f;
    out->exchange = cursor_u8(&c);
    out->flags = cursor_u8(&c);
    out->message_id = cursor_u32(&c);
    out->length = cursor_u32(&c);
    return c.failed ? ERR_MALFORMED : 0;
}

bool header_spi_is_zero(const struct ike_spi *spi)
{
    static const struct ike_spi zero = {0};

    return header_spi_equal(spi, &zero);
}

bool header_spi_equal(const struct ike_spi *a, const struct ike_spi *b)
{
    return memcmp(a->bytes, b->bytes, sizeof a->bytes) == 0;
}

static bool is_v1_opening(const struct ike_header *h)
{
    const bool mode = h->exchange == IKE_EXCHANGE_V1_MAIN || h->exchange == IKE_EXCHANGE_V1_AGGRESSIVE;

    return h->major == 1 && mode && !(h->flags & IKE_FLAG_V1_ENCRYPTED) && h->message_id == 0;
}

static bool is_v2_opening(const struct ike_header *h)
{
    const bool kind = h->exchange == IKE_EXCHANGE_SA_INIT || h->exchange == IKE_EXCHANGE_SESSION_RESUME;

    return h->major == 2 && kind && h->message_id == 0;
}

bool header_is_init_request(const struct ike_header *h)
{
    if (!header_spi_is_zero(&h->spi_r))
        return false;
    /* A "request" without the initiator flag is ignored by every server: there is no answer to wait for. */
    const uint8_t direction = h->flags & (IKE_FLAG_INITIATOR | IKE_FLAG_RESPONSE);
    return is_v1_opening(h) || (is_v2_opening(h) && direction == IKE_FLAG_INITIATOR);
}

bool header_is_init_response(const struct ike_header *h)
{
    if (is_v1_opening(h))
        return !header_spi_is_zero(&h->spi_r);
    return is_v2_opening(h) && (h->flags & IKE_FLAG_RESPONSE);
}

bool header_is_encrypted(const struct ike_header *h)
{
    if (h->major == 1)
        return h->flags & IKE_FLAG_V1_ENCRYPTED;
    return h->next_payload == IKE_PAYLOAD_ENCRYPTED || h->next_payload == IKE_PAYLOAD_ENCRYPTED_FRAGMENT;
}

bool header_is_auth(const struct ike_header *h)
{
    return h->major == 1 ? header_is_encrypted(h) : h->exchange == IKE_EXCHANGE_AUTH;
}
