#include "admin/exposition.h"

#include <assert.h>
#include <inttypes.h>
#include <string.h>

#define US_PER_S 1000000

struct exposition_labels exposition_with(struct exposition_labels labels, const char *key, const char *value)
{
    assert(labels.count < EXPOSITION_LABELS_MAX);
    labels.items[labels.count++] = (struct exposition_label){.key = key, .value = value};
    return labels;
}

/* Backslash, quote and line feed are the three that the format escapes; in HELP the quote stands for itself.
 */
static void put_escaped(FILE *out, const char *text, const char *special)
{
    for (size_t len; *text; text += len + 1) {
        len = strcspn(text, special);
        fwrite(text, 1, len, out);
        if (text[len] == '\0')
            return;
        fputc('\\', out);
        fputc(text[len] == '\n' ? 'n' : text[len], out);
    }
}

void exposition_head(FILE *out, const char *name, const char *type, const char *help)
{
    fprintf(out, "# HELP %s ", name);
    put_escaped(out, help, "\\\n");
    fprintf(out, "\n# TYPE %s %s\n", name, type);
}

/* All of a line but the value. */
static void put_name(FILE *out, const char *name, const char *suffix, const struct exposition_labels *labels)
{
    fputs(name, out);
    fputs(suffix, out);
    for (size_t i = 0; i < labels->count; i++) {
        fputc(i ? ',' : '{', out);
        fputs(labels->items[i].key, out);
        fputs("=\"", out);
        put_escaped(out, labels->items[i].value, "\\\"\n");
        fputc('"', out);
    }
    fputs(labels->count ? "} " : " ", out);
}

static void put_number(FILE *out, const char *name, const char *suffix,
                       const struct exposition_labels *labels, uint64_t value)
{
    put_name(out, name, suffix, labels);
    fprintf(out, "%" PRIu64 "\n", value);
}

void exposition_sample(FILE *out, const char *name, const struct exposition_labels *labels, uint64_t value)
{
    put_number(out, name, "", labels, value);
}

static void put_seconds(FILE *out, const char *name, const char *suffix,
                        const struct exposition_labels *labels, uint64_t us)
{
    put_name(out, name, suffix, labels);
    fprintf(out, "%" PRIu64 ".%06" PRIu64 "\n", us / US_PER_S, us % US_PER_S);
}

void exposition_seconds(FILE *out, const char *name, const struct exposition_labels *labels, uint64_t us)
{
    put_seconds(out, name, "", labels, us);
}

void exposition_histogram(FILE *out, const char *name, const struct exposition_labels *labels,
                          const struct histogram *h)
{
    uint64_t up_to = 0;

    for (unsigned i = 0; i < HISTOGRAM_BUCKETS; i++) {
        const struct exposition_labels bucket = exposition_with(*labels, "le", histogram_bound_text(i));
        up_to += h->counts[i];
        put_number(out, name, "_bucket", &bucket, up_to);
    }
    put_seconds(out, name, "_sum", labels, h->sum_us);
    put_number(out, name, "_count", labels, up_to);
}
