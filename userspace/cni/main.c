/* SPDX-License-Identifier: Apache-2.0 */
/*
 * skep-cni: the CNI plugin (specification 0.3.1 to 1.0.0) that the container runtime runs for each pod. It only
 * carries the question to the agent's unix socket, named by "socket" in its configuration, and the answer back; the
 * agent does the work. While there is no agent it fails with "try again later", and what runs is not touched.
 *
 * Called by the name "loopback" it is the plugin of that name, which containerd runs for each pod too: it brings lo
 * up.
 */
#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <net/if.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/str.h"
#include "base/strbuf.h"

enum { MAX_INPUT = 256 << 10, TIMEOUT_S = 30, TRY_AGAIN = 11, BAD_ENV = 4, IO_FAILURE = 5, BAD_CONFIG = 7 };

static const char *version = "1.0.0";

static int fail(int code, const char *msg, const char *details)
{
	json_t *e = json_pack("{s:s,s:i,s:s,s:s}", "cniVersion", version, "code", code, "msg", msg, "details", details);

	json_dumpf(e, stdout, JSON_COMPACT);
	json_decref(e);
	return 1;
}

static int read_all(int fd, struct strbuf *sb)
{
	for (;;) {
		ssize_t n;

		if (strbuf_reserve(sb, 8192) < 0)
			return -ENOMEM;
		n = read(fd, sb->buf + sb->len, 8192);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		if (!n)
			return 0;
		sb->len += (size_t)n;
		sb->buf[sb->len] = '\0';
		if (sb->len > MAX_INPUT)
			return -EFBIG;
	}
}

static int dial(const char *path)
{
	struct sockaddr_un sun = { .sun_family = AF_UNIX };
	struct timeval tv = { .tv_sec = TIMEOUT_S };
	cleanup(close_fd) int fd = -1;

	if (strlen(path) >= sizeof(sun.sun_path))
		return -ENAMETOOLONG;
	strcpy(sun.sun_path, path);
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &tv, sizeof(tv)) < 0 ||
	    setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &tv, sizeof(tv)) < 0 ||
	    connect(fd, (struct sockaddr *)&sun, sizeof(sun)) < 0)
		return -errno;
	return TAKE_FD(fd);
}

static int send_all(int fd, const char *p, size_t n)
{
	while (n) {
		ssize_t w = send(fd, p, n, MSG_NOSIGNAL);

		if (w < 0 && errno == EINTR)
			continue;
		if (w < 0)
			return -errno;
		p += w;
		n -= (size_t)w;
	}
	return 0;
}

/* One HTTP/1.1 exchange; the answer's status, or a negative errno. body: what follows the headers. */
static int ask(const char *socket_path, const json_t *question, struct strbuf *answer, const char **ret_body)
{
	cleanup(free) char *text = json_dumps(question, JSON_COMPACT);
	cleanup(strbuf_done) struct strbuf req = STRBUF_INIT;
	cleanup(close_fd) int fd = dial(socket_path);
	int r, status;

	if (fd < 0)
		return fd;
	if (!text)
		return -ENOMEM;
	strbuf_addf(
		&req,
		"POST /cni HTTP/1.1\r\nHost: agent\r\nConnection: close\r\nContent-Type: application/json\r\nContent-Length: %zu\r\n\r\n",
		strlen(text));
	strbuf_adds(&req, text);
	if (strbuf_oom(&req))
		return -ENOMEM;
	r = send_all(fd, req.buf, req.len);
	if (!r)
		r = read_all(fd, answer);
	if (r < 0)
		return r;
	*ret_body = strstr(answer->buf, "\r\n\r\n");
	if (sscanf(answer->buf, "HTTP/1.%*d %d", &status) != 1 || !*ret_body)
		return -EPROTO;
	*ret_body += 4;
	return status;
}

static const char *env(const char *name)
{
	const char *v = getenv(name);

	return v ? v : "";
}

