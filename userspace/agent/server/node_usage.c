/* SPDX-License-Identifier: Apache-2.0 */
/* See node_usage.h; proc(5) has the formats. */
#include "node_usage.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "../../lib/base/cleanup.h"
#include "../../lib/base/file.h"
#include "../../lib/base/str.h"

static bool kibibytes(const char *meminfo, const char *key, uint64_t *ret)
{
	const char *line = meminfo;
	size_t len = strlen(key);
	unsigned long long v;

	for (; line; line = strchr(line, '\n'), line += line != NULL) {
		if (strncmp(line, key, len) || line[len] != ':')
			continue;
		if (sscanf(line + len + 1, "%llu kB", &v) != 1)
			return false;
		*ret = v << 10;
		return true;
	}
	return false;
}

int node_usage_parse(const char *stat, const char *meminfo, long ticks_per_second, struct node_usage *ret)
{
	unsigned long long user, nice, system, idle, iowait, irq, softirq;
	uint64_t total, available;

	if (sscanf(stat, "cpu %llu %llu %llu %llu %llu %llu %llu", &user, &nice, &system, &idle, &iowait, &irq,
		   &softirq) != 7 ||
	    ticks_per_second <= 0)
		return -EINVAL;
	if (!kibibytes(meminfo, "MemTotal", &total) || !kibibytes(meminfo, "MemAvailable", &available) ||
	    available > total)
		return -EINVAL;
	*ret = (struct node_usage){
		.cpu_ns = (user + nice + system + irq + softirq) * (1000000000ULL / (uint64_t)ticks_per_second),
		.memory_bytes = total - available,
		.memory_available = available,
	};
	return 0;
}

int node_usage_read(struct node_usage *ret)
{
	cleanup(free) char *stat = NULL, *meminfo = NULL;
	int r;

	r = file_read("/proc/stat", 1 << 22, &stat, NULL, NULL);
	if (!r)
		r = file_read("/proc/meminfo", 1 << 16, &meminfo, NULL, NULL);
	return r < 0 ? r : node_usage_parse(stat, meminfo, sysconf(_SC_CLK_TCK), ret);
}
