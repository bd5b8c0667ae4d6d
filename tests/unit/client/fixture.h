/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An API server in the test's own loop: objects of one collection, lists in chunks, watches that the test feeds, and
 * faults on demand. It knows paths and resourceVersions, not kinds: what it gets it keeps.
 */
#ifndef SKEP_TEST_CLIENT_FIXTURE_H
#define SKEP_TEST_CLIENT_FIXTURE_H

#include "client/kube.h"
#include "io/http_server.h"

enum { FIX_LOG = 256 };

struct fix {
	struct loop *loop;
	struct http_server *server;
	struct kube *kube;
	int port;
	json_t *objects; /* path -> object */
	int64_t rv;
	int chunk;		      /* items per list answer; 0: what the client asks for */
	int fail_lists, fail_watches; /* so many get 500 */
	int fail_writes;
	int gone_watches; /* so many get 410 */
	int gone_continues;
	int n_lists, n_watches, n_gets, n_posts, n_puts, n_patches;
	json_t *last_body;   /* of a write */
	char last_type[100]; /* its Content-Type */
	char last_target[2048];
	char last_authorization[100]; /* "" without one */
	char watch_target[2048];
	struct http_req *watch; /* the newest open one */
};

void fix_start(struct fix *f);
void fix_stop(struct fix *f);
/* Runs the loop until cond; fails the test after 20 s. */
#define fix_wait(f, cond)                                                                                              \
	do {                                                                                                           \
		int64_t until_ = fix_now_ms() + 60000;                                                                 \
                                                                                                                       \
		while (!(cond)) {                                                                                      \
			cr_assert(fix_now_ms() < until_, "waited for: %s", #cond);                                     \
			cr_assert(loop_run_once((f)->loop, 50) >= 0);                                                  \
		}                                                                                                      \
	} while (0)
int64_t fix_now_ms(void); /* the real one, whatever the fake clock says */
/* Puts a pod with this label in the store, as the server would; no event. Its resourceVersion. */
int64_t fix_put(struct fix *f, const char *ns, const char *name, const char *label);
void fix_del(struct fix *f, const char *ns, const char *name);
const json_t *fix_get(struct fix *f, const char *ns, const char *name);
/* An event of the object in the store (ADDED, MODIFIED, DELETED) to the open watch. */
void fix_event(struct fix *f, const char *type, const char *ns, const char *name);
void fix_say(struct fix *f, const char *text); /* raw bytes to the open watch */

#endif
