#include "lb/xdp/maps.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <net/if.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <unistd.h>

#include "base/err.h"
#include "lb/xdp/table.h"
#include <lb/xdp/fastpath.skel.h> /* which the build makes of fastpath.bpf.c */

#define PROGRAM_NAME "ikelb_fastpath"
#define MAP_IDS_MAX  16

/* The maps that a later run goes on with: all that does not follow from the machine as it is now. */
#define KEPT_LIST(X) X(ikelb_entries) X(ikelb_places) X(ikelb_sources) X(ikelb_about)

/* The descriptors of these maps of one program, or negative. */
struct kept {
#define KEPT_FD(name) int name;
    KEPT_LIST(KEPT_FD)
#undef KEPT_FD
};

static void close_kept(const struct kept *kept)
{
#define KEPT_CLOSE(name)                                                                                     \
    if (kept->name >= 0)                                                                                     \
        close(kept->name);
    KEPT_LIST(KEPT_CLOSE)
#undef KEPT_CLOSE
}

static bool is_ours(int program_fd)
{
    struct bpf_prog_info info = {0};
    uint32_t len = sizeof info;

    return bpf_obj_get_info_by_fd(program_fd, &info, &len) == 0 && strcmp(info.name, PROGRAM_NAME) == 0;
}

static int find_fd(const struct maps *maps, uint32_t id)
{
    for (size_t i = 0; i < maps->left_count; i++)
        if (maps->left[i].id == id)
            return maps->left[i].program_fd;
    return -1;
}

static void note_left(struct maps *maps, uint32_t ifindex, uint32_t id, bool is_generic)
{
    if (id == 0 || maps->left_count == MAPS_LEFT_MAX)
        return;
    int fd = find_fd(maps, id);
    if (fd < 0) {
        fd = bpf_prog_get_fd_by_id(id);
        if (fd < 0 && errno == EPERM && !maps->hidden)
            maps->hidden = ifindex;
        if (fd < 0)
            return;
        if (!is_ours(fd)) {
            close(fd);
            return;
        }
    }
    maps->left[maps->left_count++] =
        (struct maps_left){.ifindex = ifindex, .id = id, .is_generic = is_generic, .program_fd = fd};
}

void maps_find_left(struct maps *maps)
{
    struct if_nameindex *all = if_nameindex();

    for (const struct if_nameindex *one = all; one && one->if_index; one++) {
        LIBBPF_OPTS(bpf_xdp_query_opts, attached);
        if (bpf_xdp_query((int)one->if_index, 0, &attached) != 0)
            continue;
        note_left(maps, one->if_index, attached.drv_prog_id, false);
        note_left(maps, one->if_index, attached.skb_prog_id, true);
    }
    if_freenameindex(all);
}

void maps_forget_left(struct maps *maps, size_t i)
{
    const struct maps_left gone = maps->left[i];

    maps->left[i] = maps->left[--maps->left_count];
    if (find_fd(maps, gone.id) < 0)
        close(gone.program_fd);
}

