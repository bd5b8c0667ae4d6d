/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Probes of running containers: startup gates the others, liveness asks for a restart, readiness says whether it
 * serves. HTTP and TCP come from the node's network namespace, which the agent lives in; exec goes through the
 * runtime.
 */
#include "pod-internal.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#include "../../lib/base/clock.h"
#include "../../lib/base/str.h"
#include "../../lib/io/metrics.h"

#define ADDRESS_WAIT_MS 100

struct probe {
	struct pod_ctr *c;
	enum probe_kind kind;
	struct loop_timer timer; /* the next one, or this one's time limit */
	bool busy;
	int64_t successes, failures;
	/* the present try */
	struct http_client *http;
	struct loop_io io;
	int fd;
	unsigned try_nr;
};

/* An exec probe cannot be called back: its answer finds its probe by number, or nothing. */
struct exec_try {
	struct pod *p;
	struct pod_ctr *c;
	enum probe_kind kind;
	unsigned try_nr;
};

static const char *const kind_names[] = { "Startup", "Liveness", "Readiness" };
static const char *const kind_labels[] = { "startup", "liveness", "readiness" };
static unsigned tries;

static struct metric *results(void)
{
	static struct metric *m;

	if (!m)
		m = metric_new(METRIC_COUNTER, "skep_agent_probe_results_total", "Probes by kind and result.",
			       "kind,result", NULL, 0);
	return m;
}

/* The pod's item may be replaced while a try is under way: never keep the spec. */
static const struct api_probe *spec_of(const struct pod_ctr *c, enum probe_kind kind)
{
	return kind == PROBE_STARTUP	? c->spec->startup_probe
	       : kind == PROBE_LIVENESS ? c->spec->liveness_probe
					: c->spec->readiness_probe;
}

static int64_t at_least(int64_t v, int64_t dflt)
{
	return v > 0 ? v : dflt;
}

static void try_end(struct probe *pr)
{
	pr->busy = false;
	pr->try_nr = 0;
	loop_timer_cancel(&pr->timer);
	loop_io_del(&pr->io);
	if (pr->fd >= 0)
		close(TAKE_FD(pr->fd));
	http_client_free(TAKE(pr->http));
}

static void probe_free(struct probe *pr)
{
	try_end(pr);
	free(pr);
}

static void begin(struct pod_ctr *c, enum probe_kind kind);

static void started(struct pod_ctr *c)
{
	c->started = true;
	if (c->probes[PROBE_STARTUP])
		probe_free(TAKE(c->probes[PROBE_STARTUP]));
	begin(c, PROBE_LIVENESS);
	begin(c, PROBE_READINESS);
	if (!c->probes[PROBE_READINESS])
		c->ready = true;
}

/* May free pr. */
static void result(struct probe *pr, bool ok, const char *why)
{
	struct pod_ctr *c = pr->c;
	const struct api_probe *s = spec_of(c, pr->kind);

	try_end(pr);
	if (!s)
		return;
	metric_add(results(), 1, kind_labels[pr->kind], ok ? "successful" : "failed");
	if (!ok)
		pod_event(c->pod, "Warning", "Unhealthy", "%s probe failed: %s", kind_names[pr->kind], why);
	pr->successes = ok ? pr->successes + 1 : 0;
	pr->failures = ok ? 0 : pr->failures + 1;
	(void)loop_timer_set(c->pod->m->loop, &pr->timer, at_least(s->period_seconds, 10) * 1000);
	if (pr->failures >= at_least(s->failure_threshold, 3)) {
		if (pr->kind == PROBE_READINESS) {
			c->ready = false;
		} else {
			c->replace = true;
			c->kill_why = pr->kind == PROBE_LIVENESS ? "failed liveness probe, will be restarted"
								 : "failed startup probe, will be restarted";
			loop_timer_cancel(&pr->timer);
		}
		pod_kick(c->pod);
	} else if (pr->successes >= at_least(s->success_threshold, 1)) {
		if (pr->kind == PROBE_STARTUP) {
			started(c);
			pod_kick(c->pod);
		} else if (pr->kind == PROBE_READINESS && !c->ready) {
			c->ready = true;
			pod_kick(c->pod);
		}
	}
}

static int port_of(const struct probe *pr, const struct api_int_or_str *port)
{
	const struct api_container *c = pr->c->spec;

	if (!port->is_str)
		return (int)port->i;
	for (size_t i = 0; i < c->n_ports; i++)
		if (streq(c->ports[i].name, port->s))
			return (int)c->ports[i].container_port;
	return atoi(port->s);
}

static const char *host_of(const struct probe *pr, const char *host)
{
	return host && host[0] ? host : pr->c->pod->ips[0];
}

/* --- HTTP --------------------------------------------------------------------------------------------------------- */

static void on_http(struct http_call *call, void *arg, const struct http_response *rsp)
{
	struct probe *pr = arg;
	char why[256];

	(void)call;
	if (!rsp->status)
		snprintf(why, sizeof(why), "%s", rsp->error);
	else
		snprintf(why, sizeof(why), "HTTP probe failed with statuscode: %d", rsp->status);
	result(pr, rsp->status >= 200 && rsp->status < 400, why);
}

