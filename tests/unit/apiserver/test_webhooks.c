/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Admission webhooks: an HTTPS server in this process stands for them. What it answers is set by path; what it was
 * asked is kept.
 */
#include "fixture.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/str.h"
#include "io/http_server.h"
#include "io/tls.h"

static struct fx f;
static struct http_server *hooks;
static int port;
static char *ca;
static json_t *asked[64]; /* requests, in order */
static char asked_path[64][64];
static size_t n_asked;
static char audit_policy[128], audit_log[128];

/* What the webhook at /<name> answers; the last path segment chooses. */
static void on_review(struct http_req *req, void *arg)
{
	const char *path = http_req_path(req), *uid;
	json_t *review = NULL, *response, *request;
	size_t len;
	const char *body = http_req_body(req, &len);
	char *text;

	(void)arg;
	cr_assert(api_json_parse(body, len, &review, NULL, NULL) == 0);
	request = json_object_get(review, "request");
	uid = api_get_str(request, "uid");
	cr_assert(n_asked < 64);
	snprintf(asked_path[n_asked], sizeof(asked_path[0]), "%s", path);
	asked[n_asked++] = json_incref(request);
	response = json_pack("{s:s,s:b}", "uid", uid, "allowed", 1);
	if (streq(path, "/deny"))
		json_object_update_new(response, json_pack("{s:b,s:{s:s,s:i,s:s}}", "allowed", 0, "status", "message",
							   "not on a Sunday", "code", 403, "reason", "Forbidden"));
	if (streq(path, "/mute"))
		json_object_set_new(response, "allowed", json_false());
	if (streq(path, "/warn"))
		json_object_set_new(response, "warnings", json_pack("[s]", "think \"twice\""));
	if (streq(path, "/note"))
		json_object_set_new(response, "auditAnnotations", json_pack("{s:s}", "seen-by", "the \"hook\""));
	if (streq(path, "/uid"))
		json_object_set_new(response, "uid", json_string("another"));
	if (str_starts(path, "/label")) {
		/* /label-a sets data.a to how many keys there are */
		char patch[200], *b64;

		snprintf(patch, sizeof(patch), "[{\"op\":\"add\",\"path\":\"/data/%s\",\"value\":\"%zu\"}]", path + 7,
			 json_object_size(api_get(request, "object.data")));
		b64 = str_base64(patch, strlen(patch));
		json_object_update_new(response, json_pack("{s:s,s:s}", "patchType", "JSONPatch", "patch", b64));
		free(b64);
	}
	if (streq(path, "/rename")) {
		static const char patch[] = "[{\"op\":\"replace\",\"path\":\"/metadata/name\",\"value\":\"z\"}]";
		char *b64 = str_base64(patch, strlen(patch));

		json_object_update_new(response, json_pack("{s:s,s:s}", "patchType", "JSONPatch", "patch", b64));
		free(b64);
	}
	if (streq(path, "/silent")) {
		json_decref(response);
		json_decref(review);
		return; /* the peer's timeout ends it */
	}
	response = json_pack("{s:s,s:s,s:o}", "kind", "AdmissionReview", "apiVersion",
			     streq(path, "/version") ? "admission.k8s.io/v1beta1" : "admission.k8s.io/v1", "response",
			     response);
	text = json_dumps(response, 0);
	if (streq(path, "/broken"))
		http_respond(req, 500, "text/plain", "oops", 4);
	else
		http_respond(req, 200, "application/json", text, strlen(text));
	free(text);
	json_decref(response);
	json_decref(review);
}

