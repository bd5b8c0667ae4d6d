/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The table of identities and rules. The key of an identity is its attributes as JSON in one canonical spelling,
 * which is also what is saved: a number read back after a restart stands for the same peers as before, whatever
 * changed meanwhile.
 */
#include "policy-internal.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "../base/cleanup.h"
#include "../base/str.h"
#include "ipnum.h"

enum { MAX_IDENTITIES = 1 << 20 };

static void identity_free(struct identity_entry *e)
{
	if (!e)
		return;
	arena_done(&e->arena);
	free(e);
}

static void rule_free(struct rule_entry *e)
{
	if (!e)
		return;
	free(e->ns);
	free(e->name);
	free(e->uid);
	free(e->path);
	free(e);
}

struct policy_ids *policy_ids_new(void)
{
	struct policy_ids *ids = calloc(1, sizeof(*ids));

	if (!ids)
		return NULL;
	ids->by_key = strmap_new();
	ids->rules = strmap_new();
	ids->rule_by_number = strmap_new();
	ids->next_pod = POLICY_ID_FIRST_POD;
	ids->next_cidr = POLICY_ID_FIRST_CIDR;
	ids->next_rule = 1;
	if (!ids->by_key || !ids->rules || !ids->rule_by_number) {
		policy_ids_free(ids);
		return NULL;
	}
	return ids;
}

void policy_ids_free(struct policy_ids *ids)
{
	if (!ids)
		return;
	for (struct strmap_iter it = { 0 }; ids->by_key && strmap_next(ids->by_key, &it);)
		identity_free(it.value);
	for (struct strmap_iter it = { 0 }; ids->rules && strmap_next(ids->rules, &it);)
		rule_free(it.value);
	strmap_free(ids->by_key);
	strmap_free(ids->rules);
	strmap_free(ids->rule_by_number);
	free(ids);
}

uint64_t policy_ids_version(const struct policy_ids *ids)
{
	return ids->version;
}

size_t policy_ids_len(const struct policy_ids *ids)
{
	return strmap_len(ids->by_key);
}

void ids_begin(struct policy_ids *ids)
{
	for (struct strmap_iter it = { 0 }; strmap_next(ids->by_key, &it);)
		((struct identity_entry *)it.value)->used = false;
	for (struct strmap_iter it = { 0 }; strmap_next(ids->rules, &it);)
		((struct rule_entry *)it.value)->used = false;
}

bool policy_ids_release(struct policy_ids *ids)
{
	bool any = false;
	char number[16];

	for (struct strmap_iter it = { 0 }; strmap_next(ids->by_key, &it);) {
		struct identity_entry *e = it.value;

		if (e->used)
			continue;
		strmap_del(ids->by_key, it.key);
		identity_free(e);
		ids->version++;
		any = true;
	}
	for (struct strmap_iter it = { 0 }; strmap_next(ids->rules, &it);) {
		struct rule_entry *e = it.value;

		if (e->used)
			continue;
		snprintf(number, sizeof(number), "%u", e->number);
		strmap_del(ids->rule_by_number, number);
		strmap_del(ids->rules, it.key);
		rule_free(e);
	}
	return any;
}

/* --- keys --------------------------------------------------------------------------------------------------------- */

static void key_map(struct strbuf *sb, const struct api_map *m)
{
	strbuf_addc(sb, '{');
	for (size_t i = 0; m && i < m->n; i++) {
		if (i)
			strbuf_addc(sb, ',');
		strbuf_add_json(sb, m->v[i].key);
		strbuf_addc(sb, ':');
		strbuf_add_json(sb, m->v[i].value);
	}
	strbuf_addc(sb, '}');
}

static void key_prefix(struct strbuf *sb, const struct prefix *p)
{
	char ip[INET6_ADDRSTRLEN];

	if (p->len == NO_PREFIX)
		return strbuf_adds(sb, "\"\"");
	inet_ntop(AF_INET6, p->ip.w, ip, sizeof(ip));
	strbuf_addf(sb, "\"%s/%u\"", ip, p->len);
}

static int by_port_name(const void *a, const void *b)
{
	const struct policy_port_name *x = a, *y = b;
	int c = strcmp(x->name, y->name);

	return c ? c : x->proto != y->proto ? (int)x->proto - y->proto : (int)x->port - y->port;
}

