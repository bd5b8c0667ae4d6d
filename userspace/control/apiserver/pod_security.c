/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The checks of the pod security standards, one function each, in the order of their names as Kubernetes tells them.
 * Fields that the schema refuses (SELinux, AppArmor, sysctls, procMount, Windows, lifecycle) cannot get here and are
 * not looked at.
 */
#include "pod_security.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../../lib/api/api.h"
#include "../../lib/base/str.h"

static const char *const levels[] = { "privileged", "baseline", "restricted" };

int pod_level_parse(const char *text, enum pod_level *ret)
{
	for (int i = 0; i < 3; i++)
		if (streq(text, levels[i])) {
			*ret = (enum pod_level)i;
			return 0;
		}
	return -EINVAL;
}

int pod_version_parse(const char *text, int *ret)
{
	int64_t minor;

	if (streq(text, "latest")) {
		*ret = POD_LATEST;
		return 0;
	}
	if (!str_starts(text, "v1.") || str_to_i64(text + 3, 0, 999, &minor) < 0 || (text[3] == '0' && text[4]) ||
	    text[3] == '+')
		return -EINVAL;
	*ret = (int)minor;
	return 0;
}

void pod_policy_text(const struct pod_policy *p, char *buf, size_t size)
{
	if (p->minor == POD_LATEST)
		snprintf(buf, size, "%s:latest", levels[p->level]);
	else
		snprintf(buf, size, "%s:v1.%d", levels[p->level], p->minor);
}

/* --- helpers ------------------------------------------------------------------------------------------------------ */

typedef bool container_fn(const json_t *container, void *arg);

/* "container "a"" or "containers "a", "b"" of those that fn holds for; how many. */
static size_t name_containers(const json_t *spec, container_fn *fn, void *arg, struct strbuf *out)
{
	static const char *const lists[] = { "initContainers", "containers", "ephemeralContainers" };
	struct strbuf names = STRBUF_INIT;
	json_t *c;
	size_t n = 0, i;

	for (size_t l = 0; l < 3; l++)
		json_array_foreach (json_object_get(spec, lists[l]), i, c)
			if (fn(c, arg))
				strbuf_addf(&names, "%s\"%s\"", n++ ? ", " : "", api_get_str(c, "name") ?: "");
	if (n)
		strbuf_addf(out, "container%s %s", n > 1 ? "s" : "", names.buf);
	strbuf_done(&names);
	return n;
}

/* A sorted set of words, quoted in the end. */
struct words {
	const char *v[64];
	size_t n;
};

static void word_add(struct words *w, const char *word)
{
	size_t i = 0;

	while (i < w->n && strcmp(w->v[i], word) < 0)
		i++;
	if ((i < w->n && streq(w->v[i], word)) || w->n == 64)
		return;
	memmove(&w->v[i + 1], &w->v[i], (w->n - i) * sizeof(w->v[0]));
	w->v[i] = word;
	w->n++;
}

static void words_quote(const struct words *w, struct strbuf *out)
{
	for (size_t i = 0; i < w->n; i++)
		strbuf_addf(out, "%s\"%s\"", i ? ", " : "", w->v[i]);
}

/* --- baseline ----------------------------------------------------------------------------------------------------- */

struct added {
	const char *const *allowed;
	struct words bad;
};

static bool adds_others(const json_t *c, void *arg)
{
	struct added *a = arg;
	bool bad = false;
	json_t *v;
	size_t i;

	json_array_foreach (api_get(c, "securityContext.capabilities.add"), i, v) {
		bool fine = false;

		for (const char *const *ok = a->allowed; *ok; ok++)
			fine |= streq(json_string_value(v), *ok);
		if (!fine && json_is_string(v)) {
			word_add(&a->bad, json_string_value(v));
			bad = true;
		}
	}
	return bad;
}

static bool capabilities_added(const json_t *spec, const char *const *allowed, struct strbuf *out)
{
	struct added a = { .allowed = allowed };

	if (!name_containers(spec, adds_others, &a, out))
		return false;
	strbuf_adds(out, " must not include ");
	words_quote(&a.bad, out);
	strbuf_adds(out, " in securityContext.capabilities.add");
	return true;
}

