/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the files of agent/pod share. A struct pod is one worker; everything runs on the loop's thread. Calls under
 * way hold a reference (pod_hold), so that answers find their pod; a pod that is gone drops them.
 */
#ifndef SKEP_AGENT_POD_INTERNAL_H
#define SKEP_AGENT_POD_INTERNAL_H

#include "api/api_types.h"
#include "../../lib/base/cleanup.h"
#include "../../lib/base/strmap.h"
#include "pod_plan.h"
#include "pods.h"

#define LABEL_POD_NAME	    "io.kubernetes.pod.name"
#define LABEL_POD_NAMESPACE "io.kubernetes.pod.namespace"
#define LABEL_POD_UID	    "io.kubernetes.pod.uid"
#define LABEL_CONTAINER	    "io.kubernetes.container.name"
#define ANNOTATION_IMAGE    "skep.io/image" /* as the spec has it: tells a changed definition */
#define ORPHAN_GRACE_S	    1		    /* kubelet's for pods that were deleted by force */

enum probe_kind { PROBE_STARTUP, PROBE_LIVENESS, PROBE_READINESS, PROBE_KINDS };

/* One attempt that is over. */
struct ctr_past {
	char *id, *image, *image_ref, *reason, *message;
	unsigned attempt;
	int exit_code;
	int64_t started_ms, finished_ms;
};

enum ctr_op { OP_NONE, OP_IMAGE, OP_CREATE, OP_START, OP_KILL, OP_STATUS };

struct pod_ctr {
	struct pod *pod;
	const struct api_container *spec; /* of the pod's present item */
	struct api_container *own_spec;	  /* what spec points to for an ephemeral container */
	const char *target;		  /* ephemeral: container whose processes it sees; NULL or "": its own only */
	size_t index;			  /* init containers first, ephemeral ones last */
	char *id;			  /* newest attempt; NULL: none */
	unsigned attempt, next_attempt;
	enum ctr_state state;
	struct ctr_past now;  /* of the newest attempt; .id is not used */
	struct ctr_past last; /* the attempt before */
	enum ctr_op op;
	bool replace;
	bool resize_due, resizing; /* the runtime is to be told of new resources; it is being told */
	int64_t resize_retry_ms;
	char *resize_error;		  /* why the last try failed; NULL: it did not */
	json_t *applied;		  /* resources that the runtime was told last; NULL: none, or not known */
	json_t *telling;		  /* that it is being told */
	int64_t kill_grace_s;		  /* of the kill under way */
	const char *kill_why;		  /* event text for replace; NULL: "Stopping" */
	char *wait_reason, *wait_message; /* why it is not started */
	int64_t retry_ms, retry_backoff_ms, flip_ms;
	int64_t backoff_ms, backoff_set_ms;
	int64_t pull_start_ms;
	unsigned kills;	       /* StopContainer calls under way */
	unsigned backoff_said; /* attempt + 1 whose back-off was announced */
	int64_t image_uid;     /* user the image names; -1: by name, or unknown */
	bool seeded;	       /* next_attempt has been taken from the API's status */
	unsigned settle_tries; /* asks after an event the runtime's answers do not show yet */
	struct loop_timer settle;
	struct probe *probes[PROBE_KINDS];
	bool started, ready;
	char *term_path; /* host file of the termination message */
};

struct pod {
	struct pods *m;
	char *uid, *ns, *name;
	struct informer_item *item; /* NULL: never seen in the API, only in the runtime */
	const struct api_pod *obj;
	unsigned holds;
	bool kicked, gone;
	bool unknown;	    /* the API has forgotten it */
	bool volumes_dirty; /* a config map or secret changed */
	int64_t touched_ms; /* monotonic: an operation on the runtime began or ended */
	bool admitted;
	bool terminal; /* phase Succeeded or Failed has been decided */
	bool deleting;
	int64_t grace_s;
	enum pod_outcome outcome;
	char *fail_reason, *fail_message; /* rejected, deadline */
	int64_t start_ms;		  /* status.startTime */
	/* sandbox */
	char *sandbox_id;
	unsigned sandbox_attempt;
	enum sandbox_state sandbox;
	bool sandbox_busy, ran, sandbox_seen;
	int64_t sandbox_retry_ms, sandbox_backoff_ms;
	char ips[2][46];
	size_t n_leftovers;
	char **leftovers; /* older sandboxes' ids */
	/* containers: [0, n_init) init, [n_init, n_fixed) main, [n_fixed, n_ctrs) ephemeral, which are added to */
	size_t n_init, n_fixed, n_ctrs;
	struct pod_ctr **ctrs;
	/* what containers need */
	bool volumes_ready;
	bool services_ready, services_asked;
	struct api_map service_env; /* in arena */
	struct arena arena;
	bool cgroup_made;
	bool cleaning, cleaned;
	bool deleting_object;
	int64_t delete_retry_ms, cleanup_retry_ms;
	int64_t volume_warned_ms;
	struct pod_token *tokens;
	struct loop_timer timer;
	/* status */
	json_t *sent;	  /* status the API has from us */
	int64_t sent_rev; /* revision that the API gave it */
	bool patching;
	int64_t patch_retry_ms;
	bool latency_seen; /* its start has been measured, or was not seen from the beginning */
};

