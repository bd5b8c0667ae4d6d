/* SPDX-License-Identifier: Apache-2.0 */
/*
 * From a pod's spec to what the runtime is told: sandbox and container configurations, made in an arena for one call.
 */
#include "pod-internal.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "../cgroup.h"
#include "../../lib/base/file.h"
#include "../../lib/base/str.h"

#define MEMORY_HEADROOM 1000 /* oom_score_adj scale */

static void *make(struct arena *a, size_t size, void (*init)(void *))
{
	void *v = arena_alloc(a, size);

	if (v)
		init(v);
	return v;
}
#define MAKE(a, type, prefix) ((type *)make(a, sizeof(type), (void (*)(void *))prefix##__init))

static int64_t quantity(const struct api_map *m, const char *name, bool milli)
{
	const char *q = api_map_get(m, name);
	int64_t v = 0;

	if (!q || (milli ? api_quantity_milli(q, &v) : api_quantity_value(q, &v)) < 0)
		return 0;
	return v;
}

/* Request, or the limit where there is no request; limits: the limit alone. cpu in thousandths. 0: none. */
int64_t ctr_resource(const struct api_container *c, const char *name, bool limits)
{
	bool milli = streq(name, "cpu");
	int64_t v = 0;

	if (!c->resources)
		return 0;
	if (!limits)
		v = quantity(&c->resources->requests, name, milli);
	return v ? v : quantity(&c->resources->limits, name, milli);
}

int64_t pod_resource(const struct api_pod_spec *spec, const char *name, bool limits, bool *ret_all)
{
	int64_t sum = 0, most = 0, v;
	bool all = true;

	for (size_t i = 0; i < spec->n_containers; i++) {
		v = ctr_resource(&spec->containers[i], name, limits);
		sum += v;
		all &= v > 0;
	}
	for (size_t i = 0; i < spec->n_init_containers; i++) {
		v = ctr_resource(&spec->init_containers[i], name, limits);
		if (v > most)
			most = v;
		all &= v > 0;
	}
	if (ret_all)
		*ret_all = all;
	return sum > most ? sum : most;
}

const char *pod_qos(const struct api_pod_spec *spec)
{
	bool any = false, guaranteed = true;

	for (size_t i = 0; i < spec->n_containers + spec->n_init_containers; i++) {
		const struct api_container *c = i < spec->n_containers ? &spec->containers[i]
								       : &spec->init_containers[i - spec->n_containers];

		for (int k = 0; k < 2; k++) {
			const char *name = k ? "memory" : "cpu";
			int64_t limit = ctr_resource(c, name, true), request = ctr_resource(c, name, false);

			any |= limit || request;
			guaranteed &= limit && limit == request;
		}
	}
	return !any ? "BestEffort" : guaranteed ? "Guaranteed" : "Burstable";
}

static int64_t oom_score_adj(const struct pod *p, const struct api_container *c)
{
	const char *qos = pod_qos(&p->obj->spec);
	int64_t memory = ctr_resource(c, "memory", false), score;

	if (streq(qos, "Guaranteed"))
		return -997;
	if (streq(qos, "BestEffort") || p->m->config.memory_bytes <= 0)
		return 1000;
	score = MEMORY_HEADROOM - MEMORY_HEADROOM * memory / p->m->config.memory_bytes;
	return score < 3 ? 3 : score > 999 ? 999 : score;
}

static Cri__StringEntry *entry(struct arena *a, const char *key, const char *value)
{
	Cri__StringEntry *e = MAKE(a, Cri__StringEntry, cri__string_entry);

	if (e) {
		e->key = (char *)key;
		e->value = (char *)(value ? value : "");
	}
	return e;
}

char *pod_log_dir(const struct pod *p, struct arena *a)
{
	return arena_printf(a, "%s/pods/logs/%s_%s_%s", p->m->config.state_dir, p->ns, p->name, p->uid);
}