static int pod_key(struct strbuf *sb, const char *ns, const struct api_map *ns_labels, const struct api_map *labels,
		   const struct policy_port_name *ports, size_t n_ports, const struct prefix *in4,
		   const struct prefix *in6)
{
	cleanup(free) struct policy_port_name *sorted = calloc(n_ports + 1, sizeof(*sorted));

	if (!sorted)
		return -ENOMEM;
	if (n_ports)
		memcpy(sorted, ports, n_ports * sizeof(*sorted));
	qsort(sorted, n_ports, sizeof(*sorted), by_port_name);
	strbuf_adds(sb, "{\"ns\":");
	strbuf_add_json(sb, ns);
	strbuf_adds(sb, ",\"nsLabels\":");
	key_map(sb, ns_labels);
	strbuf_adds(sb, ",\"labels\":");
	key_map(sb, labels);
	strbuf_adds(sb, ",\"ports\":[");
	for (size_t i = 0; i < n_ports; i++) {
		strbuf_adds(sb, i ? ",[" : "[");
		strbuf_add_json(sb, sorted[i].name);
		strbuf_addf(sb, ",%u,%u]", sorted[i].proto, sorted[i].port);
	}
	strbuf_adds(sb, "],\"in4\":");
	key_prefix(sb, in4);
	strbuf_adds(sb, ",\"in6\":");
	key_prefix(sb, in6);
	strbuf_addc(sb, '}');
	return strbuf_oom(sb) ? -ENOMEM : 0;
}

static int copy_map(struct arena *a, const struct api_map *from, struct api_map *to)
{
	to->n = from ? from->n : 0;
	to->v = arena_calloc(a, to->n + 1, sizeof(*to->v));
	if (!to->v)
		return -ENOMEM;
	for (size_t i = 0; i < to->n; i++) {
		to->v[i].key = arena_strdup(a, from->v[i].key);
		to->v[i].value = arena_strdup(a, from->v[i].value);
		if (!to->v[i].key || !to->v[i].value)
			return -ENOMEM;
	}
	return 0;
}

static bool number_taken(const struct policy_ids *ids, uint32_t number)
{
	for (struct strmap_iter it = { 0 }; strmap_next(ids->by_key, &it);)
		if (((const struct identity_entry *)it.value)->number == number)
			return true;
	return false;
}

/* Upwards and round again, so that a number just given up is not soon another's. */
static uint32_t take_number(struct policy_ids *ids, bool is_cidr)
{
	uint32_t *next = is_cidr ? &ids->next_cidr : &ids->next_pod;
	uint32_t first = is_cidr ? POLICY_ID_FIRST_CIDR : POLICY_ID_FIRST_POD,
		 end = is_cidr ? UINT32_MAX : POLICY_ID_FIRST_CIDR;
	uint32_t n;

	if (strmap_len(ids->by_key) >= MAX_IDENTITIES)
		return 0;
	do {
		if (*next >= end) {
			*next = first;
			ids->wrapped = true;
		}
		n = (*next)++;
		/* Until the first time round, numbers only go up and none can be taken. */
	} while (ids->wrapped && number_taken(ids, n));
	return n;
}

static struct identity_entry *add(struct policy_ids *ids, const char *key, bool is_cidr, uint32_t number)
{
	struct identity_entry *e = calloc(1, sizeof(*e));

	if (!e)
		return NULL;
	e->is_cidr = is_cidr;
	e->key = arena_strdup(&e->arena, key);
	e->number = number ? number : take_number(ids, is_cidr);
	if (!e->key || !e->number || strmap_set(ids->by_key, key, e, NULL) < 0) {
		identity_free(e);
		return NULL;
	}
	e->used = true;
	return e;
}

static struct identity_entry *add_pod(struct policy_ids *ids, const char *key, const struct policy_pod *pod,
				      const struct api_map *ns_labels, const struct prefix *in4,
				      const struct prefix *in6, uint32_t number)
{
	struct identity_entry *e = add(ids, key, false, number);
	int r;

	if (!e)
		return NULL;
	e->in4 = *in4;
	e->in6 = *in6;
	e->ns = arena_strdup(&e->arena, pod->ns);
	r = copy_map(&e->arena, ns_labels, &e->ns_labels);
	if (!r)
		r = copy_map(&e->arena, pod->labels, &e->labels);
	e->n_ports = pod->n_ports;
	e->ports = arena_calloc(&e->arena, e->n_ports + 1, sizeof(*e->ports));
	for (size_t i = 0; !r && e->ports && i < e->n_ports; i++) {
		e->ports[i] = pod->ports[i];
		e->ports[i].name = arena_strdup(&e->arena, pod->ports[i].name);
		if (!e->ports[i].name)
			r = -ENOMEM;
	}
	if (r < 0 || !e->ns || !e->ports) {
		strmap_del(ids->by_key, key);
		identity_free(e);
		return NULL;
	}
	ids->version++;
	return e;
}

