#include "app/saver.h"

#include <errno.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/err.h"
#include "base/plural.h"
#include "lb/snapshot.h"
#include "persist/state_file.h"

#define INTERVAL_MS 5000  /* from begin to begin, if anything has changed */
#define REFRESH_MS  60000 /* if not */
#define IDLE_MS     500   /* how often it is looked whether a cycle is due */

/* A saving that takes longer breaks the promise of 10 s. */
#define SLOW_MS (10000 - INTERVAL_MS - IDLE_MS)

/* A fifth of the loop's time while there is something to walk over. */
#define SLICE_EVERY_MS 1
#define SLICE_NS       UINT64_C(200000)
#define SLICE_STEPS    64 /* between two looks at the clock: some microseconds */

enum job { JOB_NONE, JOB_OPEN, JOB_WRITE, JOB_COMMIT };

/* While one block is being written the next one is filled. */
#define BUFFERS 2

struct saver {
    uv_loop_t *loop;
    uv_timer_t timer;
    uv_work_t work;
    struct dataplane *dp;
    const struct log *log;
    struct metrics_saving *figures;
    struct state_file file;

    bool is_saving;
    bool is_walked; /* all that is to be saved is in blocks */
    struct snapshot snapshot;
    uint8_t *buffers[BUFFERS];
    int filling;         /* which of them */
    struct writer block; /* in that */
    bool is_full;        /* it waits for the disk ... */
    size_t full_len;     /* ... and has so many bytes */
    struct saved_header header;

    enum job job; /* in a thread of the pool, or JOB_NONE */
    const uint8_t *job_data;
    size_t job_len;
    int job_err;

    uint64_t begun_ms;
    uint64_t changes; /* of the bindings, when the last good saving began */
    uint64_t states;  /* of the operator, likewise */
    int last_err;
    bool is_slow;
    bool closing;
    void (*closed)(void *ctx);
    void *closed_ctx;
};

/* A number that is another one when an operator, or a reload, has changed a backend's state. */
static uint64_t states_of(const struct pool *pool)
{
    uint64_t sum = pool->backend_count;

    for (size_t i = 0; i < pool->backend_count; i++) {
        const struct backend *backend = &pool->backends[i];
        sum = sum * 31 + (uint64_t)backend->used * 16 + (uint64_t)backend->configured * 4 + backend->state;
    }
    return sum;
}

/* Old times must not make clients look expired after a crash, be idle_timeout ever so short. */
static uint64_t refresh_ms(const struct pool *pool)
{
    uint64_t least_ms = REFRESH_MS;

    for (uint16_t s = pool->first_service; s != POOL_NONE; s = pool->services[s].next) {
        const uint64_t part_ms = pool->services[s].persistence.idle_timeout_ms / 4;
        if (part_ms < least_ms)
            least_ms = part_ms;
    }
    return least_ms > INTERVAL_MS ? least_ms : INTERVAL_MS;
}

static bool is_due(const struct saver *saver)
{
    const struct bindings *b = &saver->dp->bindings;
    const uint64_t elapsed_ms = clock_now_ms() - saver->begun_ms;

    if (elapsed_ms < INTERVAL_MS)
        return false;
    return b->changes != saver->changes || elapsed_ms >= refresh_ms(b->pool) ||
           states_of(b->pool) != saver->states;
}

static const char *remedy(int err)
{
    switch (err) {
    case -ENOSPC:
    case -EDQUOT:
        return "make room there, or have state.file elsewhere";
    case -ENOENT:
        return "make its folder, or have state.file elsewhere";
    case -EACCES:
    case -EPERM:
    case -EROFS:
        return "let ikelb write there, or have state.file elsewhere";
    default:
        return "see state.file, which may also be `off`";
    }
}

/* What is the same as the last time is not said again. */
static void report(struct saver *saver, int err)
{
    if (err) {
        saver->figures->errors_total++;
        if (err != saver->last_err)
            log_error(saver->log,
                      "state.file: cannot save to %s: %s; after a restart clients would be forgotten: %s",
                      saver->file.path, err_text(err), remedy(err));
    } else if (saver->last_err) {
        log_info(saver->log, "state.file: saved to %s again", saver->file.path);
    }
    saver->last_err = err;
}

