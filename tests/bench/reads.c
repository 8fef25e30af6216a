/*
 * How long it takes to read a cache line of a table anywhere, one after the other: `reads LINES SLOTS`. So
 * many lines of 64 bytes are in use, spread over so many slots; the kernel maps BPF arrays in pages of 4 KiB,
 * and so does this. Prints nanoseconds a read. Whoever looks something up for each packet pays this on top,
 * once or more often.
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>

#define READS     4000000
#define SLOTS_MAX 400000000

struct line {
    uint64_t words[8];
};

/* Never a multiple of the one before, so that no prefetcher sees it coming. */
static size_t place(uint64_t number, size_t slots)
{
    number *= 0x9fb21c651e98df25ULL;
    number ^= number >> 32;
    number *= 0x9fb21c651e98df25ULL;
    return (size_t)(((number >> 32) * slots) >> 32);
}

static double nanoseconds(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec * 1e9 + (double)now.tv_nsec;
}

static uint64_t read_lines(const struct line *table, size_t slots, uint64_t lines)
{
    uint64_t order = 1, last = 0;

    for (int i = 0; i < READS; i++) {
        order = order * 6364136223846793005ULL + 1442695040888963407ULL;
        /* The table holds zeros; that the next place hangs on what was read keeps reads from overlapping. */
        last = table[place(((order >> 33) + last) % lines, slots)].words[0];
    }
    return last;
}

int main(int argc, char **argv)
{
    const long lines = argc == 3 ? strtol(argv[1], NULL, 10) : 0;
    const long wanted = argc == 3 ? strtol(argv[2], NULL, 10) : 0;

    if (lines < 1 || wanted < lines || wanted > SLOTS_MAX) {
        fprintf(stderr, "usage: reads LINES SLOTS\n");
        return 2;
    }
    const size_t slots = (size_t)wanted, bytes = slots * sizeof(struct line);
    struct line *table = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (table == MAP_FAILED || madvise(table, bytes, MADV_NOHUGEPAGE) != 0) {
        perror("reads");
        return 1;
    }
    memset(table, 0, bytes);
    uint64_t sum = read_lines(table, slots, (uint64_t)lines);
    const double begin = nanoseconds();
    sum += read_lines(table, slots, (uint64_t)lines);
    printf("%.1f\n", (nanoseconds() - begin) / READS);
    return sum == 0 ? 0 : 1;
}