static int http_first_bytes(struct http_call *call, void *arg, const void *data, size_t len)
{
	(void)call, (void)arg, (void)data, (void)len;
	return 0; /* the body does not matter */
}

static void try_http(struct probe *pr, int timeout_ms)
{
	const struct api_http_get_action *h = spec_of(pr->c, pr->kind)->http_get;
	const char *scheme = h->scheme && streq(h->scheme, "HTTPS") ? "https" : "http", *host = host_of(pr, h->host);
	struct http_client_config cc = { .insecure_skip_verify = true, .connect_timeout_ms = timeout_ms };
	struct http_call_config call = { .method = "GET",
					 .path = h->path && h->path[0] ? h->path : "/",
					 .accept = "*/*",
					 .timeout_ms = timeout_ms,
					 .on_data = http_first_bytes,
					 .on_done = on_http,
					 .arg = pr };
	struct arena a = ARENA_INIT;
	const char **headers = arena_calloc(&a, h->n_http_headers + 2, sizeof(*headers));
	size_t n = 0;
	bool agent = false;
	struct err err = ERR_INIT;

	if (call.path[0] != '/')
		call.path = arena_printf(&a, "/%s", call.path);
	cc.base_url = arena_printf(&a, strchr(host, ':') ? "%s://[%s]:%d" : "%s://%s:%d", scheme, host,
				   port_of(pr, &h->port));
	for (size_t i = 0; headers && i < h->n_http_headers; i++) {
		headers[n++] = arena_printf(&a, "%s: %s", h->http_headers[i].name,
					    h->http_headers[i].value ? h->http_headers[i].value : "");
		agent |= !strcasecmp(h->http_headers[i].name, "User-Agent");
	}
	if (headers && !agent)
		headers[n++] = "User-Agent: kube-probe/1.33";
	call.headers = headers;
	if (!headers || !cc.base_url || !call.path || http_client_new(pr->c->pod->m->loop, &cc, &pr->http, &err) < 0 ||
	    !http_call_start(pr->http, &call))
		result(pr, false, err.msg[0] ? err.msg : "out of memory");
	arena_done(&a);
}

/* --- TCP ---------------------------------------------------------------------------------------------------------- */

static void on_connected(struct loop_io *io, uint32_t events)
{
	struct probe *pr = io->arg;
	char why[256];
	int e = 0;
	socklen_t len = sizeof(e);

	(void)events;
	(void)getsockopt(pr->fd, SOL_SOCKET, SO_ERROR, &e, &len);
	snprintf(why, sizeof(why), "dial tcp: %s", strerror(e));
	result(pr, !e, why);
}