struct identity_entry *ids_pod(struct policy_ids *ids, const struct policy_pod *pod, const struct api_map *ns_labels,
			       const struct prefix *in4, const struct prefix *in6)
{
	cleanup(strbuf_done) struct strbuf key = STRBUF_INIT;
	struct identity_entry *e;

	if (pod_key(&key, pod->ns, ns_labels, pod->labels, pod->ports, pod->n_ports, in4, in6) < 0)
		return NULL;
	e = strmap_get(ids->by_key, key.buf);
	if (e)
		e->used = true;
	return e ? e : add_pod(ids, key.buf, pod, ns_labels, in4, in6, 0);
}

static struct identity_entry *add_cidr(struct policy_ids *ids, const struct prefix *cidr, uint32_t number)
{
	cleanup(strbuf_done) struct strbuf key = STRBUF_INIT;
	struct identity_entry *e;

	strbuf_adds(&key, "{\"cidr\":");
	key_prefix(&key, cidr);
	strbuf_addc(&key, '}');
	if (strbuf_oom(&key))
		return NULL;
	e = strmap_get(ids->by_key, key.buf);
	if (e) {
		e->used = true;
		return e;
	}
	e = add(ids, key.buf, true, number);
	if (e) {
		e->cidr = *cidr;
		ids->version++;
	}
	return e;
}

struct identity_entry *ids_cidr(struct policy_ids *ids, const struct prefix *cidr)
{
	return add_cidr(ids, cidr, 0);
}

/* --- rules -------------------------------------------------------------------------------------------------------- */

uint32_t ids_rule(struct policy_ids *ids, const struct api_network_policy *np, const char *path)
{
	const char *uid = np->metadata.uid ? np->metadata.uid : "";
	cleanup(strbuf_done) struct strbuf key = STRBUF_INIT;
	struct rule_entry *e;
	char number[16];

	strbuf_addf(&key, "%s %s/%s %s", uid, np->metadata.namespace_, np->metadata.name, path);
	if (strbuf_oom(&key))
		return 0;
	e = strmap_get(ids->rules, key.buf);
	if (e) {
		e->used = true;
		return e->number;
	}
	e = calloc(1, sizeof(*e));
	if (!e)
		return 0;
	e->number = ids->next_rule++;
	e->used = true;
	e->ns = strdup(np->metadata.namespace_);
	e->name = strdup(np->metadata.name);
	e->uid = strdup(uid);
	e->path = strdup(path);
	snprintf(number, sizeof(number), "%u", e->number);
	if (!e->ns || !e->name || !e->uid || !e->path || strmap_set(ids->rule_by_number, number, e, NULL) < 0)
		goto oom;
	if (strmap_set(ids->rules, key.buf, e, NULL) < 0) {
		strmap_del(ids->rule_by_number, number);
		goto oom;
	}
	return e->number;
oom:
	rule_free(e);
	return 0;
}

bool policy_rule_source(const struct policy_ids *ids, uint32_t rule_id, struct policy_rule_source *ret)
{
	const struct rule_entry *e;
	char number[16];

	snprintf(number, sizeof(number), "%u", rule_id);
	e = strmap_get(ids->rule_by_number, number);
	if (!e)
		return false;
	*ret = (struct policy_rule_source){ rule_id, e->ns, e->name, e->uid, e->path };
	return true;
}

/* --- saving ------------------------------------------------------------------------------------------------------- */

int policy_ids_save(const struct policy_ids *ids, struct strbuf *out)
{
	bool first = true;

	strbuf_adds(out, "{\"version\":1,\"identities\":[");
	for (struct strmap_iter it = { 0 }; strmap_next(ids->by_key, &it);) {
		const struct identity_entry *e = it.value;

		strbuf_addf(out, "%s\n{\"number\":%" PRIu32 ",\"of\":%s}", first ? "" : ",", e->number, it.key);
		first = false;
	}
	strbuf_adds(out, "\n]}\n");
	return strbuf_oom(out) ? -ENOMEM : 0;
}

static int load_map(const json_t *obj, struct arena *a, struct api_map *ret)
{
	const char *key;
	json_t *value;
	size_t n = 0;

	ret->v = arena_calloc(a, json_object_size(obj) + 1, sizeof(*ret->v));
	if (!ret->v)
		return -ENOMEM;
	json_object_foreach ((json_t *)obj, key, value) {
		if (!json_is_string(value))
			return -EINVAL;
		ret->v[n].key = key;
		ret->v[n++].value = json_string_value(value);
	}
	ret->n = n;
	/* Saved in order; a file in another order was not written here. */
	for (size_t i = 1; i < n; i++)
		if (strcmp(ret->v[i - 1].key, ret->v[i].key) >= 0)
			return -EINVAL;
	return 0;
}

