/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Rules of pods: what a spec must have within itself, and what of it may change. Containers are in
 * validate_container.c.
 */
#include "api-internal.h"
#include "validate_container.h"

#include <stdio.h>
#include <string.h>

#include "../base/str.h"

void api_validate_items(const json_t *items, const struct api_path *path, struct api_errs *errs)
{
	struct api_path at = { .up = path };
	const json_t *v;

	json_array_foreach (items, at.index, v) {
		struct api_path key = { .up = &at, .name = "key" }, file = { .up = &at, .name = "path" };
		const char *k = api_get_str(v, "key"), *p = api_get_str(v, "path"), *why;

		why = k && *k ? api_format_check("config-key", k) : NULL;
		if (why)
			api_err_invalid_str(errs, &key, k, why);
		if (p && *p == '/')
			api_err_invalid_str(errs, &file, p, "must be a relative path");
		else if (p && api_path_climbs(p))
			api_err_invalid_str(errs, &file, p, "must not contain '..'");
	}
}

static void validate_volume(const json_t *v, const struct api_path *path, struct api_errs *errs)
{
	static const char *const sources[] = { "emptyDir", "hostPath", "configMap", "secret", "projected" };
	const json_t *source;
	size_t n = 0;

	for (size_t i = 0; i < sizeof(sources) / sizeof(sources[0]); i++) {
		struct api_path at = { .up = path, .name = sources[i] };
		struct api_path name = { .up = &at, .name = streq(sources[i], "secret") ? "secretName" : "name" };
		struct api_path p = { .up = &at, .name = "path" }, items = { .up = &at, .name = "items" };

		source = json_object_get(v, sources[i]);
		if (!source)
			continue;
		if (n++) {
			api_err_forbidden(errs, &at, "may not specify more than 1 volume type");
			continue;
		}
		if (i == 1) {
			const char *dir = api_get_str(source, "path");

			if (dir && api_path_climbs(dir))
				api_err_invalid_str(errs, &p, dir, "must not contain '..'");
		} else if (streq(sources[i], "projected")) {
			api_validate_projected(source, &at, errs);
		} else if (i >= 2) {
			if (api_json_empty(json_object_get(source, name.name)))
				api_err_required(errs, &name, NULL);
			api_validate_items(json_object_get(source, "items"), &items, errs);
		} else {
			struct api_path limit = { .up = &at, .name = "sizeLimit" };
			const char *q = api_get_str(source, "sizeLimit");
			int64_t bytes;

			if (q && api_quantity_value(q, &bytes) == 0 && bytes < 0)
				api_err_invalid_str(errs, &limit, q,
						    "SizeLimit field must be a valid resource quantity");
		}
	}
	/* Other sources have been refused by name already. */
	if (!n && json_object_size(v) <= 1)
		api_err_required(errs, path, "must specify a volume type");
}

static void validate_tolerations(const json_t *list, const struct api_path *path, struct api_errs *errs)
{
	struct api_path at = { .up = path };
	const json_t *t;

	json_array_foreach (list, at.index, t) {
		struct api_path op = { .up = &at, .name = "operator" }, effect = { .up = &at, .name = "effect" };
		bool exists = streq(api_get_str(t, "operator"), "Exists");

		if (api_json_empty(json_object_get(t, "key")) && !exists)
			api_err_invalid(
				errs, &op, json_object_get(t, "operator"),
				"operator must be Exists when `key` is empty, which means \"match all values and all keys\"");
		if (exists && !api_json_empty(json_object_get(t, "value")))
			api_err_invalid(errs, &op, json_object_get(t, "operator"),
					"value must be empty when `operator` is 'Exists'");
		if (json_object_get(t, "tolerationSeconds") && !streq(api_get_str(t, "effect"), "NoExecute"))
			api_err_invalid(errs, &effect, json_object_get(t, "effect"),
					"effect must be 'NoExecute' when `tolerationSeconds` is set");
	}
}

