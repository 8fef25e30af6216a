#include "lb/xdp/device_report.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/err.h"
#include "lb/xdp/plan.h"

void device_report_begin(struct device_report *report)
{
    report->now = !report->now;
    report->counts[report->now] = 0;
}

void device_report_add(struct device_report *report, const char *name, enum fastpath_mode mode, int err,
                       const struct link *link)
{
    struct fastpath_interface *out = &report->lists[report->now][report->counts[report->now]++];

    *out = (struct fastpath_interface){.mode = mode};
    snprintf(out->name, sizeof out->name, "%s", name);
    if (err == -EBUSY || err == -EEXIST)
        snprintf(out->trouble, sizeof out->trouble, "another XDP program is attached");
    else if (err)
        snprintf(out->trouble, sizeof out->trouble, "%s", err_text(err));
    else if (mode == FASTPATH_NATIVE && link && link->are_features_known && !plan_can_send(link))
        snprintf(out->trouble, sizeof out->trouble,
                 "nothing can be sent there natively (a veth's peer needs GRO on)");
}

static bool was_there(const struct device_report *report, const struct fastpath_interface *now)
{
    const struct fastpath_interface *before = report->lists[!report->now];

    for (size_t i = 0; i < report->counts[!report->now]; i++)
        if (strcmp(before[i].name, now->name) == 0)
            return before[i].mode == now->mode && strcmp(before[i].trouble, now->trouble) == 0;
    return false;
}

void device_report_log(const struct device_report *report, const struct log *log)
{
    size_t count;
    const struct fastpath_interface *list = device_report_list(report, &count);

    for (size_t i = 0; i < count; i++) {
        if (was_there(report, &list[i]))
            continue;
        if (list[i].trouble[0])
            log_warn(log, "fast path: %s: %s; its packets take the slow path", list[i].name, list[i].trouble);
        else
            log_info(log, "fast path: %s: %s", list[i].name, fastpath_mode_name(list[i].mode));
    }
}

const struct fastpath_interface *device_report_list(const struct device_report *report, size_t *count)
{
    *count = report->counts[report->now];
    return report->lists[report->now];
}
