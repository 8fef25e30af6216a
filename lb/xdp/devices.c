#include "lb/xdp/devices.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <linux/if_link.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/err.h"
#include "lb/xdp/device_report.h"
#include "lb/xdp/features.h"
#include "lb/xdp/plan.h"
#include "lb/xdp/ways.h"

/* A device that the program is, or is to be, attached to. */
struct device {
    uint32_t ifindex;
    char name[IF_NAMESIZE];
    bool is_wanted;
    enum fastpath_mode mode; /* FASTPATH_OFF: not attached */
    int link_fd;             /* what goes with us; -1: what lasts */
    int err;                 /* of the last try */
};

struct devices {
    struct maps *maps;
    struct links *links;
    struct features *features; /* NULL: the kernel does not tell */
    const struct log *log;
    enum config_fastpath wanted;
    struct plan_trial vain; /* where native mode did not work when it was tried last */
    int list_err;           /* of the last try to list the devices */
    struct link found[LINKS_MAX];
    size_t found_count;
    struct plan plan;
    struct device devices[LINKS_MAX];
    size_t count;
    struct device_report report;
};

int devices_create(struct maps *maps, struct links *links, enum config_fastpath wanted, const struct log *log,
                   struct devices **out)
{
    struct devices *d = calloc(1, sizeof *d);

    if (!d)
        return -ENOMEM;
    *d = (struct devices){.maps = maps, .links = links, .log = log, .wanted = wanted};
    d->features = features_open();
    *out = d;
    return 0;
}

static unsigned flags_of(enum fastpath_mode mode)
{
    return mode == FASTPATH_GENERIC ? XDP_FLAGS_SKB_MODE : XDP_FLAGS_DRV_MODE;
}

/* Detaches what an earlier run left, the i-th of it. 0 or -errno; in either case it is forgotten. */
static int detach_left(struct maps *maps, size_t i)
{
    const struct maps_left *left = &maps->left[i];
    const enum fastpath_mode mode = left->is_generic ? FASTPATH_GENERIC : FASTPATH_NATIVE;
    LIBBPF_OPTS(bpf_xdp_attach_opts, options, .old_prog_fd = left->program_fd);
    const int err = bpf_xdp_detach((int)left->ifindex, flags_of(mode), &options);

    maps_forget_left(maps, i);
    return err;
}

/* Detaches what an earlier run left on the device in another mode; its descriptor if it is in the same. */
static int take_left(struct maps *maps, uint32_t ifindex, enum fastpath_mode mode)
{
    for (size_t i = 0; i < maps->left_count; i++) {
        struct maps_left *left = &maps->left[i];
        if (left->ifindex != ifindex)
            continue;
        if (left->is_generic == (mode == FASTPATH_GENERIC))
            return left->program_fd;
        (void)detach_left(maps, i);
        return -1;
    }
    return -1;
}

static void done_with_left(struct maps *maps, uint32_t ifindex)
{
    for (size_t i = maps->left_count; i > 0; i--)
        if (maps->left[i - 1].ifindex == ifindex)
            maps_forget_left(maps, i - 1);
}

/* Somebody else's program is left alone: we attach only where there is none, or in place of our own. */
static int attach_lasting(struct maps *maps, uint32_t ifindex, enum fastpath_mode mode)
{
    const int old_fd = take_left(maps, ifindex, mode);
    LIBBPF_OPTS(bpf_xdp_attach_opts, options, .old_prog_fd = old_fd >= 0 ? old_fd : 0);
    const unsigned how = old_fd >= 0 ? XDP_FLAGS_REPLACE : XDP_FLAGS_UPDATE_IF_NOEXIST;
    const int err = bpf_xdp_attach((int)ifindex, maps->program_fd, flags_of(mode) | how, &options);

    if (!err)
        done_with_left(maps, ifindex);
    return err;
}

static void attach(struct devices *d, struct device *device, enum fastpath_mode mode)
{
    if (d->maps->lasts) {
        device->link_fd = -1;
        device->err = attach_lasting(d->maps, device->ifindex, mode);
    } else {
        LIBBPF_OPTS(bpf_link_create_opts, options, .flags = flags_of(mode));
        device->link_fd = bpf_link_create(d->maps->program_fd, (int)device->ifindex, BPF_XDP, &options);
        device->err = device->link_fd < 0 ? -errno : 0;
    }
    if (!device->err)
        device->mode = mode;
}