/* --- name resolution ---------------------------------------------------------------------------------------------- */

struct words {
	struct arena *a;
	size_t n;
	char *v[32];
};

static void word_add(struct words *w, const char *s)
{
	for (size_t i = 0; i < w->n; i++)
		if (streq(w->v[i], s))
			return;
	if (w->n < sizeof(w->v) / sizeof(*w->v))
		w->v[w->n++] = arena_strdup(w->a, s);
}

/* The node's own resolv.conf: nameservers, search domains, options. */
static void read_resolv_conf(struct words *servers, struct words *searches, struct words *options)
{
	cleanup(free) char *text = NULL;
	char *save_line = NULL, *save;

	if (file_read("/etc/resolv.conf", 65536, &text, NULL, NULL) < 0)
		return;
	for (char *line = strtok_r(text, "\n", &save_line); line; line = strtok_r(NULL, "\n", &save_line)) {
		char *key = strtok_r(line, " \t", &save), *value;
		struct words *to = !key			      ? NULL
				   : streq(key, "nameserver") ? servers
				   : streq(key, "search")     ? searches
				   : streq(key, "options")    ? options
							      : NULL;

		while (to && (value = strtok_r(NULL, " \t", &save)))
			word_add(to, value);
	}
}

static char **word_list(struct words *w)
{
	char **list = arena_calloc(w->a, w->n + 1, sizeof(*list));

	if (list && w->n)
		memcpy(list, w->v, w->n * sizeof(*list));
	return list;
}

/*
 * There is no cluster DNS server yet: ClusterFirst resolves as Default does, with the cluster's search list before
 * the node's, so that short names work as soon as something answers them.
 */
static Cri__DnsConfig *dns_config(const struct pod *p, struct arena *a)
{
	const struct api_pod_spec *spec = &p->obj->spec;
	struct words servers = { .a = a }, searches = { .a = a }, options = { .a = a };
	Cri__DnsConfig *dns = MAKE(a, Cri__DnsConfig, cri__dns_config);
	bool none = spec->dns_policy && streq(spec->dns_policy, "None");

	if (!dns)
		return NULL;
	if (!none && (!spec->dns_policy || streq(spec->dns_policy, "ClusterFirst")) && !spec->host_network) {
		word_add(&searches, arena_printf(a, "%s.svc.cluster.local", p->ns));
		word_add(&searches, "svc.cluster.local");
		word_add(&searches, "cluster.local");
		word_add(&options, "ndots:5");
	}
	if (!none)
		read_resolv_conf(&servers, &searches, &options);
	if (spec->dns_config) {
		const struct api_pod_dns_config *d = spec->dns_config;

		for (size_t i = 0; i < d->n_nameservers; i++)
			word_add(&servers, d->nameservers[i]);
		for (size_t i = 0; i < d->n_searches; i++)
			word_add(&searches, d->searches[i]);
		for (size_t i = 0; i < d->n_options; i++)
			word_add(&options, d->options[i].value && d->options[i].value[0]
						   ? arena_printf(a, "%s:%s", d->options[i].name, d->options[i].value)
						   : d->options[i].name);
	}
	dns->n_servers = servers.n;
	dns->servers = word_list(&servers);
	dns->n_searches = searches.n;
	dns->searches = word_list(&searches);
	dns->n_options = options.n;
	dns->options = word_list(&options);
	return dns;
}

/* --- sandbox ------------------------------------------------------------------------------------------------------ */

static Cri__NamespaceOption *namespaces(const struct pod *p, struct arena *a)
{
	Cri__NamespaceOption *ns = MAKE(a, Cri__NamespaceOption, cri__namespace_option);

	if (ns) {
		ns->network = p->obj && p->obj->spec.host_network ? CRI_NS_NODE : CRI_NS_POD;
		ns->pid = CRI_NS_CONTAINER;
		ns->ipc = CRI_NS_POD;
	}
	return ns;
}

