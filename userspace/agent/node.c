/* SPDX-License-Identifier: Apache-2.0 */
/*
 * See node.h. The lease says every 10 s that the node lives; the status is looked at every 10 s too, and written when
 * it differs from what was written, or after 5 minutes.
 */
#include "node.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/statvfs.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "api/api_types.h"
#include "../lib/base/cleanup.h"
#include "../lib/base/clock.h"
#include "../lib/base/file.h"
#include "../lib/base/log.h"
#include "../lib/base/str.h"
#include "../lib/client/informer.h"

#define LEASE_MS	 10000
#define LEASE_SECONDS	 40
#define STATUS_MS	 10000
#define STATUS_ALWAYS_MS 300000
#define RETRY_MS	 1000
#define LEASE_NAMESPACE	 "kube-node-lease"
#define MEMORY_PRESSURE	 (100LL << 20) /* kubelet's memory.available */
#define DISK_PRESSURE	 (10LL << 30)  /* with a tenth of the disk: a tenth of a big disk alone is not pressure */
#define EVICTION_RESERVE (100LL << 20)

struct node {
	struct kube *kube;
	struct loop *loop;
	struct node_config config;
	struct informer *inf;
	struct loop_timer lease_timer, status_timer, register_timer;
	bool registered, registering, lease_busy, status_busy, cidrs_known;
	bool said_waiting;
	bool look_again; /* something changed while the status was being written */
	char *runtime_version, *runtime_why, *network_why;
	json_t *sent;			 /* status without heartbeat times */
	json_t *conditions;		 /* as last written, with times */
	int64_t sent_ms, sent_rev;	 /* sent_rev: revision that the API gave it */
	int64_t cpu_milli, memory, disk; /* capacity */
};

static int64_t meminfo(const char *key)
{
	cleanup(free) char *text = NULL;
	const char *s;
	long long kb = 0;

	if (file_read("/proc/meminfo", 65536, &text, NULL, NULL) < 0)
		return 0;
	s = strstr(text, key);
	return s && sscanf(s + strlen(key), ": %lld kB", &kb) == 1 ? kb * 1024 : 0;
}

int64_t node_cpu_milli(const struct node *n)
{
	return n->cpu_milli - n->config.reserved_cpu_milli;
}

int64_t node_memory(const struct node *n)
{
	return n->memory - EVICTION_RESERVE - n->config.reserved_memory;
}

/* --- the object --------------------------------------------------------------------------------------------------- */

static const char *arch(void)
{
	static struct utsname u;

	(void)uname(&u);
	return streq(u.machine, "x86_64") ? "amd64" : streq(u.machine, "aarch64") ? "arm64" : u.machine;
}

static json_t *labels(const struct node *n)
{
	json_t *l = json_pack("{s:s,s:s,s:s,s:s,s:s}", "kubernetes.io/hostname", n->config.name, "kubernetes.io/os",
			      "linux", "kubernetes.io/arch", arch(), "beta.kubernetes.io/os", "linux",
			      "beta.kubernetes.io/arch", arch());

	for (const char *const *s = n->config.labels; l && s && *s; s++) {
		const char *eq = strchr(*s, '=');
		cleanup(free) char *key = eq ? strndup(*s, (size_t)(eq - *s)) : NULL;

		if (key)
			json_object_set_new(l, key, json_string(eq + 1));
	}
	return l;
}

static json_t *resources(const struct node *n, bool allocatable)
{
	json_t *r = json_object();
	char cpu[32];

	api_quantity_format_milli(allocatable ? node_cpu_milli(n) : n->cpu_milli, cpu, sizeof(cpu));
	json_object_set_new(r, "cpu", json_string(cpu));
	json_object_set_new(r, "memory",
			    json_sprintf("%lldKi", (long long)(allocatable ? node_memory(n) : n->memory) / 1024));
	json_object_set_new(r, "pods", json_sprintf("%d", n->config.max_pods));
	json_object_set_new(r, "ephemeral-storage",
			    json_sprintf("%lldKi", (long long)(allocatable ? n->disk / 10 * 9 : n->disk) / 1024));
	return r;
}

static json_t *line_of(const char *path)
{
	cleanup(free) char *text = NULL;
	json_t *s;

	if (file_read(path, 4096, &text, NULL, NULL) < 0)
		return json_string("");
	text[strcspn(text, "\n")] = 0;
	s = json_string(text);
	return s ? s : json_string("");
}

