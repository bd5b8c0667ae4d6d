/* SPDX-License-Identifier: Apache-2.0 */
/* Processes under measurement: starting, ending, what they have used; and the certificates all of them know. */
#include "bench.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <openssl/err.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "io/tls.h"

void fail(const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	vfprintf(stderr, fmt, args);
	va_end(args);
	fputc('\n', stderr);
	exit(1);
}

void stop(pid_t *pid)
{
	if (*pid > 0) {
		kill(*pid, SIGKILL);
		waitpid(*pid, NULL, 0);
	}
	*pid = 0;
}

pid_t spawn(const char *log, char *const argv[])
{
	pid_t pid = fork();

	if (pid)
		return pid;
	{
		int fd = open(log, O_WRONLY | O_CREAT | O_APPEND, 0644);

		prctl(PR_SET_PDEATHSIG, SIGKILL);
		dup2(fd, 1);
		dup2(fd, 2);
		execvp(argv[0], argv);
		_exit(127);
	}
}

int free_port(void)
{
	struct sockaddr_in a = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t len = sizeof(a);
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	if (bind(fd, (struct sockaddr *)&a, sizeof(a)) < 0 || getsockname(fd, (struct sockaddr *)&a, &len) < 0)
		fail("no free port: %m");
	close(fd);
	return ntohs(a.sin_port);
}

double cpu_seconds(pid_t pid)
{
	char path[64], text[1024], *p;
	unsigned long u, s;
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%d/stat", pid);
	f = fopen(path, "r");
	if (!f || !fgets(text, sizeof(text), f) || !(p = strrchr(text, ')')) ||
	    sscanf(p + 2, "%*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %lu %lu", &u, &s) != 2)
		fail("%s cannot be read", path);
	fclose(f);
	return (double)(u + s) / (double)sysconf(_SC_CLK_TCK);
}

size_t rss_kb(pid_t pid)
{
	char path[64], text[256];
	size_t kb = 0;
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%d/status", pid);
	f = fopen(path, "r");
	while (f && fgets(text, sizeof(text), f))
		if (sscanf(text, "VmRSS: %zu", &kb) == 1)
			break;
	if (f)
		fclose(f);
	return kb;
}

int by_value(const void *x, const void *y)
{
	uint64_t p = *(const uint64_t *)x, q = *(const uint64_t *)y;

	return p < q ? -1 : p > q;
}

void target_init(struct target *t, const char *dir)
{
	const char *orgs[] = { "system:masters", NULL }, *dns[] = { "localhost", NULL }, *ips[] = { "127.0.0.1", NULL };
	struct tls_cert_request req = { .common_name = "admin",
					.organizations = orgs,
					.dns_names = dns,
					.ip_addresses = ips,
					.server = true,
					.client = true,
					.days = 2 };
	struct err err = ERR_INIT;
	char ca_key[96];

	snprintf(t->ca, sizeof(t->ca), "%s/ca.crt", dir);
	snprintf(ca_key, sizeof(ca_key), "%s/ca.key", dir);
	snprintf(t->crt, sizeof(t->crt), "%s/admin.crt", dir);
	snprintf(t->key, sizeof(t->key), "%s/admin.key", dir);
	if (tls_make_ca("bench", 2, t->ca, ca_key, &err) < 0 ||
	    tls_make_cert(t->ca, ca_key, &req, t->crt, t->key, &err) < 0)
		fail("%s", err.msg);
	t->ctx = SSL_CTX_new(TLS_client_method());
	if (!t->ctx || SSL_CTX_load_verify_locations(t->ctx, t->ca, NULL) != 1 ||
	    SSL_CTX_use_certificate_file(t->ctx, t->crt, SSL_FILETYPE_PEM) != 1 ||
	    SSL_CTX_use_PrivateKey_file(t->ctx, t->key, SSL_FILETYPE_PEM) != 1)
		fail("TLS: %s", ERR_error_string(ERR_get_error(), NULL));
	SSL_CTX_set_mode(t->ctx, SSL_MODE_RELEASE_BUFFERS | SSL_MODE_ENABLE_PARTIAL_WRITE |
					 SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
}

void target_done(struct target *t)
{
	SSL_CTX_free(t->ctx);
	t->ctx = NULL;
}
