/* SPDX-License-Identifier: Apache-2.0 */
/* When is a pod to be named for how much it has of a table that all pods share? */
#ifndef SKEP_AGENT_PRESSURE_H
#define SKEP_AGENT_PRESSURE_H

#include <stdbool.h>
#include <stdint.h>

/*
 * Three quarters of the table's room are in live use, and a quarter is the pod's. was: it was named, and is until it
 * has less than a fifth or the table has room, so that nobody flaps.
 */
static inline bool pressure_by(uint64_t has, uint64_t all, uint64_t room, bool was)
{
	if (!room || all * 100 < room * (was ? 50 : 75))
		return false;
	return has * 100 >= room * (was ? 20 : 25);
}

#endif