static json_t *os_image(void)
{
	cleanup(free) char *text = NULL;
	char *s;

	if (file_read("/etc/os-release", 65536, &text, NULL, NULL) < 0 || !(s = strstr(text, "PRETTY_NAME=\"")))
		return json_string("Linux");
	s += strlen("PRETTY_NAME=\"");
	s[strcspn(s, "\"\n")] = 0;
	return json_string(s);
}

static json_t *node_info(const struct node *n)
{
	json_t *i = json_object();
	struct utsname u;

	(void)uname(&u);
	json_object_set_new(i, "machineID", line_of("/etc/machine-id"));
	json_object_set_new(i, "systemUUID", line_of("/sys/class/dmi/id/product_uuid"));
	json_object_set_new(i, "bootID", line_of("/proc/sys/kernel/random/boot_id"));
	json_object_set_new(i, "kernelVersion", json_string(u.release));
	json_object_set_new(i, "osImage", os_image());
	json_object_set_new(i, "containerRuntimeVersion", json_string(n->runtime_version ? n->runtime_version : ""));
	json_object_set_new(i, "kubeletVersion", json_string("v1.33.0-skep"));
	json_object_set_new(i, "kubeProxyVersion", json_string(""));
	json_object_set_new(i, "operatingSystem", json_string("linux"));
	json_object_set_new(i, "architecture", json_string(arch()));
	return i;
}

/* Times are the last condition's while the status is the same. */
static void condition(json_t *list, const json_t *old, const char *type, bool status, const char *reason,
		      const char *message)
{
	char now[CLOCK_RFC3339_SIZE];
	const char *since = clock_rfc3339(clock_real_ms(), now), *value = status ? "True" : "False";
	json_t *o;
	size_t i;

	json_array_foreach (old, i, o)
		if (streq(api_get_str(o, "type"), type) && streq(api_get_str(o, "status"), value) &&
		    api_get_str(o, "lastTransitionTime"))
			since = api_get_str(o, "lastTransitionTime");
	json_array_append_new(list,
			      json_pack("{s:s,s:s,s:s,s:s,s:s,s:s}", "type", type, "status", value, "lastHeartbeatTime",
					now, "lastTransitionTime", since, "reason", reason, "message", message));
}

static json_t *conditions(const struct node *n)
{
	json_t *list = json_array();
	struct statvfs vfs;
	bool memory = meminfo("MemAvailable") < MEMORY_PRESSURE, disk = false, pids = false;
	cleanup(free) char *load = NULL;
	cleanup(free) char *max = NULL;
	long threads = 0;
	char why[600] = "skep-agent is posting ready status";

	if (!statvfs(n->config.state_dir, &vfs)) {
		int64_t left = (int64_t)vfs.f_bavail * (int64_t)vfs.f_frsize;

		disk = left < DISK_PRESSURE && vfs.f_bavail < vfs.f_blocks / 10;
	}
	if (!file_read("/proc/loadavg", 4096, &load, NULL, NULL) &&
	    !file_read("/proc/sys/kernel/pid_max", 64, &max, NULL, NULL) &&
	    sscanf(load, "%*s %*s %*s %*d/%ld", &threads) == 1)
		pids = threads > atol(max) / 10 * 9;
	condition(list, n->conditions, "MemoryPressure", memory,
		  memory ? "KubeletHasInsufficientMemory" : "KubeletHasSufficientMemory",
		  memory ? "less than 100Mi of memory are left" : "there is memory left");
	condition(list, n->conditions, "DiskPressure", disk,
		  disk ? "KubeletHasDiskPressure" : "KubeletHasNoDiskPressure",
		  disk ? "the state directory's file system is nearly full" : "there is disk space left");
	condition(list, n->conditions, "PIDPressure", pids,
		  pids ? "KubeletHasInsufficientPID" : "KubeletHasSufficientPID",
		  pids ? "nine tenths of the process ids are taken" : "there are process ids left");
	if (n->runtime_why || n->network_why)
		snprintf(why, sizeof(why), "%s%s%s%s%s", n->runtime_why ? "container runtime is down: " : "",
			 n->runtime_why ? n->runtime_why : "", n->runtime_why && n->network_why ? "; " : "",
			 n->network_why ? "container runtime network not ready: " : "",
			 n->network_why ? n->network_why : "");
	condition(list, n->conditions, "Ready", !n->runtime_why && !n->network_why,
		  n->runtime_why || n->network_why ? "KubeletNotReady" : "KubeletReady", why);
	return list;
}

