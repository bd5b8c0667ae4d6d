/* SPDX-License-Identifier: Apache-2.0 */
/* A pod's sandbox: made with its control group, asked for its addresses, stopped, removed. */
#include "pod-internal.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "../cgroup.h"
#include "../../lib/base/clock.h"
#include "../../lib/base/file.h"
#include "../../lib/base/log.h"
#include "../../lib/base/str.h"

#define RETRY_FIRST_MS 1000
#define RETRY_MAX_MS   30000

static void sandbox_failed(struct pod *p, const char *what, const char *why)
{
	p->sandbox_busy = false;
	p->sandbox_backoff_ms = p->sandbox_backoff_ms ? p->sandbox_backoff_ms * 2 : RETRY_FIRST_MS;
	if (p->sandbox_backoff_ms > RETRY_MAX_MS)
		p->sandbox_backoff_ms = RETRY_MAX_MS;
	p->sandbox_retry_ms = now_ms() + p->sandbox_backoff_ms;
	if (!p->gone)
		pod_event(p, "Warning", what, "%s: %s",
			  streq(what, "FailedKillPod") ? "error killing pod" : "Failed to create pod sandbox", why);
	log_warn("pod %s/%s: %s: %s", p->ns, p->name, what, why);
	pod_touch(p);
	pod_kick(p);
}

static void sandbox_settled(struct pod *p)
{
	p->sandbox_busy = false;
	p->sandbox_retry_ms = 0;
	p->sandbox_backoff_ms = 0;
	pod_touch(p);
	pod_kick(p);
}

/* --- addresses ---------------------------------------------------------------------------------------------------- */

static void on_addresses(void *arg, const struct grpc_status *status, const ProtobufCMessage *msg)
{
	const Cri__SandboxStatusResponse *rsp = (const Cri__SandboxStatusResponse *)msg;
	struct pod *p = arg;

	if (!status->code && rsp->status && streq(rsp->status->id, p->sandbox_id)) {
		const Cri__SandboxNetwork *net = rsp->status->network;

		p->sandbox = rsp->status->state == CRI_SANDBOX_READY ? SANDBOX_READY : SANDBOX_DEAD;
		for (int i = 0; i < 2; i++)
			p->ips[i][0] = 0;
		if (p->obj && p->obj->spec.host_network) {
			for (int i = 0; i < 2; i++)
				snprintf(p->ips[i], sizeof(p->ips[i]), "%s",
					 p->m->config.node_ips[i] ? p->m->config.node_ips[i] : "");
		} else if (net) {
			snprintf(p->ips[0], sizeof(p->ips[0]), "%s", net->ip);
			if (net->n_additional_ips)
				snprintf(p->ips[1], sizeof(p->ips[1]), "%s", net->additional_ips[0]->ip);
		}
	} else if (status->code == GRPC_NOT_FOUND) {
		p->sandbox = SANDBOX_DEAD;
	} else if (status->code) {
		log_warn("pod %s/%s: sandbox status: %s", p->ns, p->name, status->message);
		pods_list_soon(p->m, 1000);
	}
	sandbox_settled(p);
	pod_drop(p);
}

void pod_sandbox_refresh(struct pod *p)
{
	Cri__SandboxStatusRequest rq = CRI__SANDBOX_STATUS_REQUEST__INIT;

	rq.pod_sandbox_id = p->sandbox_id;
	p->sandbox_busy = true;
	pod_hold(p);
	if (!cri_call(p->m->cri, CRI_SANDBOX_STATUS, &rq.base, 0, on_addresses, p)) {
		p->sandbox_busy = false;
		pod_drop(p);
		pods_list_soon(p->m, 1000);
	}
}

/* --- make --------------------------------------------------------------------------------------------------------- */

static void on_made(void *arg, const struct grpc_status *status, const ProtobufCMessage *msg)
{
	const Cri__SandboxId *rsp = (const Cri__SandboxId *)msg;
	struct pod *p = arg;

	p->sandbox_busy = false;
	if (status->code) {
		p->sandbox_attempt++; /* the runtime may keep the failed one's name */
		sandbox_failed(p, "FailedCreatePodSandBox", status->message);
		pod_drop(p);
		return;
	}
	if (p->sandbox_id) { /* the dead one is removed with the pod */
		char **more = realloc(p->leftovers, (p->n_leftovers + 1) * sizeof(*more));

		if (more) {
			p->leftovers = more;
			p->leftovers[p->n_leftovers++] = TAKE(p->sandbox_id);
		}
	}
	for (size_t i = 0; i < p->n_ctrs; i++) {
		p->ran |= p->ctrs[i]->id != NULL;
		ctr_retire(p->ctrs[i]);
	}
	set_str(&p->sandbox_id, rsp->pod_sandbox_id);
	p->sandbox_attempt++;
	p->sandbox = SANDBOX_READY;
	(void)strmap_set(p->m->by_id, p->sandbox_id, p, NULL);
	pod_touch(p);
	pod_sandbox_refresh(p);
	pod_drop(p);
}

int pod_make_cgroup(struct pod *p, struct err *err)
{
	const struct api_pod_spec *spec = &p->obj->spec;
	bool all_cpu, all_memory;
	int64_t cpu = pod_resource(spec, "cpu", true, &all_cpu),
		memory = pod_resource(spec, "memory", true, &all_memory);
	int r;

	r = cgroups_pod_make(p->m->config.cgroups, p->uid, pod_resource(spec, "cpu", false, NULL), all_cpu ? cpu : 0,
			     all_memory ? memory : 0, err);
	if (!r)
		p->cgroup_made = true;
	return r;
}

