/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Tables of consistent hashing after Maglev (Eisenbud et al., "Maglev: A Fast and Reliable Software Network Load
 * Balancer", NSDI 2016, 3.4): each backend has a permutation of the slots and takes its next free one in turn. Whoever
 * makes a table of the same backends makes the same one, whatever order they come in. A backend that goes takes at most
 * 1 % of the other flows with it (maglev_slots() is chosen for that), and all have as many slots within a few per cent.
 */
#ifndef SKEP_COMPILE_MAGLEV_H
#define SKEP_COMPILE_MAGLEV_H

#include <stddef.h>
#include <stdint.h>

/* Slots for n backends, a prime; 0 for none, 1 for one. */
uint32_t maglev_slots(size_t n);
/* ids: what tells the backends apart, no two alike; table: the index of a backend for each slot. 0 or -ENOMEM. */
int maglev_fill(const uint64_t *ids, size_t n, uint32_t *table, uint32_t slots);
/* An id out of the bytes of an address and the like. */
uint64_t maglev_id(const void *bytes, size_t len);

#endif