struct pods {
	struct loop *loop;
	struct kube *kube;
	struct cri *cri;
	struct kube_recorder *rec;
	struct pods_config config;
	struct informer *inf;
	struct strmap *by_uid, *by_id; /* struct pod *; by_id also by container and sandbox ids */
	struct images *images;
	struct objects *objects;
	bool runtime_up, listed, network_ready;
	struct listing *listing;
	struct loop_timer resync;
};

/* pods.c */
void pod_hold(struct pod *p);
void pod_drop(struct pod *p);
void pod_kick(struct pod *p); /* look at it again, soon */
int64_t now_ms(void);
void pods_forget(struct pod *p); /* the worker is done */
void set_str(char **slot, const char *value);
void pods_list_soon(struct pods *m, int64_t delay_ms);

/* pod_worker.c */
struct pod *pod_new(struct pods *m, const char *uid, const char *ns, const char *name);
void pod_free(struct pod *p);
void pod_set_item(struct pod *p, struct informer_item *item);
void pod_sync(struct pod *p);
void pod_event(struct pod *p, const char *type, const char *reason, const char *fmt, ...)
	__attribute__((format(printf, 4, 5)));
enum restart_policy pod_restart_policy(const struct pod *p);
void pod_fill_view(const struct pod *p, struct pod_view *view, struct ctr_view *ctrs);

/* pod_sandbox.c */
void pod_make_sandbox(struct pod *p);
void pod_stop_sandbox(struct pod *p);
void pod_remove_runtime(struct pod *p);
void pod_sandbox_refresh(struct pod *p); /* its addresses */

int pod_make_cgroup(struct pod *p, struct err *err); /* what is there gets the present limits */

/* pod_resize.c: a container's resources change while it runs. */
enum ctr_resize { RESIZE_NONE, RESIZE_IN_PLACE, RESIZE_RESTART };
enum ctr_resize ctr_resize(const struct api_container *was, const struct api_container *now);
void ctr_resized(struct pod_ctr *c, const struct api_container *was); /* c->spec is the new one */
void pod_resize_sync(struct pod *p);				      /* tells the runtime what is due */
json_t *ctr_resources_json(const struct api_container *spec);	      /* a new reference; NULL: it has none */

/* pod_container.c */
void ctr_start(struct pod_ctr *c);
void ctr_kill(struct pod_ctr *c, int64_t grace_s, const char *why);
void ctr_refresh(struct pod_ctr *c);		   /* ask the runtime for its state */
void ctr_changed(struct pod_ctr *c, bool settled); /* an event came */
void ctr_adopt(struct pod_ctr *c, const Cri__Container *rc);
void ctr_adopt_last(struct pod_ctr *c, const Cri__Container *rc);
void ctr_retire(struct pod_ctr *c); /* the newest attempt becomes the last one */
void ctr_past_done(struct ctr_past *past);
void ctr_wait(struct pod_ctr *c, const char *reason, const char *fmt, ...) __attribute__((format(printf, 3, 4)));
void ctr_done(struct pod_ctr *c);
bool pod_stopping(const struct pod *p);
void pod_touch(struct pod *p);

/*
 * pod_config.c: what the runtime is told. Everything lives in the arena. -ECANCELED: ctr_wait() has been called and
 * says why.
 */
Cri__SandboxConfig *pod_sandbox_config(struct pod *p, struct arena *a);
int ctr_config(struct pod_ctr *c, struct arena *a, Cri__ContainerConfig **ret, struct err *err);
char *pod_log_dir(const struct pod *p, struct arena *a);
const char *pod_qos(const struct api_pod_spec *spec);
/* Request, or the limit where there is no request; limits: the limit alone. cpu in thousandths. 0: none. */
int64_t ctr_resource(const struct api_container *c, const char *name, bool limits);
Cri__LinuxResources *ctr_resources(const struct pod_ctr *c, struct arena *a);
int64_t pod_resource(const struct api_pod_spec *spec, const char *name, bool limits, bool *ret_all);

/* pod_env.c */
struct env_source { /* how objects are looked up; tests have their own */
	/* data: base64 for secrets. 0, -ENOENT, -EAGAIN: not known yet */
	int (*get)(void *arg, bool secret, const char *name, const struct api_map **ret_data);
	void *arg;
	const struct api_map *services;
	const char *node_name, *pod_ip, *pod_ips, *host_ip, *host_ips;
};
/* List of {key,value} in order. -EAGAIN: an object is not known yet; -ENOENT: err says what is missing. */
int env_build(const struct api_pod *pod, const struct api_container *c, const struct env_source *src, struct arena *a,
	      size_t *ret_n, struct api_kv **ret, struct err *err);
char *env_expand(struct arena *a, const char *text, const struct api_kv *vars, size_t n);
/* FOO_SERVICE_HOST and so on of one service, added to out. */
void env_add_service(struct arena *a, const char *name, const struct api_service_spec *spec, size_t *n, size_t *cap,
		     struct api_kv **out);
