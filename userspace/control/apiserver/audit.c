/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Events of the audit log: one line of JSON per request and stage. A call that no rule wants costs a look at the
 * policy; one that is recorded carries a ticket with what the rule said.
 */
#include "audit.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../../lib/base/cleanup.h"
#include "../../lib/base/clock.h"
#include "../../lib/base/file.h"
#include "../../lib/base/str.h"
#include "apiserver-internal.h"

#define MAX_POLICY (1u << 20)
#define MAX_URI	   8192
#define MAX_NOTES  64 /* annotations of a request, and bytes of one */
#define MAX_NOTE   16384

struct audit {
	struct audit_policy *policy;
	struct audit_log *log;
	struct metric *m_events, *m_levels, *m_errors, *m_dropped;
};

struct audit_ticket {
	struct audit_decision d;
	char id[65];
	char received[40];
	bool complete;
	int code;	     /* of a stream that has begun */
	json_t *annotations; /* key to value; NULL: none */
};

/* --- life ----------------------------------------------------------------------------------------------------------
 */

static void on_scrape(void *arg)
{
	struct audit *a = arg;
	struct audit_log_stats st = audit_log_stats(a->log);

	metric_set(a->m_events, (double)st.lines);
	metric_set(a->m_errors, (double)(st.failed + st.dropped), "log");
	metric_set(a->m_dropped, (double)st.dropped);
}

static void make_metrics(struct audit *a)
{
	static struct metric *events, *levels, *errors, *dropped;

	if (!events) {
		events = metric_new(METRIC_COUNTER, "apiserver_audit_event_total", "Audit events recorded.", "", NULL,
				    0);
		levels = metric_new(METRIC_COUNTER, "apiserver_audit_level_total", "Requests by audit level.", "level",
				    NULL, 0);
		errors = metric_new(METRIC_COUNTER, "apiserver_audit_error_total",
				    "Audit events lost, whatever the reason.", "plugin", NULL, 0);
		dropped = metric_new(METRIC_COUNTER, "apiserver_audit_dropped_events_total",
				     "Audit events lost since the disk was too slow.", "", NULL, 0);
	}
	a->m_events = events;
	a->m_levels = levels;
	a->m_errors = errors;
	a->m_dropped = dropped;
}

int audit_init(struct apiserver *s, struct err *err)
{
	const struct apiserver_config *c = &s->config;
	struct audit_log_config config = { .path = c->audit_log_path,
					   .max_size = (int64_t)(c->audit_log_maxsize ? c->audit_log_maxsize : 100)
						       << 20,
					   .max_backups = c->audit_log_maxbackup,
					   .max_age_days = c->audit_log_maxage,
					   .max_buffered = c->audit_log_buffer };
	cleanup(free) char *text = NULL;
	size_t len;
	int r;

	if (!c->audit_policy_file && !c->audit_log_path)
		return 0;
	if (!c->audit_policy_file || !c->audit_log_path)
		return err_set(err, EINVAL, "an audit log needs both --audit-policy-file and --audit-log-path");
	s->audit = calloc(1, sizeof(*s->audit));
	if (!s->audit)
		return err_set(err, ENOMEM, "out of memory");
	r = file_read(c->audit_policy_file, MAX_POLICY, &text, &len, err);
	if (r == 0)
		r = audit_policy_parse(text, len, &s->audit->policy, err);
	if (r < 0)
		return err_wrap(err, r, "--audit-policy-file '%s'", c->audit_policy_file);
	r = audit_log_open(s->loop, &config, &s->audit->log, err);
	if (r < 0)
		return r;
	make_metrics(s->audit);
	metrics_on_scrape(on_scrape, s->audit);
	return 0;
}

void audit_done(struct apiserver *s)
{
	struct audit *a = TAKE(s->audit);

	if (!a)
		return;
	metrics_off_scrape(on_scrape, a);
	audit_policy_free(a->policy);
	audit_log_close(a->log);
	free(a);
}

/* --- one event ------------------------------------------------------------------------------------------------------
 */

static void member(struct strbuf *sb, const char *name, const char *value)
{
	if (!value || !*value)
		return;
	if (sb->buf[sb->len - 1] != '{')
		strbuf_addc(sb, ',');
	strbuf_addf(sb, "\"%s\":", name);
	strbuf_add_json(sb, value);
}

/* UserInfo of whoever asks, and of whom they ask as. */
static void add_user(struct strbuf *sb, const char *name, const struct identity *who)
{
	json_t *info = identity_user_info(who);
	cleanup(free) char *text = info ? json_dumps(info, JSON_COMPACT) : NULL;

	json_decref(info);
	if (text)
		strbuf_addf(sb, ",\"%s\":%s", name, text);
	else
		sb->oom = true;
}