static bool check_capabilities(const json_t *spec, struct strbuf *out)
{
	static const char *const allowed[] = { "AUDIT_WRITE", "CHOWN",	"DAC_OVERRIDE",	    "FOWNER",  "FSETID",
					       "KILL",	      "MKNOD",	"NET_BIND_SERVICE", "SETFCAP", "SETGID",
					       "SETPCAP",     "SETUID", "SYS_CHROOT",	    NULL };

	return capabilities_added(spec, allowed, out);
}

static bool check_host_namespaces(const json_t *spec, struct strbuf *out)
{
	static const char *const fields[] = { "hostNetwork", "hostPID", "hostIPC" };
	size_t n = 0;

	for (size_t i = 0; i < 3; i++)
		if (json_is_true(json_object_get(spec, fields[i])))
			strbuf_addf(out, "%s%s=true", n++ ? ", " : "", fields[i]);
	return n;
}

static bool check_host_path(const json_t *spec, struct strbuf *out)
{
	struct strbuf names = STRBUF_INIT;
	size_t n = 0, i;
	json_t *v;

	json_array_foreach (json_object_get(spec, "volumes"), i, v)
		if (json_object_get(v, "hostPath"))
			strbuf_addf(&names, "%s\"%s\"", n++ ? ", " : "", api_get_str(v, "name") ?: "");
	if (n)
		strbuf_addf(out, "volume%s %s", n > 1 ? "s" : "", names.buf);
	strbuf_done(&names);
	return n;
}

struct ports {
	struct words v;
	char text[64][8];
	size_t n;
};

static bool has_host_port(const json_t *c, void *arg)
{
	struct ports *p = arg;
	bool bad = false;
	json_t *v;
	size_t i;

	json_array_foreach (json_object_get(c, "ports"), i, v) {
		int64_t port = api_get_int(v, "hostPort", 0);

		if (!port)
			continue;
		bad = true;
		if (p->n == 64)
			continue;
		snprintf(p->text[p->n], sizeof(p->text[0]), "%d", (int)(port & 0xffff));
		word_add(&p->v, p->text[p->n++]);
	}
	return bad;
}

static bool check_host_ports(const json_t *spec, struct strbuf *out)
{
	struct ports p = { .n = 0 };
	size_t n = name_containers(spec, has_host_port, &p, out);

	if (!n)
		return false;
	strbuf_addf(out, " %s hostPort%s ", n > 1 ? "use" : "uses", p.v.n > 1 ? "s" : "");
	for (size_t i = 0; i < p.v.n; i++)
		strbuf_addf(out, "%s%s", i ? ", " : "", p.v.v[i]);
	return true;
}

static bool sets_probe_host(const json_t *c, void *arg)
{
	static const char *const paths[] = {
		"livenessProbe.httpGet.host",	"readinessProbe.httpGet.host",	 "startupProbe.httpGet.host",
		"livenessProbe.tcpSocket.host", "readinessProbe.tcpSocket.host", "startupProbe.tcpSocket.host",
	};
	bool bad = false;

	for (size_t i = 0; i < sizeof(paths) / sizeof(paths[0]); i++) {
		const char *host = api_get_str(c, paths[i]);

		if (!host || !*host)
			continue;
		word_add(arg, host);
		bad = true;
	}
	return bad;
}

static bool check_probe_hosts(const json_t *spec, struct strbuf *out)
{
	struct words hosts = { .n = 0 };
	size_t n = name_containers(spec, sets_probe_host, &hosts, out);

	if (!n)
		return false;
	strbuf_addf(out, " %s probe or lifecycle host%s ", n > 1 ? "use" : "uses", hosts.n > 1 ? "s" : "");
	words_quote(&hosts, out);
	return true;
}

static bool is_privileged(const json_t *c, void *arg)
{
	(void)arg;
	return json_is_true(api_get(c, "securityContext.privileged"));
}

static bool check_privileged(const json_t *spec, struct strbuf *out)
{
	if (!name_containers(spec, is_privileged, NULL, out))
		return false;
	strbuf_adds(out, " must not set securityContext.privileged=true");
	return true;
}

/* --- restricted --------------------------------------------------------------------------------------------------- */

