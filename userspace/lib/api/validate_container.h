/* SPDX-License-Identifier: Apache-2.0 */
/* Rules of a pod's containers, called by validate_pod.c. */
#ifndef SKEP_API_VALIDATE_CONTAINER_H
#define SKEP_API_VALIDATE_CONTAINER_H

#include "api-internal.h"

void api_validate_containers(const json_t *containers, const json_t *volumes, bool init, const struct api_path *path,
			     struct api_errs *errs);
/* validate_pod.c */
void api_validate_pod_spec(const json_t *spec, const struct api_path *path, struct api_errs *errs);
/* validate_resize.c */
void api_validate_resize_policy(const json_t *list, bool restart_never, const struct api_path *path,
				struct api_errs *errs);
void api_validate_pod_resize(const json_t *obj, const json_t *old, struct api_errs *errs);
/* Items of a volume: keys and where they go. */
void api_validate_items(const json_t *items, const struct api_path *path, struct api_errs *errs);
void api_validate_projected(const json_t *source, const struct api_path *path, struct api_errs *errs);
/* A ".." among the parts of a path. */
bool api_path_climbs(const char *path);

#endif
