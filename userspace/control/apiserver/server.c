/* SPDX-License-Identifier: Apache-2.0 */
/* The process's life: store, cache, listeners, compaction, health of the store, shutdown. */
#include "apiserver-internal.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "../../lib/base/cleanup.h"
#include "../../lib/base/clock.h"
#include "../../lib/base/log.h"
#include "../../lib/base/str.h"
#include "encrypt.h"
#include "webhook_client.h"

#define HEALTH_MS	5000
#define FIRST_PASSED_FD 3 /* sd_listen_fds(3) */
#define ETCD_PREFIX	"/registry"

static void on_health(struct loop_timer *timer);

/* Families live for ever in their process; several servers in one (tests) share them. */
static void make_metrics(struct apiserver *s)
{
	static struct metric *requests, *seconds, *watchers, *store, *objects, *events;

	if (!requests) {
		requests = metric_new(METRIC_COUNTER, "apiserver_request_total",
				      "Requests answered, by verb, resource and code.", "verb,resource,code", NULL, 0);
		seconds = metric_new(METRIC_HISTOGRAM, "apiserver_request_duration_seconds",
				     "Time from a complete request to its answer, watches apart.", "verb,resource",
				     NULL, 0);
		watchers = metric_new(METRIC_GAUGE, "apiserver_registered_watchers", "Open watches.", "resource", NULL,
				      0);
		store = metric_new(METRIC_HISTOGRAM, "apiserver_store_write_duration_seconds",
				   "Time of a durable write.", "operation", NULL, 0);
		objects = metric_new(METRIC_GAUGE, "apiserver_storage_objects", "Objects in the cache.", "resource",
				     NULL, 0);
		events = metric_new(METRIC_COUNTER, "apiserver_watch_events_total", "Events sent to watchers.",
				    "resource", NULL, 0);
	}
	s->m_requests = requests;
	s->m_seconds = seconds;
	s->m_watchers = watchers;
	s->m_store = store;
	s->m_objects = objects;
	s->m_events = events;
}

static int open_plain(struct apiserver *s, struct err *err)
{
	const char *text = s->config.store;

	if (s->config.etcd_servers)
		return store_etcd_open(s->loop, s->config.etcd_servers, &s->config.etcd_tls, ETCD_PREFIX, &s->store,
				       err);
	if (!text)
		return err_set(err, EINVAL, "no store given");
	if (str_starts(text, "sqlite:")) {
		s->single_writer = true;
		return store_sqlite_open(s->loop, text + 7, &s->store, err);
	}
	if (str_starts(text, "etcd:"))
		return store_etcd_open(s->loop, text + 5, &s->config.etcd_tls, ETCD_PREFIX, &s->store, err);
	return err_set(err, EINVAL, "store '%s': expected sqlite:DIRECTORY or etcd:URL[,URL...]", text);
}

static int open_store(struct apiserver *s, struct err *err)
{
	struct encrypt_config *keys = NULL;
	struct store *sealed;
	int r = s->config.encryption_keys ? encrypt_config_load(s->config.encryption_keys, &keys, err) : 0;

	if (!r)
		r = open_plain(s, err);
	if (r < 0 || !keys) {
		encrypt_config_free(keys);
		return r;
	}
	sealed = encrypt_open(s->store, keys);
	if (!sealed) {
		encrypt_config_free(keys);
		return err_set(err, ENOMEM, "out of memory");
	}
	s->store = sealed;
	return 0;
}

/* Sockets passed by systemd or by `skep up`, which made them in other network namespaces. */
static int listen_passed(struct apiserver *s, struct err *err)
{
	const char *pid = getenv("LISTEN_PID"), *n_text = getenv("LISTEN_FDS");
	int64_t n, p;

	if (!pid || !n_text)
		return 0;
	if (str_to_i64(pid, 1, INT32_MAX, &p) < 0 || str_to_i64(n_text, 0, 64, &n) < 0)
		return err_set(err, EINVAL, "LISTEN_PID='%s' LISTEN_FDS='%s': not numbers", pid, n_text);
	if (p != getpid())
		return 0;
	for (int fd = FIRST_PASSED_FD; fd < FIRST_PASSED_FD + n; fd++) {
		int on = 0;
		socklen_t len = sizeof(on);

		if (getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &on, &len) < 0 || !on)
			return err_set(err, EINVAL, "LISTEN_FDS: descriptor %d is not a listening socket", fd);
	}
	unsetenv("LISTEN_PID");
	unsetenv("LISTEN_FDS");
	s->n_passed = (int)n;
	return (int)n;
}

