/* SPDX-License-Identifier: Apache-2.0 */
/* See daemon.h. */
#include "daemon.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <unistd.h>

#include "../base/log.h"
#include "../base/str.h"
#include "../io/metrics.h"
#include "leader.h"

struct program {
	struct daemon daemon;
	const struct daemon_config *config;
	struct leader *leader;
	int exit_code;
};

bool daemon_option(struct daemon_config *config, int option, const char *value)
{
	switch (option) {
	case DAEMON_KUBECONFIG:
		config->kubeconfig = value;
		return true;
	case DAEMON_METRICS_LISTEN:
		config->metrics_listen = value;
		return true;
	case DAEMON_LEADER_ELECT:
		config->no_election = streq(value, "false");
		return true;
	default:
		return false;
	}
}

bool daemon_options_done(const struct daemon_config *config, int argc, char **argv)
{
	if (optind >= argc && config->kubeconfig)
		return true;
	log_error(config->kubeconfig ? "unexpected argument '%s'; see --help" : "--kubeconfig is missing; see --help",
		  argv[optind]);
	return false;
}

static const char *ready(void *arg)
{
	struct program *p = arg;

	return p->config->ready(&p->daemon);
}

static void http(struct http_req *req, void *arg)
{
	if (!metrics_handle(req, ready, arg))
		http_respond(req, 404, "text/plain", "not found\n", 10);
}

static void fail(struct program *p)
{
	p->exit_code = 1;
	loop_stop(p->daemon.loop);
}

static void elected(void *arg)
{
	struct program *p = arg;
	struct err err = ERR_INIT;

	if (p->config->lead(&p->daemon, &err) < 0) {
		log_error("%s", err.msg);
		fail(p);
	}
}

/* Another may act from now on: what is in flight here must not go on. */
static void lost(void *arg)
{
	fail(arg);
}

static void released(void *arg)
{
	loop_stop(((struct program *)arg)->daemon.loop);
}

static void terminated(struct loop_signal *s, int sig)
{
	struct program *p = s->arg;

	(void)sig;
	if (p->leader)
		leader_release(p->leader, released, p);
	else
		loop_stop(p->daemon.loop);
}

static int connect_to_server(struct program *p, struct err *err)
{
	struct daemon *d = &p->daemon;
	char agent[128];
	int r;

	snprintf(agent, sizeof(agent), "%s/%s", p->config->name, SKEP_VERSION);
	r = kubeconfig_load(p->config->kubeconfig, NULL, &d->kubeconfig, err);
	if (!r)
		r = kube_new(d->loop, &d->kubeconfig, agent, &d->kube, err);
	if (!r && p->config->prepare)
		r = p->config->prepare(d, err);
	return r;
}

static int stand_for_election(struct program *p, struct err *err)
{
	char identity[128], uuid[37], host[64];
	struct leader_config config = { .namespace_ = "kube-system",
					.name = p->config->name,
					.identity = identity,
					.on_elected = elected,
					.on_lost = lost,
					.arg = p };

	if (p->config->no_election) {
		elected(p);
		return 0;
	}
	gethostname(host, sizeof(host));
	snprintf(identity, sizeof(identity), "%s_%s", host, str_uuid(uuid));
	p->leader = leader_new(p->daemon.kube, &config);
	if (!p->leader || leader_start(p->leader) < 0)
		return err_set(err, ENOMEM, "out of memory");
	return 0;
}

int daemon_run(const struct daemon_config *config)
{
	static const int sigs[] = { SIGTERM, SIGINT };
	struct program p = { .config = config, .daemon.arg = config->arg };
	struct loop_signal sig = { .fn = terminated, .arg = &p };
	struct http_server_config hc = { .handler = http, .arg = &p };
	struct http_server *server = NULL;
	struct err err = ERR_INIT;
	int r;

	signal(SIGPIPE, SIG_IGN);
	p.daemon.loop = loop_new();
	if (!p.daemon.loop) {
		log_error("event loop: %m");
		return 1;
	}
	loop_signal_add(p.daemon.loop, &sig, sigs, 2);
	r = connect_to_server(&p, &err);
	if (!r && config->metrics_listen) {
		r = http_server_new(p.daemon.loop, &hc, &server, &err);
		if (!r)
			r = http_server_listen(server, config->metrics_listen, NULL, &err);
	}
	if (r >= 0)
		r = stand_for_election(&p, &err);
	if (r < 0) {
		log_error("%s", err.msg);
		p.exit_code = 1;
	} else if (loop_run(p.daemon.loop) < 0) {
		p.exit_code = 1;
	}
	leader_free(p.leader);
	if (config->done)
		config->done(&p.daemon);
	http_server_free(server);
	kube_free(p.daemon.kube);
	kubeconfig_done(&p.daemon.kubeconfig);
	loop_free(p.daemon.loop);
	return p.exit_code;
}
