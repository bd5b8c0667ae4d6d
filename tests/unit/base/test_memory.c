/* SPDX-License-Identifier: Apache-2.0 */
/* lib/base/memory: what is given back, and that nothing is lost by it. */
#include <criterion/criterion.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/memory.h"

#define SIZE (1 << 20)

static long resident_kb(const void *at)
{
	char line[512], want[32];
	bool here = false;
	long kb = -1;
	FILE *f = fopen("/proc/self/smaps", "re");

	cr_assert(f);
	snprintf(want, sizeof(want), "%lx-", (unsigned long)at);
	while (kb < 0 && fgets(line, sizeof(line), f)) {
		if (!strncmp(line, want, strlen(want)))
			here = true;
		else if (here)
			(void)sscanf(line, "Rss: %ld", &kb);
	}
	fclose(f);
	return kb;
}

Test(memory, clean_pages_of_files_go_and_come_back)
{
	char path[] = "/tmp/memory-unit-XXXXXX", *clean, *written, *heap = malloc(SIZE);
	int fd = mkstemp(path);

	cr_assert(fd >= 0 && heap && ftruncate(fd, SIZE) == 0);
	unlink(path);
	cr_assert(pwrite(fd, "on disk", 7, SIZE / 2) == 7);
	clean = mmap(NULL, SIZE, PROT_READ, MAP_PRIVATE | MAP_POPULATE, fd, 0);
	written = mmap(NULL, SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, 0);
	cr_assert(clean != MAP_FAILED && written != MAP_FAILED);
	memset(heap, 'h', SIZE);
	memset(written, 'w', SIZE);
	cr_assert(mprotect(written, SIZE, PROT_READ) == 0);
	cr_assert(resident_kb(clean) > 0);
	memory_trim();
	cr_assert(resident_kb(clean) == 0);
	cr_assert(!memcmp(clean + SIZE / 2, "on disk", 7));
	for (int i = 0; i < SIZE; i++)
		cr_assert(heap[i] == 'h' && written[i] == 'w');
	munmap(clean, SIZE);
	munmap(written, SIZE);
	free(heap);
	close(fd);
}