static json_t *addresses(const struct node *n)
{
	json_t *list = json_array();

	for (int i = 0; i < 2; i++)
		if (n->config.node_ips[i])
			json_array_append_new(
				list, json_pack("{s:s,s:s}", "type", "InternalIP", "address", n->config.node_ips[i]));
	json_array_append_new(list, json_pack("{s:s,s:s}", "type", "Hostname", "address", n->config.name));
	return list;
}

static json_t *status_json(const struct node *n)
{
	return json_pack("{s:o,s:o,s:o,s:o,s:o,s:{s:{s:i}}}", "capacity", resources(n, false), "allocatable",
			 resources(n, true), "conditions", conditions(n), "addresses", addresses(n), "nodeInfo",
			 node_info(n), "daemonEndpoints", "kubeletEndpoint", "Port", n->config.port);
}

/* For comparison: heartbeats left out. */
static json_t *without_heartbeats(const json_t *status)
{
	json_t *copy = json_deep_copy(status), *c;
	size_t i;

	json_array_foreach (json_object_get(copy, "conditions"), i, c)
		json_object_del(c, "lastHeartbeatTime");
	return copy;
}

static void status_look(struct node *n);

static void on_status(void *arg, const struct kube_result *r)
{
	struct node *n = arg;

	n->status_busy = false;
	if (kube_ok(r)) {
		n->sent_ms = clock_mono_ms();
		n->sent_rev = strtoll(api_get_str(r->obj, "metadata.resourceVersion") ?: "0", NULL, 10);
		if (n->look_again)
			status_look(n);
	} else {
		log_warn("node %s: status: %s", n->config.name, r->message);
		json_decref(TAKE(n->sent));
		if (r->status == 404)
			n->registered = false;
		(void)loop_timer_set(n->loop, &n->status_timer, RETRY_MS);
	}
}

static void register_node(struct node *n);

static void status_look(struct node *n)
{
	json_t *status, *plain, *patch;

	(void)loop_timer_set(n->loop, &n->status_timer, STATUS_MS);
	if (!n->registered) {
		register_node(n);
		return;
	}
	if (n->status_busy) {
		n->look_again = true;
		return;
	}
	n->look_again = false;
	status = status_json(n);
	plain = without_heartbeats(status);
	if (!status || !plain ||
	    (n->sent && json_equal(plain, n->sent) && clock_mono_ms() - n->sent_ms < STATUS_ALWAYS_MS)) {
		json_decref(status);
		json_decref(plain);
		return;
	}
	json_decref(n->sent);
	n->sent = plain;
	json_decref(n->conditions);
	n->conditions = json_incref(json_object_get(status, "conditions"));
	patch = json_pack("{s:o}", "status", status);
	n->status_busy = true;
	if (!patch || kube_patch(n->kube, &api_kind_node, NULL, n->config.name, "status", KUBE_PATCH_MERGE, patch,
				 on_status, n) < 0) {
		n->status_busy = false;
		json_decref(TAKE(n->sent));
	}
	json_decref(patch);
}

/* --- registration ------------------------------------------------------------------------------------------------- */

static void register_later(struct node *n, const char *what, const char *why)
{
	n->registering = false;
	if (!n->said_waiting) {
		log_warn("node %s: %s: %s; trying on", n->config.name, what, why);
		n->said_waiting = true;
	}
	(void)loop_timer_set(n->loop, &n->register_timer, RETRY_MS);
}

static void register_done(struct node *n)
{
	n->registering = false;
	n->said_waiting = false;
	if (!n->registered)
		log_info("node %s: registered", n->config.name);
	n->registered = true;
	status_look(n);
}

static void on_labelled(void *arg, const struct kube_result *r)
{
	if (kube_ok(r))
		register_done(arg);
	else
		register_later(arg, "labels", r->message);
}

