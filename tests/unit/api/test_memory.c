/* SPDX-License-Identifier: Apache-2.0 */
/* lib/api when memory runs out in jansson, at every allocation in turn: no crash, nothing leaked, no false success. */
#include <criterion/criterion.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "api/api_types.h"
#include "base/arena.h"

static long countdown = -1, held;

static void *failing_malloc(size_t size)
{
	void *p;

	if (countdown >= 0 && countdown-- == 0)
		return NULL;
	p = malloc(size);
	held += p != NULL;
	return p;
}

static void counting_free(void *p)
{
	held -= p != NULL;
	free(p);
}

static const char yaml[] =
	"metadata: {name: p, namespace: d, labels: {a: b}}\n"
	"spec:\n  replicas: 2\n  selector: {matchLabels: {a: b}}\n  template:\n    metadata: {labels: {a: b}}\n    spec:\n"
	"      volumes: [{name: v}]\n      containers:\n      - {name: c, image: i, resources: {limits: {cpu: 1}}, ports: [{containerPort: 0}]}\n"
	"      - {name: c, image: j, env: [{name: A, value: x, valueFrom: {fieldRef: {fieldPath: x}}}]}\n";

/* Returns whether everything succeeded. */
static bool once(void)
{
	struct api_errs errs = { 0 };
	struct arena arena = ARENA_INIT;
	struct err err = ERR_INIT;
	struct api_deployment *d = NULL;
	json_t *docs = NULL, *obj, *back = NULL, *status = NULL;
	int r = api_yaml_parse(yaml, sizeof(yaml) - 1, &docs, NULL, &err);

	if (r < 0)
		return false;
	obj = json_array_get(docs, 0);
	api_check(&api_type_deployment, obj, &errs);
	api_prune(&api_type_deployment, obj);
	api_default(&api_kind_deployment, obj);
	api_validate(&api_kind_deployment, obj, NULL, &errs);
	cr_assert(errs.n >= 1);
	status = api_status_invalid(&api_kind_deployment, "p", &errs);
	if (api_decode(&api_type_deployment, obj, &arena, &d, &err) == 0)
		back = api_encode(&api_type_deployment, d);
	r = back && status;
	json_decref(back);
	json_decref(status);
	json_decref(docs);
	api_errs_done(&errs);
	arena_done(&arena);
	return r;
}

Test(api_memory, every_allocation_may_fail)
{
	long n = 0, failed = 0;

	json_set_alloc_funcs(failing_malloc, counting_free);
	cr_assert(once());
	cr_assert_eq(held, 0);
	for (;; n++) {
		bool ok;

		countdown = n;
		ok = once();
		failed += !ok;
		cr_assert_eq(held, 0, "%ld blocks kept when allocation %ld failed", held, n);
		if (countdown >= 0)
			break; /* fewer allocations than that: all have failed once */
	}
	countdown = -1;
	cr_assert(n > 100 && failed > 50);
	json_set_alloc_funcs(malloc, free);
}
