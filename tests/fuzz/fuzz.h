/* SPDX-License-Identifier: Apache-2.0 */
/* What the fuzz targets share: the entry point that libFuzzer calls, and a check that stays in optimised builds. */
#ifndef SKEP_TEST_FUZZ_H
#define SKEP_TEST_FUZZ_H

#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define MUST(cond)                                                                                                     \
	do {                                                                                                           \
		if (!(cond))                                                                                           \
			abort();                                                                                       \
	} while (0)

#endif
