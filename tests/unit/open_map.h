/* The maps of a program that this process has loaded, for tests that do not own them. */
#pragma once

#include <bpf/bpf.h>
#include <string.h>
#include <sys/mman.h>

#include "tests/unit/unit.h"

#define OPEN_MAP_FDS 256

/* The map of that name as memory of *size bytes, to be unmapped; the test fails if there is none. */
static inline void *open_map(const char *name, size_t *size)
{
    for (int fd = 3; fd < OPEN_MAP_FDS; fd++) {
        struct bpf_map_info info = {0};
        uint32_t len = sizeof info;
        if (bpf_obj_get_info_by_fd(fd, &info, &len) != 0 ||
            strncmp(info.name, name, sizeof info.name - 1) != 0)
            continue;
        *size = (size_t)info.value_size * info.max_entries;
        void *memory = mmap(NULL, *size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
        assert_true(memory != MAP_FAILED);
        return memory;
    }
    fail_msg("there is no map %s", name);
    return NULL;
}
