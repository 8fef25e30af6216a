#include "app/handover.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/select.h>
#include <sys/stat.h>
#include <systemd/sd-daemon.h>
#include <unistd.h>

#include "app/manager.h"
#include "base/err.h"
#include "base/plural.h"

/* A descriptor that the service manager keeps, or should. */
struct kept {
    char *name;  /* owned */
    int fd;      /* of a socket that is wanted; borrowed */
    ino_t inode; /* tells sockets of one name apart */
    bool lost;   /* of one that is wanted: the manager has just closed it together with a namesake */
};

struct kept_list {
    struct kept *items;
    size_t count;
    size_t room;
    bool failed; /* no memory: it is not complete */
};

struct handover {
    const struct log *log;
    struct inherited inherited;
    struct kept_list kept; /* what the manager has; in the order of names */
    bool is_kept;
};

/* Adds a descriptor at the end. */
static void add(void *ctx, int fd, const char *name)
{
    struct kept_list *list = ctx;
    struct stat st;

    if (list->count == list->room) {
        const size_t room = list->room ? list->room * 2 : 16;
        struct kept *items = reallocarray(list->items, room, sizeof *items);
        if (!items) {
            list->failed = true;
            return;
        }
        list->items = items;
        list->room = room;
    }
    char *copy = strdup(name);
    if (!copy) {
        list->failed = true;
        return;
    }
    list->items[list->count++] =
        (struct kept){.name = copy, .fd = fd, .inode = fstat(fd, &st) == 0 ? st.st_ino : 0};
}

static void clear(struct kept_list *list)
{
    for (size_t i = 0; i < list->count; i++)
        free(list->items[i].name);
    free(list->items);
    *list = (struct kept_list){0};
}

static int by_name(const void *a, const void *b)
{
    return strcmp(((const struct kept *)a)->name, ((const struct kept *)b)->name);
}

static void sort(struct kept_list *list)
{
    if (list->count)
        qsort(list->items, list->count, sizeof *list->items, by_name);
}

static struct kept *find(const struct kept_list *list, const struct kept *namesake)
{
    return list->count ? bsearch(namesake, list->items, list->count, sizeof *list->items, by_name) : NULL;
}

/* Leaves a low number to kernel_create(); there may be more than FD_SETSIZE descriptors. */
static int move_up(int fd)
{
    const int moved = fcntl(fd, F_DUPFD_CLOEXEC, FD_SETSIZE);

    if (moved < 0) /* the limit is that low, and then no descriptor is so high */
        return fd;
    close(fd);
    return moved;
}

/* The descriptors that the service manager passed. Their names are freed by the caller. */
static int receive(struct handover *h, char **names, int count)
{
    int *fds = calloc((size_t)count, sizeof *fds);

    if (!fds)
        return -ENOMEM;
    for (int i = 0; i < count; i++) {
        fds[i] = i == 0 ? move_up(SD_LISTEN_FDS_START) : SD_LISTEN_FDS_START + i;
        add(&h->kept, fds[i], names[i]);
    }
    sort(&h->kept);
    const int err = h->kept.failed ? -ENOMEM : inherited_init(fds, (size_t)count, &h->inherited);
    free(fds);
    return err;
}

int handover_create(const struct log *log, struct handover **out)
{
    struct handover *h = calloc(1, sizeof *h);
    char **names = NULL;
    int err = 0;

    if (!h)
        return -ENOMEM;
    h->log = log;
    const int count = sd_listen_fds_with_names(1, &names);
    if (count > 0)
        err = receive(h, names, count);
    else if (count < 0)
        log_warn(log, "the descriptors that the service manager passed cannot be used: %s", err_text(count));
    for (int i = 0; i < count; i++)
        free(names[i]);
    free(names);
    if (err) {
        handover_destroy(h);
        return err;
    }
    *out = h;
    return 0;
}

struct inherited *handover_inherited(struct handover *h)
{
    return &h->inherited;
}

/* Those of the list that are not wanted. The manager closes all of a name at once. */
static void forget_others(const struct kept_list *list, const struct kept_list *wanted)
{
    for (size_t i = 0; i < list->count; i++) {
        struct kept *same = find(wanted, &list->items[i]);
        if (same && same->inode == list->items[i].inode)
            continue;
        manager_forget(list->items[i].name);
        if (same)
            same->lost = true;
    }
}

/* 0, or the error of the first that could not be given to the manager. */
static int keep_new(const struct kept_list *list, const struct kept_list *wanted)
{
    int err = 0;

    for (size_t i = 0; i < wanted->count && !err; i++)
        if (wanted->items[i].lost || !find(list, &wanted->items[i]))
            err = manager_keep(wanted->items[i].fd, wanted->items[i].name);
    return err;
}

/* At the first call: tells what became of the descriptors that were passed, and closes those left. */
static void settle(struct handover *h)
{
    size_t taken = 0;

    for (size_t i = 0; i < h->inherited.count; i++)
        taken += h->inherited.sockets[i].fd < 0;
    if (taken)
        log_info(h->log, "%zu socket%s taken over from the last run, with what waits in them", taken,
                 plural(taken));
    for (size_t i = 0; i < h->inherited.count; i++) {
        const struct inherited_socket *socket = &h->inherited.sockets[i];
        char text[ENDPOINT_TEXT_MAX];
        if (socket->fd >= 0)
            log_info(h->log, "a socket of the last run is closed: %s%s",
                     socket->usable ? "the configuration has no use for UDP " : "it is of another kind",
                     socket->usable ? endpoint_format(&socket->at, text) : "");
    }
    inherited_deinit(&h->inherited);
}

void handover_update(struct handover *h, const struct io_socket *io)
{
    struct kept_list wanted = {0};

    settle(h);
    if (!manager_is_there())
        return;
    io_socket_each(io, add, &wanted);
    sort(&wanted);
    int err = wanted.failed ? -ENOMEM : 0;
    if (!err) {
        forget_others(&h->kept, &wanted);
        err = keep_new(&h->kept, &wanted);
    }
    if (err)
        log_warn(h->log,
                 "the service manager does not get the sockets to keep: %s: a restart will lose packets",
                 err_text(err));
    h->is_kept = !err;
    clear(&h->kept);
    h->kept = wanted;
}

bool handover_is_kept(const struct handover *h)
{
    return h->is_kept;
}

void handover_destroy(struct handover *h)
{
    if (!h)
        return;
    inherited_deinit(&h->inherited);
    clear(&h->kept);
    free(h);
}
