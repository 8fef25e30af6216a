#include "lb/xdp/rules.h"

#include <linux/fib_rules.h>
#include <linux/rtnetlink.h>
#include <stdbool.h>

/* What a rule asks of a packet, as far as it matters here. */
struct rule {
    uint32_t table;
    uint32_t mark;
    uint32_t suppressed; /* prefix lengths up to this do not count; UINT32_MAX: none */
    bool is_l3mdev;      /* the table of the device's VRF */
    bool is_special;     /* it asks for something else */
};

static int on_rule_attr(const struct nlattr *attr, void *data)
{
    struct rule *rule = data;

    switch (mnl_attr_get_type(attr)) {
    case FRA_TABLE:
        rule->table = mnl_attr_get_u32(attr);
        break;
    case FRA_FWMARK:
        rule->mark = mnl_attr_get_u32(attr);
        break;
    case FRA_SUPPRESS_PREFIXLEN:
        rule->suppressed = mnl_attr_get_u32(attr);
        break;
    case FRA_L3MDEV:
        rule->is_l3mdev = mnl_attr_get_u8(attr) != 0;
        break;
    case FRA_FWMASK:
    case FRA_PRIORITY:
    case FRA_PROTOCOL:
        break;
    default:
        rule->is_special = true;
    }
    return MNL_CB_OK;
}

/* What the rules that have been looked at, in their order, do. */
struct rules {
    bool any_matters;
    bool any_main; /* the main table is among them */
};

/* Can the rule lead a packet without a mark anywhere else than no rule would? */
static bool matters(const struct rules *before, const struct fib_rule_hdr *header, const struct rule *rule)
{
    const bool is_usual = rule->table == RT_TABLE_LOCAL || rule->table == RT_TABLE_MAIN ||
                          (rule->table == RT_TABLE_DEFAULT && before->any_main);
    const bool is_inverted = header->flags & FIB_RULE_INVERT;

    if (rule->mark && !is_inverted)
        return false;
    if (header->src_len || header->dst_len || header->tos || is_inverted || rule->is_special)
        return true;
    return header->action != FR_ACT_TO_TBL || rule->suppressed != UINT32_MAX ||
           !(is_usual || rule->is_l3mdev);
}

static int on_rule(const struct nlmsghdr *nlh, void *data)
{
    const struct fib_rule_hdr *header = mnl_nlmsg_get_payload(nlh);
    struct rule rule = {.table = header->table, .suppressed = UINT32_MAX};
    struct rules *rules = data;

    (void)mnl_attr_parse(nlh, sizeof *header, on_rule_attr, &rule);
    if (matters(rules, header, &rule))
        rules->any_matters = true;
    else if (rule.table == RT_TABLE_MAIN && !rule.mark)
        rules->any_main = true;
    return MNL_CB_OK;
}

int rules_are_direct(struct question *question, int family)
{
    struct nlmsghdr *nlh = question_begin(question, RTM_GETRULE, sizeof(struct fib_rule_hdr));
    struct fib_rule_hdr *header = mnl_nlmsg_get_payload(nlh);
    struct rules rules = {0};

    header->family = (uint8_t)family;
    const int err = question_list(question, nlh, on_rule, &rules, sizeof rules);
    return err ? err : rules.any_main && !rules.any_matters;
}
