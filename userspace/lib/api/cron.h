/* SPDX-License-Identifier: Apache-2.0 */
/* Schedules as cron writes them, and names of time zones. */
#ifndef SKEP_API_CRON_H
#define SKEP_API_CRON_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Bit n: the value n fits. any_day, any_weekday: that field was a star, so that the other one decides alone. */
struct cron {
	uint64_t minutes, hours, days, months, weekdays;
	bool any_day, any_weekday;
	int64_t every_s; /* "@every": seconds between two runs, and the masks say nothing; else 0 */
};

/*
 * Five fields (minute, hour, day of the month, month, day of the week) of numbers, names, ranges, steps and lists, or
 * "@hourly", "@daily", "@every 1h30m" and their like. 0; -EINVAL and what is wrong in why.
 */
int cron_parse(const char *text, struct cron *ret, char *why, size_t size);
/* NULL, or what is wrong with the name of a time zone. */
const char *cron_time_zone_check(const char *name);

#endif