/*
 * Passed sockets queue connections by themselves: nobody is served, and nobody refused, before there is something to
 * serve from.
 */
void apiserver_serve_passed(struct apiserver *s)
{
	struct err err = ERR_INIT;

	for (int fd = FIRST_PASSED_FD; fd < FIRST_PASSED_FD + s->n_passed; fd++)
		if (http_server_listen_fd(s->http, fd, &err) < 0)
			log_error("LISTEN_FDS: descriptor %d: %s", fd, err.msg);
	s->n_passed = 0;
}

static int start_listening(struct apiserver *s, struct err *err)
{
	struct http_server_config config = {
		.tls = s->config.tls.cert_file ? &s->config.tls : NULL,
		.client_certs = s->config.tls.ca_file != NULL,
		.max_pending = 8u << 20, /* a burst of events to one watcher; beyond it lists again */
		.handler = route_request,
		.arg = s,
	};
	int passed = 0, r;

	r = http_server_new(s->loop, &config, &s->http, err);
	if (r < 0)
		return r;
	for (int i = 0; i < s->config.n_listen; i++) {
		r = http_server_listen(s->http, s->config.listen[i], &s->ports[i], err);
		if (r < 0)
			return err_wrap(err, r, "listen on '%s'", s->config.listen[i]);
		s->n_ports++;
	}
	if (s->config.socket_activation) {
		passed = listen_passed(s, err);
		if (passed < 0)
			return passed;
	}
	if (!passed && !s->config.n_listen)
		return err_set(err, EINVAL, "nothing to listen on: give --listen or pass sockets (LISTEN_FDS)");
	return 0;
}

static int copy_config(struct apiserver *s)
{
	/* what outlives the caller's strings */
	const char **strings[] = { &s->config.advertise,       &s->config.service_cidrs,   &s->config.node_ports,
				   &s->config.store,	       &s->config.kubelet.ca_file, &s->config.kubelet.cert_file,
				   &s->config.kubelet.key_file };

	for (size_t i = 0; i < sizeof(strings) / sizeof(strings[0]); i++)
		if (*strings[i] && !(*strings[i] = strdup(*strings[i])))
			return -ENOMEM;
	return 0;
}

int apiserver_new(struct loop *loop, const struct apiserver_config *config, struct apiserver **ret, struct err *err)
{
	struct apiserver *s = calloc(1, sizeof(*s));
	int r;

	if (!s)
		return err_set(err, ENOMEM, "out of memory");
	s->loop = loop;
	s->config = *config;
	list_init(&s->calls);
	list_init(&s->waiters);
	list_init(&s->account_waiters);
	list_init(&s->retired);
	strbuf_init(&s->load_from);
	if (copy_config(s) < 0) {
		r = err_set(err, ENOMEM, "out of memory");
		goto fail;
	}
	s->kubelet.tls = &s->config.kubelet;
	make_metrics(s);
	r = ipalloc_new(config->service_cidrs ? config->service_cidrs : "10.96.0.0/12,fd00:10:96::/112", &s->ips, err);
	if (!r)
		r = portalloc_new(config->node_ports ? config->node_ports : "30000-32767", &s->node_ports, err);
	if (r < 0)
		goto fail;
	r = admission_init(s, config->enable_admission_plugins, config->disable_admission_plugins, err);
	if (r < 0)
		goto fail;
	r = cache_init(s, err);
	if (r < 0)
		goto fail;
	r = authn_new(s, config, &s->authn, err);
	if (r < 0)
		goto fail;
	cache_resource(s, "", "services")->on_change = service_changed;
	cache_resource(s, "", "serviceaccounts")->on_change = service_account_changed;
	cache_resource(s, "apiextensions.k8s.io", "customresourcedefinitions")->on_change = crd_changed;
	r = authz_init(s, err);
	if (r < 0)
		goto fail;
	r = flow_init(s, err);
	if (r < 0)
		goto fail;
	r = audit_init(s, err);
	if (r < 0)
		goto fail;
	r = start_listening(s, err);
	if (r < 0)
		goto fail;
	r = open_store(s, err);
	if (r < 0)
		goto fail;
	s->health_timer.fn = on_health;
	s->health_timer.arg = s;
	r = store_care_init(s, err);
	if (r < 0)
		goto fail;
	(void)loop_timer_set(loop, &s->health_timer, HEALTH_MS);
	cache_start(s);
	*ret = s;
	return 0;
fail:
	apiserver_free(s);
	return r;
}