/* Where one device is on top of another, as a macvlan is, its program must go first: the kernel changes none
 * below it. So devices are attached to in the order of their numbers, and left in the other. */
static void detach(const struct devices *d, struct device *device)
{
    LIBBPF_OPTS(bpf_xdp_attach_opts, options, .old_prog_fd = d->maps->program_fd);

    if (device->mode == FASTPATH_OFF)
        return;
    if (device->link_fd >= 0)
        close(device->link_fd);
    else
        (void)bpf_xdp_detach((int)device->ifindex, flags_of(device->mode), &options);
    device->link_fd = -1;
    device->mode = FASTPATH_OFF;
}

static struct device *find_device(struct devices *d, uint32_t ifindex)
{
    for (size_t i = 0; i < d->count; i++)
        if (d->devices[i].ifindex == ifindex)
            return &d->devices[i];
    return NULL;
}

static void want(struct devices *d, const struct link *link)
{
    struct device *device = find_device(d, link->ifindex);

    if (!device) {
        if (d->count == LINKS_MAX)
            return;
        device = &d->devices[d->count++];
        *device = (struct device){.ifindex = link->ifindex, .link_fd = -1};
    }
    memcpy(device->name, link->name, sizeof device->name);
    device->is_wanted = true;
}

/* Marks what the plan wants, and forgets what is not wanted any more or has gone. */
static void choose(struct devices *d)
{
    for (size_t i = 0; i < d->count; i++)
        d->devices[i].is_wanted = false;
    for (size_t i = 0; i < d->plan.attachment_count; i++)
        want(d, d->plan.attachments[i]);
    for (size_t i = d->count; i > 0; i--) {
        struct device *device = &d->devices[i - 1];
        if (device->is_wanted)
            continue;
        detach(d, device);
        memmove(device, device + 1, (size_t)(&d->devices[--d->count] - device) * sizeof *device);
    }
}

static void make_plan(struct devices *d, enum fastpath_mode mode)
{
    plan_make(&d->plan, d->found, d->found_count, mode);
}

static void ask_features(struct devices *d)
{
    for (size_t i = 0; i < d->found_count; i++) {
        struct link *link = &d->found[i];
        link->are_features_known = d->features != NULL;
        link->features = link->is_ethernet && link->is_up && !link->is_port
                             ? features_of(d->features, link->ifindex)
                             : 0; /* a machine of containers has hundreds of these */
    }
}

static void write_ways(struct devices *d, const struct plan *plan)
{
    const int err = ways_write(d->maps->ports, d->maps->exits, plan);

    if (err)
        log_warn(d->log, "fast path: not all network devices could be entered: %s", err_text(err));
}

/*
 * Attaches to all that are wanted. A program finds its ways from its first packet on; while the mode changes
 * all packets pass up.
 */
static void attach_all(struct devices *d, enum fastpath_mode mode)
{
    static const struct plan none;
    const enum fastpath_mode now = devices_mode(d);

    make_plan(d, mode);
    write_ways(d, now == FASTPATH_OFF || now == mode ? &d->plan : &none);
    choose(d);
    for (size_t i = d->count; i > 0; i--)
        if (d->devices[i - 1].mode != mode)
            detach(d, &d->devices[i - 1]);
    for (size_t i = 0; i < d->count; i++)
        if (d->devices[i].mode == FASTPATH_OFF)
            attach(d, &d->devices[i], mode);
}

/* Keeps of a trial what did not work. */
static void keep_vain(struct devices *d)
{
    size_t count = 0;

    for (size_t i = 0; i < d->vain.count; i++) {
        const struct link *link = plan_find(&d->plan, d->vain.ifindexes[i]);
        const struct device *device = find_device(d, d->vain.ifindexes[i]);
        if (link && plan_can_send(link) && device && !device->err)
            continue;
        d->vain.ifindexes[count] = d->vain.ifindexes[i];
        d->vain.features[count++] = d->vain.features[i];
    }
    d->vain.count = count;
}

/*
 * Native, if that works on all devices; else generic. What is sent natively to a device that cannot take it
 * is lost without a word, as in a veth whose peer does not poll, so the kernel's word is needed that it can.
 * Some drivers can only once a program is attached. Where it was in vain it is not tried again before that
 * device has changed, whatever others do.
 */
