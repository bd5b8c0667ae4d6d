/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Logs on the node are bounded as kubelet bounds them: at LOG_MAX a container's log is renamed and the runtime is
 * told to begin a new one under the old name; of the renamed ones LOG_FILES_MAX - 1 are kept. Looked at after each
 * listing of the runtime.
 */
#include "pod-internal.h"

#include <dirent.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#include "../../lib/base/log.h"
#include "../../lib/base/str.h"

#define LOG_MAX	      (10 << 20)
#define LOG_FILES_MAX 5

struct reopen {
	struct pod *p;
	char *path, *renamed;
};

static void reopen_free(struct reopen *r)
{
	free(r->path);
	free(r->renamed);
	free(r);
}

static void on_reopened(void *arg, const struct grpc_status *status, const ProtobufCMessage *msg)
{
	struct reopen *r = arg;
	struct pod *p = r->p;

	(void)msg;
	if (status->code) {
		log_warn("pod %s/%s: log rotation: %s", p->ns, p->name, status->message);
		if (access(r->path, F_OK) < 0)
			(void)rename(r->renamed, r->path); /* the runtime goes on writing to it */
	}
	reopen_free(r);
	pod_drop(p);
}

/* Renamed logs of this attempt carry a time in their names: the smallest is the oldest. */
static void drop_oldest(const char *dir, const char *base, size_t keep)
{
	char oldest[256], path[4096];
	size_t len = strlen(base), n;
	struct dirent *e;
	DIR *d;

	do {
		d = opendir(dir);
		n = 0;
		while (d && (e = readdir(d))) {
			if (strncmp(e->d_name, base, len) || e->d_name[len] != '.')
				continue;
			if (!n++ || strcmp(e->d_name, oldest) < 0)
				snprintf(oldest, sizeof(oldest), "%s", e->d_name);
		}
		if (d)
			closedir(d);
		snprintf(path, sizeof(path), "%s/%s", dir, oldest);
	} while (n > keep && !unlink(path));
}

static void rotate(struct pod_ctr *c, const char *dir, const char *base, const char *path)
{
	Cri__ContainerId rq = CRI__CONTAINER_ID__INIT;
	struct reopen *r = calloc(1, sizeof(*r));
	time_t now = time(NULL);
	char stamp[32];
	struct tm tm;

	strftime(stamp, sizeof(stamp), "%Y%m%d-%H%M%S", gmtime_r(&now, &tm));
	if (!r)
		return;
	r->p = c->pod;
	r->path = strdup(path);
	if (!r->path || asprintf(&r->renamed, "%s.%s", path, stamp) < 0 || rename(path, r->renamed) < 0) {
		reopen_free(r);
		return;
	}
	drop_oldest(dir, base, LOG_FILES_MAX - 1);
	rq.container_id = c->id;
	pod_hold(c->pod);
	if (!cri_call(c->pod->m->cri, CRI_REOPEN_LOG, &rq.base, 0, on_reopened, r)) {
		(void)rename(r->renamed, path);
		pod_drop(c->pod);
		reopen_free(r);
	}
}

void ctr_remove_logs(const struct pod_ctr *c, unsigned attempt)
{
	struct arena a = ARENA_INIT;
	char *dir = arena_printf(&a, "%s/%s", pod_log_dir(c->pod, &a), c->spec->name);
	char *base = arena_printf(&a, "%u.log", attempt), *path = arena_printf(&a, "%s/%s", dir, base);

	if (dir && base && path) {
		(void)unlink(path);
		drop_oldest(dir, base, 0);
	}
	arena_done(&a);
}

void pod_rotate_logs(struct pod *p)
{
	struct arena a = ARENA_INIT;

	for (size_t i = 0; i < p->n_ctrs; i++) {
		struct pod_ctr *c = p->ctrs[i];
		char *dir, *base, *path;
		struct stat st;

		if (c->state != CTR_RUNNING || !c->id)
			continue;
		dir = arena_printf(&a, "%s/%s", pod_log_dir(p, &a), c->spec->name);
		base = arena_printf(&a, "%u.log", c->attempt);
		path = arena_printf(&a, "%s/%s", dir, base);
		if (path && !stat(path, &st) && st.st_size > LOG_MAX)
			rotate(c, dir, base, path);
	}
	arena_done(&a);
}