static void validate_dns(const json_t *spec, const struct api_path *path, struct api_errs *errs)
{
	const json_t *config = json_object_get(spec, "dnsConfig"), *servers = json_object_get(config, "nameservers"),
		     *v;
	const json_t *searches = json_object_get(config, "searches");
	struct api_path c = { .up = path, .name = "dnsConfig" };
	struct api_path s = { .up = &c, .name = "nameservers" }, d = { .up = &c, .name = "searches" };
	struct api_path at = { .up = &s }, dom = { .up = &d };

	if (streq(api_get_str(spec, "dnsPolicy"), "None") && !json_array_size(servers))
		api_err_required(errs, config ? &s : &c,
				 "must provide at least one DNS nameserver when `dnsPolicy` is None");
	if (json_array_size(servers) > 3)
		api_err_invalid(errs, &s, servers, "must not have more than 3 nameservers");
	json_array_foreach (servers, at.index, v) {
		const char *why = api_format_check("ip", json_string_value(v));

		if (why)
			api_err_invalid(errs, &at, v, why);
	}
	if (json_array_size(searches) > 32)
		api_err_invalid(errs, &d, searches, "must not have more than 32 search paths");
	json_array_foreach (searches, dom.index, v) {
		char name[300];
		size_t len = json_string_length(v);
		const char *why;

		/* A trailing dot is allowed. */
		snprintf(name, sizeof(name), "%.*s", (int)(len && json_string_value(v)[len - 1] == '.' ? len - 1 : len),
			 json_string_value(v));
		why = len == 1 ? NULL : api_format_check("dns-subdomain", name);
		if (why)
			api_err_invalid(errs, &dom, v, why);
	}
}

static bool has_name(const json_t *containers, const char *name)
{
	const json_t *c;
	size_t i;

	json_array_foreach (containers, i, c)
		if (streq(api_get_str(c, "name"), name))
			return true;
	return false;
}

/* The schema has refused what ephemeral containers must not have. */
static void validate_ephemeral(const json_t *spec, const struct api_path *path, struct api_errs *errs)
{
	const json_t *list = json_object_get(spec, "ephemeralContainers"), *v, *m;
	const json_t *inits = json_object_get(spec, "initContainers"), *mains = json_object_get(spec, "containers");
	struct api_path at = { .up = path };

	api_validate_containers(list, json_object_get(spec, "volumes"), false, path, errs);
	json_array_foreach (list, at.index, v) {
		struct api_path name = { .up = &at, .name = "name" }, mounts = { .up = &at, .name = "volumeMounts" };
		struct api_path target = { .up = &at, .name = "targetContainerName" }, mount = { .up = &mounts };
		const char *n = api_get_str(v, "name"), *t = api_get_str(v, "targetContainerName");

		if (has_name(inits, n) || has_name(mains, n))
			api_err_duplicate(errs, &name, json_object_get(v, "name"));
		if (t && *t && !has_name(inits, t) && !has_name(mains, t))
			api_err_not_found(errs, &target, t);
		json_array_foreach (json_object_get(v, "volumeMounts"), mount.index, m) {
			struct api_path sub = { .up = &mount, .name = "subPath" };

			if (!api_json_empty(json_object_get(m, "subPath")))
				api_err_forbidden(errs, &sub, "cannot be set for an Ephemeral Container");
		}
	}
}

