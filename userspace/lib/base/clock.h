/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Time. Milliseconds in int64_t everywhere; monotonic for durations, real (Unix epoch, UTC) for what is written down.
 * Tests replace both with clock_fake_set() and advance them by hand.
 */
#ifndef SKEP_BASE_CLOCK_H
#define SKEP_BASE_CLOCK_H

#include <stdint.h>

int64_t clock_mono_ms(void);
uint64_t clock_mono_ns(void);
int64_t clock_real_ms(void);

/* From now on both clocks stand at these values; real clocks again with clock_fake_clear(). */
void clock_fake_set(int64_t mono_ms, int64_t real_ms);
void clock_fake_advance(int64_t ms);
void clock_fake_clear(void);

#define CLOCK_RFC3339_SIZE 32
/* "2026-11-23T00:36:00Z", as Kubernetes writes metav1.Time. buf has CLOCK_RFC3339_SIZE bytes; returns buf. */
char *clock_rfc3339(int64_t real_ms, char *buf);
/* "2026-11-23T00:36:00.123Z" */
char *clock_rfc3339_ms(int64_t real_ms, char *buf);
/* "2026-11-23T00:36:00.123000Z", as Kubernetes writes metav1.MicroTime. */
char *clock_rfc3339_micro(int64_t real_ms, char *buf);
/* Any RFC 3339 time, with or without fraction, any offset. 0 or -EINVAL. */
int clock_rfc3339_parse(const char *s, int64_t *ret_real_ms);

#endif
