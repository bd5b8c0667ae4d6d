/* SPDX-License-Identifier: Apache-2.0 */
/* Random operations on a store and on a plain array of everything that ever happened: they must agree at every step. */
#include "fixture.h"

enum { KEYS = 24, STEPS = 600 };

struct change {
	int key;
	bool deleted;
	char value[16];
	int64_t create_rev, version;
};

struct model {
	struct change log[STEPS + 1];
	int n; /* changes so far; change i has revision base + 1 + i */
	int64_t base, compacted;
};

static unsigned rnd(unsigned *state, unsigned n)
{
	*state = *state * 1103515245u + 12345u;
	return (*state >> 8) % n;
}

static const char *key_name(int key)
{
	static char buf[4][32];
	static int next;
	char *p = buf[next++ % 4];

	/* three prefixes, one of which is a prefix of another */
	snprintf(p, sizeof(buf[0]), "/m%s/%02d", (const char *[]){ "", "x", "xy" }[key % 3], key);
	return p;
}

/* The key's last change up to rev; -1: none. */
static int last_change(const struct model *m, int key, int64_t rev)
{
	for (int i = (int)(rev - m->base) - 1; i >= 0; i--)
		if (m->log[i].key == key)
			return i;
	return -1;
}

static int64_t present_rev(const struct model *m, int key)
{
	int i = last_change(m, key, m->base + m->n);

	return i < 0 || m->log[i].deleted ? 0 : m->base + 1 + i;
}

static void check_range(struct fixture *f, const struct model *m, unsigned *seed)
{
	static const char *const prefixes[] = { "/m/", "/mx/", "/mxy/", "/m", "/mx", "/none/" };
	const char *prefix = prefixes[rnd(seed, 6)];
	int64_t now = m->base + m->n, rev = rnd(seed, 2) ? 0 : now - rnd(seed, 40), at = rev ? rev : now;
	size_t limit = rnd(seed, 3) ? 0 : 1 + rnd(seed, 6), n = 0;
	bool keys_only = rnd(seed, 4) == 0;
	const struct t_range *g;
	const char *sorted[KEYS];
	int ids[KEYS], total = 0;
	char end[32];

	if (rev && rev <= m->base)
		rev = at = m->base + 1 > now ? 0 : m->base + 1;
	if (!at)
		at = now;
	g = t_get(f, prefix, store_prefix_end(prefix, end), rev, limit, keys_only);
	if (rev && rev < m->compacted) {
		cr_assert_eq(g->r, -ESTALE);
		return;
	}
	cr_assert_eq(g->r, 0, "%s", g->error);
	for (int k = 0; k < KEYS; k++) {
		static char names[KEYS][32];
		int c = last_change(m, k, at), pos;

		if (c < 0 || m->log[c].deleted || strncmp(key_name(k), prefix, strlen(prefix)))
			continue;
		strcpy(names[k], key_name(k));
		for (pos = total++; pos > 0 && strcmp(sorted[pos - 1], names[k]) > 0; pos--) {
			sorted[pos] = sorted[pos - 1];
			ids[pos] = ids[pos - 1];
		}
		sorted[pos] = names[k];
		ids[pos] = k;
	}
	n = limit && (size_t)total > limit ? limit : (size_t)total;
	cr_assert_eq(g->n, n);
	cr_assert_eq(g->count, total);
	cr_assert_eq(g->more, (size_t)total > n);
	cr_assert_eq(g->rev, at);
	for (size_t i = 0; i < n; i++) {
		int c = last_change(m, ids[i], at);

		cr_assert_str_eq(g->kvs[i].key, sorted[i]);
		cr_assert_str_eq(g->kvs[i].value, keys_only ? "" : m->log[c].value);
		cr_assert_eq(g->kvs[i].mod_rev, m->base + 1 + c);
		cr_assert_eq(g->kvs[i].create_rev, m->log[c].create_rev);
		cr_assert_eq(g->kvs[i].version, m->log[c].version);
	}
}

