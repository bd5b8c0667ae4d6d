/* SPDX-License-Identifier: Apache-2.0 */
/* A real etcd for one test: private ports and directory, killed with the test. */
#ifndef SKEP_TEST_ETCD_SERVER_H
#define SKEP_TEST_ETCD_SERVER_H

#include <stdbool.h>
#include <sys/types.h>

#include "io/tls.h"

struct etcd_server {
	pid_t pid;
	int client_port, peer_port, log_fd;
	char name[8], cluster[256];
	char dir[64], url[64];
	bool tls;
	long quota;			/* bytes; 0: etcd's */
	char ca[96], cert[96], key[96]; /* tls: what a client needs, too */
	struct tls_files files;
};

/* Skips the running test, with its reason, where there is no etcd binary. */
void etcd_server_start(struct etcd_server *e, bool tls);
void etcd_server_start_quota(struct etcd_server *e, bool tls, long quota);
/* Members of one cluster; with tls, clients need the first one's files. */
void etcd_cluster_start(struct etcd_server *members, int n, bool tls);
/* kill -9, and again with the same data and ports. */
void etcd_server_kill(struct etcd_server *e);
void etcd_server_restart(struct etcd_server *e);
void etcd_server_stop(struct etcd_server *e);

#endif