static bool any_privileged(const struct api_pod_spec *spec)
{
	for (size_t i = 0; i < spec->n_containers + spec->n_init_containers; i++) {
		const struct api_container *c = i < spec->n_containers ? &spec->containers[i]
								       : &spec->init_containers[i - spec->n_containers];

		if (c->security_context && c->security_context->privileged.set && c->security_context->privileged.v)
			return true;
	}
	return false;
}

Cri__SandboxConfig *pod_sandbox_config(struct pod *p, struct arena *a)
{
	Cri__SandboxConfig *c = MAKE(a, Cri__SandboxConfig, cri__sandbox_config);
	Cri__SandboxMeta *meta = MAKE(a, Cri__SandboxMeta, cri__sandbox_meta);
	Cri__LinuxSandbox *lin = MAKE(a, Cri__LinuxSandbox, cri__linux_sandbox);
	Cri__SandboxSecurity *sec = MAKE(a, Cri__SandboxSecurity, cri__sandbox_security);
	const struct api_pod_spec *spec = &p->obj->spec;
	const struct api_map *labels = &p->obj->metadata.labels;
	const char *hostname;

	if (!c || !meta || !lin || !sec)
		return NULL;
	meta->name = p->name;
	meta->uid = p->uid;
	meta->namespace_ = p->ns;
	meta->attempt = p->sandbox_attempt;
	c->metadata = meta;
	hostname = spec->hostname && spec->hostname[0] ? spec->hostname : p->name;
	c->hostname = spec->host_network ? ""
					 : arena_strndup(a, hostname, strlen(hostname) > 63 ? 63 : strlen(hostname));
	c->log_directory = pod_log_dir(p, a);
	c->dns_config = dns_config(p, a);
	c->labels = arena_calloc(a, labels->n + 3, sizeof(*c->labels));
	if (!c->hostname || !c->log_directory || !c->dns_config || !c->labels)
		return NULL;
	for (size_t i = 0; i < labels->n; i++)
		c->labels[c->n_labels++] = entry(a, labels->v[i].key, labels->v[i].value);
	c->labels[c->n_labels++] = entry(a, LABEL_POD_NAME, p->name);
	c->labels[c->n_labels++] = entry(a, LABEL_POD_NAMESPACE, p->ns);
	c->labels[c->n_labels++] = entry(a, LABEL_POD_UID, p->uid);
	for (size_t i = 0; i < c->n_labels; i++)
		if (!c->labels[i])
			return NULL;
	sec->namespace_options = namespaces(p, a);
	sec->privileged = any_privileged(spec);
	lin->security_context = sec;
	lin->cgroup_parent = cgroups_pod_path(p->m->config.cgroups, p->uid, a);
	c->linux_ = lin;
	return sec->namespace_options && lin->cgroup_parent ? c : NULL;
}

/* --- containers --------------------------------------------------------------------------------------------------- */

static int get_object(void *arg, bool secret, const char *name, const struct api_map **ret)
{
	struct pod *p = arg;
	const struct api_object *obj;
	int r = objects_get(p->m->objects, secret, p->ns, name, &obj);

	if (!r)
		*ret = secret ? &((const struct api_secret *)obj)->data : &((const struct api_config_map *)obj)->data;
	return r;
}

static Cri__Int64Value *number(struct arena *a, int64_t v)
{
	Cri__Int64Value *n = MAKE(a, Cri__Int64Value, cri__int64_value);

	if (n)
		n->value = v;
	return n;
}

Cri__LinuxResources *ctr_resources(const struct pod_ctr *c, struct arena *a)
{
	Cri__LinuxResources *r = MAKE(a, Cri__LinuxResources, cri__linux_resources);
	int64_t request = ctr_resource(c->spec, "cpu", false), limit = ctr_resource(c->spec, "cpu", true);

	if (!r)
		return NULL;
	r->cpu_shares = cgroup_shares(request);
	r->cpu_period = 100000;
	if (limit)
		r->cpu_quota = cgroup_quota(limit);
	r->memory_limit_in_bytes = ctr_resource(c->spec, "memory", true);
	r->oom_score_adj = oom_score_adj(c->pod, c->spec);
	return r;
}

