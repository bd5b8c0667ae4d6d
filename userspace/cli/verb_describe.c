/* SPDX-License-Identifier: Apache-2.0 */
/* skep describe: an object for people: what it is, the state of its parts, and its events. */
#include <stdlib.h>
#include <string.h>

#include "api/api_types.h"
#include "base/cleanup.h"
#include "base/clock.h"
#include "base/str.h"
#include "cli.h"

static void line(const char *label, const char *value)
{
	printf("%-18s%s\n", label, value && *value ? value : "<none>");
}

static void map_lines(const char *label, const json_t *map)
{
	const json_t *v;
	const char *key;
	bool first = true;

	json_object_foreach ((json_t *)map, key, v) {
		const char *text = json_string_value(v) ?: "";

		if (streq(key, "kubectl.kubernetes.io/last-applied-configuration"))
			continue;
		printf("%-18s%s: %s\n", first ? label : "", key, text);
		first = false;
	}
	if (first)
		line(label, NULL);
}

static void state_lines(const char *label, const json_t *state)
{
	const json_t *w = json_object_get(state, "waiting"), *t = json_object_get(state, "terminated"),
		     *r = json_object_get(state, "running");

	if (w) {
		printf("    %-14sWaiting\n      Reason:     %s\n", label, api_get_str(w, "reason") ?: "");
		if (api_get_str(w, "message"))
			printf("      Message:    %s\n", api_get_str(w, "message"));
	} else if (t) {
		printf("    %-14sTerminated\n      Reason:     %s\n", label, api_get_str(t, "reason") ?: "");
		if (api_get_str(t, "message"))
			printf("      Message:    %s\n", api_get_str(t, "message"));
		printf("      Exit Code:  %lld\n", (long long)api_get_int(t, "exitCode", 0));
		printf("      Started:    %s\n      Finished:   %s\n", api_get_str(t, "startedAt") ?: "",
		       api_get_str(t, "finishedAt") ?: "");
	} else if (r) {
		printf("    %-14sRunning\n      Started:    %s\n", label, api_get_str(r, "startedAt") ?: "");
	}
}

static void containers(const json_t *pod, const char *spec_list, const char *status_list, const char *title)
{
	const json_t *c, *s;
	size_t i, k;

	if (!json_array_size(api_get(pod, spec_list)))
		return;
	printf("%s:\n", title);
	json_array_foreach (api_get(pod, spec_list), i, c) {
		printf("  %s:\n    %-14s%s\n", api_get_str(c, "name"), "Image:", api_get_str(c, "image") ?: "");
		json_array_foreach (api_get(pod, status_list), k, s) {
			if (!streq(api_get_str(s, "name"), api_get_str(c, "name")))
				continue;
			printf("    %-14s%s\n", "Container ID:", api_get_str(s, "containerID") ?: "");
			state_lines("State:", json_object_get(s, "state"));
			state_lines("Last State:", json_object_get(s, "lastState"));
			printf("    %-14s%s\n    %-14s%lld\n",
			       "Ready:", json_is_true(json_object_get(s, "ready")) ? "True" : "False",
			       "Restart Count:", (long long)api_get_int(s, "restartCount", 0));
		}
	}
}

static void conditions(const json_t *obj)
{
	const json_t *list = api_get(obj, "status.conditions"), *c;
	size_t n = json_array_size(list), i, at = 0;
	const char **cells = calloc((n + 1) * 4, sizeof(*cells));

	if (!n || !cells) {
		free(cells);
		return;
	}
	puts("Conditions:");
	cells[at++] = "  Type";
	cells[at++] = "Status";
	cells[at++] = "Reason";
	cells[at++] = "Message";
	json_array_foreach (list, i, c) {
		char *type = NULL;

		if (asprintf(&type, "  %s", api_get_str(c, "type") ?: "") < 0)
			type = NULL;
		cells[at++] = type;
		cells[at++] = api_get_str(c, "status");
		cells[at++] = api_get_str(c, "reason");
		cells[at++] = api_get_str(c, "message");
	}
	cli_print_table(stdout, 4, n + 1, cells);
	for (i = 1; i <= n; i++)
		free((char *)cells[i * 4]);
	free(cells);
}

