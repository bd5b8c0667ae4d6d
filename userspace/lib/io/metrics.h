/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Metrics in the Prometheus text format 0.0.4. Families are registered once with their label names; series appear on
 * first use and are bounded per family (further ones count into a series with every label "overflow"). process_*
 * families are always there.
 */
#ifndef SKEP_IO_METRICS_H
#define SKEP_IO_METRICS_H

#include <stddef.h>

#include "../base/strbuf.h"
#include "http_server.h"

struct metric;
enum metric_type { METRIC_COUNTER, METRIC_GAUGE, METRIC_HISTOGRAM };
/*
 * labels: "verb,code" or "". buckets: ascending upper bounds for histograms, NULL: 1 ms .. 10 s. Families live for
 * ever.
 */
struct metric *metric_new(enum metric_type type, const char *name, const char *help, const char *labels,
			  const double *buckets, size_t n_buckets);
void metric_add(struct metric *m, double v, ...);     /* counters and gauges; then one const char * per label */
void metric_set(struct metric *m, double v, ...);     /* gauges and mirrored counters */
void metric_observe(struct metric *m, double v, ...); /* histograms */
void metric_reset(struct metric *m);		      /* drop all series: families rebuilt at scrape */
/* fn runs at each scrape, before writing, to refresh families from their source. */
void metrics_on_scrape(void (*fn)(void *arg), void *arg);
void metrics_off_scrape(void (*fn)(void *arg), void *arg); /* no more */
void metrics_write(struct strbuf *out);
/*
 * Answers /metrics, /livez, /readyz, /healthz on a plain server; true if it did. ready: NULL or says why not ("" =
 * ready).
 */
bool metrics_handle(struct http_req *req, const char *(*ready)(void *arg), void *arg);

#endif