static int loopback(const char *command)
{
	struct ifreq ifr = { .ifr_name = "lo" };
	cleanup(close_fd) int ns = -1, fd = -1;

	if (!streq(command, "ADD"))
		return 0; /* it goes with its namespace */
	ns = open(env("CNI_NETNS"), O_RDONLY | O_CLOEXEC);
	if (ns < 0 || setns(ns, CLONE_NEWNET) < 0)
		return fail(BAD_ENV, "cannot enter the network namespace in CNI_NETNS", strerror(errno));
	fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (fd < 0 || ioctl(fd, SIOCGIFFLAGS, &ifr) < 0)
		return fail(IO_FAILURE, "cannot read the flags of lo", strerror(errno));
	ifr.ifr_flags |= IFF_UP;
	if (ioctl(fd, SIOCSIFFLAGS, &ifr) < 0)
		return fail(IO_FAILURE, "cannot bring lo up", strerror(errno));
	printf("{\"cniVersion\":\"%s\",\"interfaces\":[{\"name\":\"lo\",\"sandbox\":\"%s\"}],\"ips\":[%s]}", version,
	       env("CNI_NETNS"),
	       str_starts(version, "0.") ? "{\"version\":\"4\",\"interface\":0,\"address\":\"127.0.0.1/8\"}"
					 : "{\"interface\":0,\"address\":\"127.0.0.1/8\"}");
	return 0;
}

int main(int argc, char **argv)
{
	cleanup(strbuf_done) struct strbuf input = STRBUF_INIT;
	cleanup(strbuf_done) struct strbuf answer = STRBUF_INIT;
	const char *command = env("CNI_COMMAND"), *socket_path, *body = "", *v, *name;
	cleanup(json_decref) json_t *config = NULL; /* `version` points into it */
	json_t *question;
	json_error_t je;
	int r;

	if (streq(command, "VERSION")) {
		fputs("{\"cniVersion\":\"1.0.0\",\"supportedVersions\":[\"0.3.1\",\"0.4.0\",\"1.0.0\"]}", stdout);
		return 0;
	}
	r = read_all(STDIN_FILENO, &input);
	if (r < 0)
		return fail(IO_FAILURE, "cannot read the network configuration from standard input", strerror(-r));
	config = json_loads(input.buf, 0, &je);
	if (!config)
		return fail(6, "the network configuration is not JSON", je.text);
	v = json_string_value(json_object_get(config, "cniVersion"));
	if (v)
		version = v;
	name = argc ? strrchr(argv[0], '/') : NULL;
	if (name && streq(name, "/loopback"))
		return loopback(command);
	socket_path = json_string_value(json_object_get(config, "socket"));
	if (!socket_path)
		return fail(BAD_CONFIG,
			    "the network configuration lacks \"socket\": the path of the agent's CNI socket", "");
	if (!*command)
		return fail(BAD_ENV, "CNI_COMMAND is not set: this program is run by a container runtime", "");
	question = json_pack("{s:s,s:s,s:s,s:s,s:s,s:O}", "command", command, "containerId", env("CNI_CONTAINERID"),
			     "netns", env("CNI_NETNS"), "ifname", env("CNI_IFNAME"), "args", env("CNI_ARGS"), "config",
			     config);
	r = question ? ask(socket_path, question, &answer, &body) : -ENOMEM;
	json_decref(question);
	if (r == -ENOENT || r == -ECONNREFUSED)
		return fail(TRY_AGAIN, "skep-agent does not run on this node; pods that run are not affected",
			    socket_path);
	if (r == -EAGAIN)
		return fail(TRY_AGAIN, "skep-agent did not answer in 30 s", socket_path);
	if (r < 0)
		return fail(IO_FAILURE, "asking skep-agent failed", strerror(-r));
	if (streq(command, "ADD") || r != 200)
		fputs(body, stdout);
	return r == 200 ? 0 : 1;
}