void apiserver_free(struct apiserver *s)
{
	if (!s)
		return;
	s->stopping = true;
	s->stopped_fn = NULL;
	store_care_stop(s);
	loop_timer_cancel(&s->health_timer);
	loop_timer_cancel(&s->bootstrap_timer);
	http_server_free(s->http);
	hook_clients_done(s);
	service_account_forget_waiters(s);
	/* Calls that wait for the cache hold a reference that nobody will drop any more. */
	while (!list_empty(&s->waiters)) {
		struct call *c = list_first(&s->waiters, struct call, wait_link);

		list_remove(&c->wait_link);
		loop_timer_cancel(&c->wait_timer);
		call_unref(c);
	}
	/* Closing the store ends every operation under way with its callback, which may still look at the cache. */
	if (s->feed)
		s->store->ops->unwatch(TAKE(s->feed));
	if (s->store)
		s->store->ops->close(s->store);
	cache_done(s);
	authz_done(s);
	openapi_forget(s);
	flow_done(s);
	audit_done(s);
	store_care_done(s);
	ipalloc_free(s->ips);
	portalloc_free(s->node_ports);
	authn_free(s->authn);
	free((char *)s->config.advertise);
	free((char *)s->config.service_cidrs);
	free((char *)s->config.node_ports);
	free((char *)s->config.store);
	free((char *)s->config.kubelet.ca_file);
	free((char *)s->config.kubelet.cert_file);
	free((char *)s->config.kubelet.key_file);
	free(s);
}

int apiserver_port(const struct apiserver *s, int i)
{
	return i < s->n_ports ? s->ports[i] : -1;
}

bool apiserver_ready(const struct apiserver *s)
{
	return s->loaded && s->bootstrapped && s->store_ok;
}

void apiserver_shutdown(struct apiserver *s, void (*fn)(void *arg), void *arg)
{
	s->stopping = true;
	s->stopped_fn = fn;
	s->stopped_arg = arg;
	watch_end_all(s);
	if (!s->n_calls) {
		s->stopped_fn = NULL;
		(void)loop_post(s->loop, fn, arg);
	}
}

static void on_probe(void *arg, int r, const struct store_range *range, const struct err *err)
{
	struct apiserver *s = arg;

	(void)range;
	if (s->stopping)
		return;
	if (r < 0)
		snprintf(s->store_error, sizeof(s->store_error), "%s", err && err->code ? err->msg : strerror(-r));
	if (s->store_ok != (r == 0))
		log_warn("store: %s", r == 0 ? "available again" : s->store_error);
	s->store_ok = r == 0;
	(void)loop_timer_set(s->loop, &s->health_timer, HEALTH_MS);
}

static void on_health(struct loop_timer *timer)
{
	struct apiserver *s = timer->arg;

	if (!s->loaded) {
		(void)loop_timer_set(s->loop, timer, HEALTH_MS);
		return;
	}
	s->store->ops->range(s->store, "/-", "", 0, 1, true, on_probe, s);
}