static void change(struct fixture *f, struct model *m, unsigned *seed, int step)
{
	int key = (int)rnd(seed, KEYS);
	bool del = rnd(seed, 4) == 0, wrong = rnd(seed, 5) == 0;
	int64_t present = present_rev(m, key), expect = present;
	int before = last_change(m, key, m->base + m->n);
	struct change *c = &m->log[m->n];
	struct t_result t;

	if (wrong)
		expect = present ? (rnd(seed, 2) ? 0 : present - 1) : m->base + 1;
	snprintf(c->value, sizeof(c->value), "v%d", step);
	t = del ? t_del(f, key_name(key), expect) : t_put(f, key_name(key), expect, c->value);
	cr_assert_eq(t.r, 0, "%s", t.error);
	cr_assert_eq(t.succeeded, expect == present);
	if (!t.succeeded) {
		cr_assert_eq(t.has_current, present != 0);
		if (present)
			cr_assert_str_eq(t.current.value, m->log[before].value);
		cr_assert_eq(t.rev, m->base + m->n);
		return;
	}
	if (del && !present) {
		cr_assert_eq(t.rev, m->base + m->n);
		return;
	}
	c->key = key;
	c->deleted = del;
	c->create_rev = del ? 0 : present ? m->log[before].create_rev : m->base + 1 + m->n;
	c->version = del ? 0 : present ? m->log[before].version + 1 : 1;
	m->n++;
	cr_assert_eq(t.rev, m->base + m->n);
}

static void expect_line(const struct model *m, int i, struct strbuf *out)
{
	const struct change *c = &m->log[i];
	long long rev = m->base + 1 + i;
	int before = last_change(m, c->key, rev - 1);

	if (c->deleted)
		strbuf_addf(out, "DEL %s @%lld", key_name(c->key), rev);
	else
		strbuf_addf(out, "PUT %s=%s @%lld %lld/%lld", key_name(c->key), c->value, rev, (long long)c->create_rev,
			    (long long)c->version);
	if (before >= 0 && !m->log[before].deleted)
		strbuf_addf(out, " was=%s@%lld", m->log[before].value, (long long)m->base + 1 + before);
	strbuf_addc(out, '\n');
}

/*
 * Everything since rev (behind the compacted one: what is current there, and so every value before, is still
 * readable), from the table or etcd's history.
 */
static void check_history(struct fixture *f, const struct model *m, int64_t rev)
{
	struct strbuf want = STRBUF_INIT;
	struct t_watch w = { 0 };
	int n = 0;

	for (int i = (int)(rev - m->base) - 1; i < m->n; i++, n++)
		expect_line(m, i, &want);
	t_watch(f, &w, "/m", rev);
	t_wait_events(f, &w, n);
	cr_assert_eq(w.r, 0, "%s", w.error);
	cr_assert_str_eq(w.log.buf, want.buf);
	t_unwatch(f, &w);
	strbuf_done(&want);
}

STORE_TEST(agrees_with_a_model)
{
	static struct model m;
	struct strbuf want = STRBUF_INIT;
	struct t_watch live = { 0 };
	unsigned seed = 20261123;

	memset(&m, 0, sizeof(m));
	m.base = t_put(f, "/start", 0, "x").rev;
	m.compacted = 0;
	t_watch(f, &live, "/m", 0);
	for (int step = 0; step < STEPS; step++) {
		int before = m.n;

		if (rnd(&seed, 3))
			change(f, &m, &seed, step);
		else
			check_range(f, &m, &seed);
		if (m.n > before)
			expect_line(&m, m.n - 1, &want);
		if (step % 150 == 149 && m.n > 40) {
			int64_t rev = m.base + m.n - 30;

			/* etcd before 3.6 drops a deletion made at exactly the compacted revision from the history */
			while (m.log[rev - m.base - 1].deleted)
				rev++;
			cr_assert_eq(t_compact(f, rev), 0);
			m.compacted = rev;
			check_history(f, &m, rev + 1);
		}
	}
	cr_assert(m.n > 200);
	t_wait_events(f, &live, m.n);
	cr_assert_str_eq(live.log.buf, want.buf);
	t_unwatch(f, &live);
	fx_close(f);
	fx_open(f);
	for (int i = 0; i < 50; i++)
		check_range(f, &m, &seed);
	strbuf_done(&want);
}
