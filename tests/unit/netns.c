#include "tests/unit/netns.h"

#include <linux/ethtool.h>
#include <linux/sockios.h>
#include <net/if.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "tests/unit/unit.h"

#define COMMAND_MAX 256

bool netns_enter(void)
{
    if (geteuid() == 0 && unshare(CLONE_NEWNET) == 0)
        return true;
    print_message("this needs root: namespaces, and programs in the kernel\n");
    return false;
}

bool netns_try_ip(const char *command)
{
    char line[COMMAND_MAX];

    snprintf(line, sizeof line, "ip %s 2>/dev/null", command);
    return system(line) == 0;
}

void netns_ip(const char *command)
{
    char line[COMMAND_MAX];

    snprintf(line, sizeof line, "ip %s", command);
    if (system(line) != 0)
        fail_msg("%s: failed", line);
}

void netns_ip_batch(const char *commands)
{
    FILE *ip = popen("ip -batch -", "w");

    assert_non_null(ip);
    fputs(commands, ip);
    if (pclose(ip) != 0)
        fail_msg("ip: failed in: %s", commands);
}

void netns_set_gro(const char *device, bool on)
{
    struct ethtool_value gro = {.cmd = ETHTOOL_SGRO, .data = on};
    struct ifreq request = {.ifr_data = (char *)&gro};
    const int fd = socket(AF_INET, SOCK_DGRAM, 0);

    assert_true(fd >= 0);
    snprintf(request.ifr_name, sizeof request.ifr_name, "%s", device);
    assert_int_equal(ioctl(fd, SIOCETHTOOL, &request), 0);
    close(fd);
}

void netns_write_file(const char *path, const char *text)
{
    FILE *file = fopen(path, "w");

    assert_non_null(file);
    fputs(text, file);
    assert_int_equal(fclose(file), 0);
}