enum { SECCOMP_RUNTIME = 0, SECCOMP_NONE = 1 }; /* CRI's SecurityProfile.ProfileType */

/* target_id: whose processes it sees; NULL: its own only. */
static Cri__ContainerSecurity *security(const struct pod_ctr *c, const char *target_id, struct arena *a)
{
	static const char *const masked[] = { "/proc/asound",	   "/proc/acpi",	  "/proc/kcore",
					      "/proc/keys",	   "/proc/latency_stats", "/proc/timer_list",
					      "/proc/timer_stats", "/proc/sched_debug",	  "/proc/scsi",
					      "/sys/firmware" };
	static const char *const readonly[] = { "/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys",
						"/proc/sysrq-trigger" };
	const struct api_security_context *s = c->spec->security_context;
	const struct api_pod_security_context *ps = c->pod->obj->spec.security_context;
	Cri__ContainerSecurity *sec = MAKE(a, Cri__ContainerSecurity, cri__container_security);
	const struct api_seccomp_profile *profile;
	struct api_opt_int user = s && s->run_as_user.set ? s->run_as_user
				  : ps			  ? ps->run_as_user
							  : (struct api_opt_int){ 0 };
	struct api_opt_int group = s && s->run_as_group.set ? s->run_as_group
				   : ps			    ? ps->run_as_group
							    : (struct api_opt_int){ 0 };

	if (!sec)
		return NULL;
	sec->namespace_options = namespaces(c->pod, a);
	if (sec->namespace_options && target_id) {
		sec->namespace_options->pid = CRI_NS_TARGET;
		sec->namespace_options->target_id = (char *)target_id;
	}
	if (user.set)
		sec->run_as_user = number(a, user.v);
	if (group.set && user.set) /* the runtime takes a group with a user only */
		sec->run_as_group = number(a, group.v);
	if (s) {
		sec->privileged = s->privileged.set && s->privileged.v;
		sec->readonly_rootfs = s->read_only_root_filesystem.set && s->read_only_root_filesystem.v;
		sec->no_new_privs = s->allow_privilege_escalation.set && !s->allow_privilege_escalation.v;
		if (s->capabilities) {
			sec->capabilities = MAKE(a, Cri__Capability, cri__capability);
			if (!sec->capabilities)
				return NULL;
			sec->capabilities->n_add_capabilities = s->capabilities->n_add;
			sec->capabilities->add_capabilities = (char **)s->capabilities->add;
			sec->capabilities->n_drop_capabilities = s->capabilities->n_drop;
			sec->capabilities->drop_capabilities = (char **)s->capabilities->drop;
		}
	}
	profile = s && s->seccomp_profile ? s->seccomp_profile : ps ? ps->seccomp_profile : NULL;
	if (profile && !sec->privileged) {
		sec->seccomp = MAKE(a, Cri__SecurityProfile, cri__security_profile);
		if (!sec->seccomp)
			return NULL;
		sec->seccomp->profile_type = streq(profile->type, "RuntimeDefault") ? SECCOMP_RUNTIME : SECCOMP_NONE;
	}
	if (!sec->privileged) {
		sec->masked_paths = (char **)masked;
		sec->n_masked_paths = sizeof(masked) / sizeof(*masked);
		sec->readonly_paths = (char **)readonly;
		sec->n_readonly_paths = sizeof(readonly) / sizeof(*readonly);
	}
	return sec->namespace_options ? sec : NULL;
}