static void add_source(struct strbuf *sb, const struct call *c)
{
	const struct sockaddr *sa = http_req_peer(c->req);
	const char *agent = http_req_header(c->req, "user-agent");
	char ip[INET6_ADDRSTRLEN] = "";

	if (sa && sa->sa_family == AF_INET)
		inet_ntop(AF_INET, &((const struct sockaddr_in *)(const void *)sa)->sin_addr, ip, sizeof(ip));
	else if (sa && sa->sa_family == AF_INET6)
		inet_ntop(AF_INET6, &((const struct sockaddr_in6 *)(const void *)sa)->sin6_addr, ip, sizeof(ip));
	if (ip[0]) {
		strbuf_adds(sb, ",\"sourceIPs\":[");
		strbuf_add_json(sb, ip);
		strbuf_addc(sb, ']');
	}
	if (agent) {
		char cut[513];

		snprintf(cut, sizeof(cut), "%s", agent);
		member(sb, "userAgent", cut);
	}
}

static void add_object_ref(struct strbuf *sb, const struct call *c)
{
	if (!c->resource[0])
		return;
	strbuf_adds(sb, ",\"objectRef\":{");
	member(sb, "resource", c->resource);
	member(sb, "namespace", c->ns);
	member(sb, "name", c->name);
	member(sb, "apiGroup", c->group);
	member(sb, "apiVersion", c->version);
	member(sb, "subresource", c->sub);
	strbuf_addc(sb, '}');
}

/* A body as JSON, whatever it came as; NULL: there is none, or it is not readable. */
static json_t *parse_body(const char *type, const void *data, size_t len)
{
	json_t *v = NULL, *docs = NULL;
	int *lines = NULL;

	if (!len || !type)
		return NULL;
	if (str_starts(type, "application/vnd.kubernetes.protobuf")) {
		(void)api_protobuf_parse(data, len, &v, NULL);
	} else if (strstr(type, "yaml")) {
		if (api_yaml_parse(data, len, &docs, &lines, NULL) == 0 && json_array_size(docs))
			v = json_incref(json_array_get(docs, 0));
		json_decref(docs);
		free(lines);
	} else if (strstr(type, "json")) {
		(void)api_json_parse(data, len, &v, NULL, NULL);
	}
	return v;
}

static void drop_managed_fields(json_t *v)
{
	json_t *items = json_object_get(v, "items"), *item;
	size_t i;

	json_object_del(json_object_get(v, "metadata"), "managedFields");
	json_array_foreach (items, i, item)
		json_object_del(json_object_get(item, "metadata"), "managedFields");
}

static void add_body(struct strbuf *sb, const struct audit_ticket *t, const char *name, const char *type,
		     const void *data, size_t len)
{
	json_t *v = parse_body(type, data, len);
	cleanup(free) char *text = NULL;

	if (v && t->d.omit_managed_fields)
		drop_managed_fields(v);
	text = v ? json_dumps(v, JSON_COMPACT | JSON_ENCODE_ANY) : NULL;
	if (text)
		strbuf_addf(sb, ",\"%s\":%s", name, text);
	json_decref(v);
}

/* What happened, in Kubernetes' Status: a failure's own, without what it says about the object's content. */
static void add_status(struct strbuf *sb, int code, const char *type, const void *body, size_t len)
{
	json_t *v = code >= 400 ? parse_body(type, body, len) : NULL;

	strbuf_adds(sb, ",\"responseStatus\":{\"metadata\":{}");
	if (v && streq(api_get_str(v, "kind"), "Status")) {
		member(sb, "status", api_get_str(v, "status"));
		member(sb, "message", api_get_str(v, "message"));
		member(sb, "reason", api_get_str(v, "reason"));
	}
	strbuf_addf(sb, ",\"code\":%d}", code);
	json_decref(v);
}

static void add_annotations(struct strbuf *sb, const struct audit_ticket *t)
{
	cleanup(free) char *text = t->annotations ? json_dumps(t->annotations, JSON_COMPACT) : NULL;

	if (text)
		strbuf_addf(sb, ",\"annotations\":%s", text);
	else if (t->annotations)
		sb->oom = true;
}

struct answer {
	int code; /* 0: none yet */
	const char *type;
	const void *body;
	size_t len;
};

