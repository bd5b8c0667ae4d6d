/* SPDX-License-Identifier: Apache-2.0 */
/*
 * PodSecurity: a namespace's labels pod-security.kubernetes.io/{enforce,audit,warn}[-version] say which pod security
 * standard its pods are held to. Workloads are only warned about: what they make is refused. A namespace that becomes
 * stricter is told which of its pods would not be admitted any more.
 */
#include "admission-internal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../../lib/base/cleanup.h"
#include "../../lib/base/str.h"
#include "pod_security.h"

#define PREFIX	 "pod-security.kubernetes.io/"
#define MAX_PODS 3000
#define MAX_TOLD 16

enum { ENFORCE, AUDIT, WARN, N_MODES };
static const char *const modes[] = { "enforce", "audit", "warn" };

/* The policies that the labels ask for; wrong ones are restricted, and told in errs (may be NULL). */
static void policies_of(const json_t *labels, struct pod_policy ret[N_MODES], struct api_errs *errs)
{
	for (int m = 0; m < N_MODES; m++) {
		char level[64], version[64], field[128];
		const char *l, *v;

		snprintf(level, sizeof(level), PREFIX "%s", modes[m]);
		snprintf(version, sizeof(version), PREFIX "%s-version", modes[m]);
		l = json_string_value(json_object_get(labels, level));
		v = json_string_value(json_object_get(labels, version));
		ret[m] = (struct pod_policy){ POD_PRIVILEGED, POD_LATEST };
		if (l && pod_level_parse(l, &ret[m].level) < 0) {
			ret[m].level = POD_RESTRICTED;
			snprintf(field, sizeof(field), "metadata.labels[%s]", level);
			if (errs)
				api_errs_add(errs, API_C_INVALID, field,
					     "Invalid value: \"%s\": must be one of privileged, baseline, restricted",
					     l);
		}
		if (v && pod_version_parse(v, &ret[m].minor) < 0) {
			ret[m].minor = POD_LATEST;
			snprintf(field, sizeof(field), "metadata.labels[%s]", version);
			if (errs)
				api_errs_add(errs, API_C_INVALID, field,
					     "Invalid value: \"%s\": must be \"latest\" or \"v1.x\"", v);
		}
	}
}

/* The pod spec within the object; NULL: it has none. */
static const json_t *spec_of(const struct admission *a)
{
	static const struct {
		const char *group, *plural, *path;
	} kinds[] = {
		{ "", "podtemplates", "template.spec" },
		{ "", "replicationcontrollers", "spec.template.spec" },
		{ "apps", "deployments", "spec.template.spec" },
		{ "apps", "replicasets", "spec.template.spec" },
		{ "apps", "statefulsets", "spec.template.spec" },
		{ "apps", "daemonsets", "spec.template.spec" },
		{ "batch", "jobs", "spec.template.spec" },
		{ "batch", "cronjobs", "spec.jobTemplate.spec.template.spec" },
	};

	for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++)
		if (admission_is(a, kinds[i].group, kinds[i].plural))
			return api_get(a->obj, kinds[i].path);
	return NULL;
}

static bool is_pod_request(const struct admission *a)
{
	const struct api_kind *kind = a->c->res->kind;

	return !kind->group[0] && streq(kind->plural, "pods") &&
	       (!a->c->sub[0] || streq(a->c->sub, "ephemeralcontainers") || streq(a->c->sub, "resize"));
}

/* Images, and containers that come: of what may change in a pod, all that matters here. */
static bool significant(const json_t *now, const json_t *before)
{
	static const char *const lists[] = { "containers", "initContainers", "ephemeralContainers" };
	json_t *c;
	size_t i;

	for (size_t l = 0; l < 3; l++) {
		json_t *x = api_get(json_object_get(now, "spec"), lists[l]);
		json_t *y = api_get(json_object_get(before, "spec"), lists[l]);

		if (json_array_size(x) != json_array_size(y))
			return true;
		json_array_foreach (x, i, c)
			if (!json_equal(json_object_get(c, "image"), json_object_get(json_array_get(y, i), "image")))
				return true;
	}
	return false;
}

static enum admit judge(struct admission *a, const json_t *spec, const struct pod_policy p[N_MODES], bool enforce)
{
	cleanup(strbuf_done) struct strbuf text = STRBUF_INIT;
	char policy[64];

