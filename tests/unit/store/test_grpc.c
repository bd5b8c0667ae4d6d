/* SPDX-License-Identifier: Apache-2.0 */
/*
 * lib/io/grpc against a real etcd: unary, bidirectional streams, errors; here because etcd's messages are the
 * store's.
 */
#include <criterion/criterion.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "base/str.h"
#include "etcd_server.h"
#include "io/grpc.h"
#include "proto/etcd.pb-c.h"

struct seen {
	int done, code, msgs, created, events;
	bool unsent, cancel_in_msg;
	char message[512];
	int64_t revision;
};

static struct loop *loop;
static struct http_client *client;
static struct etcd_server etcd;

static void setup(bool tls)
{
	struct http_client_config config = { .base_url = etcd.url, .h2_prior_knowledge = true };
	struct err err = ERR_INIT;

	etcd_server_start(&etcd, tls);
	if (tls)
		config.tls = &etcd.files;
	loop = loop_new();
	cr_assert_eq(http_client_new(loop, &config, &client, &err), 0, "%s", err.msg);
}

static void setup_plain(void)
{
	setup(false);
}

static void setup_tls(void)
{
	setup(true);
}

static void teardown(void)
{
	http_client_free(client);
	loop_free(loop);
	etcd_server_stop(&etcd);
}

TestSuite(grpc, .init = setup_plain, .fini = teardown, .timeout = 180);
TestSuite(grpc_tls, .init = setup_tls, .fini = teardown, .timeout = 180);

static void note(struct seen *s, const struct grpc_status *status)
{
	s->done++;
	s->code = status->code;
	s->unsent = status->unsent;
	snprintf(s->message, sizeof(s->message), "%s", status->message);
}

static void on_put(void *arg, const struct grpc_status *status, const ProtobufCMessage *msg)
{
	struct seen *s = arg;

	note(s, status);
	cr_assert_eq(msg != NULL, status->code == 0);
	if (msg)
		s->revision = ((const Etcdpb__PutResponse *)msg)->header->revision;
}

static void until(const int *counter, int n)
{
	while (*counter < n)
		cr_assert_eq(loop_run_once(loop, 60000), 0);
}

static void put(const char *key, struct seen *s)
{
	Etcdpb__PutRequest q = ETCDPB__PUT_REQUEST__INIT;

	q.key.data = (uint8_t *)key;
	q.key.len = strlen(key);
	*s = (struct seen){ 0 };
	cr_assert(grpc_unary(client, "/etcdserverpb.KV/Put", &q.base, &etcdpb__put_response__descriptor, 0, on_put, s));
	until(&s->done, 1);
}

static void on_msg(struct grpc_call *call, void *arg, const ProtobufCMessage *msg)
{
	const Etcdpb__WatchResponse *r = (const Etcdpb__WatchResponse *)msg;
	struct seen *s = arg;

	s->msgs++;
	s->created += r->created;
	s->events += (int)r->n_events;
	if (s->cancel_in_msg)
		grpc_cancel(call);
}

static void on_done(struct grpc_call *call, void *arg, const struct grpc_status *status)
{
	note(arg, status);
	grpc_cancel(call); /* harmless here */
}

static struct grpc_call *watch(const char *prefix, const char *end, struct seen *s)
{
	static const struct grpc_stream_ops ops = { on_msg, on_done };
	Etcdpb__WatchCreateRequest create = ETCDPB__WATCH_CREATE_REQUEST__INIT;
	Etcdpb__WatchRequest q = ETCDPB__WATCH_REQUEST__INIT;
	struct grpc_call *call;

	create.key.data = (uint8_t *)prefix;
	create.key.len = strlen(prefix);
	create.range_end.data = (uint8_t *)end;
	create.range_end.len = strlen(end);
	q.request_union_case = ETCDPB__WATCH_REQUEST__REQUEST_UNION_CREATE_REQUEST;
	q.create_request = &create;
	call = grpc_stream(client, "/etcdserverpb.Watch/Watch", &q.base, true, &etcdpb__watch_response__descriptor,
			   &ops, s);
	cr_assert(call);
	return call;
}

