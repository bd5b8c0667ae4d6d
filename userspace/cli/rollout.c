/* SPDX-License-Identifier: Apache-2.0 */
/* Waiting for objects: see rollout.h. */
#include "rollout.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/str.h"
#include "client/informer.h"

static const json_t *condition(const json_t *obj, const char *type)
{
	const json_t *list = api_get(obj, "status.conditions"), *c;
	size_t i;

	json_array_foreach (list, i, c) {
		const char *have = api_get_str(c, "type");

		if (have && !strcasecmp(have, type))
			return c;
	}
	return NULL;
}

static int deployment_state(const json_t *obj, char *text)
{
	int64_t want = api_get_int(obj, "spec.replicas", 1), updated = api_get_int(obj, "status.updatedReplicas", 0);
	int64_t total = api_get_int(obj, "status.replicas", 0),
		available = api_get_int(obj, "status.availableReplicas", 0);
	const char *name = api_get_str(obj, "metadata.name");
	const json_t *progressing = condition(obj, "Progressing");

	if (api_get_int(obj, "status.observedGeneration", 0) < api_get_int(obj, "metadata.generation", 0)) {
		snprintf(text, 256, "Waiting for deployment spec update to be observed...");
		return 0;
	}
	if (progressing && streq(api_get_str(progressing, "reason"), "ProgressDeadlineExceeded")) {
		snprintf(text, 256, "deployment \"%s\" exceeded its progress deadline", name);
		return -1;
	}
	if (updated < want) {
		snprintf(
			text, 256,
			"Waiting for deployment \"%s\" rollout to finish: %d out of %d new replicas have been updated...",
			name, (int)updated, (int)want);
		return 0;
	}
	if (total > updated) {
		snprintf(text, 256,
			 "Waiting for deployment \"%s\" rollout to finish: %d old replicas are pending termination...",
			 name, (int)(total - updated));
		return 0;
	}
	if (available < updated) {
		snprintf(text, 256,
			 "Waiting for deployment \"%s\" rollout to finish: %d of %d updated replicas are available...",
			 name, (int)available, (int)updated);
		return 0;
	}
	snprintf(text, 256, "deployment \"%s\" successfully rolled out", name);
	return 1;
}

static int condition_state(const json_t *obj, const char *type, const char *value, char *text)
{
	const json_t *c = condition(obj, type);
	const char *have = c ? api_get_str(c, "status") : NULL;

	snprintf(text, 256, "condition %s is %s%s%s", type, have ? have : "not reported",
		 c && api_get_str(c, "message") ? ": " : "",
		 c && api_get_str(c, "message") ? api_get_str(c, "message") : "");
	return have && !strcasecmp(have, value);
}

/* "jsonpath={.path}[=VALUE]": the path is there, and is the value. */
static int jsonpath_state(const json_t *obj, const char *until, char *text)
{
	char path[256], have[128] = "";
	const char *end = strstr(until, "}"), *value = end && end[1] == '=' ? end + 2 : NULL;
	const json_t *v;

	snprintf(path, sizeof(path), "%.*s", (int)(end - until - 10), until + 10);
	v = api_get(obj, path);
	if (json_is_string(v)) {
		snprintf(have, sizeof(have), "%s", json_string_value(v));
	} else if (v) {
		char *dump = json_dumps(v, JSON_ENCODE_ANY | JSON_COMPACT);

		snprintf(have, sizeof(have), "%s", dump ? dump : "");
		free(dump);
	}
	snprintf(text, 256, "%s is %s", path, v ? have : "not there");
	return v && (!value || streq(value, have));
}

