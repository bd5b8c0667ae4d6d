/* SPDX-License-Identifier: Apache-2.0 */
/* The snapshot: kept up to date by the difference, never rebuilt. See sched.h. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/str.h"
#include "sched.h"

static void add_list(struct resources *r, const struct api_map *m)
{
	int64_t v;
	const char *q;

	if ((q = api_map_get(m, "cpu")) && !api_quantity_milli(q, &v))
		r->cpu_milli += v;
	if ((q = api_map_get(m, "memory")) && !api_quantity_value(q, &v))
		r->memory += v;
	if ((q = api_map_get(m, "ephemeral-storage")) && !api_quantity_value(q, &v))
		r->ephemeral += v;
}

static int64_t larger(int64_t a, int64_t b)
{
	return a > b ? a : b;
}

static const struct api_map *requests_of(const struct api_container *c)
{
	static const struct api_map none;

	return c->resources ? &c->resources->requests : &none;
}

void pod_requests(const struct api_pod_spec *spec, struct resources *ret, struct resources *ret_nonzero)
{
	struct resources sum = { .pods = 1 }, nonzero = { .pods = 1 };

	for (size_t i = 0; i < spec->n_containers; i++) {
		struct resources one = { 0 };

		add_list(&one, requests_of(&spec->containers[i]));
		sum.cpu_milli += one.cpu_milli;
		sum.memory += one.memory;
		sum.ephemeral += one.ephemeral;
		nonzero.cpu_milli += one.cpu_milli ? one.cpu_milli : 100;
		nonzero.memory += one.memory ? one.memory : 200 << 20;
	}
	for (size_t i = 0; i < spec->n_init_containers; i++) {
		struct resources one = { 0 };

		add_list(&one, requests_of(&spec->init_containers[i]));
		sum.cpu_milli = larger(sum.cpu_milli, one.cpu_milli);
		sum.memory = larger(sum.memory, one.memory);
		sum.ephemeral = larger(sum.ephemeral, one.ephemeral);
		nonzero.cpu_milli = larger(nonzero.cpu_milli, one.cpu_milli);
		nonzero.memory = larger(nonzero.memory, one.memory);
	}
	nonzero.ephemeral = sum.ephemeral;
	*ret = sum;
	*ret_nonzero = nonzero;
}

int snapshot_init(struct snapshot *s)
{
	s->nodes = strmap_new();
	s->pods = strmap_new();
	return s->nodes && s->pods ? 0 : -ENOMEM;
}

static void pod_free(struct sched_pod *p)
{
	for (size_t i = 0; i < p->labels.n; i++) {
		free((char *)p->labels.v[i].key);
		free((char *)p->labels.v[i].value);
	}
	free(p->labels.v);
	free(p->key);
	free(p->ns);
	free(p->owner_uid);
	free(p);
}

static void node_free(struct sched_node *n)
{
	free(n->pods);
	free(n->name);
	free(n);
}

void snapshot_done(struct snapshot *s)
{
	if (s->pods)
		for (struct strmap_iter it = { 0 }; strmap_next(s->pods, &it);)
			pod_free(it.value);
	if (s->nodes)
		for (struct strmap_iter it = { 0 }; strmap_next(s->nodes, &it);)
			node_free(it.value);
	strmap_free(s->pods);
	strmap_free(s->nodes);
	*s = (struct snapshot){ 0 };
}

static struct sched_node *get_node(struct snapshot *s, const char *name)
{
	struct sched_node *n = strmap_get(s->nodes, name);

	if (n)
		return n;
	n = calloc(1, sizeof(*n));
	if (!n || !(n->name = strdup(name)) || strmap_set(s->nodes, name, n, NULL) < 0) {
		if (n)
			node_free(n);
		return NULL;
	}
	return n;
}

int snapshot_set_node(struct snapshot *s, const struct api_node *obj)
{
	struct sched_node *n = get_node(s, obj->metadata.name);
	const char *pods;

	if (!n)
		return -ENOMEM;
	n->obj = obj;
	n->allocatable = (struct resources){ 0 };
	add_list(&n->allocatable, &obj->status.allocatable);
	pods = api_map_get(&obj->status.allocatable, "pods");
	if (pods)
		(void)api_quantity_value(pods, &n->allocatable.pods);
	return 0;
}

void snapshot_remove_node(struct snapshot *s, const char *name)
{
	struct sched_node *n = strmap_get(s->nodes, name);

	if (!n)
		return;
	n->obj = NULL;
	if (n->n_pods)
		return; /* kept until its pods are gone */
	strmap_del(s->nodes, name);
	node_free(n);
}

