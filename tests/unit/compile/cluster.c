/* SPDX-License-Identifier: Apache-2.0 */
/* The cluster of the policy tests: see cluster.h. */
#include "cluster.h"

#include <stdio.h>
#include <string.h>

static const char *const ns_names[N_NS] = { "x", "y", "z" }, *const pod_names[N_PER_NS] = { "a", "b", "c" };

static struct api_map *labels_of(struct arena *a, const char *key, const char *value)
{
	struct api_map *m = arena_alloc(a, sizeof(*m));

	m->n = 1;
	m->v = arena_calloc(a, 8, sizeof(*m->v));
	m->v[0] = (struct api_kv){ key, value };
	return m;
}

static const struct policy_port_name *ports_of(struct arena *a, bool is_a)
{
	const struct policy_port_name all[] = { { "serve-80-tcp", IPPROTO_TCP, 80 },
						{ "serve-81-tcp", IPPROTO_TCP, 81 },
						{ "serve-80-udp", IPPROTO_UDP, 80 },
						{ "serve-80-sctp", IPPROTO_SCTP, 80 },
						{ "web", IPPROTO_TCP, is_a ? 80 : 81 } };
	struct policy_port_name *p = arena_alloc(a, sizeof(all));

	memcpy(p, all, sizeof(all));
	return p;
}

void cluster_init(struct cluster *c)
{
	char ip[64];

	memset(c, 0, sizeof(*c));
	c->ids = policy_ids_new();
	for (int i = 0; i < N_NS; i++) {
		c->ns[i] = (struct policy_ns){ ns_names[i], labels_of(&c->arena, "ns", ns_names[i]) };
		for (int k = 0; k < N_PER_NS; k++) {
			struct policy_pod *p = &c->pods[i * N_PER_NS + k];

			*p = (struct policy_pod){ .ns = ns_names[i],
						  .name = pod_names[k],
						  .labels = labels_of(&c->arena, "pod", pod_names[k]),
						  .ports = ports_of(&c->arena, k == 0),
						  .n_ports = 5,
						  .local = true };
			snprintf(ip, sizeof(ip), "10.0.%d.%d", i + 1, k + 1);
			cr_assert_eq(policy_parse_ip(ip, &p->ip4), 0);
			snprintf(ip, sizeof(ip), "fd00:10:0:%d::%d", i + 1, k + 1);
			cr_assert_eq(policy_parse_ip(ip, &p->ip6), 0);
		}
	}
	c->snap = (struct policy_snapshot){
		.ns = c->ns, .n_ns = N_NS, .pods = c->pods, .n_pods = N_CLUSTER_PODS, .policies = c->policies
	};
	cr_assert_eq(policy_parse_ip("172.30.1.1", &c->snap.node4), 0);
	cr_assert_eq(policy_parse_ip("fd00:30::1:1", &c->snap.node6), 0);
}

void cluster_done(struct cluster *c)
{
	policy_compiled_free(c->compiled);
	policy_ids_free(c->ids);
	for (size_t i = 0; i < c->n_json; i++)
		json_decref(c->json[i]);
	arena_done(&c->arena);
}

void cluster_policy(struct cluster *c, const char *ns, const char *name, const char *spec)
{
	struct err err = ERR_INIT;
	struct api_network_policy *np;
	char text[4096], *p;
	json_t *json = NULL;
	int n;

	n = snprintf(text, sizeof(text), "{'metadata':{'namespace':'%s','name':'%s','uid':'uid-%s-%s'},'spec':%s}", ns,
		     name, ns, name, spec);
	for (p = text; (p = strchr(p, '\'')); p++)
		*p = '"';
	cr_assert(api_json_parse(text, (size_t)n, &json, NULL, &err) == 0, "%s: %s", text, err.msg);
	cr_assert(api_decode(&api_type_network_policy, json, &c->arena, &np, &err) == 0, "%s", err.msg);
	c->json[c->n_json++] = json;
	c->policies[c->snap.n_policies++] = np;
	policy_compiled_free(c->compiled);
	c->compiled = NULL;
}

size_t cluster_pod(const struct cluster *c, const char *name)
{
	for (size_t i = 0; i < c->snap.n_pods; i++) {
		size_t n = strlen(c->pods[i].ns);

		if (!strncmp(name, c->pods[i].ns, n) && name[n] == '/' && !strcmp(name + n + 1, c->pods[i].name))
			return i;
	}
	cr_assert(false, "no pod '%s'", name);
	return 0;
}

void cluster_label(struct cluster *c, const char *pod, const char *key, const char *value)
{
	struct api_map *m = (struct api_map *)c->pods[cluster_pod(c, pod)].labels;
	size_t i = 0;

	while (i < m->n && strcmp(m->v[i].key, key) < 0)
		i++;
	if (i < m->n && !strcmp(m->v[i].key, key)) {
		memmove(&m->v[i], &m->v[i + 1], (m->n - i - 1) * sizeof(*m->v));
		m->n--;
	}
	if (value) {
		cr_assert_lt(m->n, 8);
		memmove(&m->v[i + 1], &m->v[i], (m->n - i) * sizeof(*m->v));
		m->v[i] = (struct api_kv){ key, value };
		m->n++;
	}
	policy_compiled_free(c->compiled);
	c->compiled = NULL;
}

void cluster_compile(struct cluster *c)
{
	struct err err = ERR_INIT;

	policy_compiled_free(c->compiled);
	c->compiled = NULL;
	cr_assert(policy_compile(c->ids, &c->snap, &c->compiled, &err) == 0, "%s", err.msg);
}

static struct policy_end end_of(const struct cluster *c, const char *name)
{
	struct policy_end e = { 0 };

	if (strchr(name, '/')) {
		e.is_pod = true;
		e.pod = cluster_pod(c, name);
	} else {
		cr_assert_eq(policy_parse_ip(name, &e.ip), 0);
	}
	return e;
}

struct policy_verdict cluster_verdict(struct cluster *c, const char *src, const char *dst, uint8_t proto, uint16_t port)
{
	struct policy_end s = end_of(c, src), d = end_of(c, dst);

	if (!c->compiled)
		cluster_compile(c);
	return policy_verdict(c->compiled, &s, &d, proto, port);
}

bool cluster_allows(struct cluster *c, const char *src, const char *dst, uint8_t proto, uint16_t port)
{
	return cluster_verdict(c, src, dst, proto, port).allowed;
}