static void run_sandbox(struct pod *p)
{
	struct arena a = ARENA_INIT;
	struct err err = ERR_INIT;
	Cri__RunPodSandboxRequest rq = CRI__RUN_POD_SANDBOX_REQUEST__INIT;
	int r;

	pod_touch(p);
	r = pod_make_cgroup(p, &err);
	if (!r)
		r = dir_make(pod_log_dir(p, &a), 0755, &err);
	rq.config = r ? NULL : pod_sandbox_config(p, &a);
	if (!r && !rq.config)
		r = err_set(&err, ENOMEM, "out of memory");
	if (!r) {
		p->sandbox_busy = true;
		pod_hold(p);
		if (!cri_call(p->m->cri, CRI_RUN_SANDBOX, &rq.base, 0, on_made, p)) {
			pod_drop(p);
			r = err_set(&err, ENOMEM, "out of memory");
		}
	}
	arena_done(&a);
	if (r < 0)
		sandbox_failed(p, "FailedCreatePodSandBox", err.msg);
}

static void on_old_stopped(void *arg, const struct grpc_status *status, const ProtobufCMessage *msg)
{
	struct pod *p = arg;

	(void)msg;
	p->sandbox_busy = false;
	if (status->code && status->code != GRPC_NOT_FOUND)
		sandbox_failed(p, "FailedKillPod", status->message);
	else if (!p->gone && !pod_stopping(p))
		run_sandbox(p);
	else
		pod_kick(p);
	pod_drop(p);
}

/* A sandbox that died still has its network: that goes before a new one comes. */
void pod_make_sandbox(struct pod *p)
{
	Cri__SandboxId rq = CRI__SANDBOX_ID__INIT;

	if (!p->sandbox_id) {
		run_sandbox(p);
		return;
	}
	rq.pod_sandbox_id = p->sandbox_id;
	p->sandbox_busy = true;
	pod_touch(p);
	pod_hold(p);
	if (!cri_call(p->m->cri, CRI_STOP_SANDBOX, &rq.base, 0, on_old_stopped, p)) {
		pod_drop(p);
		sandbox_failed(p, "FailedKillPod", "out of memory");
	}
}

/* --- stop: containers have ended; their logs stay ----------------------------------------------------------------- */

static void on_stopped(void *arg, const struct grpc_status *status, const ProtobufCMessage *msg)
{
	struct pod *p = arg;

	(void)msg;
	if (status->code && status->code != GRPC_NOT_FOUND) {
		sandbox_failed(p, "FailedKillPod", status->message);
	} else {
		p->sandbox = SANDBOX_DEAD;
		sandbox_settled(p);
	}
	pod_drop(p);
}

void pod_stop_sandbox(struct pod *p)
{
	Cri__SandboxId rq = CRI__SANDBOX_ID__INIT;

	rq.pod_sandbox_id = p->sandbox_id;
	p->sandbox_busy = true;
	pod_touch(p);
	pod_hold(p);
	if (!cri_call(p->m->cri, CRI_STOP_SANDBOX, &rq.base, 0, on_stopped, p)) {
		pod_drop(p);
		sandbox_failed(p, "FailedKillPod", "out of memory");
	}
}

/* --- remove: the present sandbox and all older ones, one after the other; containers and their snapshots go with them
 * --- */

static void remove_next(struct pod *p);

static char **first_sandbox(struct pod *p)
{
	if (p->sandbox_id)
		return &p->sandbox_id;
	return p->n_leftovers ? &p->leftovers[p->n_leftovers - 1] : NULL;
}

static void on_removed(void *arg, const struct grpc_status *status, const ProtobufCMessage *msg)
{
	struct pod *p = arg;
	char **id = first_sandbox(p);

	(void)msg;
	if (status->code && status->code != GRPC_NOT_FOUND) {
		sandbox_failed(p, "FailedKillPod", status->message);
	} else if (id) {
		strmap_del(p->m->by_id, *id);
		free(TAKE(*id));
		if (id != &p->sandbox_id)
			p->n_leftovers--;
		else
			p->sandbox = SANDBOX_NONE;
		if (first_sandbox(p))
			remove_next(p);
		else
			sandbox_settled(p);
	}
	pod_drop(p);
}

static void on_stopped_for_removal(void *arg, const struct grpc_status *status, const ProtobufCMessage *msg)
{
	Cri__SandboxId rq = CRI__SANDBOX_ID__INIT;
	struct pod *p = arg;
	char **id = first_sandbox(p);

	(void)msg;
	if ((status->code && status->code != GRPC_NOT_FOUND) || !id) {
		sandbox_failed(p, "FailedKillPod", status->message);
		pod_drop(p);
		return;
	}
	rq.pod_sandbox_id = *id;
	if (!cri_call(p->m->cri, CRI_REMOVE_SANDBOX, &rq.base, 0, on_removed, p)) {
		sandbox_failed(p, "FailedKillPod", "out of memory");
		pod_drop(p);
	}
}

static void remove_next(struct pod *p)
{
	Cri__SandboxId rq = CRI__SANDBOX_ID__INIT;

	rq.pod_sandbox_id = *first_sandbox(p);
	pod_touch(p);
	pod_hold(p);
	if (!cri_call(p->m->cri, CRI_STOP_SANDBOX, &rq.base, 0, on_stopped_for_removal, p)) {
		pod_drop(p);
		sandbox_failed(p, "FailedKillPod", "out of memory");
	}
}

void pod_remove_runtime(struct pod *p)
{
	if (!first_sandbox(p)) {
		p->sandbox = SANDBOX_NONE;
		pod_kick(p);
		return;
	}
	p->sandbox_busy = true;
	remove_next(p);
}