static bool may_escalate(const json_t *c, void *arg)
{
	(void)arg;
	return !json_is_false(api_get(c, "securityContext.allowPrivilegeEscalation"));
}

static bool check_escalation(const json_t *spec, struct strbuf *out)
{
	if (!name_containers(spec, may_escalate, NULL, out))
		return false;
	strbuf_adds(out, " must set securityContext.allowPrivilegeEscalation=false");
	return true;
}

static bool keeps_some(const json_t *c, void *arg)
{
	json_t *v;
	size_t i;

	(void)arg;
	json_array_foreach (api_get(c, "securityContext.capabilities.drop"), i, v)
		if (streq(json_string_value(v), "ALL"))
			return false;
	return true;
}

static bool check_capabilities_restricted(const json_t *spec, struct strbuf *out)
{
	static const char *const allowed[] = { "NET_BIND_SERVICE", NULL };
	struct strbuf added = STRBUF_INIT;
	bool keeps = name_containers(spec, keeps_some, NULL, out), adds;

	if (keeps)
		strbuf_adds(out, " must set securityContext.capabilities.drop=[\"ALL\"]");
	adds = capabilities_added(spec, allowed, &added);
	if (adds)
		strbuf_addf(out, "%s%s", keeps ? "; " : "", added.buf);
	strbuf_done(&added);
	return keeps || adds;
}

static bool check_volumes(const json_t *spec, struct strbuf *out)
{
	static const char *const fine[] = { "configMap", "csi",	  "downwardAPI",	   "emptyDir",
					    "ephemeral", "image", "persistentVolumeClaim", "projected",
					    "secret" };
	struct words types = { .n = 0 };
	struct strbuf names = STRBUF_INIT;
	size_t n = 0, i;
	json_t *v, *source;
	const char *key;

	json_array_foreach (json_object_get(spec, "volumes"), i, v) {
		const char *bad = NULL;
		bool good = false;

		json_object_foreach (v, key, source) {
			if (streq(key, "name"))
				continue;
			bad = key;
			for (size_t k = 0; k < sizeof(fine) / sizeof(fine[0]); k++)
				good |= streq(key, fine[k]);
		}
		if (good)
			continue;
		strbuf_addf(&names, "%s\"%s\"", n++ ? ", " : "", api_get_str(v, "name") ?: "");
		word_add(&types, bad ? bad : "unknown");
	}
	if (n) {
		strbuf_addf(out, "volume%s %s use%s restricted volume type%s ", n > 1 ? "s" : "", names.buf,
			    n > 1 ? "" : "s", types.n > 1 ? "s" : "");
		words_quote(&types, out);
	}
	strbuf_done(&names);
	return n;
}

/* "pod", "pod and container "a"" of those that set something they must not. */
static size_t bad_setters(const json_t *spec, bool pod, container_fn *fn, void *arg, struct strbuf *out)
{
	struct strbuf names = STRBUF_INIT;
	size_t n = name_containers(spec, fn, arg, &names);

	if (pod || n)
		strbuf_addf(out, "%s%s%s", pod ? "pod" : "", pod && n ? " and " : "", n ? names.buf : "");
	strbuf_done(&names);
	return n + pod;
}

static bool root_allowed(const json_t *c, void *arg)
{
	(void)arg;
	return json_is_false(api_get(c, "securityContext.runAsNonRoot"));
}

static bool root_unsaid(const json_t *c, void *arg)
{
	(void)arg;
	return !json_is_boolean(api_get(c, "securityContext.runAsNonRoot"));
}

static bool check_non_root(const json_t *spec, struct strbuf *out)
{
	json_t *pod = api_get(spec, "securityContext.runAsNonRoot");
	struct strbuf names = STRBUF_INIT;
	size_t n;

	if (bad_setters(spec, json_is_false(pod), root_allowed, NULL, out)) {
		strbuf_adds(out, " must not set securityContext.runAsNonRoot=false");
		return true;
	}
	if (json_is_true(pod))
		return false;
	n = name_containers(spec, root_unsaid, NULL, &names);
	if (n)
		strbuf_addf(out, "pod or %s must set securityContext.runAsNonRoot=true", names.buf);
	strbuf_done(&names);
	return n;
}

