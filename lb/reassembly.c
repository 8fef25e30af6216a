#include "lb/reassembly.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "base/err.h"

/* Both counters stand near the beginning of their reports: within 1 KiB, were all numbers of full length. */
#define REPORT_BYTES 4096

/* A piece of the text, without a terminator. */
struct span {
    const char *data;
    size_t len;
};

/* Cuts off the next line, without its end. False if no whole line is left. */
static bool next_line(struct span *rest, struct span *line)
{
    const char *end = rest->len ? memchr(rest->data, '\n', rest->len) : NULL;

    if (!end)
        return false;
    *line = (struct span){rest->data, (size_t)(end - rest->data)};
    *rest = (struct span){end + 1, rest->len - line->len - 1};
    return true;
}

static bool is_blank(char c)
{
    return c == ' ' || c == '\t';
}

/* Cuts off the next word; it is empty at the end. */
static struct span next_word(struct span *rest)
{
    size_t begin = 0;

    while (begin < rest->len && is_blank(rest->data[begin]))
        begin++;
    size_t end = begin;
    while (end < rest->len && !is_blank(rest->data[end]))
        end++;
    const struct span word = {rest->data + begin, end - begin};
    *rest = (struct span){rest->data + end, rest->len - end};
    return word;
}

static bool equals(struct span word, const char *text)
{
    return word.len == strlen(text) && memcmp(word.data, text, word.len) == 0;
}

static bool parse_number(struct span word, uint64_t *out)
{
    uint64_t number = 0;

    if (word.len == 0)
        return false;
    for (size_t i = 0; i < word.len; i++) {
        const unsigned digit = (unsigned)(word.data[i] - '0');
        if (digit > 9 || number > (UINT64_MAX - digit) / 10)
            return false;
        number = number * 10 + digit;
    }
    *out = number;
    return true;
}

/* Line by line a name and its value. */
static bool parse_v6(struct span text, uint64_t *failed)
{
    struct span line;

    while (next_line(&text, &line)) {
        if (equals(next_word(&line), "Ip6ReasmFails"))
            return parse_number(next_word(&line), failed);
    }
    return false;
}

/* A line of names, and below it a line of as many values; both begin with the protocol. */
static bool parse_v4(struct span text, uint64_t *failed)
{
    struct span names;
    struct span values;

    while (next_line(&text, &names)) {
        if (!equals(next_word(&names), "Ip:"))
            continue;
        if (!next_line(&text, &values) || !equals(next_word(&values), "Ip:"))
            return false;
        while (names.len) {
            const struct span name = next_word(&names);
            const struct span value = next_word(&values);
            if (equals(name, "ReasmFails"))
                return parse_number(value, failed);
        }
        return false;
    }
    return false;
}

bool reassembly_parse(enum reassembly_family family, const char *text, size_t len, uint64_t *failed)
{
    const struct span all = {text, len};

    return family == REASSEMBLY_V4 ? parse_v4(all, failed) : parse_v6(all, failed);
}

/* The kernel makes the report anew for each read from its beginning. 0 or a negative error. */
static int read_counter(enum reassembly_family family, int fd, uint64_t *failed)
{
    char report[REPORT_BYTES];
    const ssize_t len = pread(fd, report, sizeof report, 0);

    if (len < 0)
        return -errno;
    return reassembly_parse(family, report, (size_t)len, failed) ? 0 : ERR_MALFORMED;
}

static int open_report(struct reassembly *r, enum reassembly_family family)
{
    /* Under /proc/self, because /proc/net is out of sight where a sandbox shows only processes. */
    static const char *const paths[REASSEMBLY_FAMILY_COUNT] = {
        [REASSEMBLY_V4] = "/proc/self/net/snmp",
        [REASSEMBLY_V6] = "/proc/self/net/snmp6",
    };

    r->fds[family] = open(paths[family], O_RDONLY | O_CLOEXEC);
    if (r->fds[family] < 0)
        return family == REASSEMBLY_V6 && errno == ENOENT ? 0 : -errno;
    return read_counter(family, r->fds[family], &r->seen[family]);
}

int reassembly_init(struct reassembly *r)
{
    *r = (struct reassembly){.fds = {-1, -1}};
    for (int i = 0; i < REASSEMBLY_FAMILY_COUNT; i++) {
        const int err = open_report(r, (enum reassembly_family)i);
        if (err) {
            reassembly_deinit(r);
            return err;
        }
    }
    return 0;
}

void reassembly_deinit(struct reassembly *r)
{
    for (int i = 0; i < REASSEMBLY_FAMILY_COUNT; i++) {
        if (r->fds[i] >= 0)
            close(r->fds[i]);
        r->fds[i] = -1;
    }
}

uint64_t reassembly_grown(struct reassembly *r)
{
    uint64_t grown = 0;

    for (int i = 0; i < REASSEMBLY_FAMILY_COUNT; i++) {
        uint64_t failed = 0;
        if (r->fds[i] < 0 || read_counter((enum reassembly_family)i, r->fds[i], &failed))
            continue;
        /* The kernel sums up over its processors without a lock, so a sum may be a little behind the last. */
        if (failed <= r->seen[i])
            continue;
        grown += failed - r->seen[i];
        r->seen[i] = failed;
    }
    return grown;
}
