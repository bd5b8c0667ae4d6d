/* SPDX-License-Identifier: Apache-2.0 */
/* lib/io: metrics. The text is checked here, and by promtool where it is installed. */
#include <criterion/criterion.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "io/http_client.h"
#include "io/metrics.h"

static struct strbuf out = STRBUF_INIT;

static const char *text(void)
{
	strbuf_clear(&out);
	metrics_write(&out);
	cr_assert(!strbuf_oom(&out));
	return out.buf;
}

static void has(const char *line)
{
	char with_ends[400];

	snprintf(with_ends, sizeof(with_ends), "\n%s\n", line);
	cr_assert(strstr(text(), with_ends), "no line '%s' in\n%s", line, out.buf);
}

static void has_not(const char *part)
{
	cr_assert(!strstr(text(), part), "'%s' in\n%s", part, out.buf);
}

static int scrapes;

static void refresh(void *arg)
{
	struct metric *m = arg;

	metric_reset(m);
	metric_set(m, ++scrapes, "x");
}

Test(metrics, counters_gauges_and_labels)
{
	struct metric *c = metric_new(METRIC_COUNTER, "t_requests_total", "Requests.", "verb,code", NULL, 0);
	struct metric *g = metric_new(METRIC_GAUGE, "t_depth", "Depth.", "", NULL, 0);

	has("# HELP t_requests_total Requests.");
	has("# TYPE t_requests_total counter");
	has_not("\nt_depth "); /* a series appears on first use */
	metric_add(c, 1, "get", "200");
	metric_add(c, 2, "get", "200");
	metric_add(c, 1, "put", NULL);
	metric_set(g, -0.25);
	has("t_requests_total{verb=\"get\",code=\"200\"} 3");
	has("t_requests_total{verb=\"put\",code=\"\"} 1");
	has("t_depth -0.25");
	metric_set(g, 1763858014.125);
	has("t_depth 1763858014.125");
	metric_add(c, 1, "a\"b\\c\nd\xff", "1");
	has("t_requests_total{verb=\"a\\\"b\\\\c\\nd?\",code=\"1\"} 1");
	metric_reset(c);
	has_not("t_requests_total{");
	strbuf_done(&out);
}

Test(metrics, histograms_are_cumulative)
{
	static const double bounds[] = { 0.1, 1 };
	struct metric *h = metric_new(METRIC_HISTOGRAM, "t_seconds", "Time.", "op", bounds, 2);

	metric_observe(h, 0.1, "a"); /* le: bounds are inclusive */
	metric_observe(h, 0.5, "a");
	metric_observe(h, 7, "a");
	has("t_seconds_bucket{op=\"a\",le=\"0.1\"} 1");
	has("t_seconds_bucket{op=\"a\",le=\"1\"} 2");
	has("t_seconds_bucket{op=\"a\",le=\"+Inf\"} 3");
	has("t_seconds_sum{op=\"a\"} 7.6");
	has("t_seconds_count{op=\"a\"} 3");
	strbuf_done(&out);
}

Test(metrics, series_are_bounded)
{
	struct metric *c = metric_new(METRIC_COUNTER, "t_many_total", "Many.", "id", NULL, 0);
	char id[32];

	for (int i = 0; i < 7000; i++) {
		snprintf(id, sizeof(id), "%d", i);
		metric_add(c, 1, id);
	}
	has("t_many_total{id=\"4999\"} 1");
	has_not("{id=\"5000\"}");
	has("t_many_total{id=\"overflow\"} 2000");
	strbuf_done(&out);
}

Test(metrics, families_are_refreshed_at_scrape)
{
	struct metric *m = metric_new(METRIC_GAUGE, "t_mirror", "Mirror.", "of", NULL, 0);

	metrics_on_scrape(refresh, m);
	metric_set(m, 5, "gone by then");
	has("t_mirror{of=\"x\"} 1");
	has("t_mirror{of=\"x\"} 2");
	has_not("gone");
	strbuf_done(&out);
}

