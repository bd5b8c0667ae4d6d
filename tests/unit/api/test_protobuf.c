/* SPDX-License-Identifier: Apache-2.0 */
/* Kubernetes' protobuf bodies: what they mean as JSON, and what damage does. */
#include <criterion/criterion.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "api/api.h"
#include "base/cleanup.h"
#include "base/str.h"

/* Small writer: nested messages are written into buffers of their own. */
struct msg {
	unsigned char b[2048];
	size_t n;
};

static void varint(struct msg *m, uint64_t v)
{
	do {
		m->b[m->n++] = (unsigned char)((v & 0x7f) | (v > 0x7f ? 0x80 : 0));
		v >>= 7;
	} while (v);
}

static void num(struct msg *m, unsigned field, uint64_t v)
{
	varint(m, field << 3);
	varint(m, v);
}

static void bytes(struct msg *m, unsigned field, const void *data, size_t len)
{
	varint(m, field << 3 | 2);
	varint(m, len);
	memcpy(m->b + m->n, data, len);
	m->n += len;
}

static void str(struct msg *m, unsigned field, const char *s)
{
	bytes(m, field, s, strlen(s));
}

static void sub(struct msg *m, unsigned field, const struct msg *inner)
{
	bytes(m, field, inner->b, inner->n);
}

static struct msg envelope(const char *version, const char *kind, const struct msg *raw)
{
	struct msg m = { "k8s", 4 }, meta = { 0 };

	str(&meta, 1, version);
	str(&meta, 2, kind);
	sub(&m, 1, &meta);
	sub(&m, 2, raw);
	str(&m, 3, "");
	str(&m, 4, "");
	return m;
}

static void expect(const struct msg *m, const char *json)
{
	json_t *got = NULL, *want = json_loads(json, 0, NULL);
	struct err err = ERR_INIT;
	cleanup(free) char *text = NULL;

	cr_assert(api_protobuf_parse(m->b, m->n, &got, &err) == 0, "%s", err.msg);
	text = json_dumps(got, 0);
	cr_assert(want && json_equal(got, want), "%s", text);
	json_decref(got);
	json_decref(want);
}

static struct msg pod(void)
{
	struct msg raw = { 0 }, meta = { 0 }, spec = { 0 }, ct = { 0 }, port = { 0 }, res = { 0 }, entry = { 0 },
		   q = { 0 }, vol = { 0 }, src = { 0 }, cm = { 0 }, ref = { 0 }, probe = { 0 }, handler = { 0 },
		   get = { 0 }, ios = { 0 }, time = { 0 }, status = { 0 }, label = { 0 };

	str(&meta, 1, "p");
	str(&meta, 2, "");    /* written by Go though empty */
	sub(&meta, 8, &time); /* the zero time */
	num(&meta, 7, 0);
	str(&label, 1, "a");
	str(&label, 2, "b");
	sub(&meta, 11, &label);
	str(&ct, 1, "c");
	str(&ct, 2, "i:1");
	str(&ct, 3, "sh");
	str(&ct, 3, "-c");
	num(&port, 3, 80);
	str(&port, 4, "TCP");
	num(&port, 2, 0);
	sub(&ct, 6, &port);
	str(&q, 1, "100m");
	str(&entry, 1, "cpu");
	sub(&entry, 2, &q);
	sub(&res, 2, &entry);
	sub(&ct, 8, &res);
	num(&ios, 1, 1);
	num(&ios, 2, 0);
	str(&ios, 3, "http");
	sub(&get, 2, &ios);
	str(&get, 1, "/x");
	sub(&handler, 2, &get);
	sub(&probe, 1, &handler);
	num(&probe, 2, 0);
	num(&probe, 4, 5);
	sub(&ct, 11, &probe);
	str(&ref, 1, "cm");
	sub(&cm, 1, &ref);
	sub(&src, 19, &cm);
	str(&vol, 1, "v");
	sub(&vol, 2, &src);
	sub(&spec, 1, &vol);
	sub(&spec, 2, &ct);
	str(&spec, 3, "Always");
	num(&spec, 4, 0); /* terminationGracePeriodSeconds, which has presence */
	sub(&raw, 1, &meta);
	sub(&raw, 2, &spec);
	sub(&raw, 3, &status);
	return envelope("v1", "Pod", &raw);
}