int rollout_state(const json_t *obj, const char *until, char *text)
{
	const char *kind = api_get_str(obj, "kind"), *phase = api_get_str(obj, "status.phase");

	if (str_starts(until, "condition=")) {
		char type[128];
		const char *eq;

		snprintf(type, sizeof(type), "%s", until + 10);
		eq = strchr(type, '=');
		if (eq)
			type[eq - type] = '\0';
		return condition_state(obj, type, eq ? eq + 1 : "True", text);
	}
	if (str_starts(until, "jsonpath={"))
		return jsonpath_state(obj, until, text);
	if (streq(until, "deleted")) {
		snprintf(text, 256, "it is still there");
		return 0;
	}
	if (streq(kind, "Deployment"))
		return deployment_state(obj, text);
	if (streq(kind, "ReplicaSet")) {
		int64_t want = api_get_int(obj, "spec.replicas", 1), have = api_get_int(obj, "status.readyReplicas", 0);

		snprintf(text, 256, "%d of %d replicas are ready", (int)have, (int)want);
		return have == want &&
		       api_get_int(obj, "status.observedGeneration", 0) >= api_get_int(obj, "metadata.generation", 0);
	}
	if (streq(kind, "Pod")) {
		if (streq(phase, "Succeeded"))
			return 1;
		if (streq(phase, "Failed")) {
			snprintf(text, 256, "the pod failed: %s",
				 api_get_str(obj, "status.message") ?: "see `skep describe`");
			return -1;
		}
		return condition_state(obj, "Ready", "True", text);
	}
	if (streq(kind, "Node"))
		return condition_state(obj, "Ready", "True", text);
	if (streq(kind, "Namespace")) {
		snprintf(text, 256, "phase is %s", phase ? phase : "unknown");
		return streq(phase, "Active");
	}
	text[0] = '\0';
	return 1;
}

struct waiting {
	const char *until;
	bool verbose, done;
	int state;
	bool seen;
	char text[256];
	struct loop_timer deadline;
	bool timed_out;
};

static void changed(struct informer *inf, void *arg, struct informer_item *old, struct informer_item *new)
{
	struct waiting *w = arg;
	char before[256];

	(void)inf;
	(void)old;
	if (!new) {
		w->seen = false;
		w->done = streq(w->until, "deleted");
		w->state = w->done;
		return;
	}
	w->seen = true;
	snprintf(before, sizeof(before), "%s", w->text);
	w->state = rollout_state(new->json, w->until, w->text);
	w->done = w->state != 0;
	if (w->verbose && w->text[0] && strcmp(before, w->text)) {
		puts(w->text);
		fflush(stdout);
	}
}

static void synced(struct informer *inf, void *arg)
{
	struct waiting *w = arg;

	if (!informer_len(inf) && streq(w->until, "deleted")) {
		w->done = true;
		w->state = 1;
	} else if (!informer_len(inf)) {
		w->done = true;
		w->state = -1;
		snprintf(w->text, sizeof(w->text), "not found");
	}
}

static void expired(struct loop_timer *t)
{
	struct waiting *w = t->arg;

	w->timed_out = true;
}

int rollout_wait(struct cli *cli, const struct api_kind *kind, const char *ns, const char *name, const char *until,
		 int64_t timeout_ms, bool verbose, struct err *err)
{
	static const struct informer_ops ops = { changed, synced };
	struct waiting w = { .until = until, .verbose = verbose, .deadline = { .fn = expired, .arg = &w } };
	char field[320], label[320];
	struct informer_config config = {
		.kind = kind, .namespace_ = ns, .field_selector = field, .resync_ms = -1, .keep_json = true
	};
	struct informer *inf;
	int r;

	snprintf(field, sizeof(field), "metadata.name=%s", name);
	inf = informer_new(cli->kube, &config, &ops, &w);
	if (!inf || informer_start(inf) < 0 || loop_timer_set(cli->loop, &w.deadline, timeout_ms) < 0) {
		informer_free(inf);
		return err_set(err, ENOMEM, "out of memory");
	}
	while (!w.done && !w.timed_out) {
		r = loop_run_once(cli->loop, -1);
		if (r < 0)
			break;
	}
	loop_timer_cancel(&w.deadline);
	informer_free(inf);
	if (w.state > 0)
		return 0;
	cli_object_name(kind, name, label);
	if (w.state < 0)
		return err_set(err, w.seen ? ECANCELED : ENOENT, "%s: %s", label, w.text);
	return err_set(err, ETIMEDOUT, "%s is not %s after %d s: %s", label, until, (int)(timeout_ms / 1000), w.text);
}
