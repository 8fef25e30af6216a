/* Writes metrics in the text format of Prometheus, version 0.0.4: one family after the other, line by line.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "base/histogram.h"

#define EXPOSITION_CONTENT_TYPE "text/plain; version=0.0.4; charset=utf-8"

/* The value may be any text; it is escaped. */
struct exposition_label {
    const char *key;
    const char *value;
};

/* The labels of a sample, in order; a plain value. */
#define EXPOSITION_LABELS_MAX 5
struct exposition_labels {
    struct exposition_label items[EXPOSITION_LABELS_MAX];
    size_t count;
};

/* The labels with one more, which must fit. */
struct exposition_labels exposition_with(struct exposition_labels labels, const char *key, const char *value);

/* HELP and TYPE, which come before a family's samples; `help` is one line. */
void exposition_head(FILE *out, const char *name, const char *type, const char *help);

void exposition_sample(FILE *out, const char *name, const struct exposition_labels *labels, uint64_t value);

/* A sample of a time, which has six decimals. */
void exposition_seconds(FILE *out, const char *name, const struct exposition_labels *labels, uint64_t us);

/* All samples of a histogram: its buckets, which need room for one more label, sum and count. */
void exposition_histogram(FILE *out, const char *name, const struct exposition_labels *labels,
                          const struct histogram *h);
