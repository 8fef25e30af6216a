#include "tests/unit/unit.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "admin/unix_socket.h"
#include "base/err.h"

/* A directory of the test's own; the socket lies one level deeper, in a directory that does not exist yet. */
struct place {
    char top[32];
    char directory[64];
    char path[96];
};

static int set_up(void **state)
{
    struct place *p = calloc(1, sizeof *p);

    assert_non_null(p);
    snprintf(p->top, sizeof p->top, "/tmp/ikelb-unix-XXXXXX");
    assert_non_null(mkdtemp(p->top));
    snprintf(p->directory, sizeof p->directory, "%s/run", p->top);
    snprintf(p->path, sizeof p->path, "%s/ikelb.sock", p->directory);
    *state = p;
    return 0;
}

static int tear_down(void **state)
{
    struct place *p = *state;

    unlink(p->path);
    rmdir(p->directory);
    assert_int_equal(rmdir(p->top), 0); /* nothing else was left behind */
    free(p);
    return 0;
}

static mode_t mode_of(const char *path)
{
    struct stat st;

    assert_int_equal(lstat(path, &st), 0);
    return st.st_mode & 07777;
}

static int connect_to(const char *path)
{
    struct sockaddr_un addr = {.sun_family = AF_UNIX};
    const int fd = socket(AF_UNIX, SOCK_STREAM, 0);

    assert_true(fd >= 0);
    snprintf(addr.sun_path, sizeof addr.sun_path, "%s", path);
    const int err = connect(fd, (struct sockaddr *)&addr, sizeof addr) < 0 ? -errno : 0;
    close(fd);
    return err;
}

static void test_listens_with_modes(void **state)
{
    const struct place *p = *state;
    struct unix_socket s;

    for (int i = 0; i < 2; i++) {
        const mode_t mask = umask(i ? 077 : 0);
        const int fd = unix_socket_listen(p->path, &s);
        umask(mask);
        assert_true(fd >= 0);
        assert_int_equal(mode_of(p->path), 0660);
        assert_int_equal(mode_of(p->directory), 0755);
        assert_true(fcntl(fd, F_GETFL) & O_NONBLOCK);
        assert_true(fcntl(fd, F_GETFD) & FD_CLOEXEC);
        assert_int_equal(connect_to(p->path), 0);
        unix_socket_remove(&s);
        assert_int_equal(access(p->path, F_OK), -1);
        close(fd);
        assert_int_equal(rmdir(p->directory), 0); /* so that the next turn makes it, under another umask */
    }
}

static void test_replaces_a_stale_socket(void **state)
{
    const struct place *p = *state;
    struct unix_socket dead, s;
    const int dead_fd = unix_socket_listen(p->path, &dead);

    assert_true(dead_fd >= 0);
    close(dead_fd); /* as the kernel does for a process that was killed */
    assert_int_equal(connect_to(p->path), -ECONNREFUSED);

    const int fd = unix_socket_listen(p->path, &s);
    assert_true(fd >= 0);
    assert_int_equal(connect_to(p->path), 0);
    unix_socket_remove(&s);
    close(fd);
}

static void test_refuses_a_live_socket(void **state)
{
    const struct place *p = *state;
    struct unix_socket live, s;
    const int fd = unix_socket_listen(p->path, &live);

    assert_true(fd >= 0);
    assert_int_equal(unix_socket_listen(p->path, &s), ERR_EXISTS);
    assert_int_equal(connect_to(p->path), 0); /* the first one is unharmed */
    unix_socket_remove(&live);
    close(fd);
}

/* A daemon that hangs with a full backlog is alive. */
static void test_refuses_a_full_backlog(void **state)
{
    const struct place *p = *state;
    struct sockaddr_un addr = {.sun_family = AF_UNIX};
    struct unix_socket live, s;
    int fds[64];
    size_t count = 0;
    const int fd = unix_socket_listen(p->path, &live);

    assert_true(fd >= 0);
    snprintf(addr.sun_path, sizeof addr.sun_path, "%s", p->path);
    while (count < 64) {
        fds[count] = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0);
        if (connect(fds[count++], (struct sockaddr *)&addr, sizeof addr) < 0)
            break;
    }
    assert_int_equal(errno, EAGAIN);
    assert_int_equal(unix_socket_listen(p->path, &s), ERR_EXISTS);
    while (count)
        close(fds[--count]);
    unix_socket_remove(&live);
    close(fd);
}

static void test_leaves_other_files_alone(void **state)
{
    const struct place *p = *state;
    struct unix_socket s;

    assert_int_equal(mkdir(p->directory, 0755), 0);
    const int fd = open(p->path, O_CREAT | O_WRONLY, 0600);
    assert_true(fd >= 0);
    close(fd);
    assert_int_equal(unix_socket_listen(p->path, &s), -ENOTSOCK);
    assert_int_equal(access(p->path, F_OK), 0);

    unlink(p->path);
    assert_int_equal(symlink("/dev/null", p->path), 0);
    assert_int_equal(unix_socket_listen(p->path, &s), -ENOTSOCK);
    assert_int_equal(access(p->path, F_OK), 0);
}

/* What another daemon has put in our place meanwhile is not ours to remove. */
static void test_removes_only_its_own(void **state)
{
    const struct place *p = *state;
    struct unix_socket first, second;
    const int first_fd = unix_socket_listen(p->path, &first);

    assert_true(first_fd >= 0);
    assert_int_equal(unlink(p->path), 0);
    const int second_fd = unix_socket_listen(p->path, &second);
    assert_true(second_fd >= 0);
    unix_socket_remove(&first);
    assert_int_equal(connect_to(p->path), 0);
    unix_socket_remove(&second);
    assert_int_equal(access(p->path, F_OK), -1);
    close(first_fd);
    close(second_fd);
}

static void test_bad_paths(void **state)
{
    const struct place *p = *state;
    char path[256];
    struct unix_socket s;

    snprintf(path, sizeof path, "%s/%0120d", p->top, 0);
    assert_int_equal(unix_socket_listen(path, &s), -ENAMETOOLONG);
    snprintf(path, sizeof path, "%s/two/levels/ikelb.sock", p->top);
    assert_int_equal(unix_socket_listen(path, &s), -ENOENT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_listens_with_modes, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_replaces_a_stale_socket, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_refuses_a_live_socket, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_refuses_a_full_backlog, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_leaves_other_files_alone, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_removes_only_its_own, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_bad_paths, set_up, tear_down),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