static void report_slowness(struct saver *saver, uint64_t took_ms)
{
    if (took_ms > SLOW_MS && !saver->is_slow)
        log_warn(
            saver->log,
            "state.file: saving to %s takes %.1f s: a crash could lose clients that are older than 10 s; "
            "have state.file on a faster disk",
            saver->file.path, (double)took_ms / 1000);
    else if (took_ms <= SLOW_MS && saver->is_slow)
        log_info(saver->log, "state.file: saving to %s is fast enough again", saver->file.path);
    saver->is_slow = took_ms > SLOW_MS;
}

static void begin(struct saver *saver)
{
    const struct bindings *b = &saver->dp->bindings;

    saver->begun_ms = clock_now_ms();
    saver->header = (struct saved_header){.saved_wall_ms = clock_wall_ms()};
    saver->is_saving = true;
    saver->is_walked = false;
    saver->is_full = false;
    saver->block = saved_block_begin(saver->buffers[saver->filling]);
    snapshot_begin(&saver->snapshot, b, saver->begun_ms);
    /* What changes from here on makes the next saving due, also if it is in this one. */
    saver->changes = b->changes;
    saver->states = states_of(b->pool);
}

static void end(struct saver *saver, int err)
{
    const uint64_t now_ms = clock_now_ms();

    saver->is_saving = false;
    report(saver, err);
    if (err) {
        saver->changes--; /* so that it is tried again */
        return;
    }
    report_slowness(saver, now_ms - saver->begun_ms);
    saver->figures->saved_wall_ms = saver->header.saved_wall_ms;
    saver->figures->save_us = (now_ms - saver->begun_ms) * 1000;
    saver->figures->bytes = saver->file.length;
}

/* Goes on with the walk; true when a block is full, or everything has been walked over. */
static bool walk(struct saver *saver, uint32_t steps)
{
    saver->is_walked = snapshot_write(&saver->snapshot, &saver->block, steps);
    if (!saver->is_walked && saved_block_has_room(&saver->block))
        return false;
    saver->full_len =
        saved_block_end(&saver->block, saver->header.block_count++, saver->header.saved_wall_ms);
    saver->is_full = true;
    return true;
}

/* Takes the full block out of the way, so that the next one can be filled. */
static void take_block(struct saver *saver)
{
    saver->job_data = saver->buffers[saver->filling];
    saver->job_len = saver->full_len;
    saver->filling = (saver->filling + 1) % BUFFERS;
    saver->block = saved_block_begin(saver->buffers[saver->filling]);
    saver->is_full = false;
}

/* May run in a thread of the pool: touches nothing but the file and what belongs to the job. */
static void do_job(struct saver *saver)
{
    uint8_t header[SAVED_HEADER_BYTES];

    switch (saver->job) {
    case JOB_OPEN:
        saver->job_err = state_file_open(&saver->file);
        break;
    case JOB_WRITE:
        saver->job_err = state_file_write(&saver->file, saver->job_data, saver->job_len);
        break;
    case JOB_COMMIT:
        saved_header_put(&saver->header, header);
        saver->job_err = state_file_commit(&saver->file, header);
        break;
    case JOB_NONE:
        break;
    }
    if (saver->job_err)
        state_file_abandon(&saver->file);
}

static void on_work(uv_work_t *work)
{
    do_job(work->data);
}

static void on_job_done(uv_work_t *work, int status);

static void start_job(struct saver *saver, enum job job)
{
    saver->job = job;
    saver->work.data = saver;
    (void)uv_queue_work(saver->loop, &saver->work, on_work, on_job_done); /* fails only without a callback */
}

static void start_commit(struct saver *saver)
{
    saver->header.length = saver->file.length;
    start_job(saver, JOB_COMMIT);
}

/* A saving that did not come to its end gives up its place to the last one. */
static void finish(struct saver *saver);