	if (enforce && pod_security_check(&p[ENFORCE], spec, false, &text)) {
		pod_policy_text(&p[ENFORCE], policy, sizeof(policy));
		return admission_forbid(a, "violates PodSecurity \"%s\": %s", policy, text.buf);
	}
	strbuf_clear(&text);
	pod_policy_text(&p[AUDIT], policy, sizeof(policy));
	strbuf_addf(&text, "would violate PodSecurity \"%s\": ", policy);
	if (pod_security_check(&p[AUDIT], spec, false, &text))
		audit_annotate(a->c, PREFIX "audit-violations", text.buf);
	strbuf_clear(&text);
	if (pod_security_check(&p[WARN], spec, false, &text)) {
		pod_policy_text(&p[WARN], policy, sizeof(policy));
		admission_warn(a, "would violate PodSecurity \"%s\": %s", policy, text.buf);
	}
	if (enforce) {
		pod_policy_text(&p[ENFORCE], policy, sizeof(policy));
		audit_annotate(a->c, PREFIX "enforce-policy", policy);
	}
	return ADMIT_NEXT;
}

/* --- namespaces --------------------------------------------------------------------------------------------------- */

static void tell_pods(struct admission *a, const struct pod_policy *p)
{
	struct resource *pods = cache_resource(a->c->s, "", "pods");
	char *reasons[MAX_TOLD] = { NULL }, *names[MAX_TOLD] = { NULL }, policy[64];
	size_t counts[MAX_TOLD] = { 0 }, n = 0, from = 0, to = 0, end;

	if (pods)
		admission_range(pods, a->c->name, &from, &to);
	end = to - from > MAX_PODS ? from + MAX_PODS : to;
	for (size_t i = from; i < end; i++) {
		cleanup(strbuf_done) struct strbuf text = STRBUF_INIT;
		json_t *pod = admission_parse(pods->objs[i]);
		size_t k = 0;

		if (pod && pod_security_check(p, json_object_get(pod, "spec"), true, &text)) {
			while (k < n && !streq(reasons[k], text.buf))
				k++;
			if (k == n && n < MAX_TOLD) {
				reasons[n] = strdup(text.buf);
				names[n++] = strdup(pods->objs[i]->name);
			}
			if (k < n)
				counts[k]++;
		}
		json_decref(pod);
	}
	if (end < to)
		admission_warn(a,
			       "new PodSecurity enforce level only checked against the first %zu of %zu existing pods",
			       end - from, to - from);
	pod_policy_text(p, policy, sizeof(policy));
	if (n)
		admission_warn(a, "existing pods in namespace \"%s\" violate the new PodSecurity enforce level \"%s\"",
			       a->c->name, policy);
	for (size_t k = 0; k < n; k++) {
		if (counts[k] == 1)
			admission_warn(a, "%s: %s", names[k], reasons[k]);
		else
			admission_warn(a, "%s (and %zu other pod%s): %s", names[k], counts[k] - 1,
				       counts[k] > 2 ? "s" : "", reasons[k]);
		free(names[k]);
		free(reasons[k]);
	}
}

static enum admit check_namespace(struct admission *a)
{
	struct pod_policy now[N_MODES], before[N_MODES];
	struct api_errs errs = { 0 }, old_errs = { 0 };
	enum admit r = ADMIT_NEXT;

	policies_of(api_get(a->obj, "metadata.labels"), now, &errs);
	policies_of(api_get(a->old, "metadata.labels"), before, &old_errs);
	/* what was wrong before need not be mended now */
	if (errs.n && !(old_errs.n == errs.n && streq(old_errs.v[0].text, errs.v[0].text))) {
		call_invalid(a->c, &errs);
		r = ADMIT_ANSWERED;
	} else if (a->op == ADMIT_UPDATE && now[ENFORCE].level != POD_PRIVILEGED &&
		   (now[ENFORCE].level > before[ENFORCE].level || now[ENFORCE].minor != before[ENFORCE].minor)) {
		tell_pods(a, &now[ENFORCE]);
	}
	api_errs_done(&errs);
	api_errs_done(&old_errs);
	return r;
}

static enum admit validate(struct admission *a)
{
	struct resource *namespaces = cache_resource(a->c->s, "", "namespaces");
	struct pod_policy policies[N_MODES];
	bool pod = is_pod_request(a);
	const json_t *spec;
	struct object *ns;

	if (admission_is(a, "", "namespaces"))
		return check_namespace(a);
	spec = pod ? json_object_get(a->obj, "spec") : spec_of(a);
	ns = spec && namespaces ? cache_get(namespaces, NULL, a->c->ns) : NULL;
	if (!ns)
		return ADMIT_NEXT;
	policies_of(api_get(ns->index, "metadata.labels"), policies, NULL);
	if (policies[ENFORCE].level == POD_PRIVILEGED && policies[AUDIT].level == POD_PRIVILEGED &&
	    policies[WARN].level == POD_PRIVILEGED)
		return ADMIT_NEXT;
	if (pod && a->op == ADMIT_UPDATE && !significant(a->obj, a->old))
		return ADMIT_NEXT;
	return judge(a, spec, policies, pod);
}

const struct admission_plugin admission_pod_security = {
	.name = "PodSecurity",
	.ops = ADMIT_CREATE | ADMIT_UPDATE,
	.validate = validate,
};