static void account(struct sched_node *n, const struct sched_pod *p, int sign)
{
	n->used.cpu_milli += sign * p->req.cpu_milli;
	n->used.memory += sign * p->req.memory;
	n->used.ephemeral += sign * p->req.ephemeral;
	n->used.pods += sign;
	n->used_nonzero.cpu_milli += sign * p->nonzero.cpu_milli;
	n->used_nonzero.memory += sign * p->nonzero.memory;
}

static const char *owner_uid(const struct api_meta *m)
{
	for (size_t i = 0; i < m->n_owner_references; i++)
		if (m->owner_references[i].controller.v)
			return m->owner_references[i].uid;
	return NULL;
}

static struct sched_pod *pod_new(const struct api_pod *pod, const char *key)
{
	struct sched_pod *p = calloc(1, sizeof(*p));
	const struct api_map *labels = &pod->metadata.labels;
	const char *owner = owner_uid(&pod->metadata);

	if (!p)
		return NULL;
	p->key = strdup(key);
	p->ns = strdup(pod->metadata.namespace_ ? pod->metadata.namespace_ : "");
	p->owner_uid = owner ? strdup(owner) : NULL;
	p->labels.v = calloc(labels->n + 1, sizeof(*p->labels.v));
	if (!p->key || !p->ns || (owner && !p->owner_uid) || !p->labels.v) {
		pod_free(p);
		return NULL;
	}
	for (size_t i = 0; i < labels->n; i++) {
		p->labels.v[i].key = strdup(labels->v[i].key);
		p->labels.v[i].value = strdup(labels->v[i].value);
		p->labels.n++;
		if (!p->labels.v[i].key || !p->labels.v[i].value) {
			pod_free(p);
			return NULL;
		}
	}
	pod_requests(&pod->spec, &p->req, &p->nonzero);
	return p;
}

int snapshot_add_pod(struct snapshot *s, const struct api_pod *pod, const char *node)
{
	struct sched_node *n = get_node(s, node);
	struct sched_pod *p, **pods;
	char key[600];

	snprintf(key, sizeof(key), "%s/%s", pod->metadata.namespace_ ? pod->metadata.namespace_ : "",
		 pod->metadata.name);
	snapshot_remove_pod(s, key);
	n = get_node(s, node); /* it may have gone with its last pod */
	p = n ? pod_new(pod, key) : NULL;
	if (!p)
		return -ENOMEM;
	if (n->n_pods == n->cap_pods) {
		size_t cap = n->cap_pods ? n->cap_pods * 2 : 16;

		pods = realloc(n->pods, cap * sizeof(*pods));
		if (!pods) {
			pod_free(p);
			return -ENOMEM;
		}
		n->pods = pods;
		n->cap_pods = cap;
	}
	if (strmap_set(s->pods, key, p, NULL) < 0) {
		pod_free(p);
		return -ENOMEM;
	}
	p->node = n;
	n->pods[n->n_pods++] = p;
	account(n, p, 1);
	return 0;
}

void snapshot_remove_pod(struct snapshot *s, const char *key)
{
	struct sched_pod *p = strmap_del(s->pods, key);
	struct sched_node *n;

	if (!p)
		return;
	n = p->node;
	account(n, p, -1);
	for (size_t i = 0; i < n->n_pods; i++)
		if (n->pods[i] == p) {
			n->pods[i] = n->pods[--n->n_pods];
			break;
		}
	pod_free(p);
	if (!n->obj && !n->n_pods) {
		strmap_del(s->nodes, n->name);
		node_free(n);
	}
}