static void unary_and_watch(void)
{
	struct seen s, w = { 0 }, w2 = { .cancel_in_msg = true };
	Etcdpb__WatchCreateRequest create = ETCDPB__WATCH_CREATE_REQUEST__INIT;
	Etcdpb__WatchRequest q = ETCDPB__WATCH_REQUEST__INIT;
	struct grpc_call *call;

	for (int i = 0; i < 20; i++) {
		put("/x/a", &s);
		cr_assert_eq(s.code, 0, "%s", s.message);
		cr_assert_eq(s.revision, 2 + i);
	}
	call = watch("/w/", "/w0", &w);
	until(&w.created, 1);
	put("/w/a", &s);
	until(&w.events, 1);
	/* a second request on the open stream */
	create.key.data = (uint8_t *)"/v";
	create.key.len = 2;
	q.request_union_case = ETCDPB__WATCH_REQUEST__REQUEST_UNION_CREATE_REQUEST;
	q.create_request = &create;
	cr_assert_eq(grpc_send(call, &q.base), 0);
	until(&w.created, 2);
	put("/v", &s);
	until(&w.events, 2);
	grpc_cancel(call);

	watch("/w/", "/w0", &w2); /* cancelled inside its first message */
	until(&w2.msgs, 1);
	put("/w/a", &s);
	put("/w/b", &s);
	cr_assert_eq(w2.msgs, 1);
	cr_assert_eq(w.done + w2.done, 0);
	cr_assert_eq(w.events, 2);
}

Test(grpc, does_unary_calls_and_watch_streams)
{
	unary_and_watch();
}

Test(grpc_tls, does_unary_calls_and_watch_streams)
{
	unary_and_watch();
}

Test(grpc, gives_status_code_and_message)
{
	struct seen s = { 0 };
	Etcdpb__PutRequest q = ETCDPB__PUT_REQUEST__INIT;

	put("", &s);
	cr_assert_eq(s.code, 3);
	cr_assert_str_eq(s.message, "etcdserver: key is not provided");
	s = (struct seen){ 0 };
	cr_assert(grpc_unary(client, "/etcdserverpb.KV/Nothing", &q.base, &etcdpb__put_response__descriptor, 0, on_put,
			     &s));
	until(&s.done, 1);
	cr_assert_eq(s.code, 12);
}

Test(grpc, ends_streams_and_calls_when_the_server_dies)
{
	struct seen s = { 0 }, w = { 0 };

	watch("/w/", "/w0", &w);
	until(&w.created, 1);
	etcd_server_kill(&etcd);
	until(&w.done, 1);
	cr_assert_eq(w.code, 14);
	cr_assert(!w.unsent);
	put("/x", &s);
	cr_assert_eq(s.code, 14);
	cr_assert(s.unsent);
	cr_assert(strstr(s.message, "Connection refused"), "%s", s.message);
}

Test(grpc, calls_end_with_their_client)
{
	struct seen w = { 0 };

	watch("/w/", "/w0", &w);
	until(&w.created, 1);
	http_client_free(client);
	client = NULL;
	cr_assert_eq(w.done, 0);
}

Test(grpc, passes_its_deadline)
{
	/* A lock-step proposal cannot be answered by a stopped server. */
	struct seen s = { 0 };
	Etcdpb__PutRequest q = ETCDPB__PUT_REQUEST__INIT;

	put("/x", &s);
	kill(etcd.pid, SIGSTOP);
	q.key.data = (uint8_t *)"/x";
	q.key.len = 2;
	s = (struct seen){ 0 };
	cr_assert(grpc_unary(client, "/etcdserverpb.KV/Put", &q.base, &etcdpb__put_response__descriptor, 200, on_put,
			     &s));
	until(&s.done, 1);
	kill(etcd.pid, SIGCONT);
	cr_assert_eq(s.code, 4);
}