Test(metrics, promtool_accepts_them)
{
	struct metric *c = metric_new(METRIC_COUNTER, "t_requests_total", "Requests.", "verb", NULL, 0);
	struct metric *h = metric_new(METRIC_HISTOGRAM, "t_duration_seconds", "Time, \"quoted\".", "", NULL, 0);
	struct metric *g = metric_new(METRIC_GAUGE, "t_odd", "Odd numbers.", "n", NULL, 0);
	FILE *p;
	int r;

	if (access("/usr/bin/promtool", X_OK) < 0)
		cr_skip_test("promtool is not installed (package prometheus)");
	metric_add(c, 1e18, "a\"\n\\\xc3(");
	metric_observe(h, 0.0001);
	metric_observe(h, 1e9);
	metric_set(g, INFINITY, "inf");
	metric_set(g, -INFINITY, "-inf");
	metric_set(g, NAN, "nan");
	metric_set(g, 1e-300, "small");
	p = popen("promtool check metrics", "w");
	cr_assert(p);
	fputs(text(), p);
	r = pclose(p);
	cr_assert(WIFEXITED(r) && !WEXITSTATUS(r), "promtool ended with %d for\n%s", r, out.buf);
	strbuf_done(&out);
}

static const char *not_ready;
static int answered, status;
static struct strbuf body = STRBUF_INIT;

static const char *ready(void *arg)
{
	return *(const char **)arg;
}

static void serve(struct http_req *req, void *arg)
{
	(void)arg;
	if (!metrics_handle(req, ready, &not_ready))
		http_respond(req, 404, "text/plain", "", 0);
}

static void on_done(struct http_call *call, void *arg, const struct http_response *rsp)
{
	(void)call;
	(void)arg;
	status = rsp->status;
	strbuf_clear(&body);
	strbuf_add(&body, rsp->body, rsp->len);
	answered++;
}

static int get(struct loop *loop, struct http_client *c, const char *path)
{
	struct http_call_config config = { .method = "GET", .path = path, .timeout_ms = 20000, .on_done = on_done };
	int before = answered;

	cr_assert(http_call_start(c, &config));
	while (answered == before)
		cr_assert(loop_run_once(loop, -1) >= 0);
	return status;
}

Test(metrics, served_with_health)
{
	struct http_server_config config = { .handler = serve };
	struct loop *loop = loop_new();
	struct http_server *server;
	struct http_client *client;
	struct http_client_config cc = { 0 };
	struct metric *c = metric_new(METRIC_COUNTER, "t_served_total", "Served.", "", NULL, 0);
	char url[64];
	int port;

	metric_add(c, 1);
	cr_assert_eq(http_server_new(loop, &config, &server, NULL), 0);
	cr_assert_eq(http_server_listen(server, "127.0.0.1:0", &port, NULL), 0);
	snprintf(url, sizeof(url), "http://127.0.0.1:%d", port);
	cc.base_url = url;
	cr_assert_eq(http_client_new(loop, &cc, &client, NULL), 0);
	cr_assert_eq(get(loop, client, "/metrics"), 200);
	cr_assert(strstr(body.buf, "\nt_served_total 1\n"));
	cr_assert_eq(get(loop, client, "/livez"), 200);
	cr_assert_eq(get(loop, client, "/healthz"), 200);
	cr_assert_eq(get(loop, client, "/readyz"), 200);
	not_ready = "waiting for the store";
	cr_assert_eq(get(loop, client, "/readyz"), 503);
	cr_assert_str_eq(body.buf, not_ready);
	cr_assert_eq(get(loop, client, "/livez"), 200);
	cr_assert_eq(get(loop, client, "/other"), 404);
	http_client_free(client);
	http_server_free(server);
	loop_free(loop);
	strbuf_done(&body);
}

Test(metrics, the_process_itself)
{
	static const char *const families[] = { "process_cpu_seconds_total",
						"process_resident_memory_bytes",
						"process_virtual_memory_bytes",
						"process_start_time_seconds",
						"process_open_fds",
						"process_max_fds" };
	double start = 0, now = (double)time(NULL);

	for (size_t i = 0; i < sizeof(families) / sizeof(families[0]); i++) {
		char line[100];
		const char *at;

		snprintf(line, sizeof(line), "\n%s ", families[i]);
		at = strstr(text(), line);
		cr_assert(at, "%s", families[i]);
		if (strstr(line, "start_time"))
			start = atof(at + strlen(line));
	}
	cr_assert(start > now - 600 && start < now + 2, "%f, now %f", start, now);
	strbuf_done(&out);
}