/* Everything a kind has no lines of its own for. */
static void rest(const json_t *obj)
{
	json_t *copy = json_deep_copy(obj);
	struct strbuf sb = STRBUF_INIT;

	json_object_del(copy, "metadata");
	json_object_del(copy, "apiVersion");
	json_object_del(copy, "kind");
	json_object_del(json_object_get(copy, "status"), "conditions");
	if (json_object_size(copy)) {
		api_yaml_write(copy, &sb);
		fwrite(sb.buf, 1, sb.len, stdout);
	}
	strbuf_done(&sb);
	json_decref(copy);
}

static void describe_pod(const json_t *pod)
{
	struct strbuf ips = STRBUF_INIT;
	const json_t *ip;
	size_t i;

	line("Node:", api_get_str(pod, "spec.nodeName"));
	line("Start Time:", api_get_str(pod, "status.startTime"));
	line("Status:",
	     api_get_str(pod, "metadata.deletionTimestamp") ? "Terminating" : api_get_str(pod, "status.phase"));
	if (api_get_str(pod, "status.reason"))
		line("Reason:", api_get_str(pod, "status.reason"));
	if (api_get_str(pod, "status.message"))
		line("Message:", api_get_str(pod, "status.message"));
	json_array_foreach (api_get(pod, "status.podIPs"), i, ip)
		strbuf_addf(&ips, "%s%s", i ? ", " : "", api_get_str(ip, "ip") ?: "");
	line("IPs:", ips.buf);
	strbuf_done(&ips);
	if (json_array_size(api_get(pod, "metadata.ownerReferences"))) {
		printf("%-18s%s/%s\n", "Controlled By:", api_get_str(pod, "metadata.ownerReferences[0].kind") ?: "",
		       api_get_str(pod, "metadata.ownerReferences[0].name") ?: "");
	}
	containers(pod, "spec.initContainers", "status.initContainerStatuses", "Init Containers");
	containers(pod, "spec.containers", "status.containerStatuses", "Containers");
	if (json_array_size(api_get(pod, "spec.ephemeralContainers")))
		containers(pod, "spec.ephemeralContainers", "status.ephemeralContainerStatuses",
			   "Ephemeral Containers");
	conditions(pod);
	line("QoS Class:", api_get_str(pod, "status.qosClass"));
	map_lines("Node-Selectors:", api_get(pod, "spec.nodeSelector"));
}

static int events(struct cli *cli, const struct api_kind *kind, const char *ns, const json_t *obj)
{
	cleanup(free) char *selector = NULL;
	cleanup(free) char *esc = NULL;
	cleanup(free) char *base = kube_path(&api_kind_event, ns ? ns : NULL, NULL, NULL);
	cleanup(free) char *path = NULL;
	json_t *list = NULL, *e;
	struct err err = ERR_INIT;
	size_t i, n, at = 0;
	const char **cells;

	if (asprintf(&selector, "involvedObject.name=%s,involvedObject.kind=%s,involvedObject.uid=%s",
		     api_get_str(obj, "metadata.name"), kind->kind, api_get_str(obj, "metadata.uid") ?: "") < 0 ||
	    !(esc = http_escape(selector)) || asprintf(&path, "%s?fieldSelector=%s", base, esc) < 0)
		return -1;
	if (cli_request(cli, "GET", path, NULL, NULL, NULL, &list, &err) != 200) {
		cli_error("events: %s", err.msg);
		json_decref(list);
		return -1;
	}
	n = json_array_size(json_object_get(list, "items"));
	if (!n) {
		line("Events:", NULL);
		json_decref(list);
		return 0;
	}
	puts("Events:");
	cells = calloc((n + 1) * 5, sizeof(*cells));
	cells[at++] = strdup("  Type");
	cells[at++] = strdup("Reason");
	cells[at++] = strdup("Age");
	cells[at++] = strdup("From");
	cells[at++] = strdup("Message");
	json_array_foreach (json_object_get(list, "items"), i, e) {
		const char *last = api_get_str(e, "lastTimestamp") ?: api_get_str(e, "eventTime");
		char age[64] = "", text[128];
		int64_t ms;

		if (last && !clock_rfc3339_parse(last, &ms))
			api_human_duration(clock_real_ms() - ms, age, sizeof(age));
		if (api_get_int(e, "count", 1) > 1)
			snprintf(text, sizeof(text), "%s (x%lld)", age, (long long)api_get_int(e, "count", 1));
		else
			snprintf(text, sizeof(text), "%s", age);
		char *type = NULL;

		if (asprintf(&type, "  %s", api_get_str(e, "type") ?: "") < 0)
			type = NULL;
		cells[at++] = type;
		cells[at++] = strdup(api_get_str(e, "reason") ?: "");
		cells[at++] = strdup(text);
		cells[at++] = strdup(api_get_str(e, "source.component") ?: "");
		cells[at++] = strdup(api_get_str(e, "message") ?: "");
	}
	cli_print_table(stdout, 5, n + 1, cells);
	for (i = 0; i < at; i++)
		free((char *)cells[i]);
	free(cells);
	json_decref(list);
	return 0;
}

