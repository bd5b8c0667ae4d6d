/* SPDX-License-Identifier: Apache-2.0 */
/* Giving back what a process needed at its start only. */
#ifndef SKEP_BASE_MEMORY_H
#define SKEP_BASE_MEMORY_H

/*
 * Unmaps the pages of programs and libraries that are as on disk (they come back from the page cache when they are
 * touched), and gives free heap to the system. For once after a start, when the loop waits.
 */
void memory_trim(void);

#endif
