/* SPDX-License-Identifier: Apache-2.0 */
/* Command line of skep-agent. */
#ifndef SKEP_AGENT_FLAGS_H
#define SKEP_AGENT_FLAGS_H

#include <stdbool.h>
#include <stdint.h>

#define LABELS_MAX 64

/* Strings are argv's, or constants; NULL: not given, and without a default. */
struct flags {
	const char *node_name, *kubeconfig, *bootstrap_kubeconfig, *runtime_endpoint, *state_dir, *run_dir, *pin_dir,
		*cgroup_root, *node_ips, *cluster_cidrs, *lan_cidrs, *service_cidrs, *node_ports, *uplink, *xdp,
		*listen, *healthz_listen, *tls_cert, *tls_key, *tls_ca, *cni_conf_dir, *cni_socket, *system_reserved;
	const char *labels[LABELS_MAX + 1];
	int max_pods;
	uint32_t max_frontends, max_backends; /* 0: dp.h's */
	/*
	 * Pods are run by somebody else, a kubelet, and the agent brings their network only. Its cgroup_root is there
	 * already and holds those whose sockets use services.
	 */
	bool data_plane_only;
	bool reset_flows; /* dp.h */
};

/*
 * 0, or -EINVAL after a line on stderr; --help and --version end the process. pin_dir and cgroup_root without a default
 * are left NULL: they are made of the node's name.
 */
int flags_parse(int argc, char **argv, struct flags *ret);

#endif