/* A certificate for a webhook behind the service `hook`, and at the loopback address. */
static void make_cert(struct tls_files *ret)
{
	static char cert[128], key[128];
	const char *dns[] = { "hook.default.svc", NULL }, *ips[] = { "127.0.0.1", NULL };
	struct tls_cert_request req = {
		.common_name = "hook", .dns_names = dns, .ip_addresses = ips, .server = true, .days = 2
	};
	struct err err = ERR_INIT;
	char ca_key[128];

	snprintf(cert, sizeof(cert), "%s/hook.crt", f.dir);
	snprintf(key, sizeof(key), "%s/hook.key", f.dir);
	snprintf(ca_key, sizeof(ca_key), "%s/ca.key", f.dir);
	cr_assert(tls_make_cert(f.tls[0].ca_file, ca_key, &req, cert, key, &err) == 0);
	*ret = (struct tls_files){ f.tls[0].ca_file, cert, key };
}

static void setup(void)
{
	struct http_server_config c = { .handler = on_review };
	struct err err = ERR_INIT;
	struct tls_files tls;
	size_t len;
	char *pem = NULL;

	fx_init(&f);
	snprintf(audit_policy, sizeof(audit_policy), "%s/policy.yaml", f.dir);
	snprintf(audit_log, sizeof(audit_log), "%s/audit.log", f.dir);
	cr_assert(file_write(audit_policy,
			     "apiVersion: audit.k8s.io/v1\nkind: Policy\nomitStages: [RequestReceived]\nrules:\n"
			     "- {level: Metadata, resources: [{group: '', resources: [configmaps]}]}\n",
			     &err) == 0);
	f.config.audit_policy_file = audit_policy;
	f.config.audit_log_path = audit_log;
	make_cert(&tls);
	c.tls = &tls;
	cr_assert(http_server_new(f.loop, &c, &hooks, &err) == 0);
	cr_assert(http_server_listen(hooks, "127.0.0.1:0", &port, &err) == 0);
	cr_assert(file_read(f.tls[0].ca_file, 1 << 20, &pem, &len, &err) == 0);
	ca = str_base64(pem, len);
	free(pem);
	fx_start(&f);
}

static void teardown(void)
{
	fx_stop(&f);
	http_server_free(hooks);
	for (size_t i = 0; i < n_asked; i++)
		json_decref(asked[i]);
	free(ca);
	fx_done(&f);
}

TestSuite(webhooks, .init = setup, .fini = teardown, .timeout = 180);

#define CONFIGS "/apis/admissionregistration.k8s.io/v1/"
#define RULE	"{\"apiGroups\":[\"\"],\"apiVersions\":[\"v1\"],\"operations\":[\"*\"],\"resources\":[\"configmaps\"]}"

static const char *config_path(bool mutating)
{
	return mutating ? CONFIGS "mutatingwebhookconfigurations" : CONFIGS "validatingwebhookconfigurations";
}

static void add_config(bool mutating, const char *name, const char *hook, const char *rule, const char *more)
{
	char *body;

	cr_assert(asprintf(&body,
			   "{\"apiVersion\":\"admissionregistration.k8s.io/v1\",\"kind\":\"%s\",\"metadata\":{\"name\":"
			   "\"%s\"},\"webhooks\":[{\"name\":\"%s.example.com\",\"clientConfig\":{\"url\":"
			   "\"https://127.0.0.1:%d/%s\",\"caBundle\":\"%s\"},\"sideEffects\":\"None\","
			   "\"admissionReviewVersions\":[\"v1\"],\"rules\":[%s]%s}]}",
			   mutating ? "MutatingWebhookConfiguration" : "ValidatingWebhookConfiguration", name, name,
			   port, hook, ca, rule, more) > 0);
	fx_do(&f, 201, "POST", config_path(mutating), body);
	free(body);
}

static void del_config(bool mutating, const char *name)
{
	char path[200];

	snprintf(path, sizeof(path), "%s/%s", config_path(mutating), name);
	fx_do(&f, 200, "DELETE", path, NULL);
}