static bool user_zero(const json_t *c, void *arg)
{
	json_t *v = api_get(c, "securityContext.runAsUser");

	(void)arg;
	return json_is_integer(v) && json_integer_value(v) == 0;
}

static bool check_user(const json_t *spec, struct strbuf *out)
{
	if (!bad_setters(spec, user_zero(spec, NULL), user_zero, NULL, out))
		return false;
	strbuf_adds(out, " must not set runAsUser=0");
	return true;
}

static bool seccomp_bad(const json_t *c, void *arg)
{
	const char *type = api_get_str(c, "securityContext.seccompProfile.type");

	if (!type || streq(type, "RuntimeDefault") || streq(type, "Localhost"))
		return false;
	word_add(arg, type);
	return true;
}

static bool seccomp_unsaid(const json_t *c, void *arg)
{
	(void)arg;
	return !api_get_str(c, "securityContext.seccompProfile.type");
}

static bool check_seccomp_baseline(const json_t *spec, struct strbuf *out)
{
	struct words bad = { .n = 0 };
	bool pod = seccomp_bad(spec, &bad);

	if (!bad_setters(spec, pod, seccomp_bad, &bad, out))
		return false;
	strbuf_adds(out, " must not set securityContext.seccompProfile.type to ");
	words_quote(&bad, out);
	return true;
}

static bool check_seccomp(const json_t *spec, struct strbuf *out)
{
	struct strbuf names = STRBUF_INIT;
	size_t n;

	if (check_seccomp_baseline(spec, out))
		return true;
	if (!seccomp_unsaid(spec, NULL))
		return false;
	n = name_containers(spec, seccomp_unsaid, NULL, &names);
	if (n)
		strbuf_addf(out,
			    "pod or %s must set securityContext.seccompProfile.type to \"RuntimeDefault\" or "
			    "\"Localhost\"",
			    names.buf);
	strbuf_done(&names);
	return n;
}

/* --- all ---------------------------------------------------------------------------------------------------------- */

static const struct {
	const char *reason;
	enum pod_level level;
	int since;	 /* v1.<since> */
	int replaced_at; /* restricted has a stricter one since v1.<..>; 0: none */
	bool (*fn)(const json_t *spec, struct strbuf *out);
} checks[] = {
	{ "non-default capabilities", POD_BASELINE, 0, 22, check_capabilities },
	{ "host namespaces", POD_BASELINE, 0, 0, check_host_namespaces },
	{ "hostPath volumes", POD_BASELINE, 0, -1, check_host_path },
	{ "hostPort", POD_BASELINE, 0, 0, check_host_ports },
	{ "probe or lifecycle host", POD_BASELINE, 34, 0, check_probe_hosts },
	{ "privileged", POD_BASELINE, 0, 0, check_privileged },
	{ "seccompProfile", POD_BASELINE, 19, 19, check_seccomp_baseline },
	{ "allowPrivilegeEscalation != false", POD_RESTRICTED, 8, 0, check_escalation },
	{ "unrestricted capabilities", POD_RESTRICTED, 22, 0, check_capabilities_restricted },
	{ "restricted volume types", POD_RESTRICTED, 0, 0, check_volumes },
	{ "runAsNonRoot != true", POD_RESTRICTED, 0, 0, check_non_root },
	{ "runAsUser=0", POD_RESTRICTED, 23, 0, check_user },
	{ "seccompProfile", POD_RESTRICTED, 19, 0, check_seccomp },
};

bool pod_security_check(const struct pod_policy *p, const json_t *spec, bool reasons_only, struct strbuf *out)
{
	bool any = false;

	for (size_t i = 0; i < sizeof(checks) / sizeof(checks[0]); i++) {
		struct strbuf detail = STRBUF_INIT;
		int replaced = checks[i].replaced_at;

		if (checks[i].level > p->level || p->minor < checks[i].since)
			continue;
		if (p->level == POD_RESTRICTED && replaced && p->minor >= replaced)
			continue;
		if (checks[i].fn(spec, &detail)) {
			strbuf_addf(out, "%s%s", any ? ", " : "", checks[i].reason);
			if (!reasons_only && detail.len)
				strbuf_addf(out, " (%s)", detail.buf);
			any = true;
		}
		strbuf_done(&detail);
	}
	return any;
}
