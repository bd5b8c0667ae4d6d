/* SPDX-License-Identifier: Apache-2.0 */
/* lib/client: calls, the recorder of events, and leader election, against the test's own server. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "api/api_types.h"
#include "base/clock.h"
#include "base/file.h"
#include "base/str.h"
#include "client/leader.h"
#include "fixture.h"

static struct fix f;

static void setup(void)
{
	fix_start(&f);
	fix_put(&f, "n", "a", "1");
}

static void teardown(void)
{
	fix_stop(&f);
	clock_fake_clear();
}

TestSuite(kube, .init = setup, .fini = teardown);
TestSuite(recorder, .init = setup, .fini = teardown);
TestSuite(leader, .init = setup, .fini = teardown);

/* --- calls -------------------------------------------------------------------------------------------------------- */

static int answers, status;
static char reason[64], message[256];
static json_t *got;

static void answered(void *arg, const struct kube_result *r)
{
	cr_assert_eq(arg, &answers);
	answers++;
	status = r->status;
	snprintf(reason, sizeof(reason), "%s", r->reason);
	snprintf(message, sizeof(message), "%s", r->message);
	json_decref(got);
	got = json_incref(r->obj);
}

#define CALL(call)                                                                                                     \
	do {                                                                                                           \
		int before_ = answers;                                                                                 \
                                                                                                                       \
		cr_assert_eq(call, 0);                                                                                 \
		cr_assert_eq(answers, before_);                                                                        \
		fix_wait(&f, answers > before_);                                                                       \
	} while (0)

/* The kubelet, or who issues them, replaces a service account's token in its file. */
Test(kube, a_token_from_a_file_is_read_again)
{
	char path[] = "/tmp/skep-token-XXXXXX", url[64];
	struct kubeconfig kc = { .server = url, .token_file = path, .token = (char[]){ "first" } };
	struct err err = ERR_INIT;
	int fd = mkstemp(path);
	struct kube *k;

	cr_assert(fd >= 0);
	clock_fake_set(1000, 1000);
	snprintf(url, sizeof(url), "http://127.0.0.1:%d", f.port);
	cr_assert_eq(kube_new(f.loop, &kc, "test", &k, &err), 0, "%s", err.msg);
	CALL(kube_get(k, &api_kind_pod, "n", "a", NULL, answered, &answers));
	cr_assert_str_eq(f.last_authorization, "Bearer first");

	cr_assert_eq(file_write(path, "second\n", &err), 0, "%s", err.msg);
	clock_fake_advance(60000);
	CALL(kube_get(k, &api_kind_pod, "n", "none", NULL, answered, &answers));
	CALL(kube_get(k, &api_kind_pod, "n", "a", NULL, answered, &answers));
	cr_assert_str_eq(f.last_authorization, "Bearer second");

	/* Written anew just now, or gone: the old one stays. */
	cr_assert_eq(ftruncate(fd, 0), 0);
	clock_fake_advance(60000);
	CALL(kube_get(k, &api_kind_pod, "n", "none", NULL, answered, &answers));
	cr_assert_eq(unlink(path), 0);
	clock_fake_advance(60000);
	CALL(kube_get(k, &api_kind_pod, "n", "none", NULL, answered, &answers));
	CALL(kube_get(k, &api_kind_pod, "n", "a", NULL, answered, &answers));
	cr_assert_str_eq(f.last_authorization, "Bearer second");
	close(fd);
	kube_free(k);
}

Test(kube, paths)
{
	static const struct {
		const struct api_kind *kind;
		const char *ns, *name, *sub, *path;
	} t[] = {
		{ &api_kind_pod, "a", "b", "status", "/api/v1/namespaces/a/pods/b/status" },
		{ &api_kind_pod, NULL, NULL, NULL, "/api/v1/pods" },
		{ &api_kind_node, "a", "b", NULL, "/api/v1/nodes/b" },
		{ &api_kind_deployment, "a", NULL, NULL, "/apis/apps/v1/namespaces/a/deployments" },
		{ &api_kind_pod, "a/b", "c?d", NULL, "/api/v1/namespaces/a%2Fb/pods/c%3Fd" },
	};

	for (size_t i = 0; i < sizeof(t) / sizeof(t[0]); i++) {
		char *path = kube_path(t[i].kind, t[i].ns, t[i].name, t[i].sub);

		cr_assert_str_eq(path, t[i].path);
		free(path);
	}
}

