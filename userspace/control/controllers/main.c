/* SPDX-License-Identifier: Apache-2.0 */
/* skep-controller-manager: options, and the controllers of manager.h while it leads. */
#include <stdio.h>

#include "base/log.h"
#include "base/str.h"
#include "client/daemon.h"
#include "manager.h"

struct program {
	struct manager *manager;
	struct manager_config config;
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

/* Only the leader keeps caches: a standby costs next to nothing. */
static int lead(struct daemon *d, struct err *err)
{
	struct program *p = d->arg;
	int r;

	if (!p->config.root_ca_file)
		p->config.root_ca_file = d->kubeconfig.ca_file;
	r = manager_new(d->loop, d->kube, &p->config, &p->manager, err);
	return r < 0 ? r : manager_start(p->manager, err);
}

static const char *ready(const struct daemon *d)
{
	return manager_ready(((struct program *)d->arg)->manager);
}

static void end(struct daemon *d)
{
	manager_free(((struct program *)d->arg)->manager);
}

int main(int argc, char **argv)
{
	static const struct option options[] = {
		DAEMON_OPTIONS,
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
	struct program p = { .config = { "10.0.0.0/8,fd00:10::/48", "10.96.0.0/12,fd00:10:96::/112", 24, 64,
					 .node_grace_ms = 40000, .eviction_ms = 300000 } };
	struct daemon_config config = {
		.name = "skep-controller-manager", .lead = lead, .ready = ready, .done = end, .arg = &p
	};
	int64_t v;
	int c;

	log_init("skep-controller-manager");
	while ((c = getopt_long(argc, argv, "h", options, NULL)) != -1) {
		if (daemon_option(&config, c, optarg))
			continue;
		switch (c) {
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
	return daemon_options_done(&config, argc, argv) ? daemon_run(&config) : 2;
}