static int *kept_fd(struct kept *kept, const char *name)
{
#define KEPT_FIND(map)                                                                                       \
    if (strncmp(name, #map, BPF_OBJ_NAME_LEN - 1) == 0)                                                      \
        return &kept->map;
    KEPT_LIST(KEPT_FIND)
#undef KEPT_FIND
    return NULL;
}

/* Opens the maps of a program that are kept. */
static void open_kept(int program_fd, struct kept *kept)
{
    uint32_t ids[MAP_IDS_MAX];
    struct bpf_prog_info info = {.nr_map_ids = MAP_IDS_MAX, .map_ids = (uintptr_t)ids};
    uint32_t len = sizeof info;

    *kept = (struct kept){-1, -1, -1, -1};
    if (bpf_obj_get_info_by_fd(program_fd, &info, &len) != 0)
        return;
    for (uint32_t i = 0; i < info.nr_map_ids && i < MAP_IDS_MAX; i++) {
        struct bpf_map_info map = {0};
        uint32_t map_len = sizeof map;
        const int fd = bpf_map_get_fd_by_id(ids[i]);
        if (fd < 0)
            continue;
        int *slot = bpf_obj_get_info_by_fd(fd, &map, &map_len) == 0 ? kept_fd(kept, map.name) : NULL;
        if (slot && *slot < 0)
            *slot = fd;
        else
            close(fd);
    }
}

/* Has the earlier run the same layout and as much room? Then its seed is *about's. */
static bool fits(const struct kept *kept, uint32_t slots, struct xdp_about *about)
{
    const uint32_t zero = 0;

    return kept->ikelb_entries >= 0 && kept->ikelb_places >= 0 && kept->ikelb_sources >= 0 &&
           kept->ikelb_about >= 0 && bpf_map_lookup_elem(kept->ikelb_about, &zero, about) == 0 &&
           about->version == XDP_LAYOUT_VERSION && about->slots == slots;
}

static int reuse(struct fastpath_bpf *skeleton, const struct kept *kept)
{
    int err = 0;

#define KEPT_REUSE(name)                                                                                     \
    if (!err)                                                                                                \
        err = bpf_map__reuse_fd(skeleton->maps.name, kept->name);
    KEPT_LIST(KEPT_REUSE)
#undef KEPT_REUSE
    return err;
}

/* The tables of any earlier run that fit. */
static int adopt(struct maps *maps, struct xdp_about *about)
{
    int err = 0;

    for (size_t i = 0; i < maps->left_count && !maps->adopted && !err; i++) {
        struct kept kept;
        open_kept(maps->left[i].program_fd, &kept);
        if (fits(&kept, maps->slots, about)) {
            err = reuse(maps->skeleton, &kept);
            maps->adopted = !err;
        }
        close_kept(&kept);
    }
    return err;
}

/* An array as our memory; NULL if it cannot be mapped. */
static void *map_array(const struct bpf_map *map, int protection)
{
    const size_t size = (size_t)bpf_map__value_size(map) * bpf_map__max_entries(map);
    void *memory = mmap(NULL, size, protection, MAP_SHARED, bpf_map__fd(map), 0);

    return memory == MAP_FAILED ? NULL : memory;
}

static void unmap_array(const struct bpf_map *map, const void *memory)
{
    if (memory)
        (void)munmap((void *)memory, (size_t)bpf_map__value_size(map) * bpf_map__max_entries(map));
}

static int map_arrays(struct maps *maps)
{
    const struct fastpath_bpf *skeleton = maps->skeleton;

    maps->entries = map_array(skeleton->maps.ikelb_entries, PROT_READ | PROT_WRITE);
    maps->places = map_array(skeleton->maps.ikelb_places, PROT_READ | PROT_WRITE);
    maps->sources = map_array(skeleton->maps.ikelb_sources, PROT_READ | PROT_WRITE);
    maps->about = map_array(skeleton->maps.ikelb_about, PROT_READ | PROT_WRITE);
    maps->ports = map_array(skeleton->maps.ikelb_ports, PROT_READ | PROT_WRITE);
    maps->exits = map_array(skeleton->maps.ikelb_exits, PROT_READ | PROT_WRITE);
    maps->counts = map_array(skeleton->maps.ikelb_counts, PROT_READ);
    return maps->entries && maps->places && maps->sources && maps->about && maps->ports && maps->exits &&
                   maps->counts
               ? 0
               : -ENOMEM;
}

/* Sizes and constants of the program, before it is loaded. */
static int prepare(struct maps *maps, struct xdp_about *about)
{
    struct fastpath_bpf *skeleton = maps->skeleton;
    int err = adopt(maps, about);

    if (err)
        return err;
    if (!maps->adopted) {
        *about = (struct xdp_about){.version = XDP_LAYOUT_VERSION, .slots = maps->slots};
        if (getrandom(&about->seed, sizeof about->seed, 0) != sizeof about->seed)
            return -errno;
        err = bpf_map__set_max_entries(skeleton->maps.ikelb_entries, maps->slots + TABLE_TAIL);
    }
    if (!err)
        err = bpf_map__set_max_entries(skeleton->maps.ikelb_counts, maps->cpus * XDP_PLACES_A_RUN * 2);
    skeleton->rodata->slots = maps->slots;
    skeleton->rodata->seed = about->seed;
    return err;
}

static uint32_t id_of(int program_fd)
{
    struct bpf_prog_info info = {0};
    uint32_t len = sizeof info;

    return bpf_obj_get_info_by_fd(program_fd, &info, &len) == 0 ? info.id : 0;
}

static bool may_look(uint32_t program_id)
{
    const int fd = bpf_prog_get_fd_by_id(program_id);
    if (fd >= 0)
        close(fd);
    return fd >= 0;
}

/* What the library and the kernel's verifier have to say would fill pages; the error is enough. */
static int be_quiet(enum libbpf_print_level level, const char *format, va_list args)
{
    (void)level;
    (void)format;
    (void)args;
    return 0;
}

static int load(struct maps *maps)
{
    struct xdp_about about;

    maps->skeleton = fastpath_bpf__open();
    if (!maps->skeleton)
        return -errno;
    int err = prepare(maps, &about);
    if (!err)
        err = fastpath_bpf__load(maps->skeleton);
    if (!err)
        err = map_arrays(maps);
    if (err)
        return err;
    if (!maps->adopted)
        *maps->about = about;
    maps->program_fd = bpf_program__fd(maps->skeleton->progs.ikelb_fastpath);
    maps->passed_fd = bpf_map__fd(maps->skeleton->maps.ikelb_passed);
    maps->program_id = id_of(maps->program_fd);
    maps->lasts = may_look(maps->program_id);
    return 0;
}

/* A table that gets half full, and no more than a sixteenth of the machine's memory. */
static uint32_t slots_for(uint32_t entries)
{
    const uint64_t wanted = (uint64_t)entries * MAPS_SLOTS_AN_ENTRY;
    const uint64_t pages = (uint64_t)sysconf(_SC_PHYS_PAGES);
    const uint64_t most = pages * (uint64_t)sysconf(_SC_PAGESIZE) / 16 / sizeof(struct xdp_entry);

    return (uint32_t)(wanted < most ? wanted : most);
}

static void unload(struct maps *maps)
{
    struct fastpath_bpf *skeleton = maps->skeleton;

    if (!skeleton)
        return;
    unmap_array(skeleton->maps.ikelb_entries, maps->entries);
    unmap_array(skeleton->maps.ikelb_places, maps->places);
    unmap_array(skeleton->maps.ikelb_sources, maps->sources);
    unmap_array(skeleton->maps.ikelb_about, maps->about);
    unmap_array(skeleton->maps.ikelb_ports, maps->ports);
    unmap_array(skeleton->maps.ikelb_exits, maps->exits);
    unmap_array(skeleton->maps.ikelb_counts, maps->counts);
    fastpath_bpf__destroy(skeleton);
    maps->skeleton = NULL;
}

int maps_load(struct maps *maps, uint32_t entries, char trouble[static MAPS_TROUBLE_MAX])
{
    const int cpus = libbpf_num_possible_cpus();

    libbpf_set_print(be_quiet);
    maps->cpus = cpus > 0 ? (uint32_t)cpus : 1;
    maps->slots = slots_for(entries);
    const int err = load(maps);
    if (err) {
        const bool may_not = err == -EPERM || err == -EACCES;
        snprintf(trouble, MAPS_TROUBLE_MAX, "the kernel does not take the program: %s%s", err_text(err),
                 may_not ? " (needs CAP_BPF, CAP_PERFMON and CAP_NET_ADMIN)" : "");
        unload(maps);
    }
    return err;
}

void maps_unload(struct maps *maps)
{
    while (maps->left_count)
        maps_forget_left(maps, maps->left_count - 1);
    unload(maps);
}