void pod_fetch_services(struct pod *p);

/* pod_volume.c */
/* Makes what is missing and brings config maps and secrets up to date. -EAGAIN: an object is not known yet. */
int pod_volumes_sync(struct pod *p, struct err *err);
char *pod_dir(const struct pod *p, struct arena *a);
char *volume_dir(const struct pod *p, const struct api_volume *v, struct arena *a);
int volumes_remove(const char *pod_dir, struct err *err); /* blocking: unmounts and removes */
struct payload_file {
	const char *path;
	const void *data;
	size_t len;
	mode_t mode;
};
/* Makes dir show exactly these files, all at once (..data symlink). */
int payload_write(const char *dir, const struct payload_file *files, size_t n, struct err *err);
struct payload_list {
	struct payload_file *files; /* in an arena */
	size_t n;
};
int payload_add(struct arena *a, struct payload_list *l, const struct payload_file *file, struct err *err);
/* What of a config map or secret becomes files; data and binary are found by payload_add_object(). */
struct payload_source {
	bool secret;
	const char *name;
	const struct api_map *data, *binary; /* binary: base64; a secret's data, too */
	size_t n_items;
	const struct api_key_to_path *items;
	struct api_opt_int mode;
	bool optional;
};
/* -EAGAIN: the object is not known yet. */
int payload_add_object(struct pod *p, struct arena *a, struct payload_source *s, struct payload_list *l,
		       struct err *err);
int payload_mount(const char *dir, bool memory, const struct payload_list *l, struct err *err); /* memory: no disk */
int pod_write_hosts(struct pod *p, struct err *err);

/* projected.c: several sources in one directory. -EAGAIN: one is not known yet; the pod is kicked when it is. */
int projected_sync(struct pod *p, const struct api_projected_volume_source *v, const char *dir, struct arena *a,
		   struct err *err);

/* token.c: a service account's tokens for one pod, by audience and lifetime, renewed before they end. */
/* Borrowed until the loop turns. -EAGAIN: asked for, the pod is kicked when it is here. */
int pod_token(struct pod *p, const struct api_service_account_token_projection *want, const char **ret,
	      struct err *err);
int64_t pod_tokens_due(const struct pod *p); /* when one wants renewal, as now_ms(); 0: never */
void pod_tokens_free(struct pod *p);
/* When a token is to be renewed that lives for so long, in ms from now: at four fifths, or a day, a little less. */
int64_t token_renew_after(int64_t life_ms, unsigned spread);

/* pod_ephemeral.c */
static inline bool ctr_is_ephemeral(const struct pod_ctr *c)
{
	return c->index >= c->pod->n_fixed;
}
/* What an ephemeral container has of a container; borrows from e. */
void ephemeral_spec(const struct api_ephemeral_container *e, struct api_container *ret);
/* Ephemeral containers of p->obj that are new get a place; those there are pointed to the present object. */
int pod_take_ephemeral(struct pod *p);
/* The running container whose process namespace c shares; NULL: there is none, and ctr_wait() has said so. */
const char *ephemeral_target_id(struct pod_ctr *c);

/* pod_status.c */
json_t *pod_status(const struct pod *p, int64_t now);
void pod_status_sync(struct pod *p);
/*
 * The API's newer state of the pod: when somebody overruled a condition of ours (the node lifecycle controller, of a
 * node that it could not hear), the next sync writes it again.
 */
void pod_status_seen(struct pod *p, const struct api_pod *obj);

/* logrotate.c: rotates what has grown too large and drops what is too old. */
void pod_rotate_logs(struct pod *p);
void ctr_remove_logs(const struct pod_ctr *c, unsigned attempt);

/* probe.c */
void probes_start(struct pod_ctr *c);
void probes_stop(struct pod_ctr *c);

/* image.c: pulls of one image are one. */
struct images *images_new(struct loop *loop, struct cri *cri);
void images_free(struct images *im);
enum image_result {
	IMAGE_PRESENT,
	IMAGE_PULLED,
	IMAGE_INVALID_NAME,
	IMAGE_NEVER,
	IMAGE_FAILED,
	IMAGE_PULLING /* not the end */
};
/* uid: the user the image names; -1: by name. */
typedef void image_fn(void *arg, enum image_result result, const char *text, uint64_t size, int64_t uid);
int image_ensure(struct images *im, const char *image, const char *policy, image_fn *fn, void *arg);
bool image_name_valid(const char *image);
void image_policy_default(const char *image, const char **policy);

/* objects.c: config maps and secrets in use, each watched by name. */
struct objects *objects_new(struct kube *kube, void (*on_change)(void *arg, const char *ns), void *arg);
void objects_free(struct objects *o);
/* 0, -ENOENT: there is none; -EAGAIN: not known yet, on_change comes. Starts watching. */
int objects_get(struct objects *o, bool secret, const char *ns, const char *name, const struct api_object **ret);
void objects_use_begin(struct objects *o);
void objects_use(struct objects *o, bool secret, const char *ns, const char *name);
void objects_use_end(struct objects *o); /* those not named since begin are let go */

#endif
