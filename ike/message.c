#include "ike/message.h"

#include "base/cursor.h"
#include "ike/classify.h"
#include "ike/group.h"
#include "ike/notify.h"

#define VERSION_2 0x20
#define VERSION_3 0x30

#define PROTOCOL_IKE          1      /* RFC 7296 section 3.3.1 */
#define MORE_PROPOSALS        2      /* RFC 7296 section 3.3.1; 0 in the last */
#define MORE_TRANSFORMS       3      /* RFC 7296 section 3.3.2; 0 in the last */
#define KEY_LENGTH_ATTRIBUTE  0x800e /* RFC 7296 section 3.3.5: type 14 in the short format */
#define HEADER_LENGTH_OFFSET  24
#define STATUS_FIRST_PRIVATE  40960 /* RFC 7296 section 3.10.1 */
#define PAYLOAD_LENGTH_OFFSET 2

/* RFC 7296 section 3.3.2 */
enum transform_type { TRANSFORM_ENCR = 1, TRANSFORM_PRF = 2, TRANSFORM_INTEG = 3, TRANSFORM_DH = 4 };

struct transform {
    uint8_t type;
    uint16_t id;
    uint16_t key_bits; /* 0 if the cipher has but one length */
};

/* Transform IDs, in the IANA registry of IKEv2's parameters. */
enum transform_id {
    ENCR_3DES = 3,
    ENCR_AES_CBC = 12,
    ENCR_AES_GCM_16 = 20,
    ENCR_FIRST_PRIVATE = 1024,
    PRF_HMAC_SHA1 = 2,
    PRF_HMAC_SHA2_256 = 5,
    PRF_HMAC_SHA2_384 = 6,
    PRF_HMAC_SHA2_512 = 7,
    INTEG_HMAC_SHA1_96 = 2,
    INTEG_HMAC_SHA2_256_128 = 12,
    INTEG_HMAC_SHA2_384_192 = 13,
    INTEG_HMAC_SHA2_512_256 = 14,
};

static const struct transform aead_transforms[] = {
    {TRANSFORM_ENCR, ENCR_AES_GCM_16, 256}, {TRANSFORM_ENCR, ENCR_AES_GCM_16, 128},
    {TRANSFORM_PRF, PRF_HMAC_SHA2_256, 0},  {TRANSFORM_PRF, PRF_HMAC_SHA2_384, 0},
    {TRANSFORM_PRF, PRF_HMAC_SHA2_512, 0},  {TRANSFORM_PRF, PRF_HMAC_SHA1, 0},
};

static const struct transform classic_transforms[] = {
    {TRANSFORM_ENCR, ENCR_AES_CBC, 256},           {TRANSFORM_ENCR, ENCR_AES_CBC, 192},
    {TRANSFORM_ENCR, ENCR_AES_CBC, 128},           {TRANSFORM_ENCR, ENCR_3DES, 0},
    {TRANSFORM_PRF, PRF_HMAC_SHA2_256, 0},         {TRANSFORM_PRF, PRF_HMAC_SHA2_384, 0},
    {TRANSFORM_PRF, PRF_HMAC_SHA2_512, 0},         {TRANSFORM_PRF, PRF_HMAC_SHA1, 0},
    {TRANSFORM_INTEG, INTEG_HMAC_SHA2_256_128, 0}, {TRANSFORM_INTEG, INTEG_HMAC_SHA2_384_192, 0},
    {TRANSFORM_INTEG, INTEG_HMAC_SHA2_512_256, 0}, {TRANSFORM_INTEG, INTEG_HMAC_SHA1_96, 0},
};

/* The private range is for agreements between peers, and nobody has one with us. */
static const struct transform unacceptable_transforms[] = {
    {TRANSFORM_ENCR, ENCR_FIRST_PRIVATE, 256},
    {TRANSFORM_PRF, PRF_HMAC_SHA2_256, 0},
    {TRANSFORM_INTEG, INTEG_HMAC_SHA2_256_128, 0},
    {TRANSFORM_DH, IKE_GROUP_MODP_2048, 0},
};

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