static void on_job_done(uv_work_t *work, int status)
{
    struct saver *saver = work->data;
    const enum job done = saver->job;

    (void)status; /* nothing is cancelled */
    saver->job = JOB_NONE;
    if (saver->closing) {
        finish(saver);
    } else if (saver->job_err || done == JOB_COMMIT) {
        end(saver, saver->job_err);
    } else if (saver->is_full) {
        take_block(saver);
        start_job(saver, JOB_WRITE);
    } else if (saver->is_walked) {
        start_commit(saver);
    }
}

static void set_timer(struct saver *saver, uint64_t interval_ms);

static void on_timer(uv_timer_t *timer)
{
    struct saver *saver = timer->data;

    if (!saver->is_saving && is_due(saver)) {
        begin(saver);
        start_job(saver, JOB_OPEN);
        set_timer(saver, SLICE_EVERY_MS);
    }
    if (!saver->is_saving) {
        set_timer(saver, IDLE_MS);
        return;
    }
    const uint64_t until_ns = uv_hrtime() + SLICE_NS;
    while (!saver->is_full && !saver->is_walked && uv_hrtime() < until_ns) {
        if (!walk(saver, SLICE_STEPS))
            continue;
        if (saver->job == JOB_NONE) {
            take_block(saver);
            start_job(saver, JOB_WRITE);
        }
    }
}

static void set_timer(struct saver *saver, uint64_t interval_ms)
{
    if (uv_timer_get_repeat(&saver->timer) != interval_ms)
        uv_timer_start(&saver->timer, on_timer, interval_ms, interval_ms); /* cannot fail */
}

int saver_create(uv_loop_t *loop, const char *path, struct dataplane *dp, const struct log *log,
                 struct metrics_saving *figures, struct saver **out)
{
    struct saver *saver = calloc(1, sizeof *saver);

    if (!saver)
        return -ENOMEM;
    *saver = (struct saver){.loop = loop, .dp = dp, .log = log, .figures = figures};
    /* The first cycle begins at once, so that it shows at once if nothing can be saved. */
    saver->begun_ms = clock_now_ms() - INTERVAL_MS;
    saver->changes = dp->bindings.changes - 1;
    int err = state_file_init(&saver->file, path);
    for (int i = 0; i < BUFFERS && !err; i++) {
        saver->buffers[i] = malloc(SAVED_BLOCK_BYTES);
        err = saver->buffers[i] ? 0 : -ENOMEM;
    }
    if (err) {
        free(saver->buffers[0]);
        free(saver->buffers[1]);
        free(saver);
        return err;
    }
    uv_timer_init(loop, &saver->timer); /* cannot fail */
    saver->timer.data = saver;
    set_timer(saver, IDLE_MS);
    *out = saver;
    return 0;
}

/* All at once, with the loop waiting. */
static int save_now(struct saver *saver)
{
    begin(saver);
    saver->job_err = 0;
    saver->job = JOB_OPEN;
    do_job(saver);
    while (!saver->job_err && !saver->is_walked) {
        if (!walk(saver, UINT32_MAX))
            continue;
        take_block(saver);
        saver->job = JOB_WRITE;
        do_job(saver);
    }
    if (!saver->job_err) {
        saver->header.length = saver->file.length;
        saver->job = JOB_COMMIT;
        do_job(saver);
    }
    saver->job = JOB_NONE;
    return saver->job_err;
}

static void on_closed(uv_handle_t *handle)
{
    struct saver *saver = handle->data;
    void (*closed)(void *) = saver->closed;
    void *ctx = saver->closed_ctx;

    free(saver->buffers[0]);
    free(saver->buffers[1]);
    free(saver);
    closed(ctx);
}

static void finish(struct saver *saver)
{
    if (saver->is_saving)
        state_file_abandon(&saver->file);
    const int err = save_now(saver);
    end(saver, err);
    if (!err)
        log_info(saver->log, "state.file: saved %u client%s to %s", saver->snapshot.pin_count,
                 plural(saver->snapshot.pin_count), saver->file.path);
    uv_close((uv_handle_t *)&saver->timer, on_closed);
}

void saver_close(struct saver *saver, void (*closed)(void *ctx), void *ctx)
{
    saver->closing = true;
    saver->closed = closed;
    saver->closed_ctx = ctx;
    uv_timer_stop(&saver->timer);
    if (saver->job == JOB_NONE)
        finish(saver);
}
