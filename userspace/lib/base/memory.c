/* SPDX-License-Identifier: Apache-2.0 */
/*
 * See memory.h. Dynamic linking and the first moves of OpenSSL, libcurl and what it brings touch ten megabytes of
 * libraries, of which a daemon then uses a few: they would stay in its resident set as long as the machine has memory.
 * Libraries stay where they are as long as the process lives, so what is read of them in /proc holds until it is used.
 */
#include "memory.h"

#include <inttypes.h>
#include <malloc.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>

void memory_trim(void)
{
	uintptr_t from = 0, to = 0;
	bool clean = false;
	char line[512], mode[5], path;
	FILE *f;

	malloc_trim(0);
	f = fopen("/proc/self/smaps", "re");
	if (!f)
		return;
	while (fgets(line, sizeof(line), f)) {
		uintptr_t begin, end;
		unsigned long kb;

		path = '\0';
		if (sscanf(line, "%" SCNxPTR "-%" SCNxPTR " %4s %*s %*s %*s %c", &begin, &end, mode, &path) >= 3) {
			/* Of a file, private, not writable: what was relocated there, or set by a debugger, is
			 * anonymous. */
			clean = path == '/' && !strncmp(mode, "r-", 2) && mode[3] == 'p';
			from = begin;
			to = end;
		} else if (clean && sscanf(line, "Anonymous: %lu", &kb) == 1 && !kb) {
			(void)madvise((void *)from, to - from, MADV_DONTNEED);
			clean = false;
		}
	}
	fclose(f);
}