static void emit(struct call *c, enum audit_stage stage, const struct answer *a)
{
	struct audit_ticket *t = c->audit;
	cleanup(strbuf_done) struct strbuf sb = STRBUF_INIT;
	const char *target = http_req_raw_target(c->req);
	char now[40];

	if (t->d.omit_stages & (1u << stage))
		return;
	strbuf_addf(&sb, "{\"kind\":\"Event\",\"apiVersion\":\"audit.k8s.io/v1\",\"level\":\"%s\",\"auditID\":",
		    audit_level_names[t->d.level]);
	strbuf_add_json(&sb, t->id);
	strbuf_addf(&sb, ",\"stage\":\"%s\"", audit_stage_names[stage]);
	if (strlen(target) <= MAX_URI) {
		member(&sb, "requestURI", target);
	} else {
		cleanup(free) char *cut = strndup(target, MAX_URI);

		member(&sb, "requestURI", cut);
	}
	member(&sb, "verb", c->verb);
	add_user(&sb, "user", c->real ?: &c->who);
	if (c->real)
		add_user(&sb, "impersonatedUser", &c->who);
	add_source(&sb, c);
	add_object_ref(&sb, c);
	if (a->code)
		add_status(&sb, a->code, a->type, a->body, a->len);
	if (t->d.level >= AUDIT_REQUEST && a->code && c->resource[0]) {
		size_t len;
		const void *body = http_req_body(c->req, &len);
		const char *type = http_req_header(c->req, "content-type");

		add_body(&sb, t, "requestObject", type ? type : "application/json", body, len);
	}
	if (t->d.level >= AUDIT_REQUEST_RESPONSE && a->code && c->resource[0])
		add_body(&sb, t, "responseObject", a->type, a->body, a->len);
	member(&sb, "requestReceivedTimestamp", t->received);
	member(&sb, "stageTimestamp", clock_rfc3339_micro(clock_real_ms(), now));
	add_annotations(&sb, t);
	strbuf_adds(&sb, "}\n");
	if (!strbuf_oom(&sb))
		audit_log_add(c->s->audit->log, sb.buf, sb.len);
}

/* --- a call's stages -------------------------------------------------------------------------------------------------
 */

void audit_begin(struct call *c, const char *path)
{
	struct authz_request q = { .who = &c->who,
				   .verb = c->verb,
				   .group = c->group,
				   .resource = c->resource,
				   .sub = c->sub,
				   .ns = c->ns,
				   .name = c->name,
				   .path = path };
	struct audit_decision d;
	const char *given;
	struct audit_ticket *t;

	if (!c->s->audit || !c->req)
		return;
	audit_policy_decide(c->s->audit->policy, &q, &d);
	metric_add(c->s->audit->m_levels, 1, audit_level_names[d.level]);
	if (d.level == AUDIT_NONE)
		return;
	t = calloc(1, sizeof(*t));
	if (!t) {
		metric_add(c->s->audit->m_errors, 1, "log");
		return;
	}
	t->d = d;
	c->audit = t;
	given = http_req_header(c->req, "audit-id");
	if (given && *given && strlen(given) < sizeof(t->id))
		snprintf(t->id, sizeof(t->id), "%s", given);
	else
		str_uuid(t->id);
	clock_rfc3339_micro(clock_real_ms(), t->received);
	http_add_header(c->req, "Audit-Id", t->id);
	emit(c, AUDIT_RECEIVED, &(struct answer){ 0 });
}

void audit_annotate(struct call *c, const char *key, const char *value)
{
	struct audit_ticket *t;

	while (c->parent)
		c = c->parent;
	t = c->audit;
	if (!t || t->complete || strlen(key) > MAX_NOTE || strlen(value) > MAX_NOTE)
		return;
	if (!t->annotations)
		t->annotations = json_object();
	if (json_object_size(t->annotations) < MAX_NOTES || json_object_get(t->annotations, key))
		json_object_set_new(t->annotations, key, json_string(value));
}

void audit_answered(struct call *c, int code, const char *type, const void *body, size_t len)
{
	if (!c->audit || c->audit->complete || !c->req)
		return;
	c->audit->complete = true;
	emit(c, AUDIT_COMPLETE, &(struct answer){ code, type, body, len });
}

void audit_streaming(struct call *c, int code)
{
	if (!c->audit || c->audit->complete || !c->req)
		return;
	c->audit->code = code;
	if (c->flow.long_running)
		emit(c, AUDIT_STARTED, &(struct answer){ .code = code });
}

/* 499: the client went away before the answer; what it asked for may have been done all the same. */
void audit_closed(struct call *c)
{
	if (!c->audit || c->audit->complete || !c->req)
		return;
	c->audit->complete = true;
	emit(c, AUDIT_COMPLETE, &(struct answer){ .code = c->audit->code ? c->audit->code : 499 });
}

void audit_free(struct call *c)
{
	if (!c->audit)
		return;
	json_decref(c->audit->annotations);
	free(c->audit);
	c->audit = NULL;
}
