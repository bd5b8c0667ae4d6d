/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A whole API server in this process: TLS on loopback, embedded store in a temporary directory, clients by
 * certificate.
 */
#ifndef TEST_APISERVER_FIXTURE_H
#define TEST_APISERVER_FIXTURE_H

#include <criterion/criterion.h>
#include <jansson.h>

#include "../../../userspace/control/apiserver/apiserver.h"
#include "api/api.h"
#include "base/strbuf.h"
#include "io/http_client.h"

enum who { ADMIN, NODE1, SCHEDULER, STRANGER, ANONYMOUS, ADMIN2, N_WHO };

struct fx {
	struct loop *loop;
	struct apiserver *server;
	struct apiserver_config config;
	char dir[64], store[96], files[8][3][128]; /* identity, {ca, cert, key} */
	struct tls_files tls[8];
	struct http_client *clients[N_WHO];
	const char *const *headers; /* further ones of requests; NULL-terminated, NULL: none */
};

/* Settings may be changed between fx_init and fx_start. */
void fx_init(struct fx *f);
void fx_start(struct fx *f);
void fx_stop(struct fx *f); /* the server only: fx_start again is a restart */
void fx_done(struct fx *f);

struct answer {
	int status;
	json_t *json; /* NULL: not JSON */
	char *text;
	size_t len; /* of text, which may hold NULs */
	char *warning, *content_type, *etag, *encoding, *location;
};
struct answer fx_call(struct fx *f, enum who who, const char *method, const char *path, const char *content_type,
		      const char *accept, const char *body);
/* A body that is not text. */
struct answer fx_call_bytes(struct fx *f, enum who who, const char *method, const char *path, const char *content_type,
			    const char *accept, const void *body, size_t len);
void answer_done(struct answer *a);

/* As admin, JSON; asserts the status; returns the body (the caller's). */
json_t *fx_expect(struct fx *f, int status, const char *method, const char *path, const char *body);
/* The same without looking at the body. */
void fx_do(struct fx *f, int status, const char *method, const char *path, const char *body);
/* Status message contains text. */
void fx_refused(struct fx *f, enum who who, int status, const char *method, const char *path, const char *body,
		const char *text);

/*
 * A WebSocket that must not open: the status of the refusal, its body (cut) in text. protocols: what is offered, NULL:
 * v5.channel.k8s.io.
 */
int fx_ws_refused(struct fx *f, enum who who, const char *path, const char *protocols, char *text, size_t size);

struct fx_watch {
	struct fx *f;
	struct http_call *call;
	struct strbuf buf;
	json_t *events[256]; /* {"type":..., "object":...} */
	size_t n, taken;
	int status;
	bool ended;
};
void fx_watch_start(struct fx *f, struct fx_watch *w, enum who who, const char *path, const char *accept);
/* The next event, borrowed until the end; fails the test after 5 s, or returns NULL if the watch ended. */
json_t *fx_watch_next(struct fx_watch *w);
void fx_watch_done(struct fx_watch *w);
/* Asserts type and metadata.name of the next event. */
json_t *fx_watch_expect(struct fx_watch *w, const char *type, const char *name);

#define POD(name, extra)                                                                                               \
	"{\"apiVersion\":\"v1\",\"kind\":\"Pod\",\"metadata\":{\"name\":\"" name "\"},\"spec\":{" extra                \
	"\"containers\":[{\"name\":\"c\",\"image\":\"i:1\"}]}}"
#define CM(name, data)                                                                                                 \
	"{\"apiVersion\":\"v1\",\"kind\":\"ConfigMap\",\"metadata\":{\"name\":\"" name "\"},\"data\":{" data "}}"
#define CMS  "/api/v1/namespaces/default/configmaps"
#define PODS "/api/v1/namespaces/default/pods"

#endif