Test(webhooks, answers_count)
{
	static const struct {
		const char *hook, *more;
		int status;
		const char *text;
	} cases[] = {
		{ "allow", "", 201, NULL },
		{ "deny", "", 403, "admission webhook \"w.example.com\" denied the request: not on a Sunday" },
		{ "deny", ",\"failurePolicy\":\"Ignore\"", 403, "denied the request: not on a Sunday" },
		{ "mute", "", 400, "admission webhook \"w.example.com\" denied the request without explanation" },
		{ "uid", "", 500,
		  "failed calling webhook \"w.example.com\": received invalid webhook response: expected "
		  "response.uid=" },
		{ "uid", ",\"failurePolicy\":\"Ignore\"", 201, NULL },
		{ "version", "", 500, "expected webhook response of admission.k8s.io/v1, Kind=AdmissionReview" },
		{ "broken", "", 500,
		  "failed calling webhook \"w.example.com\": failed to call webhook: an error on the "
		  "server (\"oops\") has prevented the request from succeeding" },
		{ "broken", ",\"failurePolicy\":\"Ignore\"", 201, NULL },
		{ "silent", ",\"timeoutSeconds\":1", 500, "context deadline exceeded" },
		{ "silent", ",\"timeoutSeconds\":1,\"failurePolicy\":\"Ignore\"", 201, NULL },
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		for (int mutating = 0; mutating < 2; mutating++) {
			add_config(mutating, "w", cases[i].hook, RULE, cases[i].more);
			if (cases[i].text)
				fx_refused(&f, ADMIN, cases[i].status, "POST", CMS, CM("a", "\"x\":\"y\""),
					   cases[i].text);
			else
				fx_do(&f, cases[i].status, "POST", CMS, CM("a", "\"x\":\"y\""));
			del_config(mutating, "w");
			fx_do(&f, cases[i].text ? 404 : 200, "DELETE", CMS "/a", NULL);
		}
}

Test(webhooks, are_told_what_happens)
{
	json_t *r;

	add_config(false, "w", "allow", RULE, "");
	fx_do(&f, 201, "POST", CMS, CM("a", "\"x\":\"y\""));
	fx_do(&f, 200, "PATCH", CMS "/a", "{\"data\":{\"x\":\"z\"}}");
	fx_do(&f, 200, "DELETE", CMS "/a", NULL);
	cr_assert(n_asked == 3);
	r = asked[0];
	cr_assert_str_eq(api_get_str(r, "operation"), "CREATE");
	cr_assert_str_eq(api_get_str(r, "kind.kind"), "ConfigMap");
	cr_assert_str_eq(api_get_str(r, "resource.resource"), "configmaps");
	cr_assert_str_eq(api_get_str(r, "name"), "a");
	cr_assert_str_eq(api_get_str(r, "namespace"), "default");
	cr_assert_str_eq(api_get_str(r, "userInfo.username"), "admin");
	cr_assert_str_eq(api_get_str(r, "object.data.x"), "y");
	cr_assert_str_eq(api_get_str(r, "options.kind"), "CreateOptions");
	cr_assert(json_is_null(json_object_get(r, "oldObject")) && json_is_false(json_object_get(r, "dryRun")));
	r = asked[1];
	cr_assert_str_eq(api_get_str(r, "operation"), "UPDATE");
	cr_assert_str_eq(api_get_str(r, "object.data.x"), "z");
	cr_assert_str_eq(api_get_str(r, "oldObject.data.x"), "y");
	cr_assert_str_eq(api_get_str(r, "options.kind"), "PatchOptions");
	r = asked[2];
	cr_assert_str_eq(api_get_str(r, "operation"), "DELETE");
	cr_assert(json_is_null(json_object_get(r, "object")));
	cr_assert_str_eq(api_get_str(r, "oldObject.data.x"), "z");
}

Test(webhooks, change_objects_in_order_and_again_if_needed)
{
	json_t *o;

	/* b, c: in order of their configurations; b looks again because c changed what it saw */
	add_config(true, "b", "label-b", RULE, ",\"reinvocationPolicy\":\"IfNeeded\"");
	add_config(true, "c", "label-c", RULE, "");
	o = fx_expect(&f, 201, "POST", CMS, CM("a", "\"x\":\"y\""));
	cr_assert_str_eq(api_get_str(o, "data.b"), "3"); /* the second look */
	cr_assert_str_eq(api_get_str(o, "data.c"), "2");
	cr_assert(n_asked == 3);
	cr_assert_str_eq(asked_path[0], "/label-b");
	cr_assert_str_eq(asked_path[1], "/label-c");
	cr_assert_str_eq(asked_path[2], "/label-b");
	json_decref(o);
	o = fx_expect(&f, 200, "GET", CMS "/a", NULL);
	cr_assert_str_eq(api_get_str(o, "data.c"), "2");
	json_decref(o);
	del_config(true, "b");
	del_config(true, "c");
	add_config(true, "r", "rename", RULE, "");
	fx_refused(&f, ADMIN, 500, "POST", CMS, CM("n", "\"x\":\"y\""), "the patch changes metadata.name");
}

Test(webhooks, dry_runs_ask_and_write_nothing)
{
	add_config(true, "w", "label-b", RULE, "");
	fx_do(&f, 201, "POST", CMS "?dryRun=All", CM("a", "\"x\":\"y\""));
	cr_assert(n_asked == 1 && json_is_true(json_object_get(asked[0], "dryRun")));
	fx_do(&f, 404, "GET", CMS "/a", NULL);
}

Test(webhooks, are_chosen_by_rules_and_selectors)
{
	static const struct {
		const char *rule, *more;
		bool create, update_status, scale; /* asked for a configmap, a pod's status, a scale */
	} cases[] = {
		{ RULE, "", true, false, false },
		{ "{\"apiGroups\":[\"*\"],\"apiVersions\":[\"*\"],\"operations\":[\"*\"],\"resources\":[\"*\"]}", "",
		  true, false, false },
		{ "{\"apiGroups\":[\"*\"],\"apiVersions\":[\"*\"],\"operations\":[\"*\"],\"resources\":[\"*/*\"]}", "",
		  true, true, true },
		{ "{\"apiGroups\":[\"*\"],\"apiVersions\":[\"*\"],\"operations\":[\"*\"],\"resources\":[\"*/scale\"]}",
		  "", false, false, true },
		{ "{\"apiGroups\":[\"\"],\"apiVersions\":[\"v1\"],\"operations\":[\"UPDATE\"],\"resources\":[\"pods/"
		  "status\",\"configmaps\"]}",
		  "", false, true, false },
		{ "{\"apiGroups\":[\"\"],\"apiVersions\":[\"v1\"],\"operations\":[\"*\"],\"resources\":[\"configmaps\"],"
		  "\"scope\":\"Cluster\"}",
		  "", false, false, false },
		{ "{\"apiGroups\":[\"\"],\"apiVersions\":[\"v2\"],\"operations\":[\"*\"],\"resources\":[\"configmaps\"]}",
		  ",\"matchPolicy\":\"Exact\"", false, false, false },
		{ "{\"apiGroups\":[\"\"],\"apiVersions\":[\"v2\"],\"operations\":[\"*\"],\"resources\":[\"configmaps\"]}",
		  "", true, false, false },
		{ RULE, ",\"namespaceSelector\":{\"matchLabels\":{\"kubernetes.io/metadata.name\":\"default\"}}", true,
		  false, false },
		{ RULE, ",\"namespaceSelector\":{\"matchLabels\":{\"a\":\"b\"}}", false, false, false },
		{ RULE, ",\"objectSelector\":{\"matchLabels\":{\"a\":\"b\"}}", false, false, false },
		{ RULE, ",\"objectSelector\":{\"matchExpressions\":[{\"key\":\"a\",\"operator\":\"DoesNotExist\"}]}",
		  true, false, false },
	};

	fx_do(&f, 201, "POST", PODS, POD("p", ""));
	fx_do(&f, 201, "POST", "/apis/apps/v1/namespaces/default/deployments",
	      "{\"apiVersion\":\"apps/v1\",\"kind\":\"Deployment\",\"metadata\":{\"name\":\"d\"},\"spec\":{\"selector\":{"
	      "\"matchLabels\":{\"a\":\"b\"}},\"template\":{\"metadata\":{\"labels\":{\"a\":\"b\"}},\"spec\":{"
	      "\"containers\":[{\"name\":\"c\",\"image\":\"i:1\"}]}}}}");
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		char status[100], scale[100];
		size_t before = n_asked;

		snprintf(status, sizeof(status), "{\"status\":{\"message\":\"%zu\"}}", i);
		snprintf(scale, sizeof(scale), "{\"spec\":{\"replicas\":%zu}}", i + 2);
		add_config(false, "w", "allow", cases[i].rule, cases[i].more);
		fx_do(&f, 201, "POST", CMS, CM("a", ""));
		cr_assert(n_asked - before == cases[i].create, "case %zu: create", i);
		before = n_asked;
		fx_do(&f, 200, "PATCH", PODS "/p/status", status);
		cr_assert(n_asked - before == cases[i].update_status, "case %zu: status", i);
		before = n_asked;
		fx_do(&f, 200, "PATCH", "/apis/apps/v1/namespaces/default/deployments/d/scale", scale);
		cr_assert(n_asked - before == cases[i].scale, "case %zu: scale", i);
		if (cases[i].scale)
			cr_assert_str_eq(api_get_str(asked[n_asked - 1], "object.kind"), "Scale");
		del_config(false, "w");
		fx_do(&f, 200, "DELETE", CMS "/a", NULL);
	}
}

