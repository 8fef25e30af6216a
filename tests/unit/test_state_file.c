#include "tests/unit/unit.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/err.h"
#include "persist/state_file.h"

/* A folder of its own for each test. */
struct place {
    char folder[64];
    char path[STATE_FILE_PATH_MAX];
    struct state_file file;
};

static int set_up(void **state)
{
    struct place *place = calloc(1, sizeof *place);

    assert_non_null(place);
    strcpy(place->folder, "/tmp/ikelb-test-XXXXXX");
    assert_non_null(mkdtemp(place->folder));
    snprintf(place->path, sizeof place->path, "%s/sub/state", place->folder);
    assert_int_equal(state_file_init(&place->file, place->path), 0);
    *state = place;
    return 0;
}

static void remove_at(const struct place *place, const char *name)
{
    char path[STATE_FILE_PATH_MAX + 64];

    snprintf(path, sizeof path, "%s%s", place->folder, name);
    (void)remove(path);
}

static int tear_down(void **state)
{
    struct place *place = *state;

    state_file_abandon(&place->file);
    remove_at(place, "/sub/state.new");
    remove_at(place, "/sub/state.bad");
    remove_at(place, "/sub/state");
    remove_at(place, "/sub");
    remove_at(place, "");
    assert_int_equal(access(place->folder, F_OK), -1); /* nothing else was left */
    free(place);
    return 0;
}

static const uint8_t header[SAVED_HEADER_BYTES] = "header";

static void save(struct place *place, const char *text)
{
    assert_int_equal(state_file_open(&place->file), 0);
    assert_int_equal(state_file_write(&place->file, text, strlen(text)), 0);
    assert_int_equal(state_file_write(&place->file, "!", 1), 0);
    assert_int_equal(state_file_commit(&place->file, header), 0);
}

static void assert_content(const struct place *place, const char *text)
{
    uint8_t *data;
    size_t len;

    assert_int_equal(state_file_read(place->path, &data, &len), 0);
    assert_int_equal(len, SAVED_HEADER_BYTES + strlen(text));
    assert_memory_equal(data, header, sizeof header);
    assert_memory_equal(data + sizeof header, text, strlen(text));
    free(data);
}

/* The folder is made, file and folder are for their owner only, and a new file takes the old one's place. */
static void test_saves(void **state)
{
    struct place *place = *state;
    struct stat status;

    save(place, "one");
    assert_content(place, "one!");
    assert_int_equal(place->file.length, SAVED_HEADER_BYTES + 4);
    assert_int_equal(stat(place->path, &status), 0);
    assert_int_equal(status.st_mode & 07777, 0600);
    *strrchr(place->path, '/') = '\0';
    assert_int_equal(stat(place->path, &status), 0);
    assert_int_equal(status.st_mode & 07777, 0700);
    place->path[strlen(place->path)] = '/';
    save(place, "another");
    assert_content(place, "another!");
    assert_int_equal(access(place->file.temporary, F_OK), -1);
}

/* Until the end the old file is there, and it stays if the new one is given up. */
static void test_the_old_one_stays(void **state)
{
    struct place *place = *state;

    save(place, "old");
    assert_int_equal(state_file_open(&place->file), 0);
    assert_int_equal(state_file_write(&place->file, "new", 3), 0);
    assert_content(place, "old!");
    state_file_abandon(&place->file);
    assert_content(place, "old!");
    assert_int_equal(access(place->file.temporary, F_OK), -1);
    state_file_abandon(&place->file);
}

/* What stands where the new file is to be written gives way, be it a link to something precious or a FIFO. */
static void test_something_in_the_way(void **state)
{
    struct place *place = *state;
    char precious[STATE_FILE_PATH_MAX];
    struct stat status;

    save(place, "first");
    snprintf(precious, sizeof precious, "%s/precious", place->folder);
    const int fd = open(precious, O_WRONLY | O_CREAT | O_EXCL, 0644);
    assert_true(fd >= 0);
    close(fd);
    assert_int_equal(symlink(precious, place->file.temporary), 0);
    save(place, "second");
    assert_int_equal(stat(precious, &status), 0);
    assert_int_equal(status.st_size, 0);
    assert_int_equal(mkfifo(place->file.temporary, 0600), 0);
    save(place, "third");
    assert_content(place, "third!");
    unlink(precious);
}

static void test_errors(void **state)
{
    struct place *place = *state;
    struct state_file file;
    uint8_t *data = (uint8_t *)place;
    char path[STATE_FILE_PATH_MAX];
    size_t len;

    snprintf(path, sizeof path, "%s/no/such/folder", place->folder); /* one folder is made, not two */
    assert_int_equal(state_file_init(&file, path), 0);
    assert_int_equal(state_file_open(&file), -ENOENT);
    state_file_abandon(&file);
    assert_int_equal(state_file_read(place->path, &data, &len), -ENOENT);
    assert_null(data);
    assert_int_equal(state_file_read(place->folder, &data, &len), ERR_MALFORMED);
    save(place, "x");
    snprintf(path, sizeof path, "%s/sub/state/x", place->folder); /* a file is no folder */
    assert_int_equal(state_file_init(&file, path), 0);
    assert_int_equal(state_file_open(&file), -ENOTDIR);
    state_file_abandon(&file);
    assert_int_equal(state_file_read(path, &data, &len), -ENOTDIR);
    memset(path, 'x', sizeof path);
    path[sizeof path - 1] = '\0';
    assert_int_equal(state_file_init(&file, path), ERR_RANGE);

    assert_int_equal(state_file_set_aside(place->path), 0); /* a place that cannot be taken */
    assert_int_equal(mkdir(place->path, 0700), 0);
    assert_int_equal(state_file_open(&place->file), 0);
    assert_int_equal(state_file_commit(&place->file, header), -EISDIR);
    state_file_abandon(&place->file);
    assert_int_equal(access(place->file.temporary, F_OK), -1);
}

/* A file of five gigabytes, which are all holes, is not read. */
static void test_absurdly_large(void **state)
{
    struct place *place = *state;
    uint8_t *data;
    size_t len;

    save(place, "x");
    assert_int_equal(truncate(place->path, (off_t)5 << 30), 0);
    assert_int_equal(state_file_read(place->path, &data, &len), -EFBIG);
    assert_null(data);
}

static void test_set_aside(void **state)
{
    struct place *place = *state;
    char aside[STATE_FILE_PATH_MAX + 8];

    assert_int_equal(state_file_set_aside(place->path), -ENOENT);
    snprintf(aside, sizeof aside, "%s.bad", place->path);
    for (int i = 0; i < 2; i++) { /* the latest is kept */
        save(place, "x");
        assert_int_equal(state_file_set_aside(place->path), 0);
        assert_int_equal(access(place->path, F_OK), -1);
        assert_int_equal(access(aside, F_OK), 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_saves, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_the_old_one_stays, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_something_in_the_way, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_errors, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_absurdly_large, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_set_aside, set_up, tear_down),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