static void try_tcp(struct probe *pr, int timeout_ms)
{
	const struct api_tcp_socket_action *tcp = spec_of(pr->c, pr->kind)->tcp_socket;
	const char *host = host_of(pr, tcp->host);
	struct sockaddr_in6 a6 = { .sin6_family = AF_INET6 };
	struct sockaddr_in a4 = { .sin_family = AF_INET };
	uint16_t port = htons((uint16_t)port_of(pr, &tcp->port));
	bool v6 = inet_pton(AF_INET6, host, &a6.sin6_addr) == 1;
	char why[256];

	a4.sin_port = port;
	a6.sin6_port = port;
	if (!v6 && inet_pton(AF_INET, host, &a4.sin_addr) != 1) {
		result(pr, false, "tcpSocket.host must be an address");
		return;
	}
	pr->fd = socket(v6 ? AF_INET6 : AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	pr->io.fn = on_connected;
	pr->io.arg = pr;
	if (pr->fd < 0 ||
	    (connect(pr->fd, v6 ? (struct sockaddr *)&a6 : (struct sockaddr *)&a4, v6 ? sizeof(a6) : sizeof(a4)) < 0 &&
	     errno != EINPROGRESS) ||
	    loop_io_add(pr->c->pod->m->loop, &pr->io, pr->fd, EPOLLOUT) < 0) {
		snprintf(why, sizeof(why), "dial tcp: %s", strerror(errno));
		result(pr, false, why);
		return;
	}
	(void)loop_timer_set(pr->c->pod->m->loop, &pr->timer, timeout_ms);
}

/* --- exec --------------------------------------------------------------------------------------------------------- */

static int64_t retry_ms(const struct pod_ctr *c, enum probe_kind kind)
{
	const struct api_probe *s = spec_of(c, kind);

	return at_least(s ? s->period_seconds : 0, 10) * 1000;
}

static void on_exec(void *arg, const struct grpc_status *status, const ProtobufCMessage *msg)
{
	const Cri__ExecSyncResponse *rsp = (const Cri__ExecSyncResponse *)msg;
	struct exec_try *t = arg;
	struct probe *pr = t->p->gone ? NULL : t->c->probes[t->kind];
	char why[1024];

	if (pr && pr->try_nr == t->try_nr) {
		if (status->code && status->code != GRPC_DEADLINE) {
			/* The runtime could not run it: that says nothing about the container. */
			try_end(pr);
			(void)loop_timer_set(t->p->m->loop, &pr->timer, retry_ms(t->c, t->kind));
			goto out;
		}
		if (status->code)
			snprintf(why, sizeof(why), "command timed out");
		else
			snprintf(why, sizeof(why), "%.*s%.*s", (int)(rsp->stdout_.len > 400 ? 400 : rsp->stdout_.len),
				 rsp->stdout_.len ? (char *)rsp->stdout_.data : "",
				 (int)(rsp->stderr_.len > 400 ? 400 : rsp->stderr_.len),
				 rsp->stderr_.len ? (char *)rsp->stderr_.data : "");
		result(pr, !status->code && rsp->exit_code == 0, why);
	}
out:
	pod_drop(t->p);
	free(t);
}

static void try_exec(struct probe *pr, int timeout_ms)
{
	Cri__ExecSyncRequest rq = CRI__EXEC_SYNC_REQUEST__INIT;
	struct exec_try *t = calloc(1, sizeof(*t));

	if (!t) {
		result(pr, false, "out of memory");
		return;
	}
	pr->try_nr = ++tries ? tries : ++tries;
	*t = (struct exec_try){ pr->c->pod, pr->c, pr->kind, pr->try_nr };
	rq.container_id = pr->c->id;
	rq.cmd = (char **)spec_of(pr->c, pr->kind)->exec->command;
	rq.n_cmd = spec_of(pr->c, pr->kind)->exec->n_command;
	rq.timeout = timeout_ms / 1000;
	pod_hold(t->p);
	if (!cri_call(t->p->m->cri, CRI_EXEC_SYNC, &rq.base, timeout_ms + 5000, on_exec, t)) {
		pod_drop(t->p);
		free(t);
		result(pr, false, "out of memory");
	}
}

/* --- time --------------------------------------------------------------------------------------------------------- */

static void on_timer(struct loop_timer *timer)
{
	struct probe *pr = timer->arg;
	const struct api_probe *spec = spec_of(pr->c, pr->kind);
	int timeout_ms;

	if (pr->busy) { /* TCP: the time is up; HTTP and exec have limits of their own */
		result(pr, false, "dial tcp: i/o timeout");
		return;
	}
	if (!pr->c->id || !spec)
		return;
	if (!spec->exec && !pr->c->pod->ips[0][0]) { /* an agent that has just started does not know the address yet */
		(void)loop_timer_set(pr->c->pod->m->loop, &pr->timer, ADDRESS_WAIT_MS);
		return;
	}
	timeout_ms = (int)at_least(spec->timeout_seconds, 1) * 1000;
	pr->busy = true;
	if (spec->http_get)
		try_http(pr, timeout_ms);
	else if (spec->tcp_socket)
		try_tcp(pr, timeout_ms);
	else if (spec->exec)
		try_exec(pr, timeout_ms);
}

static void begin(struct pod_ctr *c, enum probe_kind kind)
{
	const struct api_probe *spec = spec_of(c, kind);
	struct probe *pr;
	int64_t age = now_ms() - c->now.started_ms, delay;

	if (!spec || c->probes[kind])
		return;
	pr = calloc(1, sizeof(*pr));
	if (!pr)
		return;
	*pr = (struct probe){ .c = c, .kind = kind, .fd = -1 };
	pr->timer.fn = on_timer;
	pr->timer.arg = pr;
	c->probes[kind] = pr;
	delay = spec->initial_delay_seconds * 1000 - (age > 0 ? age : 0);
	(void)loop_timer_set(c->pod->m->loop, &pr->timer, delay > 0 ? delay : 0);
}

/* An agent that starts again does not take from the endpoints what was ready before: the API remembers. */
static bool was_ready(const struct pod_ctr *c, bool *ret_started)
{
	const struct api_pod_status *s = &c->pod->obj->status;

	for (size_t i = 0; i < s->n_container_statuses; i++) {
		const struct api_container_status *cs = &s->container_statuses[i];
		const char *id = cs->container_id ? strstr(cs->container_id, "://") : NULL;

		if (streq(cs->name, c->spec->name) && id && streq(id + 3, c->id)) {
			*ret_started = cs->started.set && cs->started.v;
			return cs->ready;
		}
	}
	return false;
}

void probes_start(struct pod_ctr *c)
{
	bool begun = false;

	if (c->probes[0] || c->probes[1] || c->probes[2] || c->started || !c->id)
		return;
	c->ready = was_ready(c, &begun);
	if (c->spec->startup_probe && !begun)
		begin(c, PROBE_STARTUP);
	else
		started(c);
}

void probes_stop(struct pod_ctr *c)
{
	for (int i = 0; i < PROBE_KINDS; i++)
		if (c->probes[i])
			probe_free(TAKE(c->probes[i]));
}