Test(webhooks, warnings_reach_the_client)
{
	struct answer a;

	add_config(false, "w", "warn", RULE, "");
	a = fx_call(&f, ADMIN, "POST", CMS, "application/json", NULL, CM("a", ""));
	cr_assert(a.status == 201);
	cr_assert_str_eq(a.warning, "299 - \"think \\\"twice\\\"\"");
	answer_done(&a);
}

static void add_by_service(const char *service, const char *bundle)
{
	char *body;

	cr_assert(
		asprintf(
			&body,
			"{\"apiVersion\":\"admissionregistration.k8s.io/v1\",\"kind\":\"ValidatingWebhookConfiguration\","
			"\"metadata\":{\"name\":\"s\"},\"webhooks\":[{\"name\":\"s.example.com\",\"clientConfig\":{"
			"\"service\":{\"namespace\":\"default\",\"name\":\"%s\",\"path\":\"/deny\"}%s%s%s},"
			"\"sideEffects\":\"None\",\"admissionReviewVersions\":[\"v1\"],\"rules\":[" RULE "]}]}",
			service, bundle ? ",\"caBundle\":\"" : "", bundle ? bundle : "", bundle ? "\"" : "") > 0);
	fx_do(&f, 201, "POST", config_path(false), body);
	free(body);
}