Test(kube, calls_and_their_errors)
{
	json_t *obj = json_pack("{s:{s:s}}", "metadata", "name", "new"),
	       *patch = json_pack("{s:{s:{s:s}}}", "metadata", "labels", "l", "2");

	CALL(kube_get(f.kube, &api_kind_pod, "n", "a", NULL, answered, &answers));
	cr_assert_eq(status, 200);
	cr_assert_str_eq(api_get_str(got, "metadata.name"), "a");
	cr_assert_str_eq(message, "");
	CALL(kube_get(f.kube, &api_kind_pod, "n", "b", NULL, answered, &answers));
	cr_assert_eq(status, 404);
	cr_assert_str_eq(reason, "NotFound");
	cr_assert_str_eq(message, "it is not there");
	CALL(kube_list(f.kube, &api_kind_pod, NULL, "limit=1", answered, &answers));
	cr_assert_eq(json_array_size(api_get(got, "items")), 1);
	CALL(kube_create(f.kube, &api_kind_pod, "n", NULL, NULL, obj, answered, &answers));
	cr_assert_eq(status, 200);
	CALL(kube_create(f.kube, &api_kind_pod, "n", NULL, NULL, obj, answered, &answers));
	cr_assert_str_eq(reason, "AlreadyExists");
	CALL(kube_update(f.kube, &api_kind_pod, "n", "new", NULL, obj, answered, &answers));
	cr_assert_str_eq(reason, "Conflict");
	CALL(kube_patch(f.kube, &api_kind_pod, "n", "a", NULL, KUBE_PATCH_MERGE, patch, answered, &answers));
	cr_assert_eq(status, 200);
	cr_assert_str_eq(f.last_type, "application/merge-patch+json");
	cr_assert_str_eq(api_get_str(fix_get(&f, "n", "a"), "metadata.labels.l"), "2");
	json_decref(obj);
	json_decref(patch);
	json_decref(got);
}

Test(kube, a_server_that_is_not_there)
{
	struct kubeconfig kc = { .server = (char *)"http://127.0.0.1:1" };
	struct kube *k;
	struct err err = ERR_INIT;

	cr_assert_eq(kube_new(f.loop, &kc, "test", &k, &err), 0);
	CALL(kube_get(k, &api_kind_pod, "n", "a", NULL, answered, &answers));
	cr_assert_eq(status, 0);
	cr_assert(*message);
	kube_free(k);
}

Test(kube, cancelled_calls_say_nothing)
{
	int other = 0;

	cr_assert_eq(kube_get(f.kube, &api_kind_pod, "n", "a", NULL, answered, &other), 0);
	kube_cancel(f.kube, &other); /* answered() would not know this arg */
	CALL(kube_get(f.kube, &api_kind_pod, "n", "a", NULL, answered, &answers));
	cr_assert_eq(answers, 1);
	cr_assert_eq(kube_get(f.kube, &api_kind_pod, "n", "a", NULL, answered, &other), 0); /* left to kube_free() */
	json_decref(got);
}

/* --- events ------------------------------------------------------------------------------------------------------- */

static const struct api_object pod = {
	.metadata = { .name = "a", .namespace_ = "n", .uid = "u1", .resource_version = "5" },
};

static void settle(void)
{
	/* A call of our own comes back after those before it. */
	CALL(kube_get(f.kube, &api_kind_pod, "n", "a", NULL, answered, &answers));
	json_decref(got);
	got = NULL;
}

Test(recorder, the_same_again_raises_the_count)
{
	struct kube_recorder *r = kube_recorder_new(f.kube, "tester", "host-1");

	kube_event(r, &api_kind_pod, &pod, "Warning", "BackOff", "restarting %s", "c");
	fix_wait(&f, f.n_posts == 1);
	cr_assert_str_eq(api_get_str(f.last_body, "message"), "restarting c");
	cr_assert_str_eq(api_get_str(f.last_body, "type"), "Warning");
	cr_assert_str_eq(api_get_str(f.last_body, "reason"), "BackOff");
	cr_assert_str_eq(api_get_str(f.last_body, "involvedObject.kind"), "Pod");
	cr_assert_str_eq(api_get_str(f.last_body, "involvedObject.uid"), "u1");
	cr_assert_str_eq(api_get_str(f.last_body, "source.component"), "tester");
	cr_assert_str_eq(api_get_str(f.last_body, "source.host"), "host-1");
	cr_assert_str_eq(api_get_str(f.last_body, "metadata.namespace"), "n");
	settle();
	kube_event(r, &api_kind_pod, &pod, "Warning", "BackOff", "restarting %s", "c");
	fix_wait(&f, f.n_patches == 1);
	cr_assert_eq(api_get_int(f.last_body, "count", 0), 2);
	kube_event(r, &api_kind_pod, &pod, "Warning", "BackOff", "restarting %s", "d");
	fix_wait(&f, f.n_posts == 2);
	settle();
	kube_recorder_free(r);
}

Test(recorder, an_event_that_was_not_written_is_made_anew)
{
	struct kube_recorder *r = kube_recorder_new(f.kube, "tester", NULL);

	f.fail_writes = 1;
	kube_event(r, &api_kind_pod, &pod, "Normal", "Pulled", "x");
	fix_wait(&f, !f.fail_writes);
	settle();
	kube_event(r, &api_kind_pod, &pod, "Normal", "Pulled", "x");
	fix_wait(&f, f.n_posts == 1);
	cr_assert_eq(f.n_patches, 0);
	kube_recorder_free(r);
}