/* The security of images that say neither is the agent's to check; here only contradictions. */
void api_validate_pod_spec(const json_t *spec, const struct api_path *path, struct api_errs *errs)
{
	const json_t *volumes = json_object_get(spec, "volumes"), *v;
	struct api_path vols = { .up = path, .name = "volumes" }, vol = { .up = &vols };
	struct api_path tol = { .up = path, .name = "tolerations" }, sel = { .up = path, .name = "nodeSelector" };
	struct api_path tsc = { .up = path, .name = "topologySpreadConstraints" }, one = { .up = &tsc };
	struct api_path init = { .up = path, .name = "initContainers" }, main = { .up = path, .name = "containers" };
	struct api_path grace = { .up = path, .name = "terminationGracePeriodSeconds" };
	struct api_path ephemeral = { .up = path, .name = "ephemeralContainers" };
	const json_t *inits = json_object_get(spec, "initContainers"),
		     *containers = json_object_get(spec, "containers");
	const json_t *c;
	size_t i, j;

	json_array_foreach (volumes, vol.index, v)
		validate_volume(v, &vol, errs);
	api_validate_containers(inits, volumes, true, &init, errs);
	api_validate_containers(containers, volumes, false, &main, errs);
	json_array_foreach (containers, i, c) {
		struct api_path at = { .up = &main, .index = i }, policy = { .up = &at, .name = "resizePolicy" };

		api_validate_resize_policy(json_object_get(c, "resizePolicy"),
					   streq(api_get_str(spec, "restartPolicy"), "Never"), &policy, errs);
	}
	json_array_foreach (inits, i, c) {
		struct api_path at = { .up = &init, .index = i }, policy = { .up = &at, .name = "resizePolicy" };

		if (json_object_get(c, "resizePolicy"))
			api_err_invalid(errs, &policy, json_object_get(c, "resizePolicy"),
					"must not be set for init containers");
	}
	validate_ephemeral(spec, &ephemeral, errs);
	/* One name, one container, among both lists; the table saw to each by itself. */
	json_array_foreach (inits, i, v) {
		json_array_foreach (containers, j, c) {
			struct api_path at = { .up = &init, .index = i }, name = { .up = &at, .name = "name" };

			if (streq(api_get_str(v, "name"), api_get_str(c, "name")))
				api_err_duplicate(errs, &name, json_object_get(v, "name"));
		}
	}
	if (api_get_int(spec, "terminationGracePeriodSeconds", 0) < 0)
		api_err_invalid(errs, &grace, json_object_get(spec, "terminationGracePeriodSeconds"),
				"must be greater than or equal to 0");
	validate_tolerations(json_object_get(spec, "tolerations"), &tol, errs);
	api_validate_labels(json_object_get(spec, "nodeSelector"), &sel, errs);
	validate_dns(spec, path, errs);
	json_array_foreach (json_object_get(spec, "topologySpreadConstraints"), one.index, v) {
		struct api_path ls = { .up = &one, .name = "labelSelector" };

		api_validate_label_selector(json_object_get(v, "labelSelector"), &ls, errs);
	}
}

void api_validate_pod_template(const json_t *tmpl, const struct api_path *path, bool restart_always,
			       struct api_errs *errs)
{
	static const char *const always[] = { "Always", NULL };
	const json_t *spec = json_object_get(tmpl, "spec"), *policy = json_object_get(spec, "restartPolicy");
	struct api_path m = { .up = path, .name = "metadata" }, labels = { .up = &m, .name = "labels" };
	struct api_path s = { .up = path, .name = "spec" }, restart = { .up = &s, .name = "restartPolicy" };
	struct api_path deadline = { .up = &s, .name = "activeDeadlineSeconds" };

	struct api_path ephemeral = { .up = &s, .name = "ephemeralContainers" };

	api_validate_labels(api_get(tmpl, "metadata.labels"), &labels, errs);
	api_validate_weight(tmpl, path, errs);
	api_validate_pod_spec(spec, &s, errs);
	if (json_array_size(json_object_get(spec, "ephemeralContainers")))
		api_err_forbidden(errs, &ephemeral, "ephemeral containers not allowed in pod template");
	if (!restart_always)
		return;
	if (policy && !streq(json_string_value(policy), "Always"))
		api_err_unsupported(errs, &restart, policy, always);
	if (json_object_get(spec, "activeDeadlineSeconds"))
		api_err_forbidden(errs, &deadline, "activeDeadlineSeconds in ReplicaSet is not Supported");
}

/* --- updates ------------------------------------------------------------------------------------------------------ */

#define IMMUTABLE_MSG                                                                                                  \
	"pod updates may not change fields other than `spec.containers[*].image`,`spec.initContainers[*].image`,"      \
	"`spec.activeDeadlineSeconds`,`spec.tolerations` (only additions to existing tolerations),"                    \
	"`spec.terminationGracePeriodSeconds` (allow it to be set to 1 if it was previously negative)"

static void copy_member(json_t *to, const json_t *from, const char *name)
{
	json_t *v = json_object_get(from, name);

	if (v)
		json_object_set(to, name, v);
	else
		json_object_del(to, name);
}

