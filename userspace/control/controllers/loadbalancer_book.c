/* SPDX-License-Identifier: Apache-2.0 */
/* The book of addresses that services have: an array by address. See loadbalancer_plan.h. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/str.h"
#include "loadbalancer_plan.h"

void lb_book_done(struct lb_book *b)
{
	for (size_t i = 0; i < b->n; i++)
		free(b->v[i].owner);
	free(b->v);
	*b = (struct lb_book){ 0 };
}

/* Where the address is, or would be. */
static size_t place(const struct lb_book *b, const struct ip_at *at, bool *ret_there)
{
	size_t low = 0, high = b->n;

	while (low < high) {
		size_t mid = low + (high - low) / 2;

		if (ip_at_compare(&b->v[mid].at, at) < 0)
			low = mid + 1;
		else
			high = mid;
	}
	*ret_there = low < b->n && !ip_at_compare(&b->v[low].at, at);
	return low;
}

const char *lb_book_owner(const struct lb_book *b, const struct ip_at *at)
{
	bool there;
	size_t i = place(b, at, &there);

	return there ? b->v[i].owner : NULL;
}

int lb_book_take(struct lb_book *b, const struct ip_at *at, const char *owner)
{
	bool there;
	size_t i = place(b, at, &there);
	char *copy;

	if (there)
		return streq(b->v[i].owner, owner) ? 0 : -EEXIST;
	if (b->n == b->cap) {
		size_t cap = b->cap ? b->cap * 2 : 64;
		struct lb_entry *v = realloc(b->v, cap * sizeof(*v));

		if (!v)
			return -ENOMEM;
		b->v = v;
		b->cap = cap;
	}
	copy = strdup(owner);
	if (!copy)
		return -ENOMEM;
	memmove(&b->v[i + 1], &b->v[i], (b->n - i) * sizeof(*b->v));
	b->v[i] = (struct lb_entry){ *at, copy, true };
	b->n++;
	return 0;
}

static bool among(const struct ip_at *at, const struct ip_at *v, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (!ip_at_compare(at, &v[i]))
			return true;
	return false;
}

/* Frees the owner's entries that are not among these, the pending ones or (all) every one. */
static bool release(struct lb_book *b, const char *owner, const struct ip_at *v, size_t n, bool pending, bool shown)
{
	size_t kept = 0;
	bool some = false;

	for (size_t i = 0; i < b->n; i++) {
		struct lb_entry *e = &b->v[i];

		if ((e->pending ? pending : shown) && streq(e->owner, owner) && !among(&e->at, v, n)) {
			free(e->owner);
			some = true;
		} else {
			b->v[kept++] = *e;
		}
	}
	b->n = kept;
	return some;
}

int lb_book_show(struct lb_book *b, const char *owner, const struct ip_at *v, size_t n, bool *ret_changed)
{
	bool arrived = false;
	int r = 0;

	*ret_changed = false;
	for (size_t i = 0; i < n; i++) {
		bool there;
		size_t k = place(b, &v[i], &there);

		if (!there) {
			r = lb_book_take(b, &v[i], owner);
			if (r < 0)
				return r;
			*ret_changed = true;
			b->v[k].pending = false;
		} else if (streq(b->v[k].owner, owner)) {
			arrived |= b->v[k].pending;
			b->v[k].pending = false;
		}
	}
	*ret_changed |= release(b, owner, v, n, arrived, true) || arrived;
	return r;
}

bool lb_book_drop(struct lb_book *b, const char *owner)
{
	return release(b, owner, NULL, 0, true, true);
}

void lb_book_settle(struct lb_book *b, const char *owner, const struct ip_at *v, size_t n)
{
	release(b, owner, v, n, true, false);
}