Test(recorder, a_flood_is_held_to_its_bucket)
{
	struct kube_recorder *r = kube_recorder_new(f.kube, "tester", NULL);

	for (int i = 0; i < 100; i++)
		kube_event(r, &api_kind_pod, &pod, "Normal", "Flood", "%d", i);
	fix_wait(&f, f.n_posts == 25);
	settle();
	cr_assert_eq(f.n_posts, 25);
	kube_event(r, &api_kind_pod, &pod, "Normal", "Flood", "last");
	kube_recorder_free(r); /* with nothing or something under way */
	settle();
	cr_assert_eq(f.n_posts, 25);
}

/* --- leader election ---------------------------------------------------------------------------------------------- */

struct candidate {
	struct leader *l;
	int elected, lost, released;
};

static void on_elected(void *arg)
{
	((struct candidate *)arg)->elected++;
}

static void on_lost(void *arg)
{
	((struct candidate *)arg)->lost++;
}

static void on_released(void *arg)
{
	((struct candidate *)arg)->released++;
}

static void run_for_office(struct candidate *c, const char *identity)
{
	struct leader_config config = {
		.namespace_ = "kube-system",
		.name = "skep-test",
		.identity = identity,
		.lease_ms = 1000,
		.renew_ms = 600,
		.retry_ms = 50,
		.on_elected = on_elected,
		.on_lost = on_lost,
		.arg = c,
	};

	c->l = leader_new(f.kube, &config);
	cr_assert(c->l);
	cr_assert_eq(leader_start(c->l), 0);
}

static const char *lease_path = "/apis/coordination.k8s.io/v1/namespaces/kube-system/leases/skep-test";

static json_t *lease(void)
{
	return json_object_get(f.objects, lease_path);
}

Test(leader, one_of_two_leads_and_a_release_hands_over)
{
	struct candidate a = { 0 }, b = { 0 };
	int puts;

	run_for_office(&a, "host-a");
	run_for_office(&b, "host-b");
	fix_wait(&f, a.elected + b.elected == 1);
	cr_assert_eq(a.elected, 1, "the first to create it leads");
	cr_assert_str_eq(api_get_str(lease(), "spec.holderIdentity"), "host-a");
	cr_assert_eq(api_get_int(lease(), "spec.leaseTransitions", -1), 0);
	puts = f.n_puts;
	fix_wait(&f, f.n_puts >= puts + 5); /* renewed */
	cr_assert(b.elected == 0 && a.lost == 0);
	leader_release(a.l, on_released, &a);
	fix_wait(&f, a.released && b.elected);
	cr_assert_str_eq(api_get_str(lease(), "spec.holderIdentity"), "host-b");
	cr_assert_eq(api_get_int(lease(), "spec.leaseTransitions", -1), 1);
	cr_assert_eq(a.lost, 0);
	leader_free(a.l);
	leader_free(b.l); /* very likely with a call open */
}

/* Freed while its call is under way: the answer must not bring it back. */
Test(leader, nothing_after_its_end)
{
	struct candidate a = { 0 };

	run_for_office(&a, "host-a");
	fix_wait(&f, f.n_gets == 1); /* asked; its answer has not been read */
	leader_free(a.l);
	settle();
	cr_assert_eq(f.n_posts, 0);
	cr_assert_eq(a.elected, 0);
}

Test(leader, a_dead_leader_is_replaced_once_its_lease_is_over)
{
	struct candidate a = { 0 }, b = { 0 };
	int64_t from;

	run_for_office(&a, "host-a");
	fix_wait(&f, a.elected);
	leader_free(a.l); /* as if killed: it does not release */
	from = fix_now_ms();
	run_for_office(&b, "host-b");
	fix_wait(&f, b.elected);
	cr_assert(fix_now_ms() - from >= 950, "after %lld ms", (long long)(fix_now_ms() - from));
	leader_free(b.l);
}

Test(leader, who_cannot_renew_stops_in_time)
{
	struct candidate a = { 0 };
	int64_t from;

	run_for_office(&a, "host-a");
	fix_wait(&f, a.elected);
	f.fail_writes = 1 << 20;
	from = fix_now_ms();
	fix_wait(&f, a.lost);
	cr_assert(fix_now_ms() - from < 1000, "before the lease is over, not after %lld ms",
		  (long long)(fix_now_ms() - from));
	leader_free(a.l);
}

Test(leader, who_finds_another_holder_has_lost)
{
	struct candidate a = { 0 };
	json_t *taken;

	run_for_office(&a, "host-a");
	fix_wait(&f, a.elected);
	taken = json_deep_copy(lease());
	api_set(taken, "spec.holderIdentity", json_string("host-z"));
	api_set(taken, "metadata.resourceVersion", json_string("900"));
	json_object_set_new(f.objects, lease_path, taken);
	fix_wait(&f, a.lost);
	cr_assert_eq(a.lost, 1);
	leader_free(a.l);
}
