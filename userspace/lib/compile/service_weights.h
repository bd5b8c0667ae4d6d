/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Weights of backends: the annotation skep.io/weight of a Pod (or a pod template), from which the EndpointSlice
 * controller makes slices of their own, or of an EndpointSlice that somebody writes by hand. A weight is a share of the
 * new connections beside the other backends of the same choice; 0 is for none as long as others have more.
 *
 * To the maps a backend with n times the weight of another is n backends: who chooses evenly among the entries chooses
 * by weight, and so does a table of consistent hashing.
 */
#ifndef SKEP_COMPILE_SERVICE_WEIGHTS_H
#define SKEP_COMPILE_SERVICE_WEIGHTS_H

#include "service.h"

#define SERVICE_WEIGHT_DEFAULT 100
#define SERVICE_WEIGHT_MAX     1000

struct service_weighted {
	struct service_backend backend;
	uint32_t weight;
};

/* What the annotation says; the default without one, and where it says what the API server would not have taken. */
uint32_t service_weight(const struct api_map *annotations);
/*
 * Makes each weight the number of entries that the backend gets, and returns their sum: one for each where all weights
 * are alike, none for a weight of 0 beside others. The smallest numbers that say the same; where these are too
 * many, at most 1,024 or 3 n, whichever is more, and then one at least for each that has a weight.
 */
size_t service_shares(struct service_weighted *list, size_t n);

#endif
