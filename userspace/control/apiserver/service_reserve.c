/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Service addresses and node ports among several servers on one store. Before a service is written, each that it takes
 * gets a key of its own, which only one server can make: "<time> <namespace>/<name>". A reservation whose service does
 * not have the address is void once the write it was made for must be over; voids are taken over when needed and swept
 * now and then.
 */
#include "apiserver-internal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../../lib/base/cleanup.h"
#include "../../lib/base/clock.h"
#include "../../lib/base/str.h"

#define PREFIX	      "/skep/serviceips/"
#define PORT_PREFIX   "/skep/nodeports/"
#define VOID_AFTER_MS 15000 /* longer than a write may take */
#define MAX_TRIES     5

static void reserve_next(struct call *c);

static bool has(const json_t *spec, const char *text)
{
	const json_t *v;
	int64_t port;
	size_t i;

	if (str_to_i64(text, 1, 65535, &port) == 0)
		return service_has_port(spec, port);
	json_array_foreach (json_object_get(spec, "clusterIPs"), i, v)
		if (streq(json_string_value(v), text))
			return true;
	return false;
}

/* The service named by the reservation has this address or port, or may be about to get it. */
static bool holds(struct apiserver *s, const char *what, const char *value, size_t len, const char *me)
{
	char text[640], *who;
	json_t *obj = NULL;
	struct object *o;
	bool found;

	snprintf(text, sizeof(text), "%.*s", (int)(len > 600 ? 600 : len), value);
	who = strchr(text, ' ');
	if (!who)
		return false;
	*who++ = '\0';
	if (streq(who, me))
		return false; /* ours, from a try before */
	if (clock_real_ms() - atoll(text) < VOID_AFTER_MS)
		return true;
	o = cache_get(cache_resource(s, "", "services"), NULL, who);
	if (!o || api_json_parse(o->json->data, o->json->len, &obj, NULL, NULL) < 0)
		return false;
	found = has(json_object_get(obj, "spec"), what);
	json_decref(obj);
	return found;
}

static void put_reservation(struct call *c, int64_t expect, store_txn_fn *fn)
{
	const char *text = c->held[c->n_reserved];
	char key[128], value[640];
	int64_t port;
	int n;

	snprintf(key, sizeof(key), "%s%s", str_to_i64(text, 1, 65535, &port) == 0 ? PORT_PREFIX : PREFIX, text);
	n = snprintf(value, sizeof(value), "%lld %s/%s", (long long)clock_real_ms(), c->ns, c->name);
	c->s->store->ops->put(c->s->store, key, expect, value, (size_t)n, 0, fn, call_ref(c));
}

static void refuse_taken(struct call *c, const char *text)
{
	int64_t port;

	if (str_to_i64(text, 1, 65535, &port) == 0)
		call_invalid1(c, API_C_INVALID, "spec.ports", "Invalid value: %s: provided port is already allocated",
			      text);
	else
		call_invalid1(c, API_C_INVALID, "spec.clusterIPs",
			      "Invalid value: [\"%s\"]: failed to allocate IP %s: provided IP is already allocated",
			      text, text);
}

static void on_reserved(void *arg, int r, const struct store_txn_result *res, const struct err *err)
{
	struct call *c = arg;
	char me[520];

	snprintf(me, sizeof(me), "%s/%s", c->ns, c->name);
	if (r < 0) {
		call_store_error(c, r, err);
	} else if (res->succeeded) {
		c->n_reserved++;
		reserve_next(c);
	} else if (!res->current) {
		put_reservation(c, 0, on_reserved); /* swept in between */
	} else if (!holds(c->s, c->held[c->n_reserved], res->current->value, res->current->value_len, me)) {
		put_reservation(c, res->current->mod_rev, on_reserved);
	} else if (++c->tries < MAX_TRIES) {
		/* Another server was faster: decide anew; what was asked for by name will be refused in the end. */
		service_release_held(c);
		mutate_decide(c);
	} else {
		refuse_taken(c, c->held[c->n_reserved]);
	}
	call_unref(c);
}

static void reserve_next(struct call *c)
{
	if (c->n_reserved < c->n_held)
		put_reservation(c, 0, on_reserved);
	else
		c->reserved_fn(c);
}

void service_reserve(struct call *c, call_fn *then)
{
	c->n_reserved = 0;
	c->reserved_fn = then;
	reserve_next(c);
}

static void on_swept(void *arg, int r, const struct store_txn_result *res, const struct err *err)
{
	(void)arg; /* changed or failed: the next sweep sees */
	(void)r;
	(void)res;
	(void)err;
}

static void on_reservations(void *arg, int r, const struct store_range *range, const struct err *err)
{
	struct apiserver *s = arg;

	(void)err;
	for (size_t i = 0; r == 0 && i < range->n; i++) {
		const struct store_kv *kv = &range->kvs[i];

		if (!holds(s, strrchr(kv->key, '/') + 1, kv->value, kv->value_len, ""))
			s->store->ops->del(s->store, kv->key, kv->mod_rev, on_swept, s);
	}
}

void service_sweep(struct apiserver *s)
{
	static const char *const prefixes[] = { PREFIX, PORT_PREFIX };
	char end[sizeof(PREFIX) + 2];

	if (s->single_writer || !s->loaded)
		return;
	for (size_t i = 0; i < sizeof(prefixes) / sizeof(prefixes[0]); i++)
		s->store->ops->range(s->store, prefixes[i], store_prefix_end(prefixes[i], end), 0, 1000, false,
				     on_reservations, s);
}
