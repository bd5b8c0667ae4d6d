/* SPDX-License-Identifier: Apache-2.0 */
/* skep-scheduler: options, and the queue around the pure core of sched.h while it leads. */
#include <stdio.h>

#include "base/log.h"
#include "client/daemon.h"
#include "queue.h"

struct program {
	const char *name;
	struct scheduler *sched;
};

static void usage(FILE *out)
{
	fputs("Usage: skep-scheduler --kubeconfig=FILE [OPTIONS]\n\n"
	      "Binds pods to nodes.\n\n"
	      "  --kubeconfig=FILE         how to reach the API server\n"
	      "  --metrics-listen=ADDRESS  serve /metrics, /livez, /readyz on IP:PORT (default: nowhere)\n"
	      "  --leader-elect=BOOL       stand by while another scheduler leads (default true)\n"
	      "  --scheduler-name=NAME     pods that name this scheduler (default default-scheduler)\n",
	      out);
}

static int prepare(struct daemon *d, struct err *err)
{
	struct program *p = d->arg;

	return scheduler_new(d->loop, d->kube, p->name, &p->sched, err);
}

static int lead(struct daemon *d, struct err *err)
{
	struct program *p = d->arg;

	(void)err;
	scheduler_lead(p->sched);
	return 0;
}

static const char *ready(const struct daemon *d)
{
	return scheduler_ready(((struct program *)d->arg)->sched);
}

static void end(struct daemon *d)
{
	scheduler_free(((struct program *)d->arg)->sched);
}

int main(int argc, char **argv)
{
	static const struct option options[] = {
		DAEMON_OPTIONS,
		{ "scheduler-name", required_argument, NULL, 'n' },
		{ "help", no_argument, NULL, 'h' },
		{ NULL, 0, NULL, 0 },
	};
	struct program p = { .name = "default-scheduler" };
	struct daemon_config config = {
		.name = "skep-scheduler", .prepare = prepare, .lead = lead, .ready = ready, .done = end, .arg = &p
	};
	int c;

	log_init("skep-scheduler");
	while ((c = getopt_long(argc, argv, "h", options, NULL)) != -1) {
		if (daemon_option(&config, c, optarg))
			continue;
		switch (c) {
		case 'n':
			p.name = optarg;
			break;
		case 'h':
			usage(stdout);
			return 0;
		default:
			usage(stderr);
			return 2;
		}
	}
	return daemon_options_done(&config, argc, argv) ? daemon_run(&config) : 2;
}
