#include "lb/xdp/features.h"

#include <errno.h>
#include <libmnl/libmnl.h>
#include <linux/genetlink.h>
#include <stdlib.h>
#include <string.h>

#include "lb/question.h"

/* From the kernel's include/uapi/linux/netdev.h, which is younger than the headers that we build with. */
#define NETDEV_FAMILY_NAME   "netdev"
#define NETDEV_GROUP_NAME    "mgmt"
#define NETDEV_CMD_DEV_GET   1
#define NETDEV_A_IFINDEX     1
#define NETDEV_A_XDP_FEATURE 3

#define NEWS_BYTES 8192

struct features {
    struct question question;
    struct mnl_socket *news; /* member of the group, not blocking */
    uint16_t family;
    uint32_t group;
};

/* What an answer's attributes are read into. */
struct reading {
    struct features *features;
    uint64_t bits;
};

/* A multicast group of the family. */
struct group {
    const char *name;
    uint32_t id;
};

static int on_group_attr(const struct nlattr *attr, void *data)
{
    struct group *group = data;

    if (mnl_attr_get_type(attr) == CTRL_ATTR_MCAST_GRP_NAME)
        group->name = mnl_attr_get_str(attr);
    else if (mnl_attr_get_type(attr) == CTRL_ATTR_MCAST_GRP_ID)
        group->id = mnl_attr_get_u32(attr);
    return MNL_CB_OK;
}

static int on_group(const struct nlattr *attr, void *data)
{
    struct features *f = data;
    struct group group = {.name = ""};

    (void)mnl_attr_parse_nested(attr, on_group_attr, &group);
    if (strcmp(group.name, NETDEV_GROUP_NAME) == 0)
        f->group = group.id;
    return MNL_CB_OK;
}

static int on_family_attr(const struct nlattr *attr, void *data)
{
    struct reading *reading = data;

    if (mnl_attr_get_type(attr) == CTRL_ATTR_FAMILY_ID)
        reading->features->family = mnl_attr_get_u16(attr);
    else if (mnl_attr_get_type(attr) == CTRL_ATTR_MCAST_GROUPS)
        (void)mnl_attr_parse_nested(attr, on_group, reading->features);
    return MNL_CB_OK;
}

static int on_device_attr(const struct nlattr *attr, void *data)
{
    struct reading *reading = data;

    if (mnl_attr_get_type(attr) == NETDEV_A_XDP_FEATURE)
        reading->bits = mnl_attr_get_u64(attr);
    return MNL_CB_OK;
}

static int on_family(const struct nlmsghdr *nlh, void *data)
{
    return mnl_attr_parse(nlh, sizeof(struct genlmsghdr), on_family_attr, data);
}

static int on_device(const struct nlmsghdr *nlh, void *data)
{
    return mnl_attr_parse(nlh, sizeof(struct genlmsghdr), on_device_attr, data);
}

static struct nlmsghdr *begin(struct features *f, uint16_t family, uint8_t command)
{
    struct nlmsghdr *nlh = question_begin(&f->question, family, sizeof(struct genlmsghdr));
    struct genlmsghdr *genl = mnl_nlmsg_get_payload(nlh);

    genl->cmd = command;
    genl->version = 1;
    return nlh;
}

static int find_family(struct features *f)
{
    struct reading reading = {.features = f};
    struct nlmsghdr *nlh = begin(f, GENL_ID_CTRL, CTRL_CMD_GETFAMILY);

    mnl_attr_put_strz(nlh, CTRL_ATTR_FAMILY_NAME, NETDEV_FAMILY_NAME);
    const int err = question_ask(&f->question, nlh, on_family, &reading);
    return err ? err : f->family ? 0 : -ENOENT;
}

struct features *features_open(void)
{
    struct features *f = calloc(1, sizeof *f);

    if (!f)
        return NULL;
    f->news = question_socket(NETLINK_GENERIC, 0);
    if (question_open(&f->question, NETLINK_GENERIC) == 0 && f->news && find_family(f) == 0 &&
        mnl_socket_setsockopt(f->news, NETLINK_ADD_MEMBERSHIP, &f->group, sizeof f->group) == 0)
        return f;
    features_close(f);
    return NULL;
}

void features_close(struct features *f)
{
    if (!f)
        return;
    question_close(&f->question);
    if (f->news)
        mnl_socket_close(f->news);
    free(f);
}

uint64_t features_of(struct features *f, uint32_t ifindex)
{
    struct reading reading = {.features = f};

    if (!f)
        return 0;
    struct nlmsghdr *nlh = begin(f, f->family, NETDEV_CMD_DEV_GET);
    mnl_attr_put_u32(nlh, NETDEV_A_IFINDEX, ifindex);
    return question_ask(&f->question, nlh, on_device, &reading) == 0 ? reading.bits : 0;
}

bool features_have_changed(struct features *f)
{
    _Alignas(struct nlmsghdr) char news[NEWS_BYTES];
    bool any = false;
    ssize_t len;

    if (!f)
        return false;
    /* A full queue, ENOBUFS, is news as well. */
    while ((len = mnl_socket_recvfrom(f->news, news, sizeof news)) > 0 ||
           (len < 0 && (errno == ENOBUFS || errno == EINTR)))
        any = true;
    return any;
}
