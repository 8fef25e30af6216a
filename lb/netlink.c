#include "lb/netlink.h"

#include <errno.h>
#include <libmnl/libmnl.h>
#include <linux/fib_rules.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <stdint.h>
#include <string.h>
#include <time.h>

#include "base/err.h"
#include "lb/kernel.h"
#include "lb/netlink_find.h"

#define MESSAGE_BYTES 512

/* Sends one request and waits for the kernel's acknowledgement. 0 or -errno. */
static int transact(struct mnl_socket *socket, struct nlmsghdr *nlh)
{
    _Alignas(struct nlmsghdr) char answer[4096];
    const uint32_t seq = (uint32_t)time(NULL);

    nlh->nlmsg_flags |= NLM_F_REQUEST | NLM_F_ACK;
    nlh->nlmsg_seq = seq;
    if (mnl_socket_sendto(socket, nlh, nlh->nlmsg_len) < 0)
        return -errno;
    const ssize_t len = mnl_socket_recvfrom(socket, answer, sizeof answer);
    if (len < 0)
        return -errno;
    if (mnl_cb_run(answer, (size_t)len, seq, mnl_socket_get_portid(socket), NULL, NULL) < 0)
        return -errno;
    return 0;
}

/* The kernel removes the first rule that matches every attribute given, FRA_PROTOCOL among them: only ever
 * ours. */
static int change_rule(struct mnl_socket *socket, int family, uint16_t type, uint16_t flags)
{
    _Alignas(struct nlmsghdr) char buffer[MESSAGE_BYTES];
    struct nlmsghdr *nlh = mnl_nlmsg_put_header(buffer);

    nlh->nlmsg_type = type;
    nlh->nlmsg_flags = flags;
    struct fib_rule_hdr *rule = mnl_nlmsg_put_extra_header(nlh, sizeof *rule);
    rule->family = (uint8_t)family;
    rule->table = RT_TABLE_UNSPEC;
    rule->action = FR_ACT_TO_TBL;
    mnl_attr_put_u32(nlh, FRA_PRIORITY, KERNEL_RULE_PRIORITY);
    mnl_attr_put_u32(nlh, FRA_FWMARK, KERNEL_MARK);
    mnl_attr_put_u32(nlh, FRA_FWMASK, KERNEL_MARK_MASK);
    mnl_attr_put_u32(nlh, FRA_TABLE, KERNEL_ROUTE_TABLE);
    mnl_attr_put_u8(nlh, FRA_PROTOCOL, KERNEL_PROTOCOL);
    return transact(socket, nlh);
}

static int change_route(struct mnl_socket *socket, int family, uint16_t type, uint16_t flags)
{
    _Alignas(struct nlmsghdr) char buffer[MESSAGE_BYTES];
    struct nlmsghdr *nlh = mnl_nlmsg_put_header(buffer);

    nlh->nlmsg_type = type;
    nlh->nlmsg_flags = flags;
    struct rtmsg *route = mnl_nlmsg_put_extra_header(nlh, sizeof *route);
    route->rtm_family = (uint8_t)family;
    route->rtm_table = RT_TABLE_UNSPEC;
    route->rtm_protocol = KERNEL_PROTOCOL;
    route->rtm_scope = RT_SCOPE_HOST;
    route->rtm_type = RTN_LOCAL;
    mnl_attr_put_u32(nlh, RTA_TABLE, KERNEL_ROUTE_TABLE);
    mnl_attr_put_u32(nlh, RTA_OIF, if_nametoindex("lo"));
    return transact(socket, nlh);
}

static struct mnl_socket *open_socket(void)
{
    struct mnl_socket *socket = mnl_socket_open2(NETLINK_ROUTE, SOCK_CLOEXEC);

    if (socket && mnl_socket_bind(socket, 0, MNL_SOCKET_AUTOPID) < 0) {
        const int err = errno;
        mnl_socket_close(socket);
        errno = err;
        return NULL;
    }
    return socket;
}

/* A killed run may have left its own; several, if it ever went wrong. */
static void remove_rules(struct mnl_socket *socket, int family)
{
    while (change_rule(socket, family, RTM_DELRULE, 0) == 0)
        ;
}

static void remove_both(struct mnl_socket *socket, int family)
{
    remove_rules(socket, family);
    (void)change_route(socket, family, RTM_DELROUTE, 0);
}

/*
 * What is there already, once and just as it should be, stays: while it is taken away and put back replies
 * would be lost. Anything else of ours is replaced.
 */
static bool is_in_place(struct mnl_socket *socket, int family,
                        int (*find)(struct mnl_socket *, int, struct netlink_found *))
{
    struct netlink_found found;

    return find(socket, family, &found) == 0 && found.count == 1 && found.same_count == 1;
}

static int start_route(struct mnl_socket *socket, int family)
{
    if (is_in_place(socket, family, netlink_find_routes))
        return 0;
    (void)change_route(socket, family, RTM_DELROUTE, 0);
    return change_route(socket, family, RTM_NEWROUTE, NLM_F_CREATE | NLM_F_EXCL);
}

static int start_rule(struct mnl_socket *socket, int family)
{
    if (is_in_place(socket, family, netlink_find_rules))
        return 0;
    remove_rules(socket, family);
    return change_rule(socket, family, RTM_NEWRULE, NLM_F_CREATE | NLM_F_EXCL);
}

int netlink_start(int family, const struct log *log)
{
    const char *what = "netlink socket";
    struct mnl_socket *socket = open_socket();
    int err = socket ? 0 : -errno;

    if (!err) {
        what = "route";
        err = start_route(socket, family);
    }
    if (!err) {
        what = "rule";
        err = start_rule(socket, family);
    }
    if (err) {
        log_error(log, "cannot set up the %s for IPv%d (fwmark %#x/%#x, priority %d, table %d): %s%s", what,
                  family == AF_INET ? 4 : 6, KERNEL_MARK, KERNEL_MARK_MASK, KERNEL_RULE_PRIORITY,
                  KERNEL_ROUTE_TABLE, err_text(err),
                  err == -EEXIST ? " (another program has put the same there: remove it)" : "");
        if (socket)
            remove_both(socket, family);
    }
    if (socket)
        mnl_socket_close(socket);
    return err;
}

void netlink_stop(int family, const struct log *log)
{
    struct mnl_socket *socket = open_socket();

    if (!socket) {
        log_warn(log, "cannot remove the rule and the route: %s", err_text(-errno));
        return;
    }
    remove_both(socket, family);
    mnl_socket_close(socket);
}