static int load_prefix(const char *text, struct prefix *ret)
{
	char ip[INET6_ADDRSTRLEN];
	const char *slash;
	int64_t len;

	*ret = (struct prefix){ .len = NO_PREFIX };
	if (!text || !*text)
		return text ? 0 : -EINVAL;
	slash = strchr(text, '/');
	if (!slash || (size_t)(slash - text) >= sizeof(ip) || str_to_i64(slash + 1, 0, 128, &len) < 0)
		return -EINVAL;
	memcpy(ip, text, (size_t)(slash - text));
	ip[slash - text] = '\0';
	if (inet_pton(AF_INET6, ip, ret->ip.w) != 1)
		return -EINVAL;
	ret->len = (unsigned)len;
	return 0;
}

static int load_identity(struct policy_ids *ids, uint32_t number, const json_t *of)
{
	cleanup(arena_done) struct arena a = ARENA_INIT;
	struct policy_port_name *ports = NULL;
	struct policy_pod pod = { 0 };
	struct api_map ns_labels, labels;
	struct prefix in4, in6, cidr;
	const json_t *list = json_object_get(of, "ports");
	cleanup(strbuf_done) struct strbuf key = STRBUF_INIT;
	int r;

	if (json_object_get(of, "cidr")) {
		r = load_prefix(json_string_value(json_object_get(of, "cidr")), &cidr);
		if (r < 0 || cidr.len == NO_PREFIX || number < POLICY_ID_FIRST_CIDR)
			return -EINVAL;
		return add_cidr(ids, &cidr, number) ? 0 : -ENOMEM;
	}
	if (number < POLICY_ID_FIRST_POD || number >= POLICY_ID_FIRST_CIDR)
		return -EINVAL;
	pod.ns = json_string_value(json_object_get(of, "ns"));
	r = load_map(json_object_get(of, "nsLabels"), &a, &ns_labels);
	if (!r)
		r = load_map(json_object_get(of, "labels"), &a, &labels);
	if (!r)
		r = load_prefix(json_string_value(json_object_get(of, "in4")), &in4);
	if (!r)
		r = load_prefix(json_string_value(json_object_get(of, "in6")), &in6);
	if (r < 0 || !pod.ns)
		return r < 0 ? r : -EINVAL;
	pod.n_ports = json_array_size(list);
	ports = arena_calloc(&a, pod.n_ports + 1, sizeof(*ports));
	if (!ports)
		return -ENOMEM;
	for (size_t i = 0; i < pod.n_ports; i++) {
		const json_t *p = json_array_get(list, i);

		ports[i].name = json_string_value(json_array_get(p, 0));
		ports[i].proto = (uint8_t)json_integer_value(json_array_get(p, 1));
		ports[i].port = (uint16_t)json_integer_value(json_array_get(p, 2));
		if (!ports[i].name)
			return -EINVAL;
	}
	pod.ports = ports;
	pod.labels = &labels;
	r = pod_key(&key, pod.ns, &ns_labels, &labels, ports, pod.n_ports, &in4, &in6);
	if (r < 0)
		return r;
	if (strmap_has(ids->by_key, key.buf))
		return -EINVAL;
	return add_pod(ids, key.buf, &pod, &ns_labels, &in4, &in6, number) ? 0 : -ENOMEM;
}

int policy_ids_load(struct policy_ids *ids, const char *text, size_t len, struct err *err)
{
	json_t *root = NULL, *item;
	size_t i;
	int r;

	r = api_json_parse(text, len, &root, NULL, err);
	if (r < 0)
		return err_wrap(err, r, "saved identities");
	json_array_foreach (json_object_get(root, "identities"), i, item) {
		int64_t number = json_integer_value(json_object_get(item, "number"));

		if (number <= 0 || number >= UINT32_MAX || number_taken(ids, (uint32_t)number))
			r = -EINVAL;
		else
			r = load_identity(ids, (uint32_t)number, json_object_get(item, "of"));
		if (r < 0) {
			err_set(err, -r, "saved identities: entry %zu: %s", i, strerror(-r));
			break;
		}
		if (number >= POLICY_ID_FIRST_CIDR && (uint32_t)number >= ids->next_cidr)
			ids->next_cidr = (uint32_t)number + 1;
		else if (number < POLICY_ID_FIRST_CIDR && (uint32_t)number >= ids->next_pod)
			ids->next_pod = (uint32_t)number + 1;
	}
	json_decref(root);
	return r;
}