static int describe(struct cli *cli, const struct api_kind *kind, const char *ns, const json_t *obj)
{
	line("Name:", api_get_str(obj, "metadata.name"));
	if (kind->namespaced)
		line("Namespace:", api_get_str(obj, "metadata.namespace"));
	map_lines("Labels:", api_get(obj, "metadata.labels"));
	map_lines("Annotations:", api_get(obj, "metadata.annotations"));
	line("Created:", api_get_str(obj, "metadata.creationTimestamp"));
	if (kind == &api_kind_pod) {
		describe_pod(obj);
	} else if (kind == &api_kind_secret) {
		const json_t *v;
		const char *key;

		line("Type:", api_get_str(obj, "type"));
		puts("Data:");
		json_object_foreach (json_object_get(obj, "data"), key, v)
			printf("  %s: %zu bytes\n", key, json_string_length(v) / 4 * 3);
	} else {
		rest(obj);
		conditions(obj);
	}
	return events(cli, kind, ns, obj);
}

static int run(const struct cli_verb *verb, int argc, char **argv)
{
	struct cli_common common = { 0 };
	struct err err = ERR_INIT;
	const struct cli_opt opts[] = {
		CLI_COMMON_OPTS(common),
		{ 0 },
	};
	struct cli_target t;
	struct cli cli;
	const char *ns;
	int n, r = CLI_OK;

	n = cli_parse(verb, argc, argv, opts, NULL);
	if (n < 0)
		return CLI_PARSE_EXIT(n);
	if (cli_target_parse(n, argv + 1, &t, &err) < 0) {
		cli_error("%s", err.msg);
		return CLI_USAGE;
	}
	if (cli_open(&cli, &common, &err) < 0) {
		cli_error("%s", err.msg);
		return CLI_FAILED;
	}
	ns = t.kind->namespaced ? cli.namespace_ : NULL;
	for (size_t i = 0; i < (t.n_names ? t.n_names : 1); i++) {
		cleanup(free) char *path = kube_path(t.kind, ns, t.n_names ? t.names[i] : NULL, NULL);
		json_t *obj = NULL, *item;
		size_t k;

		if (cli_request(&cli, "GET", path, NULL, NULL, NULL, &obj, &err) != 200) {
			cli_error("%s", err.msg);
			r = CLI_FAILED;
		} else if (t.n_names) {
			if (i)
				puts("\n");
			r = describe(&cli, t.kind, ns, obj) < 0 ? CLI_FAILED : r;
		} else {
			json_array_foreach (json_object_get(obj, "items"), k, item) {
				if (k)
					puts("\n");
				r = describe(&cli, t.kind, ns, item) < 0 ? CLI_FAILED : r;
			}
			if (!json_array_size(json_object_get(obj, "items")))
				fputs("No resources found\n", stderr);
		}
		json_decref(obj);
	}
	cli_close(&cli);
	return r;
}

const struct cli_verb cli_describe = {
	.name = "describe",
	.summary = "Show an object's state and events for people",
	.usage = "describe KIND [NAME...]",
	.run = run,
};
