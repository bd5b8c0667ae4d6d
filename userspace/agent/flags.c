/* SPDX-License-Identifier: Apache-2.0 */
/* See flags.h: which flags there are, which of them a mode needs, and which it cannot use. */
#include "flags.h"

#include <errno.h>
#include <getopt.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../lib/base/str.h"

static void usage(FILE *f)
{
	fputs("skep-agent: runs the pods of one node, or (--data-plane-only) the network of pods that a kubelet runs.\n\n"
	      "  --node-name NAME            name of the Node object (required)\n"
	      "  --kubeconfig FILE           how to reach the API server (required)\n"
	      "  --state-dir DIR             pods' volumes and logs, network checkpoints (/var/lib/skep/agent)\n"
	      "  --run-dir DIR               sockets (/run/skep/agent)\n"
	      "  --pin-dir DIR               where eBPF maps and links are pinned (/sys/fs/bpf/skep/<node>)\n"
	      "  --cluster-cidrs A[,B]       addresses of all pods (10.0.0.0/8,fd00:10::/48)\n"
	      "  --lan-cidrs A[,B]           the network the nodes share\n"
	      "  --service-cidrs A[,B]       addresses of services (10.96.0.0/12,fd00:10:96::/112)\n"
	      "  --service-node-port-range FIRST-LAST  node ports of services, as the API server gives them out (30000-32767)\n"
	      "  --uplink IFACE              interface to the other nodes (that of the default route)\n"
	      "  --xdp auto|native|generic|off   services with direct server return by XDP: in the uplink's driver where that\n"
	      "                              works (auto), or the kernel's slow stand-in; TC does the same otherwise (auto)\n"
	      "  --reset-flows               start although another build left flows that this one cannot carry over: they are\n"
	      "                              lost, and connections through services and to the world with them\n"
	      "  --max-frontends N           room for addresses and ports of services, as pods and as the world see them (262144)\n"
	      "  --max-backends N            room for their backends, twice while a service changes (524288); 16 bytes of memory\n"
	      "                              for each of both, used or not\n"
	      "  --cni-socket PATH           where skep-cni finds the agent (<run-dir>/cni.sock)\n"
	      "  --cni-conf-dir DIR          the runtime's CNI configuration directory, to write ours into\n"
	      "  --healthz-listen [ADDRESS]:PORT  /healthz and /livez of the data plane over HTTP, for load balancers; '' for\n"
	      "                              none (:10256)\n"
	      "  --version, --help\n\n"
	      "To run pods:\n"
	      "  --bootstrap-kubeconfig FILE how to ask for a certificate when --kubeconfig is missing or has ended; it is\n"
	      "                              kept in --state-dir and renewed from then on\n"
	      "  --runtime-endpoint URL      container runtime (unix:///run/containerd/containerd.sock)\n"
	      "  --cgroup-root PATH          control group of the node's pods, below the hierarchies (/skep/<node>)\n"
	      "  --node-ips A[,B]            the node's addresses, one for each family (required)\n"
	      "  --listen [ADDRESS]:PORT     the agent's HTTPS API, with /metrics (:10250)\n"
	      "  --tls-cert, --tls-key FILE  its certificate and key (required)\n"
	      "  --tls-ca FILE               authority of its callers' certificates (required)\n"
	      "  --label KEY=VALUE           label of the Node object; may be repeated\n"
	      "  --max-pods N                most pods at a time (110)\n"
	      "  --system-reserved cpu=Q,memory=Q   kept from pods\n\n"
	      "With --data-plane-only:\n"
	      "  --cgroup-root PATH          control group, below the unified hierarchy, whose processes use services (/)\n"
	      "  --node-ips A[,B]            the node's addresses (its InternalIPs)\n"
	      "  --cni-conf-dir DIR          is required: /etc/cni/net.d for most runtimes\n"
	      "  --listen ADDRESS:PORT       /metrics and /debug/net over HTTP, without authentication (127.0.0.1:10249)\n"
	      "\nSKEP_LOG=error|warn|info|debug sets how much is logged.\n",
	      f);
}