/* Each payload announces the type of the one behind it, so the place of the last announcement is kept. */
struct build {
    struct writer w;
    size_t start;   /* of the IKE header in the buffer */
    size_t next_at; /* where the type of the next payload belongs */
    size_t payload; /* where the payload being written began */
};

static void begin(struct build *b, const struct ike_spi *spi_i, uint8_t version, bool natt_port, void *buf,
                  size_t size)
{
    static const struct ike_spi no_responder_yet = {0};

    b->w = writer_over(buf, size);
    if (natt_port)
        writer_u32(&b->w, 0);
    b->start = writer_len(&b->w);
    writer_bytes(&b->w, spi_i->bytes, sizeof spi_i->bytes);
    writer_bytes(&b->w, no_responder_yet.bytes, sizeof no_responder_yet.bytes);
    b->next_at = writer_len(&b->w);
    writer_u8(&b->w, IKE_PAYLOAD_NONE);
    writer_u8(&b->w, version);
    writer_u8(&b->w, IKE_EXCHANGE_SA_INIT);
    writer_u8(&b->w, IKE_FLAG_INITIATOR);
    writer_u32(&b->w, 0); /* message ID */
    writer_u32(&b->w, 0); /* length, set by finish() */
}

static size_t finish(struct build *b)
{
    writer_patch_u32(&b->w, b->start + HEADER_LENGTH_OFFSET, (uint32_t)(writer_len(&b->w) - b->start));
    return b->w.failed ? 0 : writer_len(&b->w);
}

static void payload_begin(struct build *b, uint8_t type)
{
    if (!b->w.failed)
        b->w.start[b->next_at] = type;
    b->payload = b->next_at = writer_len(&b->w);
    writer_u8(&b->w, IKE_PAYLOAD_NONE);
    writer_u8(&b->w, 0);
    writer_u16(&b->w, 0); /* length, set by payload_end() */
}

static void payload_end(struct build *b)
{
    writer_patch_u16(&b->w, b->payload + PAYLOAD_LENGTH_OFFSET, (uint16_t)(writer_len(&b->w) - b->payload));
}

static void put_transform(struct writer *w, const struct transform *t, bool last)
{
    writer_u8(w, last ? 0 : MORE_TRANSFORMS);
    writer_u8(w, 0);
    writer_u16(w, t->key_bits ? 12 : 8); /* length of this transform */
    writer_u8(w, t->type);
    writer_u8(w, 0);
    writer_u16(w, t->id);
    if (t->key_bits) {
        writer_u16(w, KEY_LENGTH_ATTRIBUTE);
        writer_u16(w, t->key_bits);
    }
}

/* One proposal of the given transforms and, if `all_groups`, each group of enum ike_group besides. */
static void put_proposal(struct writer *w, uint8_t number, const struct transform *t, size_t count,
                         bool all_groups, bool last)
{
    const size_t start = writer_len(w);
    const size_t groups = all_groups ? group_count() : 0;

    writer_u8(w, last ? 0 : MORE_PROPOSALS);
    writer_u8(w, 0);
    writer_u16(w, 0); /* length, set below */
    writer_u8(w, number);
    writer_u8(w, PROTOCOL_IKE);
    writer_u8(w, 0); /* no SPI in IKE_SA_INIT */
    writer_u8(w, (uint8_t)(count + groups));
    for (size_t i = 0; i < count; i++)
        put_transform(w, &t[i], i + 1 == count + groups);
    for (size_t i = 0; i < groups; i++) {
        const struct transform dh = {TRANSFORM_DH, (uint16_t)group_at(i), 0};
        put_transform(w, &dh, i + 1 == groups);
    }
    writer_patch_u16(w, start + 2, (uint16_t)(writer_len(w) - start));
}

/* RFC 7296 section 3.4 */
static void put_ke(struct build *b, enum ike_group group, const struct message_random *random)
{
    uint8_t value[IKE_KE_MAX];
    const size_t len = group_public_value(group, random->ke, value);

    if (!len)
        b->w.failed = true;
    payload_begin(b, IKE_PAYLOAD_KE);
    writer_u16(&b->w, (uint16_t)group);
    writer_u16(&b->w, 0);
    writer_bytes(&b->w, value, len);
    payload_end(b);
}