static void on_created(void *arg, const struct kube_result *r)
{
	struct node *n = arg;
	json_t *patch;

	if (kube_ok(r)) {
		register_done(n);
		return;
	}
	if (r->status != 409) {
		register_later(n, "registration", r->message);
		return;
	}
	/*
	 * It is there: of an earlier start. Its labels are brought up to date, others' stay; conditions keep their
	 * times.
	 */
	patch = json_pack("{s:{s:o}}", "metadata", "labels", labels(n));
	if (!patch || kube_patch(n->kube, &api_kind_node, NULL, n->config.name, NULL, KUBE_PATCH_MERGE, patch,
				 on_labelled, n) < 0)
		register_later(n, "labels", "out of memory");
	json_decref(patch);
}

static void register_node(struct node *n)
{
	json_t *obj;

	if (n->registering)
		return;
	n->registering = true;
	obj = json_pack("{s:s,s:s,s:{s:s,s:o},s:o}", "apiVersion", "v1", "kind", "Node", "metadata", "name",
			n->config.name, "labels", labels(n), "status", status_json(n));
	if (!obj || kube_create(n->kube, &api_kind_node, NULL, NULL, NULL, obj, on_created, n) < 0)
		register_later(n, "registration", "out of memory");
	json_decref(obj);
}

static void on_register_timer(struct loop_timer *t)
{
	register_node(t->arg);
}

static void on_status_timer(struct loop_timer *t)
{
	status_look(t->arg);
}

/* --- the lease ---------------------------------------------------------------------------------------------------- */

static json_t *lease_spec(const struct node *n)
{
	char now[CLOCK_RFC3339_SIZE];

	return json_pack("{s:s,s:i,s:s}", "holderIdentity", n->config.name, "leaseDurationSeconds", LEASE_SECONDS,
			 "renewTime", clock_rfc3339_micro(clock_real_ms(), now));
}

static void lease_end(struct node *n, const struct kube_result *r)
{
	n->lease_busy = false;
	if (r && !kube_ok(r)) {
		log_warn("node %s: lease: %s", n->config.name, r->message);
		(void)loop_timer_set(n->loop, &n->lease_timer, RETRY_MS);
	}
}

static void on_lease_created(void *arg, const struct kube_result *r)
{
	lease_end(arg, r);
}

static void on_lease(void *arg, const struct kube_result *r)
{
	struct node *n = arg;
	json_t *lease;

	if (r->status != 404) {
		lease_end(n, r);
		return;
	}
	lease = json_pack("{s:s,s:s,s:{s:s,s:s},s:o}", "apiVersion", "coordination.k8s.io/v1", "kind", "Lease",
			  "metadata", "name", n->config.name, "namespace", LEASE_NAMESPACE, "spec", lease_spec(n));
	if (!lease ||
	    kube_create(n->kube, &api_kind_lease, LEASE_NAMESPACE, NULL, NULL, lease, on_lease_created, n) < 0)
		lease_end(n, NULL);
	json_decref(lease);
}

static void on_lease_timer(struct loop_timer *t)
{
	struct node *n = t->arg;
	json_t *patch;

	(void)loop_timer_set(n->loop, &n->lease_timer, LEASE_MS);
	if (n->lease_busy)
		return;
	n->lease_busy = true;
	patch = json_pack("{s:o}", "spec", lease_spec(n));
	if (!patch || kube_patch(n->kube, &api_kind_lease, LEASE_NAMESPACE, n->config.name, NULL, KUBE_PATCH_MERGE,
				 patch, on_lease, n) < 0)
		n->lease_busy = false;
	json_decref(patch);
}

/* --- ranges of addresses ------------------------------------------------------------------------------------------ */

/*
 * Somebody wrote another Ready after us: the node lifecycle controller of a node that it could not hear. Nothing
 * changes here when it can again, so it has to be said again.
 */
static bool overruled(const struct node *n, const struct api_node *obj)
{
	const json_t *mine;
	size_t k;

	if (!n->sent || n->status_busy || strtoll(obj->metadata.resource_version, NULL, 10) <= n->sent_rev)
		return false;
	for (size_t i = 0; i < obj->status.n_conditions; i++)
		json_array_foreach (json_object_get(n->sent, "conditions"), k, mine)
			if (streq(api_get_str(mine, "type"), obj->status.conditions[i].type) &&
			    !streq(api_get_str(mine, "status"), obj->status.conditions[i].status))
				return true;
	return false;
}

