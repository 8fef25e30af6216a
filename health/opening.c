#include "health/opening.h"

#include <string.h>
#include <uv.h>

int opening_init(struct opening *o)
{
    /* ECP-256 is cheap for the server and known to nearly all; who wants another one says so. */
    *o = (struct opening){.init.group = IKE_GROUP_ECP_256};
    return uv_random(NULL, NULL, &o->random, sizeof o->random, 0, NULL);
}

void opening_name(struct opening *o, const struct ike_spi *spi_i)
{
    o->init = (struct message_init){.spi_i = *spi_i, .group = IKE_GROUP_ECP_256};
    o->group_changed = false;
}

size_t opening_write(const struct opening *o, bool natt_port, void *buf, size_t size)
{
    return message_init(&o->init, &o->random, natt_port, buf, size);
}

/* The server wants proof that we receive what it sends. */
static bool meet_cookie(struct opening *o, const struct ike_datagram *d)
{
    struct ike_notify n;

    if (o->init.cookie || !payload_find_notify(d, IKE_NOTIFY_COOKIE, &n))
        return false;
    o->cookie_demanded = true;
    if (!n.data_len || n.data_len > IKE_COOKIE_MAX)
        return false;
    memcpy(o->cookie, n.data, n.data_len);
    o->init.cookie = o->cookie;
    o->init.cookie_len = n.data_len;
    return true;
}

static bool meet_group(struct opening *o, const struct ike_datagram *d)
{
    struct ike_notify n;

    if (o->group_changed || !payload_find_notify(d, IKE_NOTIFY_INVALID_KE_PAYLOAD, &n))
        return false;
    struct cursor c = cursor_over(n.data, n.data_len);
    const uint16_t group = cursor_u16(&c);
    if (c.failed || !group_is_known(group))
        return false;
    o->init.group = (enum ike_group)group;
    o->group_changed = true;
    return true;
}

bool opening_meet_demand(struct opening *o, const struct ike_datagram *answer)
{
    return meet_cookie(o, answer) || meet_group(o, answer);
}

bool opening_is_accepted(const struct ike_datagram *answer)
{
    struct payload_walk w;
    struct ike_payload p;
    struct ike_notify n;

    if (answer->header.major != 2 || !header_is_init_response(&answer->header) ||
        header_spi_is_zero(&answer->header.spi_r) || payload_walk_init(&w, answer) < 0)
        return false;
    while (payload_walk_next(&w, &p))
        if (p.type == IKE_PAYLOAD_NOTIFY && payload_notify(&p, &n) == 0 &&
            (n.type < IKE_NOTIFY_STATUS_MIN || n.type == IKE_NOTIFY_COOKIE || n.type == IKE_NOTIFY_REDIRECT))
            return false;
    return true;
}