static void put_nonce(struct build *b, const struct message_random *random)
{
    payload_begin(b, IKE_PAYLOAD_NONCE);
    writer_bytes(&b->w, random->nonce, sizeof random->nonce);
    payload_end(b);
}

static void put_notify(struct build *b, enum ike_notify_type type, const uint8_t *data, size_t len)
{
    payload_begin(b, IKE_PAYLOAD_NOTIFY);
    writer_u8(&b->w, 0); /* no protocol */
    writer_u8(&b->w, 0); /* no SPI */
    writer_u16(&b->w, (uint16_t)type);
    writer_bytes(&b->w, data, len);
    payload_end(b);
}

static void put_probe(struct build *b, const struct ike_spi *spi_i, const struct message_random *random,
                      bool natt_port, void *buf, size_t size)
{
    begin(b, spi_i, VERSION_2, natt_port, buf, size);
    payload_begin(b, IKE_PAYLOAD_SA);
    put_proposal(&b->w, 1, unacceptable_transforms, COUNT(unacceptable_transforms), false, true);
    payload_end(b);
    put_ke(b, IKE_GROUP_MODP_2048, random);
    put_nonce(b, random);
}

size_t message_probe(const struct ike_spi *spi_i, const struct message_random *random, bool natt_port,
                     void *buf, size_t size)
{
    struct build b;

    put_probe(&b, spi_i, random, natt_port, buf, size);
    return finish(&b);
}

size_t message_large_probe(const struct ike_spi *spi_i, const struct message_random *random, bool natt_port,
                           size_t len, void *buf, size_t size)
{
    struct build b;

    if (len < IKE_LARGE_PROBE_MIN || len > IKE_LARGE_PROBE_MAX)
        return 0;
    put_probe(&b, spi_i, random, natt_port, buf, size);
    payload_begin(&b, IKE_PAYLOAD_NOTIFY);
    writer_u8(&b.w, 0); /* no protocol */
    writer_u8(&b.w, 0); /* no SPI */
    writer_u16(&b.w, STATUS_FIRST_PRIVATE);
    while (!b.w.failed && writer_len(&b.w) < len)
        writer_u8(&b.w, 0);
    payload_end(&b);
    return finish(&b);
}

size_t message_future_version(const struct ike_spi *spi_i, bool natt_port, void *buf, size_t size)
{
    struct build b;

    begin(&b, spi_i, VERSION_3, natt_port, buf, size);
    return finish(&b);
}

size_t message_init(const struct message_init *what, const struct message_random *random, bool natt_port,
                    void *buf, size_t size)
{
    struct build b;

    begin(&b, &what->spi_i, VERSION_2, natt_port, buf, size);
    if (what->cookie_len > IKE_COOKIE_MAX)
        b.w.failed = true;
    else if (what->cookie)
        put_notify(&b, IKE_NOTIFY_COOKIE, what->cookie, what->cookie_len); /* first: RFC 7296 section 2.6 */
    payload_begin(&b, IKE_PAYLOAD_SA);
    /*
     * Combined-mode ciphers take no integrity transform, so they need a proposal of their own: RFC 7296
     * section 3.3.
     */
    put_proposal(&b.w, 1, aead_transforms, COUNT(aead_transforms), true, false);
    put_proposal(&b.w, 2, classic_transforms, COUNT(classic_transforms), true, true);
    payload_end(&b);
    put_ke(&b, what->group, random);
    put_nonce(&b, random);
    put_notify(&b, IKE_NOTIFY_NAT_DETECTION_SOURCE_IP, random->natd[0], IKE_NATD_LEN);
    put_notify(&b, IKE_NOTIFY_NAT_DETECTION_DESTINATION_IP, random->natd[1], IKE_NATD_LEN);
    put_notify(&b, IKE_NOTIFY_IKEV2_FRAGMENTATION_SUPPORTED, NULL, 0);
    return finish(&b);
}