enum {
	F_HELP = 1,
	F_VERSION,
	F_LABEL,
	F_MAX_PODS,
	F_DATA_PLANE_ONLY,
	F_RESET_FLOWS,
	F_MAX_FRONTENDS,
	F_MAX_BACKENDS,
	F_STRING
};

enum { RUNS_PODS = 1 << 0, DATA_PLANE_ONLY = 1 << 1, ANY_MODE = RUNS_PODS | DATA_PLANE_ONLY };

struct string_flag {
	const char *name;
	const char **value;
	unsigned modes, required; /* in which it means something; in which it must be given */
	const char *dflt, *dflt_data_plane_only;
};

static int check_mode(const struct flags *f, const struct string_flag *strings, size_t n, bool labels)
{
	unsigned mode = f->data_plane_only ? DATA_PLANE_ONLY : RUNS_PODS;

	for (size_t i = 0; i < n; i++) {
		const struct string_flag *s = &strings[i];

		if (*s->value && !(s->modes & mode)) {
			fprintf(stderr, "skep-agent: --%s means nothing with --data-plane-only: see --help\n", s->name);
			return -EINVAL;
		}
		if (!*s->value && (s->required & mode)) {
			fprintf(stderr, "skep-agent: --%s is missing: see --help\n", s->name);
			return -EINVAL;
		}
		if (!*s->value && (s->modes & mode))
			*s->value = f->data_plane_only && s->dflt_data_plane_only ? s->dflt_data_plane_only : s->dflt;
	}
	if (f->data_plane_only && (labels || f->max_pods)) {
		fprintf(stderr, "skep-agent: --%s means nothing with --data-plane-only: see --help\n",
			labels ? "label" : "max-pods");
		return -EINVAL;
	}
	return 0;
}

