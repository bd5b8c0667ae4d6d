/* SPDX-License-Identifier: Apache-2.0 */
/* Which layout the entries of each pinned map have (map `layouts`). dp_open() never reuses a map of another version. */
#ifndef SKEP_ABI_LAYOUT_H
#define SKEP_ABI_LAYOUT_H

#include <linux/types.h>

struct layout_key {
	char map[16];
};

struct layout_value {
	__u32 version;
};

#endif
