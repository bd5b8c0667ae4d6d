/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What to do next for a pod: a function of what it should be and what the runtime has, without side effects. The
 * worker fills a view, asks, does the actions (each marks its container or the sandbox busy until its answer is in),
 * and asks again.
 */
#ifndef SKEP_AGENT_POD_PLAN_H
#define SKEP_AGENT_POD_PLAN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define BACKOFF_FIRST_MS 10000
#define BACKOFF_MAX_MS	 300000
#define BACKOFF_RESET_MS 600000 /* a container that ran so long is forgiven */

enum ctr_state { CTR_NONE, CTR_CREATED, CTR_RUNNING, CTR_EXITED };
enum restart_policy { RESTART_ALWAYS, RESTART_ON_FAILURE, RESTART_NEVER };
enum sandbox_state { SANDBOX_NONE, SANDBOX_READY, SANDBOX_DEAD };

/* All times are Unix milliseconds: they are compared with the runtime's. */
struct ctr_view {
	bool init;
	bool ephemeral;	      /* never restarted, and the pod's life does not depend on it */
	bool spent;	      /* ephemeral: it has been started, whatever the runtime remembers */
	enum ctr_state state; /* of the newest attempt, in the present sandbox */
	bool busy;	      /* an operation is under way */
	bool replace;	      /* running, but a probe failed or its definition changed */
	int exit_code;
	int64_t finished_ms;
	int64_t backoff_ms, backoff_set_ms; /* delay of the next restart, and when it was decided */
	int64_t retry_ms;		    /* a start that failed before the container existed: not before this */
};
struct pod_view {
	enum restart_policy restart;
	enum sandbox_state sandbox;
	bool sandbox_busy;
	int64_t sandbox_retry_ms; /* making or removing it failed: not before this */
	bool leftovers;		  /* older sandboxes or containers exist */
	bool blocked;		  /* volumes or objects are not there yet: nothing new is started */
	bool stop;		  /* deleted, past its deadline, refused, or unknown to the API */
	bool remove;		  /* stopped, leave nothing behind */
	bool ran;		  /* containers ran in a sandbox before this one */
	size_t n;
	const struct ctr_view *ctrs; /* init containers first, in order */
};

enum pod_act {
	POD_MAKE_SANDBOX,
	POD_START,	  /* container .ctr: pull, create and start it, or start what is created */
	POD_KILL,	  /* container .ctr */
	POD_STOP_SANDBOX, /* keeps dead containers, for their logs */
	POD_REMOVE,	  /* everything the runtime has of it */
	POD_DONE,	  /* nothing is left: volumes, cgroup and the API object may go */
};
struct pod_action {
	enum pod_act act;
	size_t ctr;
};
enum pod_outcome { POD_GOES_ON, POD_SUCCEEDED, POD_FAILED };
struct pod_plan {
	size_t n;
	struct pod_action *v; /* the caller's, with room for view->n + 1 */
	int64_t wake_ms;      /* ask again then; 0: at the next change only */
	enum pod_outcome outcome;
};
void pod_plan(const struct pod_view *view, int64_t now_ms, struct pod_plan *plan);

/* When a container that exited may start again; 0: never. */
int64_t ctr_restart_due(const struct ctr_view *c, enum restart_policy restart);
/* The delay after the one that is now used up. */
int64_t ctr_backoff_next(const struct ctr_view *c);

#endif
