/* SPDX-License-Identifier: Apache-2.0 */
/* See etcd_server.h. */
#include "etcd_server.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/file.h"

#define BINARY "/usr/bin/etcd"

/*
 * Below the ports that the kernel gives to connections, so that none takes one between now and etcd's start; by
 * process, so that tests which run beside each other do not meet.
 */
#define FIRST_PORT     12000
#define PORT_PAIRS     8000
#define SERVERS_OF_ONE 4 /* of one process, at most */

static bool is_free(int port)
{
	struct sockaddr_in a = { .sin_family = AF_INET,
				 .sin_addr.s_addr = htonl(INADDR_LOOPBACK),
				 .sin_port = htons((uint16_t)port) };
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), r = bind(fd, (struct sockaddr *)&a, sizeof(a));

	close(fd);
	return r == 0;
}

static int free_pair(void)
{
	static int next;

	for (int i = 0; i < PORT_PAIRS; i++) {
		int port = FIRST_PORT + 2 * ((getpid() * SERVERS_OF_ONE + next++) % PORT_PAIRS);

		if (is_free(port) && is_free(port + 1))
			return port;
	}
	cr_assert_fail("no free ports");
	return 0;
}

static void make_certs(struct etcd_server *e)
{
	static const char *const ips[] = { "127.0.0.1", NULL };
	struct tls_cert_request req = {
		.common_name = "etcd", .ip_addresses = ips, .server = true, .client = true, .days = 1
	};
	char ca_key[96];

	snprintf(e->ca, sizeof(e->ca), "%s/ca.crt", e->dir);
	snprintf(ca_key, sizeof(ca_key), "%s/ca.key", e->dir);
	snprintf(e->cert, sizeof(e->cert), "%s/etcd.crt", e->dir);
	snprintf(e->key, sizeof(e->key), "%s/etcd.key", e->dir);
	cr_assert_eq(tls_make_ca("etcd test", 1, e->ca, ca_key, NULL), 0);
	cr_assert_eq(tls_make_cert(e->ca, ca_key, &req, e->cert, e->key, NULL), 0);
	e->files = (struct tls_files){ .ca_file = e->ca, .cert_file = e->cert, .key_file = e->key };
}

static void *drain(void *arg)
{
	int fd = (int)(long)arg;
	char buf[4096];

	while (read(fd, buf, sizeof(buf)) > 0)
		;
	close(fd);
	return NULL;
}

/* Waits for the line that says so; the rest of the log is read away by a thread. */
static void wait_ready(int fd)
{
	char log[65536];
	size_t len = 0;
	pthread_t t;

	for (;;) {
		ssize_t n = read(fd, log + len, sizeof(log) - 1 - len);

		cr_assert(n > 0, "etcd did not start: %s", log);
		len += (size_t)n;
		log[len] = '\0';
		if (strstr(log, "ready to serve client requests") || strstr(log, "serving insecure client requests") ||
		    strstr(log, "serving client traffic") || strstr(log, "serving client requests on"))
			break;
	}
	cr_assert_eq(pthread_create(&t, NULL, drain, (void *)(long)fd), 0);
	pthread_detach(t);
}

