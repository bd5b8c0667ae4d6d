/* SPDX-License-Identifier: Apache-2.0 */
/* skep-scheduler: options, leader election, and the queue around the pure core of sched.h. */
#include <errno.h>
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"
#include "base/str.h"
#include "client/leader.h"
#include "io/metrics.h"
#include "queue.h"

struct program {
	struct loop *loop;
	struct kube *kube;
	struct scheduler *sched;
	struct leader *leader;
	bool elect;
	int exit_code;
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

static void http(struct http_req *req, void *arg)
{
	struct program *p = arg;

	if (!metrics_handle(req, scheduler_ready, p->sched))
		http_respond(req, 404, "text/plain", "not found\n", 10);
}

static void elected(void *arg)
{
	struct program *p = arg;

	scheduler_lead(p->sched);
}

static void lost(void *arg)
{
	struct program *p = arg;

	/* Another may bind pods from now on: what is in flight here must not go on. */
	p->exit_code = 1;
	loop_stop(p->loop);
}

static void released(void *arg)
{
	loop_stop(((struct program *)arg)->loop);
}

static void terminated(struct loop_signal *s, int sig)
{
	struct program *p = s->arg;

	(void)sig;
	if (p->leader)
		leader_release(p->leader, released, p);
	else
		loop_stop(p->loop);
}

int main(int argc, char **argv)
{
	static const struct option options[] = {
		{ "kubeconfig", required_argument, NULL, 'k' },
		{ "metrics-listen", required_argument, NULL, 'm' },
		{ "leader-elect", required_argument, NULL, 'l' },
		{ "scheduler-name", required_argument, NULL, 'n' },
		{ "help", no_argument, NULL, 'h' },
		{ NULL, 0, NULL, 0 },
	};
	static const int sigs[] = { SIGTERM, SIGINT };
	const char *kubeconfig = NULL, *listen = NULL, *name = "default-scheduler";
	struct program p = { .elect = true };
	struct loop_signal sig = { .fn = terminated, .arg = &p };
	struct http_server_config hc = { .handler = http, .arg = &p };
	struct http_server *server = NULL;
	struct kubeconfig kc = { 0 };
	struct err err = ERR_INIT;
	char identity[128], uuid[37], host[64];
	int c;

	log_init("skep-scheduler");
	signal(SIGPIPE, SIG_IGN);
	while ((c = getopt_long(argc, argv, "h", options, NULL)) != -1) {
		switch (c) {
		case 'k':
			kubeconfig = optarg;
			break;
		case 'm':
			listen = optarg;
			break;
		case 'l':
			p.elect = !streq(optarg, "false");
			break;
		case 'n':
			name = optarg;
			break;
		case 'h':
			usage(stdout);
			return 0;
		default:
			usage(stderr);
			return 2;
		}
	}
	if (optind < argc || !kubeconfig) {
		log_error(kubeconfig ? "unexpected argument '%s'; see --help" : "--kubeconfig is missing; see --help",
			  argv[optind]);
		return 2;
	}
	p.loop = loop_new();
	if (!p.loop) {
		log_error("event loop: %m");
		return 1;
	}
	loop_signal_add(p.loop, &sig, sigs, 2);
	if (kubeconfig_load(kubeconfig, NULL, &kc, &err) < 0 ||
	    kube_new(p.loop, &kc, "skep-scheduler/" SKEP_VERSION, &p.kube, &err) < 0 ||
	    scheduler_new(p.loop, p.kube, name, &p.sched, &err) < 0 ||
	    (listen &&
	     (http_server_new(p.loop, &hc, &server, &err) < 0 || http_server_listen(server, listen, NULL, &err) < 0))) {
		log_error("%s", err.msg);
		kubeconfig_done(&kc);
		return 1;
	}
	if (p.elect) {
		gethostname(host, sizeof(host));
		snprintf(identity, sizeof(identity), "%s_%s", host, str_uuid(uuid));
		struct leader_config lc = { .namespace_ = "kube-system",
					    .name = "skep-scheduler",
					    .identity = identity,
					    .on_elected = elected,
					    .on_lost = lost,
					    .arg = &p };
		p.leader = leader_new(p.kube, &lc);
		if (!p.leader || leader_start(p.leader) < 0)
			log_error("out of memory");
	} else {
		scheduler_lead(p.sched);
	}
	if (loop_run(p.loop) < 0)
		p.exit_code = 1;
	leader_free(p.leader);
	scheduler_free(p.sched);
	http_server_free(server);
	kube_free(p.kube);
	kubeconfig_done(&kc);
	loop_free(p.loop);
	return p.exit_code;
}