Test(protobuf, a_pod_with_flat_maps_and_special_types)
{
	struct msg m = pod();

	expect(&m,
	       "{\"kind\":\"Pod\",\"apiVersion\":\"v1\",\"metadata\":{\"name\":\"p\",\"labels\":{\"a\":\"b\"}},\"spec\":{\"volumes\":[{\"name\":\"v\","
	       "\"configMap\":{\"name\":\"cm\"}}],\"containers\":[{\"name\":\"c\",\"image\":\"i:1\",\"command\":[\"sh\",\"-c\"],\"ports\":[{"
	       "\"containerPort\":80,\"protocol\":\"TCP\"}],\"resources\":{\"requests\":{\"cpu\":\"100m\"}},\"readinessProbe\":{\"httpGet\":{"
	       "\"port\":\"http\",\"path\":\"/x\"},\"periodSeconds\":5}}],\"restartPolicy\":\"Always\",\"terminationGracePeriodSeconds\":0},"
	       "\"status\":{}}");
}

Test(protobuf, bytes_times_and_numbers)
{
	struct msg raw = { 0 }, meta = { 0 }, entry = { 0 }, t = { 0 }, m;

	str(&meta, 1, "s");
	num(&t, 1, 1000000000);
	sub(&meta, 9, &t);
	num(&meta, 10, 30);
	sub(&raw, 1, &meta);
	str(&entry, 1, "k");
	bytes(&entry, 2, "\x00\x01", 2);
	sub(&raw, 2, &entry);
	m = envelope("v1", "Secret", &raw);
	expect(&m,
	       "{\"kind\":\"Secret\",\"apiVersion\":\"v1\",\"metadata\":{\"name\":\"s\",\"deletionTimestamp\":\"2001-09-09T01:46:40Z\","
	       "\"deletionGracePeriodSeconds\":30},\"data\":{\"k\":\"AAE=\"}}");
	raw = (struct msg){ 0 };
	num(&raw, 1, (uint64_t)-1);
	m = envelope("v1", "DeleteOptions", &raw);
	expect(&m, "{\"kind\":\"DeleteOptions\",\"apiVersion\":\"v1\",\"gracePeriodSeconds\":-1}");
}

Test(protobuf, what_would_be_lost_is_refused)
{
	struct msg raw = { 0 }, m;
	struct err err = ERR_INIT;
	json_t *got = NULL;

	str(&raw, 99, "precious");
	m = envelope("v1", "ConfigMap", &raw);
	cr_assert(api_protobuf_parse(m.b, m.n, &got, &err) == -EINVAL);
	cr_assert(strstr(err.msg, "field 99 of ConfigMap"));
	raw = (struct msg){ 0 };
	str(&raw, 99, "");
	m = envelope("v1", "ConfigMap", &raw);
	expect(&m, "{\"kind\":\"ConfigMap\",\"apiVersion\":\"v1\"}");
	m = envelope("example.org/v1", "Nope", &raw);
	cr_assert(api_protobuf_parse(m.b, m.n, &got, &err) == -EINVAL);
	cr_assert(strstr(err.msg, "no kind \"Nope\""));
	raw = (struct msg){ 0 };
	num(&raw, 1, 5); /* metadata as a number */
	m = envelope("v1", "ConfigMap", &raw);
	cr_assert(api_protobuf_parse(m.b, m.n, &got, &err) == -EINVAL);
	cr_assert(api_protobuf_parse("k8", 2, &got, &err) == -EINVAL);
	cr_assert(api_protobuf_parse("{}{}", 4, &got, &err) == -EINVAL);
}

/* Every prefix and every flipped byte: an answer or an error, nothing read beyond the end (the sanitizers look). */
Test(protobuf, damage_is_survived)
{
	struct msg m = pod();

	for (size_t i = 0; i < m.n; i++) {
		for (int how = 0; how < 3; how++) {
			size_t n = how ? m.n : i;
			unsigned char *copy = malloc(n ? n : 1);
			json_t *got = NULL;

			cr_assert(copy);
			memcpy(copy, m.b, n);
			if (how)
				copy[i] ^= how == 1 ? 0xff : 0x08;
			if (api_protobuf_parse(copy, n, &got, NULL) == 0)
				json_decref(got);
			free(copy);
		}
	}
}
