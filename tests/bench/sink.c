/*
 * Puts the sink (sink.bpf.c) on a network interface of this network namespace, in native mode, and prints the
 * id of its meter: `sink INTERFACE`. It stays there when this program has ended, until the interface goes.
 *
 * An XDP program on one end of a veth also makes that end poll (NAPI), without which the kernel silently
 * drops every frame that native XDP redirects into the other end.
 */
#include <errno.h>
#include <net/if.h>
#include <stdio.h>
#include <string.h>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <linux/if_link.h>

#include <sink.skel.h>

static int fail(const char *what)
{
    fprintf(stderr, "sink: %s: %s\n", what, strerror(errno));
    return 1;
}

static int attach(const char *interface)
{
    const unsigned index = if_nametoindex(interface);
    struct bpf_map_info info = {0};
    __u32 size = sizeof info;
    int status = 0;

    if (index == 0)
        return fail(interface);
    struct sink_bpf *skel = sink_bpf__open_and_load();
    if (!skel)
        return fail("the program does not load");
    if (bpf_xdp_attach((int)index, bpf_program__fd(skel->progs.sink), XDP_FLAGS_DRV_MODE, NULL) < 0)
        status = fail("native XDP");
    else if (bpf_obj_get_info_by_fd(bpf_map__fd(skel->maps.meters), &info, &size) < 0)
        status = fail("the meter");
    else
        printf("%u\n", info.id);
    sink_bpf__destroy(skel);
    return status;
}

int main(int argc, char **argv)
{
    if (argc != 2) {
        fputs("usage: sink INTERFACE\n", stderr);
        return 2;
    }
    return attach(argv[1]);
}