static void add_service(const char *name)
{
	char body[400];

	snprintf(body, sizeof(body),
		 "{\"apiVersion\":\"v1\",\"kind\":\"Service\",\"metadata\":{\"name\":\"%s\"},\"spec\":{\"ports\":[{"
		 "\"port\":443,\"targetPort\":8443}]}}",
		 name);
	fx_do(&f, 201, "POST", "/api/v1/namespaces/default/services", body);
}

static void add_endpoint(const char *service)
{
	char body[600];

	snprintf(
		body, sizeof(body),
		"{\"apiVersion\":\"discovery.k8s.io/v1\",\"kind\":\"EndpointSlice\",\"metadata\":{\"name\":\"%s-1\","
		"\"labels\":{\"kubernetes.io/service-name\":\"%s\"}},\"addressType\":\"IPv4\",\"ports\":[{\"name\":\"\","
		"\"port\":%d}],\"endpoints\":[{\"addresses\":[\"127.0.0.1\"],\"conditions\":{\"ready\":true}}]}",
		service, service, port);
	fx_do(&f, 201, "POST", "/apis/discovery.k8s.io/v1/namespaces/default/endpointslices", body);
}

Test(webhooks, behind_a_service)
{
	add_by_service("hook", ca);
	fx_refused(&f, ADMIN, 500, "POST", CMS, CM("a", ""), "service \"hook\" not found");
	add_service("hook");
	fx_refused(&f, ADMIN, 500, "POST", CMS, CM("a", ""), "no endpoints available for service \"hook\"");
	add_endpoint("hook");
	fx_refused(&f, ADMIN, 403, "POST", CMS, CM("a", ""),
		   "admission webhook \"s.example.com\" denied the request: not on a Sunday");
	cr_assert(n_asked == 1);
	cr_assert_str_eq(asked_path[0], "/deny");
}