static void copy_images(json_t *to, const json_t *from, const char *list)
{
	json_t *c;
	size_t i;

	json_array_foreach (json_object_get(to, list), i, c)
		copy_member(c, json_array_get(json_object_get(from, list), i), "image");
}

static bool deadline_may_become(const json_t *now, const json_t *before)
{
	return !before || (now && json_integer_value(now) <= json_integer_value(before));
}

static void validate_tolerations_update(const json_t *now, const json_t *before, const struct api_path *path,
					struct api_errs *errs)
{
	const json_t *t, *u;
	size_t i, j;

	json_array_foreach (before, i, t) {
		bool kept = false;

		json_array_foreach (now, j, u) {
			/* tolerationSeconds may change, the rest not. */
			json_t *a = json_copy((json_t *)t), *b = json_copy((json_t *)u);

			json_object_del(a, "tolerationSeconds");
			json_object_del(b, "tolerationSeconds");
			kept |= json_equal(a, b);
			json_decref(a);
			json_decref(b);
		}
		if (!kept) {
			api_err_forbidden(errs, path,
					  "existing toleration can not be modified except its tolerationSeconds");
			return;
		}
	}
}

/* They are added, by a subresource of theirs; the server keeps others from doing it. */
static void validate_ephemeral_update(const json_t *now, const json_t *before, struct api_errs *errs)
{
	struct api_path spec = { .name = "spec" }, path = { .up = &spec, .name = "ephemeralContainers" };
	const json_t *old, *v;
	size_t i, j;

	json_array_foreach (before, i, old) {
		const char *name = api_get_str(old, "name");
		const json_t *new = NULL;
		char text[400];

		json_array_foreach (now, j, v)
			if (streq(api_get_str(v, "name"), name))
				new = v;
		if (new &&json_equal(new, old))
			continue;
		snprintf(text, sizeof(text), "existing ephemeral containers \"%.253s\" may not be %s", name,
			 new ? "changed" : "removed");
		api_err_forbidden(errs, &path, text);
	}
}

/*
 * Whether a pod may move from no node to this one is a matter of the binding subresource, which writes without this
 * check.
 */
static void validate_update(const json_t *spec, const json_t *before, struct api_errs *errs)
{
	struct api_path path = { .name = "spec" }, tol = { .up = &path, .name = "tolerations" };
	struct api_path deadline = { .up = &path, .name = "activeDeadlineSeconds" };
	const json_t *now_dl = json_object_get(spec, "activeDeadlineSeconds"),
		     *old_dl = json_object_get(before, "activeDeadlineSeconds");
	json_t *same = json_deep_copy(spec);

	if (!deadline_may_become(now_dl, old_dl))
		api_err_invalid(errs, &deadline, now_dl, "must be less than or equal to previous value");
	validate_tolerations_update(json_object_get(spec, "tolerations"), json_object_get(before, "tolerations"), &tol,
				    errs);
	copy_images(same, before, "containers");
	copy_images(same, before, "initContainers");
	copy_member(same, before, "activeDeadlineSeconds");
	copy_member(same, before, "tolerations");
	validate_ephemeral_update(json_object_get(spec, "ephemeralContainers"),
				  json_object_get(before, "ephemeralContainers"), errs);
	copy_member(same, before, "ephemeralContainers");
	if (api_get_int(before, "terminationGracePeriodSeconds", 0) < 0 &&
	    api_get_int(spec, "terminationGracePeriodSeconds", 0) == 1)
		copy_member(same, before, "terminationGracePeriodSeconds");
	if (!same || !json_equal(same, before))
		api_err_forbidden(errs, &path, IMMUTABLE_MSG);
	json_decref(same);
}

void api_validate_pod(const json_t *obj, const json_t *old, struct api_errs *errs)
{
	struct api_path path = { .name = "spec" }, ephemeral = { .up = &path, .name = "ephemeralContainers" };

	api_validate_weight(obj, NULL, errs);
	api_validate_pod_spec(json_object_get(obj, "spec"), &path, errs);
	if (!old && json_array_size(api_get(obj, "spec.ephemeralContainers")))
		api_err_forbidden(errs, &ephemeral, "cannot be set on create");
	if (old)
		validate_update(json_object_get(obj, "spec"), json_object_get(old, "spec"), errs);
}