static bool add_mount(struct arena *a, Cri__ContainerConfig *cc, const char *from, const char *to, bool readonly)
{
	Cri__Mount *m = MAKE(a, Cri__Mount, cri__mount);

	if (!m || !from || !to)
		return false;
	m->host_path = (char *)from;
	m->container_path = (char *)to;
	m->readonly = readonly;
	cc->mounts[cc->n_mounts++] = m;
	return true;
}

static int mounts(struct pod_ctr *c, struct arena *a, Cri__ContainerConfig *cc, struct err *err)
{
	struct pod *p = c->pod;
	const struct api_container *spec = c->spec;
	char *dir = arena_printf(a, "%s/containers/%s", pod_dir(p, a), spec->name);
	bool own_hosts = false;
	char *term;
	int fd, r;

	cc->mounts = arena_calloc(a, spec->n_volume_mounts + 2, sizeof(*cc->mounts));
	term = arena_printf(a, "%s/term-%u", dir, c->next_attempt);
	if (!cc->mounts || !dir || !term)
		return err_set(err, ENOMEM, "out of memory");
	for (size_t i = 0; i < spec->n_volume_mounts; i++) {
		const struct api_volume_mount *vm = &spec->volume_mounts[i];
		const struct api_volume *v = NULL;
		char *to = arena_strdup(a, vm->mount_path);

		for (size_t j = 0; j < p->obj->spec.n_volumes && !v; j++)
			if (streq(p->obj->spec.volumes[j].name, vm->name))
				v = &p->obj->spec.volumes[j];
		if (!v)
			return err_set(err, ENOENT, "volumeMounts[%zu]: there is no volume \"%s\"", i, vm->name);
		own_hosts |= streq(to, "/etc/hosts");
		if (!add_mount(a, cc, volume_dir(p, v, a), to,
			       vm->read_only || v->secret || v->config_map || v->projected))
			return err_set(err, ENOMEM, "out of memory");
	}
	if (!own_hosts && !p->obj->spec.host_network) {
		r = pod_write_hosts(p, err);
		if (r < 0)
			return r;
		if (!add_mount(a, cc, arena_printf(a, "%s/etc-hosts", pod_dir(p, a)), "/etc/hosts", false))
			return err_set(err, ENOMEM, "out of memory");
	}
	r = dir_make(dir, 0755, err);
	if (r < 0)
		return r;
	fd = open(term, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
	if (fd < 0 || fchmod(fd, 0666) < 0) {
		r = err_set(err, errno, "create '%s': %m", term);
		if (fd >= 0)
			close(fd);
		return r;
	}
	close(fd);
	set_str(&c->term_path, term);
	if (!add_mount(a, cc, term,
		       spec->termination_message_path && spec->termination_message_path[0]
			       ? spec->termination_message_path
			       : "/dev/termination-log",
		       false))
		return err_set(err, ENOMEM, "out of memory");
	return 0;
}

static char **expand_all(struct arena *a, const char **v, size_t n, const struct api_kv *env, size_t n_env)
{
	char **out = arena_calloc(a, n + 1, sizeof(*out));

	for (size_t i = 0; out && i < n; i++) {
		out[i] = env_expand(a, v[i], env, n_env);
		if (!out[i])
			return NULL;
	}
	return out;
}

static int environment(struct pod_ctr *c, struct arena *a, size_t *ret_n, struct api_kv **ret, struct err *err)
{
	struct pod *p = c->pod;
	const char *const *node = p->m->config.node_ips;
	bool host = p->obj->spec.host_network;
	const char *ip[2] = { host && node[0] ? node[0] : p->ips[0], host && node[1] ? node[1] : p->ips[1] };
	struct env_source src = {
		.get = get_object,
		.arg = p,
		.services = &p->service_env,
		.node_name = p->m->config.node_name,
		.pod_ip = ip[0],
		.host_ip = node[0],
		.pod_ips = ip[1] && ip[1][0] ? arena_printf(a, "%s,%s", ip[0], ip[1]) : ip[0],
		.host_ips = node[0] && node[1] ? arena_printf(a, "%s,%s", node[0], node[1]) : node[0],
	};

	return env_build(p->obj, c->spec, &src, a, ret_n, ret, err);
}

int ctr_config(struct pod_ctr *c, struct arena *a, Cri__ContainerConfig **ret, struct err *err)
{
	struct pod *p = c->pod;
	const struct api_container *spec = c->spec;
	Cri__ContainerConfig *cc = MAKE(a, Cri__ContainerConfig, cri__container_config);
	Cri__ContainerMeta *meta = MAKE(a, Cri__ContainerMeta, cri__container_meta);
	Cri__ImageSpec *image = MAKE(a, Cri__ImageSpec, cri__image_spec);
	Cri__LinuxContainer *lin = MAKE(a, Cri__LinuxContainer, cri__linux_container);
	char *log_dir = pod_log_dir(p, a);
	const char *target_id = NULL;
	struct api_kv *env;
	size_t n_env;
	int r;

	if (!cc || !meta || !image || !lin || !log_dir)
		return err_set(err, ENOMEM, "out of memory");
	if (c->target && *c->target) {
		target_id = ephemeral_target_id(c);
		if (!target_id)
			return -ECANCELED;
	}
	r = environment(c, a, &n_env, &env, err);
	if (!r)
		r = mounts(c, a, cc, err);
	if (!r)
		r = dir_make(arena_printf(a, "%s/%s", log_dir, spec->name), 0755, err);
	if (r < 0)
		return r;
	meta->name = (char *)spec->name;
	meta->attempt = c->next_attempt;
	cc->metadata = meta;
	image->image = (char *)spec->image;
	cc->image = image;
	cc->n_command = spec->n_command;
	cc->command = expand_all(a, spec->command, spec->n_command, env, n_env);
	cc->n_args = spec->n_args;
	cc->args = expand_all(a, spec->args, spec->n_args, env, n_env);
	if (spec->working_dir)
		cc->working_dir = (char *)spec->working_dir;
	cc->envs = arena_calloc(a, n_env + 2, sizeof(*cc->envs));
	cc->labels = arena_calloc(a, 4, sizeof(*cc->labels));
	cc->annotations = arena_calloc(a, 1, sizeof(*cc->annotations));
	if (!cc->command || !cc->args || !cc->envs || !cc->labels || !cc->annotations)
		return err_set(err, ENOMEM, "out of memory");
	for (size_t i = 0; i < n_env; i++)
		cc->envs[cc->n_envs++] = entry(a, env[i].key, env[i].value);
	cc->labels[cc->n_labels++] = entry(a, LABEL_POD_NAME, p->name);
	cc->labels[cc->n_labels++] = entry(a, LABEL_POD_NAMESPACE, p->ns);
	cc->labels[cc->n_labels++] = entry(a, LABEL_POD_UID, p->uid);
	cc->labels[cc->n_labels++] = entry(a, LABEL_CONTAINER, spec->name);
	cc->annotations[cc->n_annotations++] = entry(a, ANNOTATION_IMAGE, spec->image);
	cc->log_path = arena_printf(a, "%s/%u.log", spec->name, c->next_attempt);
	cc->stdin_ = spec->stdin_;
	cc->stdin_once = spec->stdin_once;
	cc->tty = spec->tty;
	lin->resources = ctr_resources(c, a);
	lin->security_context = security(c, target_id, a);
	cc->linux_ = lin;
	for (size_t i = 0; i < cc->n_envs; i++)
		if (!cc->envs[i])
			return err_set(err, ENOMEM, "out of memory");
	for (size_t i = 0; i < cc->n_labels; i++)
		if (!cc->labels[i])
			return err_set(err, ENOMEM, "out of memory");
	if (!cc->annotations[0] || !cc->log_path || !lin->resources || !lin->security_context)
		return err_set(err, ENOMEM, "out of memory");
	*ret = cc;
	return 0;
}