/* Reached, and not believed. */
Test(webhooks, certificates_must_be_the_services)
{
	json_t *o;

	add_service("hook");
	add_endpoint("hook");
	add_service("other");
	add_endpoint("other");
	add_by_service("hook", NULL); /* nobody vouches for it */
	o = fx_expect(&f, 500, "POST", CMS, CM("a", ""));
	cr_assert(strstr(api_get_str(o, "message"),
			 "failed to call webhook: Post \"https://hook.default.svc:443/deny?timeout=10s\""));
	cr_assert(strstr(api_get_str(o, "message"), "certificate"), "%s", api_get_str(o, "message"));
	json_decref(o);
	del_config(false, "s");
	add_by_service("other", ca); /* it is another one's */
	o = fx_expect(&f, 500, "POST", CMS, CM("a", ""));
	cr_assert(strstr(api_get_str(o, "message"), "other.default.svc"));
	cr_assert(strstr(api_get_str(o, "message"), "certificate"), "%s", api_get_str(o, "message"));
	json_decref(o);
	cr_assert(n_asked == 0);
}

Test(webhooks, are_asked_before_a_connection)
{
	static const struct {
		const char *sub, *query, *kind;
	} cases[] = {
		{ "exec", "?container=c&command=sh&command=-c&stdin=true&stdout=true", "PodExecOptions" },
		{ "attach", "?container=c&stdout=true", "PodAttachOptions" },
		{ "portforward", "", "PodPortForwardOptions" },
	};

	fx_do(&f, 201, "POST", PODS, POD("p", "\"nodeName\":\"n\","));
	add_config(
		false, "c", "deny",
		"{\"apiGroups\":[\"\"],\"apiVersions\":[\"v1\"],\"operations\":[\"CONNECT\"],\"resources\":[\"pods/*\"]}",
		"");
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		char path[200], text[512];
		int status;

		snprintf(path, sizeof(path), PODS "/p/%s%s", cases[i].sub, cases[i].query);
		status = fx_ws_refused(&f, ADMIN, path, NULL, text, sizeof(text));
		cr_assert(status == 403, "%s: %d %s", cases[i].sub, status, text);
		cr_assert(strstr(text, "denied the request: not on a Sunday"));
		cr_assert(n_asked == i + 1);
		cr_assert_str_eq(api_get_str(asked[i], "operation"), "CONNECT");
		cr_assert_str_eq(api_get_str(asked[i], "subResource"), cases[i].sub);
		cr_assert_str_eq(api_get_str(asked[i], "name"), "p");
		cr_assert_str_eq(api_get_str(asked[i], "object.kind"), cases[i].kind);
		cr_assert(json_is_null(json_object_get(asked[i], "oldObject")));
	}
	cr_assert(json_array_size(api_get(asked[0], "object.command")) == 2);
	cr_assert(json_is_true(api_get(asked[0], "object.stdin")));
}

/* Annotations of the event that tells of this answer. */
static json_t *annotations_of(const char *name, int code)
{
	json_t *found = NULL, *v;
	char *text, *save = NULL;
	size_t len;

	cr_assert(file_read(audit_log, 1 << 22, &text, &len, NULL) == 0);
	for (char *line = strtok_r(text, "\n", &save); line; line = strtok_r(NULL, "\n", &save)) {
		cr_assert(api_json_parse(line, strlen(line), &v, NULL, NULL) == 0, "%s", line);
		if (!found && streq(api_get_str(v, "objectRef.name"), name) &&
		    api_get_int(v, "responseStatus.code", 0) == code)
			found = json_incref(json_object_get(v, "annotations"));
		json_decref(v);
	}
	free(text);
	cr_assert(found, "no event for %s", name);
	return found;
}