static void spawn(struct etcd_server *e)
{
	char data[96], client[64], peer[64], quota[64];
	const char *argv[40] = { BINARY };
	int n = 1, fds[2];

	snprintf(data, sizeof(data), "%s/data", e->dir);
	snprintf(client, sizeof(client), "%s://127.0.0.1:%d", e->tls ? "https" : "http", e->client_port);
	snprintf(peer, sizeof(peer), "http://127.0.0.1:%d", e->peer_port);
	argv[n++] = "--name";
	argv[n++] = e->name;
	argv[n++] = "--data-dir";
	argv[n++] = data;
	argv[n++] = "--listen-client-urls";
	argv[n++] = client;
	argv[n++] = "--advertise-client-urls";
	argv[n++] = client;
	argv[n++] = "--listen-peer-urls";
	argv[n++] = peer;
	argv[n++] = "--initial-advertise-peer-urls";
	argv[n++] = peer;
	argv[n++] = "--initial-cluster";
	argv[n++] = e->cluster;
	argv[n++] = "--heartbeat-interval=20";
	argv[n++] = "--election-timeout=200";
	argv[n++] = "--logger=zap"; /* 3.4's default logger buffers */
	if (e->quota) {
		snprintf(quota, sizeof(quota), "--quota-backend-bytes=%ld", e->quota);
		argv[n++] = quota;
	}
	if (e->tls) {
		argv[n++] = "--cert-file";
		argv[n++] = e->cert;
		argv[n++] = "--key-file";
		argv[n++] = e->key;
		argv[n++] = "--trusted-ca-file";
		argv[n++] = e->ca;
		argv[n++] = "--client-cert-auth";
	}
	cr_assert_eq(pipe2(fds, O_CLOEXEC), 0);
	e->pid = fork();
	cr_assert(e->pid >= 0);
	if (!e->pid) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		dup2(fds[1], 1);
		dup2(fds[1], 2);
		execv(BINARY, (char *const *)argv);
		_exit(127);
	}
	close(fds[1]);
	e->log_fd = fds[0];
}

static void prepare(struct etcd_server *e, bool tls)
{
	if (access(BINARY, X_OK) < 0)
		cr_skip_test("no " BINARY " (package etcd-server)");
	memset(e, 0, sizeof(*e));
	e->tls = tls;
	strcpy(e->dir, "/tmp/skep-unit-etcd-XXXXXX");
	cr_assert(mkdtemp(e->dir));
	e->client_port = free_pair();
	e->peer_port = e->client_port + 1;
	snprintf(e->url, sizeof(e->url), "%s://127.0.0.1:%d", tls ? "https" : "http", e->client_port);
	if (tls)
		make_certs(e);
}

void etcd_server_start(struct etcd_server *e, bool tls)
{
	etcd_server_start_quota(e, tls, 0);
}

void etcd_server_start_quota(struct etcd_server *e, bool tls, long quota)
{
	prepare(e, tls);
	e->quota = quota;
	strcpy(e->name, "t");
	snprintf(e->cluster, sizeof(e->cluster), "t=http://127.0.0.1:%d", e->peer_port);
	spawn(e);
	wait_ready(e->log_fd);
}

void etcd_cluster_start(struct etcd_server *members, int n, bool tls)
{
	char cluster[256] = "";
	size_t len = 0;

	for (int i = 0; i < n; i++) {
		prepare(&members[i], tls);
		if (tls && i) { /* one CA and one certificate for all */
			memcpy(members[i].ca, members[0].ca, sizeof(members[i].ca));
			memcpy(members[i].cert, members[0].cert, sizeof(members[i].cert));
			memcpy(members[i].key, members[0].key, sizeof(members[i].key));
			members[i].files = (struct tls_files){ members[i].ca, members[i].cert, members[i].key };
		}
		snprintf(members[i].name, sizeof(members[i].name), "m%d", i);
		len += (size_t)snprintf(cluster + len, sizeof(cluster) - len, "%sm%d=http://127.0.0.1:%d", i ? "," : "",
					i, members[i].peer_port);
	}
	for (int i = 0; i < n; i++) {
		strcpy(members[i].cluster, cluster);
		spawn(&members[i]);
	}
	for (int i = 0; i < n; i++) /* ready only with the others */
		wait_ready(members[i].log_fd);
}

void etcd_server_kill(struct etcd_server *e)
{
	if (e->pid <= 0)
		return;
	kill(e->pid, SIGKILL);
	waitpid(e->pid, NULL, 0);
	e->pid = 0;
}

void etcd_server_restart(struct etcd_server *e)
{
	spawn(e);
	wait_ready(e->log_fd);
}

void etcd_server_stop(struct etcd_server *e)
{
	etcd_server_kill(e);
	if (e->dir[0])
		cr_assert_eq(dir_remove(e->dir, NULL), 0);
	e->dir[0] = '\0';
}