static void settle(struct devices *d)
{
    make_plan(d, FASTPATH_NATIVE);
    if (plan_can_receive(&d->plan) && !plan_has_tried(&d->plan, &d->vain)) {
        plan_begin_trial(&d->vain, &d->plan);
        attach_all(d, FASTPATH_NATIVE);
        ask_features(d);
        make_plan(d, FASTPATH_NATIVE);
        keep_vain(d);
        if (d->vain.count == 0)
            return;
    }
    attach_all(d, FASTPATH_GENERIC);
}

static void report(struct devices *d)
{
    device_report_begin(&d->report);
    for (size_t i = 0; i < d->count; i++) {
        const struct device *device = &d->devices[i];
        device_report_add(&d->report, device->name, device->mode, device->err,
                          plan_find(&d->plan, device->ifindex));
    }
    device_report_log(&d->report, d->log);
}

/* An earlier run may have been attached where nothing is wanted now. */
static void remove_rest(struct devices *d)
{
    for (size_t i = d->maps->left_count; i > 0; i--)
        if (!find_device(d, d->maps->left[i - 1].ifindex))
            (void)detach_left(d->maps, i - 1);
}

static int list(struct devices *d)
{
    const int found = links_list(d->links, d->found);
    const int err = found < 0 ? found : 0;

    if (err && err != -EINTR && err != d->list_err)
        log_warn(d->log, "fast path: cannot list the network devices: %s; trying again", err_text(err));
    d->list_err = err;
    if (err)
        return err;
    if (found == LINKS_MAX && d->found_count < LINKS_MAX)
        log_warn(d->log, "fast path: only the first %d network devices are looked at", LINKS_MAX);
    d->found_count = (size_t)found;
    return err;
}

/* Somebody may have taken the program off, or put another one in its place. */
static void notice_lost(struct devices *d)
{
    for (size_t i = 0; i < d->count; i++) {
        struct device *device = &d->devices[i];
        const struct link *link = link_find(d->found, d->found_count, device->ifindex);
        if (device->mode == FASTPATH_OFF || !link)
            continue;
        if ((device->mode == FASTPATH_GENERIC ? link->generic_id : link->native_id) == d->maps->program_id)
            continue;
        log_warn(d->log, "fast path: %s: somebody has removed the program; attaching it again", device->name);
        if (device->link_fd >= 0)
            close(device->link_fd);
        device->link_fd = -1;
        device->mode = FASTPATH_OFF;
    }
}

void devices_refresh(struct devices *d, bool links_have_changed)
{
    const bool features_changed = features_have_changed(d->features);

    if (!links_have_changed && !features_changed && !d->list_err)
        return;
    if (list(d) != 0)
        return;
    notice_lost(d);
    ask_features(d);
    if (d->wanted == CONFIG_FASTPATH_AUTO) {
        settle(d);
    } else {
        attach_all(d, d->wanted == CONFIG_FASTPATH_NATIVE ? FASTPATH_NATIVE : FASTPATH_GENERIC);
    }
    write_ways(d, &d->plan);
    remove_rest(d);
    report(d);
}

enum fastpath_mode devices_mode(const struct devices *d)
{
    for (size_t i = 0; i < d->count; i++)
        if (d->devices[i].mode != FASTPATH_OFF)
            return d->devices[i].mode;
    return FASTPATH_OFF;
}

const struct fastpath_interface *devices_list(const struct devices *d, size_t *count)
{
    return device_report_list(&d->report, count);
}

void devices_destroy(struct devices *d, bool leave)
{
    if (!d)
        return;
    for (size_t i = d->count; i > 0; i--)
        if (!leave || d->devices[i - 1].link_fd >= 0)
            detach(d, &d->devices[i - 1]);
    features_close(d->features);
    free(d);
}

void devices_clean(struct maps *maps, const struct log *log)
{
    while (maps->left_count) {
        const uint32_t ifindex = maps->left[maps->left_count - 1].ifindex;
        const int err = detach_left(maps, maps->left_count - 1);
        if (err)
            log_warn(log, "fast path: cannot remove what an earlier run has left on device %u: %s", ifindex,
                     err_text(err));
    }
}
