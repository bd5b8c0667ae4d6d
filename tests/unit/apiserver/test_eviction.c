/* SPDX-License-Identifier: Apache-2.0 */
/* pods/eviction and the disruption budget it asks. */
#include "fixture.h"

#include <stdlib.h>
#include <string.h>

#include "base/str.h"

#define PDBS "/apis/policy/v1/namespaces/default/poddisruptionbudgets"
#define PDB(name)                                                                                                      \
	"{\"apiVersion\":\"policy/v1\",\"kind\":\"PodDisruptionBudget\",\"metadata\":{\"name\":\"" name "\"},"         \
	"\"spec\":{\"minAvailable\":1,\"selector\":{\"matchLabels\":{\"app\":\"x\"}}}}"
#define EVICTION(name, options)                                                                                        \
	"{\"apiVersion\":\"policy/v1\",\"kind\":\"Eviction\",\"metadata\":{\"name\":\"" name "\"},"                    \
	"\"deleteOptions\":{" options "}}"

static struct fx f;

static void setup(void)
{
	fx_init(&f);
	fx_start(&f);
}

static void teardown(void)
{
	fx_done(&f);
}

TestSuite(eviction, .init = setup, .fini = teardown, .timeout = 180);

static void pod(const char *name, const char *phase, const char *ready)
{
	char body[400], path[200];

	snprintf(body, sizeof(body),
		 "{\"apiVersion\":\"v1\",\"kind\":\"Pod\",\"metadata\":{\"name\":\"%s\",\"labels\":{\"app\":\"x\"}},"
		 "\"spec\":{\"terminationGracePeriodSeconds\":0,\"containers\":[{\"name\":\"c\",\"image\":\"i:1\"}]}}",
		 name);
	fx_do(&f, 201, "POST", PODS, body);
	snprintf(path, sizeof(path), PODS "/%s/status", name);
	snprintf(body, sizeof(body),
		 "{\"status\":{\"phase\":\"%s\",\"conditions\":[{\"type\":\"Ready\",\"status\":\"%s\"}]}}", phase,
		 ready);
	fx_do(&f, 200, "PATCH", path, body);
}

static void evict(int status, const char *name, const char *body, const char *why)
{
	char path[200];
	struct answer a;

	snprintf(path, sizeof(path), PODS "/%s/eviction", name);
	a = fx_call(&f, ADMIN, "POST", path, "application/json", NULL, body);
	cr_assert(a.status == status && strstr(a.text, why), "%s: %d, not %d with '%s': %s", name, a.status, status,
		  why, a.text);
	answer_done(&a);
	snprintf(path, sizeof(path), PODS "/%s", name);
	fx_do(&f, status == 201 ? 404 : 200, "GET", path, NULL);
}

Test(eviction, takes_one_from_the_budget_or_waits)
{
	json_t *o;

	pod("a", "Running", "True");
	pod("b", "Running", "True");
	fx_do(&f, 201, "POST", PDBS, PDB("p"));
	evict(429, "a", EVICTION("a", ""), "The disruption budget p is still being processed by the server.");
	fx_do(&f, 200, "PATCH", PDBS "/p/status",
	      "{\"status\":{\"observedGeneration\":1,\"disruptionsAllowed\":1,\"currentHealthy\":2,\"desiredHealthy\":1,"
	      "\"expectedPods\":2}}");
	evict(201, "a", EVICTION("a", ""), "Success");
	o = fx_expect(&f, 200, "GET", PDBS "/p", NULL);
	cr_assert(api_get_int(o, "status.disruptionsAllowed", -1) == 0);
	cr_assert(api_get_str(o, "status.disruptedPods.a"));
	cr_assert(api_get_int(o, "metadata.generation", 0) == 1);
	json_decref(o);
	evict(429, "b", EVICTION("b", ""), "The disruption budget p needs 1 healthy pods and has 2 currently");
}

Test(eviction, of_pods_that_serve_nobody_asks_no_budget)
{
	fx_do(&f, 201, "POST", PDBS, PDB("p"));
	pod("pending", "Pending", "False");
	evict(201, "pending", EVICTION("pending", ""), "Success");
	pod("done", "Succeeded", "False");
	evict(201, "done", EVICTION("done", ""), "Success");
	pod("sick", "Running", "False");
	evict(429, "sick", EVICTION("sick", ""), "disruption budget");
	fx_do(&f, 200, "PATCH", PDBS "/p", "{\"spec\":{\"unhealthyPodEvictionPolicy\":\"AlwaysAllow\"}}");
	evict(201, "sick", EVICTION("sick", ""), "Success");
}

Test(eviction, what_is_wrong_with_it_is_said)
{
	pod("a", "Running", "True");
	evict(400, "a", "[]", "not an Eviction object");
	evict(400, "a", EVICTION("b", ""), "name in URL does not match name in Eviction object");
	evict(409, "a", EVICTION("a", "\"preconditions\":{\"uid\":\"other\"}"), "UID in precondition");
	evict(422, "a", EVICTION("a", "\"propagationPolicy\":\"Sideways\""), "propagationPolicy");
	fx_refused(&f, ADMIN, 404, "POST", PODS "/none/eviction", EVICTION("none", ""), "pods \"none\" not found");
	fx_do(&f, 201, "POST", PODS "/a/eviction", EVICTION("a", "\"dryRun\":[\"All\"]"));
	fx_do(&f, 201, "POST", PDBS, PDB("p"));
	fx_do(&f, 201, "POST", PDBS, PDB("q"));
	evict(500, "a", EVICTION("a", ""), "more than one PodDisruptionBudget");
}