static void on_node(struct informer *inf, void *arg, struct informer_item *old, struct informer_item *new)
{
	const struct api_node *obj = new ? (const struct api_node *)new->obj : NULL;
	cleanup(strbuf_done) struct strbuf cidrs = STRBUF_INIT;
	struct node *n = arg;

	(void)inf;
	(void)old;
	if (!new && n->registered) { /* somebody deleted it */
		n->registered = false;
		json_decref(TAKE(n->sent));
		register_node(n);
	}
	if (!obj)
		return;
	if (!n->conditions) { /* times of the conditions that an earlier agent wrote */
		n->conditions = json_array();
		for (size_t i = 0; i < obj->status.n_conditions && n->conditions; i++)
			json_array_append_new(n->conditions,
					      api_encode(&api_type_node_condition, &obj->status.conditions[i]));
	}
	if (overruled(n, obj)) {
		json_decref(TAKE(n->sent));
		status_look(n);
	}
	if (n->cidrs_known || !obj->spec.n_pod_cidrs)
		return;
	for (size_t i = 0; i < obj->spec.n_pod_cidrs; i++)
		strbuf_addf(&cidrs, "%s%s", i ? "," : "", obj->spec.pod_cidrs[i]);
	if (strbuf_oom(&cidrs))
		return;
	n->cidrs_known = true;
	n->config.on_pod_cidrs(n->config.arg, cidrs.buf);
}

int node_new(struct kube *kube, const struct node_config *config, struct node **ret, struct err *err)
{
	static const struct informer_ops ops = { on_node, NULL };
	struct informer_config ic = { .kind = &api_kind_node };
	cleanup(free) char *selector = NULL;
	struct node *n = calloc(1, sizeof(*n));
	struct statvfs vfs;

	if (!n)
		return err_set(err, ENOMEM, "out of memory");
	n->kube = kube;
	n->loop = kube_loop(kube);
	n->config = *config;
	n->cpu_milli = sysconf(_SC_NPROCESSORS_ONLN) * 1000;
	n->memory = meminfo("MemTotal");
	if (statvfs(config->state_dir, &vfs) < 0) {
		int r = err_set(err, errno, "--state-dir '%s': %m", config->state_dir);

		free(n);
		return r;
	}
	n->disk = (int64_t)vfs.f_blocks * (int64_t)vfs.f_frsize;
	if (node_cpu_milli(n) <= 0 || node_memory(n) <= 0) {
		free(n);
		return err_set(err, EINVAL, "--system-reserved leaves nothing for pods: give less");
	}
	n->runtime_why = strdup("not connected yet");
	n->network_why = strdup("waiting for Node.spec.podCIDRs from the controller manager");
	n->lease_timer.fn = on_lease_timer;
	n->lease_timer.arg = n;
	n->status_timer.fn = on_status_timer;
	n->status_timer.arg = n;
	n->register_timer.fn = on_register_timer;
	n->register_timer.arg = n;
	if (asprintf(&selector, "metadata.name=%s", config->name) < 0)
		selector = NULL;
	ic.field_selector = selector;
	if (selector)
		n->inf = informer_new(kube, &ic, &ops, n);
	if (!n->inf || informer_start(n->inf) < 0) {
		node_free(n);
		return err_set(err, ENOMEM, "out of memory");
	}
	register_node(n);
	(void)loop_timer_set(n->loop, &n->lease_timer, 0);
	*ret = n;
	return 0;
}

void node_free(struct node *n)
{
	if (!n)
		return;
	loop_timer_cancel(&n->lease_timer);
	loop_timer_cancel(&n->status_timer);
	loop_timer_cancel(&n->register_timer);
	informer_free(n->inf);
	json_decref(n->sent);
	json_decref(n->conditions);
	free(n->runtime_version);
	free(n->runtime_why);
	free(n->network_why);
	free(n);
}

static void set_why(struct node *n, char **slot, const char *why)
{
	if (streq(*slot, why))
		return;
	free(*slot);
	*slot = why ? strdup(why) : NULL;
	if (n->registered)
		status_look(n);
}

void node_set_runtime(struct node *n, const char *version, const char *why)
{
	if (version && !streq(version, n->runtime_version)) {
		free(n->runtime_version);
		n->runtime_version = strdup(version);
	}
	set_why(n, &n->runtime_why, why);
}

void node_set_network(struct node *n, const char *why)
{
	set_why(n, &n->network_why, why);
}
