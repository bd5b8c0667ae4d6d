/* SPDX-License-Identifier: Apache-2.0 */
/* skep-controller-manager: options, leader election, and the controllers of manager.h. */
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
#include "manager.h"

struct program {
	struct loop *loop;
	struct kube *kube;
	struct manager *manager;
	struct manager_config config;
	struct leader *leader;
	bool elect;
	int exit_code;
};

static void usage(FILE *out)
{
	fputs("Usage: skep-controller-manager --kubeconfig=FILE [OPTIONS]\n\n"
	      "Makes the cluster what its objects say.\n\n"
	      "  --kubeconfig=FILE         how to reach the API server\n"
	      "  --metrics-listen=ADDRESS  serve /metrics, /livez, /readyz on IP:PORT (default: nowhere)\n"
	      "  --leader-elect=BOOL       stand by while another controller manager leads (default true)\n"
	      "  --cluster-cidrs=LIST      ranges for pods (default 10.0.0.0/8,fd00:10::/48)\n"
	      "  --service-cidrs=LIST      ranges for services, kept free of pods (default 10.96.0.0/12,fd00:10:96::/112)\n"
	      "  --node-cidr-mask-size=N   prefix length of a node's IPv4 range (default 24)\n"
	      "  --node-cidr-mask-size-ipv6=N  of its IPv6 range (default 64)\n"
	      "  --node-monitor-grace=TIME a node silent for so long is unreachable (default 40s)\n"
	      "  --pod-eviction=TIME       its pods are deleted after this, unless they say otherwise (default 5m)\n"
	      "  --cluster-signing-cert-file=FILE, --cluster-signing-key-file=FILE\n"
	      "                            authority that signs certificate requests (default: nothing is signed)\n"
	      "  --root-ca-file=FILE       CA certificate for pods (default: the kubeconfig's)\n",
	      out);
}

static void http(struct http_req *req, void *arg)
{
	struct program *p = arg;

	if (!metrics_handle(req, manager_ready, p->manager))
		http_respond(req, 404, "text/plain", "not found\n", 10);
}

static void elected(void *arg)
{
	struct program *p = arg;
	struct err err = ERR_INIT;

	/* Only the leader keeps caches: a standby costs next to nothing. */
	if (manager_new(p->loop, p->kube, &p->config, &p->manager, &err) < 0 || manager_start(p->manager, &err) < 0) {
		log_error("%s", err.msg);
		p->exit_code = 1;
		loop_stop(p->loop);
	}
}

static void lost(void *arg)
{
	struct program *p = arg;

	/* Another acts from now on: what is in flight here must not go on. */
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
		{ "cluster-cidrs", required_argument, NULL, 'c' },
		{ "service-cidrs", required_argument, NULL, 's' },
		{ "node-cidr-mask-size", required_argument, NULL, '4' },
		{ "node-cidr-mask-size-ipv6", required_argument, NULL, '6' },
		{ "node-monitor-grace", required_argument, NULL, 'g' },
		{ "pod-eviction", required_argument, NULL, 'e' },
		{ "root-ca-file", required_argument, NULL, 'r' },
		{ "cluster-signing-cert-file", required_argument, NULL, 'C' },
		{ "cluster-signing-key-file", required_argument, NULL, 'K' },
		{ "help", no_argument, NULL, 'h' },
		{ NULL, 0, NULL, 0 },
	};
	static const int sigs[] = { SIGTERM, SIGINT };
	const char *kubeconfig = NULL, *listen = NULL;
	struct program p = { .elect = true,
			     .config = { "10.0.0.0/8,fd00:10::/48", "10.96.0.0/12,fd00:10:96::/112", 24, 64,
					 .node_grace_ms = 40000, .eviction_ms = 300000 } };
	struct loop_signal sig = { .fn = terminated, .arg = &p };
	struct http_server_config hc = { .handler = http, .arg = &p };
	struct http_server *server = NULL;
	struct kubeconfig kc = { 0 };
	struct err err = ERR_INIT;
	char identity[128], uuid[37], host[64];
	int64_t v;
	int c;

	log_init("skep-controller-manager");
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
		case 'c':
			p.config.cluster_cidrs = optarg;
			break;
		case 's':
			p.config.service_cidrs = optarg;
			break;
		case 'C':
			p.config.signing_cert_file = optarg;
			break;
		case 'K':
			p.config.signing_key_file = optarg;
			break;
		case 'r':
			p.config.root_ca_file = optarg;
			break;
		case '4':
		case '6':
			if (str_to_i64(optarg, 1, c == '4' ? 32 : 128, &v) < 0) {
				log_error("'%s' is not a prefix length", optarg);
				return 2;
			}
			*(c == '4' ? &p.config.mask4 : &p.config.mask6) = (int)v;
			break;
		case 'g':
		case 'e':
			if (str_to_duration_ms(optarg, &v) < 0) {
				log_error("'%s' is not a duration such as 40s", optarg);
				return 2;
			}
			*(c == 'g' ? &p.config.node_grace_ms : &p.config.eviction_ms) = v;
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
	    kube_new(p.loop, &kc, "skep-controller-manager/" SKEP_VERSION, &p.kube, &err) < 0 ||
	    (listen &&
	     (http_server_new(p.loop, &hc, &server, &err) < 0 || http_server_listen(server, listen, NULL, &err) < 0))) {
		log_error("%s", err.msg);
		kubeconfig_done(&kc);
		return 1;
	}
	if (!p.config.root_ca_file)
		p.config.root_ca_file = kc.ca_file;
	if (p.elect) {
		gethostname(host, sizeof(host));
		snprintf(identity, sizeof(identity), "%s_%s", host, str_uuid(uuid));
		struct leader_config lc = { .namespace_ = "kube-system",
					    .name = "skep-controller-manager",
					    .identity = identity,
					    .on_elected = elected,
					    .on_lost = lost,
					    .arg = &p };
		p.leader = leader_new(p.kube, &lc);
		if (!p.leader || leader_start(p.leader) < 0)
			log_error("out of memory");
	} else {
		elected(&p);
	}
	if (loop_run(p.loop) < 0)
		p.exit_code = 1;
	leader_free(p.leader);
	manager_free(p.manager);
	http_server_free(server);
	kube_free(p.kube);
	kubeconfig_done(&kc);
	loop_free(p.loop);
	return p.exit_code;
}