static const char *note(const json_t *annotations, const char *key)
{
	return json_string_value(json_object_get(annotations, key));
}

Test(webhooks, leave_their_mark_in_the_audit_log)
{
	json_t *n;

	add_config(true, "m", "label-a", RULE, "");
	add_config(false, "n", "note", RULE, "");
	add_config(false, "z", "broken", RULE, ",\"failurePolicy\":\"Ignore\"");
	fx_do(&f, 201, "POST", CMS, CM("a", "\"k\":\"v\""));
	fx_refused(&f, STRANGER, 403, "GET", CMS "/b", NULL, "cannot get resource");
	fx_stop(&f); /* all is written now */
	n = annotations_of("a", 201);
	cr_assert_str_eq(note(n, "authorization.k8s.io/decision"), "allow");
	cr_assert_str_eq(note(n, "authorization.k8s.io/reason"), "");
	cr_assert_str_eq(note(n, "n.example.com/seen-by"), "the \"hook\"");
	cr_assert_str_eq(note(n, "mutation.webhook.admission.k8s.io/round_0_index_0"),
			 "{\"configuration\":\"m\",\"webhook\":\"m.example.com\",\"mutated\":true}");
	cr_assert_str_eq(note(n, "failed-open.validating.webhook.admission.k8s.io/round_0_index_1"), "z.example.com");
	json_decref(n);
	n = annotations_of("b", 403);
	cr_assert_str_eq(note(n, "authorization.k8s.io/decision"), "forbid");
	json_decref(n);
}

Test(webhooks, configurations_must_make_sense)
{
	static const struct {
		const char *hook, *text;
	} cases[] = {
		{ "\"name\":\"short\",\"clientConfig\":{\"url\":\"https://a/\"}",
		  "should be a domain with at least three segments separated by dots" },
		{ "\"name\":\"a.b.c\",\"clientConfig\":{}", "exactly one of url or service is required" },
		{ "\"name\":\"a.b.c\",\"clientConfig\":{\"url\":\"http://a/\"}",
		  "'https' is the only allowed URL scheme" },
		{ "\"name\":\"a.b.c\",\"clientConfig\":{\"url\":\"https://a/?x\"}",
		  "query parameters are not permitted" },
		{ "\"name\":\"a.b.c\",\"clientConfig\":{\"url\":\"https://a/\"},\"timeoutSeconds\":31",
		  "timeoutSeconds" },
		{ "\"name\":\"a.b.c\",\"clientConfig\":{\"url\":\"https://a/\"},\"matchConditions\":[{\"name\":\"a\","
		  "\"expression\":\"true\"}]",
		  "CEL is not evaluated" },
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		char body[700];

		snprintf(
			body, sizeof(body),
			"{\"apiVersion\":\"admissionregistration.k8s.io/v1\",\"kind\":\"ValidatingWebhookConfiguration\","
			"\"metadata\":{\"name\":\"s\"},\"webhooks\":[{%s,\"sideEffects\":\"None\","
			"\"admissionReviewVersions\":[\"v1\"],\"rules\":[" RULE "]}]}",
			cases[i].hook);
		fx_refused(&f, ADMIN, 422, "POST", config_path(false), body, cases[i].text);
	}
}

Test(webhooks, cannot_keep_themselves)
{
	add_config(false, "all", "deny",
		   "{\"apiGroups\":[\"*\"],\"apiVersions\":[\"*\"],\"operations\":[\"*\"],\"resources\":[\"*/*\"]}",
		   "");
	fx_do(&f, 403, "POST", CMS, CM("a", ""));
	del_config(false, "all");
	fx_do(&f, 201, "POST", CMS, CM("a", ""));
}