int flags_parse(int argc, char **argv, struct flags *ret)
{
	struct flags f = { 0 };
	const struct string_flag strings[] = {
		{ "node-name", &f.node_name, ANY_MODE, ANY_MODE, NULL, NULL },
		{ "kubeconfig", &f.kubeconfig, ANY_MODE, ANY_MODE, NULL, NULL },
		{ "bootstrap-kubeconfig", &f.bootstrap_kubeconfig, RUNS_PODS, 0, NULL, NULL },
		{ "runtime-endpoint", &f.runtime_endpoint, RUNS_PODS, 0, "unix:///run/containerd/containerd.sock",
		  NULL },
		{ "state-dir", &f.state_dir, ANY_MODE, 0, "/var/lib/skep/agent", NULL },
		{ "run-dir", &f.run_dir, ANY_MODE, 0, "/run/skep/agent", NULL },
		{ "pin-dir", &f.pin_dir, ANY_MODE, 0, NULL, NULL },
		{ "cgroup-root", &f.cgroup_root, ANY_MODE, 0, NULL, "/" },
		{ "node-ips", &f.node_ips, ANY_MODE, RUNS_PODS, NULL, NULL },
		{ "cluster-cidrs", &f.cluster_cidrs, ANY_MODE, 0, "10.0.0.0/8,fd00:10::/48", NULL },
		{ "lan-cidrs", &f.lan_cidrs, ANY_MODE, 0, NULL, NULL },
		{ "service-cidrs", &f.service_cidrs, ANY_MODE, 0, "10.96.0.0/12,fd00:10:96::/112", NULL },
		{ "service-node-port-range", &f.node_ports, ANY_MODE, 0, "30000-32767", NULL },
		{ "uplink", &f.uplink, ANY_MODE, 0, NULL, NULL },
		{ "xdp", &f.xdp, ANY_MODE, 0, "auto", NULL },
		{ "listen", &f.listen, ANY_MODE, 0, ":10250", "127.0.0.1:10249" },
		{ "healthz-listen", &f.healthz_listen, ANY_MODE, 0, ":10256", NULL },
		{ "tls-cert", &f.tls_cert, RUNS_PODS, RUNS_PODS, NULL, NULL },
		{ "tls-key", &f.tls_key, RUNS_PODS, RUNS_PODS, NULL, NULL },
		{ "tls-ca", &f.tls_ca, RUNS_PODS, RUNS_PODS, NULL, NULL },
		{ "cni-conf-dir", &f.cni_conf_dir, ANY_MODE, DATA_PLANE_ONLY, NULL, NULL },
		{ "cni-socket", &f.cni_socket, ANY_MODE, 0, NULL, NULL },
		{ "system-reserved", &f.system_reserved, RUNS_PODS, 0, NULL, NULL },
	};
	enum { N = sizeof(strings) / sizeof(*strings) };
	struct option options[N + 9] = { 0 };
	int n_labels = 0, c;
	int64_t v;

	for (int i = 0; i < N; i++)
		options[i] = (struct option){ strings[i].name, required_argument, NULL, F_STRING + i };
	options[N] = (struct option){ "help", no_argument, NULL, F_HELP };
	options[N + 1] = (struct option){ "version", no_argument, NULL, F_VERSION };
	options[N + 2] = (struct option){ "label", required_argument, NULL, F_LABEL };
	options[N + 3] = (struct option){ "max-pods", required_argument, NULL, F_MAX_PODS };
	options[N + 4] = (struct option){ "data-plane-only", no_argument, NULL, F_DATA_PLANE_ONLY };
	options[N + 5] = (struct option){ "reset-flows", no_argument, NULL, F_RESET_FLOWS };
	options[N + 6] = (struct option){ "max-frontends", required_argument, NULL, F_MAX_FRONTENDS };
	options[N + 7] = (struct option){ "max-backends", required_argument, NULL, F_MAX_BACKENDS };
	while ((c = getopt_long(argc, argv, "", options, NULL)) != -1) {
		switch (c) {
		case F_HELP:
			usage(stdout);
			exit(0);
		case F_VERSION:
			puts("skep-agent " SKEP_VERSION);
			exit(0);
		case F_LABEL:
			if (!strchr(optarg, '=') || n_labels == LABELS_MAX) {
				fprintf(stderr, "skep-agent: --label '%s': give key=value, at most %d of them\n",
					optarg, LABELS_MAX);
				return -EINVAL;
			}
			f.labels[n_labels++] = optarg;
			break;
		case F_MAX_PODS:
			if (str_to_i64(optarg, 1, 10000, &v) < 0) {
				fprintf(stderr, "skep-agent: --max-pods '%s': give a number from 1 to 10000\n", optarg);
				return -EINVAL;
			}
			f.max_pods = (int)v;
			break;
		case F_MAX_FRONTENDS:
		case F_MAX_BACKENDS:
			if (str_to_i64(optarg, 1024, 1 << 24, &v) < 0) {
				fprintf(stderr, "skep-agent: --max-%s '%s': give a number from 1024 to %d\n",
					c == F_MAX_FRONTENDS ? "frontends" : "backends", optarg, 1 << 24);
				return -EINVAL;
			}
			*(c == F_MAX_FRONTENDS ? &f.max_frontends : &f.max_backends) = (uint32_t)v;
			break;
		case F_DATA_PLANE_ONLY:
			f.data_plane_only = true;
			break;
		case F_RESET_FLOWS:
			f.reset_flows = true;
			break;
		case '?':
			fprintf(stderr, "skep-agent: see --help\n");
			return -EINVAL;
		default:
			*strings[c - F_STRING].value = optarg;
		}
	}
	if (optind < argc) {
		fprintf(stderr, "skep-agent: unexpected argument '%s': see --help\n", argv[optind]);
		return -EINVAL;
	}
	if (check_mode(&f, strings, N, n_labels > 0) < 0)
		return -EINVAL;
	if (!f.max_pods)
		f.max_pods = 110;
	*ret = f;
	return 0;
}
