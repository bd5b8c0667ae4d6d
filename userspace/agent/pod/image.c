/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Images: present or pulled by policy. Containers that want one image share one pull; at most PULLS_MAX run at a
 * time.
 */
#include "pod-internal.h"

#include <ctype.h>
#include <errno.h>
#include <string.h>

#include "../../lib/base/list.h"
#include "../../lib/base/str.h"

#define PULLS_MAX 4

struct waiter {
	struct list node;
	image_fn *fn;
	void *arg;
};

struct image {
	struct images *im;
	struct list node; /* of im->queue */
	char *name;
	bool pulling;
	bool pull; /* whatever is present */
	bool never;
	struct list waiters;
};

struct images {
	struct loop *loop;
	struct cri *cri;
	struct strmap *map; /* name and policy -> struct image under way */
	struct list queue;  /* pulls that wait for their turn */
	unsigned pulls;
};

struct images *images_new(struct loop *loop, struct cri *cri)
{
	struct images *im = calloc(1, sizeof(*im));

	if (!im)
		return NULL;
	im->loop = loop;
	im->cri = cri;
	im->map = strmap_new();
	list_init(&im->queue);
	if (!im->map) {
		free(im);
		return NULL;
	}
	return im;
}

static void image_free(struct image *i)
{
	list_for_each_safe (pos, tmp, &i->waiters)
		free(list_entry(pos, struct waiter, node));
	list_remove(&i->node);
	free(i->name);
	free(i);
}

void images_free(struct images *im)
{
	if (!im)
		return;
	for (struct strmap_iter it = { 0 }; strmap_next(im->map, &it);)
		image_free(it.value);
	strmap_free(im->map);
	free(im);
}

/* A reference as the registries' grammar has it, loosely: [host[:port]/]lower-case path[:tag][@digest]. */
bool image_name_valid(const char *image)
{
	const char *slash = strchr(image, '/'), *path = image, *end;
	size_t len = strlen(image);

	if (!len || len > 511)
		return false;
	if (slash && (memchr(image, '.', (size_t)(slash - image)) || memchr(image, ':', (size_t)(slash - image)) ||
		      !strncmp(image, "localhost/", 10) || image[0] == '[')) {
		for (const char *s = image; s < slash; s++)
			if (!isalnum((unsigned char)*s) && !strchr(".-:[]_", *s))
				return false;
		path = slash + 1;
	}
	end = path + strcspn(path, ":@");
	if (end == path || !(islower((unsigned char)end[-1]) || isdigit((unsigned char)end[-1])))
		return false;
	for (const char *s = path; s < end; s++) {
		bool word = islower((unsigned char)*s) || isdigit((unsigned char)*s);

		if (!word && (s == path || !strchr("._-/", *s)))
			return false;
		if (*s == '/' && (s[1] == '/' || strchr("._-", s[1])))
			return false;
	}
	if (*end == ':') {
		const char *tag = end + 1;
		size_t n = strcspn(tag, "@");

		if (!n || n > 128 || !(isalnum((unsigned char)tag[0]) || tag[0] == '_'))
			return false;
		for (size_t i = 0; i < n; i++)
			if (!isalnum((unsigned char)tag[i]) && !strchr("._-", tag[i]))
				return false;
		end = tag + n;
	}
	if (*end == '@') {
		const char *hex = strchr(end, ':');

		if (!hex || strlen(hex + 1) < 32 || hex[1 + strspn(hex + 1, "0123456789abcdef")])
			return false;
	}
	return true;
}

void image_policy_default(const char *image, const char **policy)
{
	const char *slash = strrchr(image, '/'), *tag;

	if (*policy && **policy)
		return;
	tag = strchr(slash ? slash : image, ':');
	if (strchr(image, '@'))
		*policy = "IfNotPresent";
	else
		*policy = !tag || streq(tag, ":latest") ? "Always" : "IfNotPresent";
}

static void pull_next(struct images *im);

static void finish(struct image *i, enum image_result result, const char *text, const Cri__Image *image)
{
	int64_t uid = !image || (image->username && image->username[0]) ? -1 : image->uid ? image->uid->value : 0;
	uint64_t size = image ? image->size : 0;
	struct images *im = i->im;
	struct list done;
	char *key;

	/* Waiters may ask for the image again from their callback: take it out first. */
	if (asprintf(&key, "%s%s", i->pull ? "+" : i->never ? "-" : "", i->name) >= 0) {
		strmap_del(im->map, key);
		free(key);
	}
	list_init(&done);
	list_for_each_safe (pos, tmp, &i->waiters) {
		list_remove(pos);
		list_push_back(&done, pos);
	}
	if (i->pulling)
		im->pulls--;
	list_for_each_safe (pos, tmp, &done) {
		struct waiter *w = list_entry(pos, struct waiter, node);

		list_remove(pos);
		w->fn(w->arg, result, text, size, uid);
		free(w);
	}
	image_free(i);
	pull_next(im);
}

static void on_size(void *arg, const struct grpc_status *status, const ProtobufCMessage *msg)
{
	const Cri__ImageStatusResponse *rsp = (const Cri__ImageStatusResponse *)msg;

	finish(arg, IMAGE_PULLED, "", status->code ? NULL : rsp->image);
}

static struct grpc_call *ask_status(struct image *i, cri_fn *fn)
{
	Cri__ImageSpec spec = CRI__IMAGE_SPEC__INIT;
	Cri__ImageRequest rq = CRI__IMAGE_REQUEST__INIT;

	spec.image = i->name;
	rq.image = &spec;
	return cri_call(i->im->cri, CRI_IMAGE_STATUS, &rq.base, 0, fn, i);
}

static void on_pulled(void *arg, const struct grpc_status *status, const ProtobufCMessage *msg)
{
	struct image *i = arg;

	(void)msg;
	if (status->code)
		finish(i, IMAGE_FAILED, status->message, NULL);
	else if (!ask_status(i, on_size))
		finish(i, IMAGE_PULLED, "", NULL);
}

static void pull_next(struct images *im)
{
	while (im->pulls < PULLS_MAX && !list_empty(&im->queue)) {
		struct image *i = list_first(&im->queue, struct image, node);
		Cri__ImageSpec spec = CRI__IMAGE_SPEC__INIT;
		Cri__PullImageRequest rq = CRI__PULL_IMAGE_REQUEST__INIT;

		list_remove(&i->node);
		im->pulls++;
		i->pulling = true;
		list_for_each (pos, &i->waiters) {
			struct waiter *w = list_entry(pos, struct waiter, node);

			w->fn(w->arg, IMAGE_PULLING, "", 0, -1);
		}
		spec.image = i->name;
		rq.image = &spec;
		if (!cri_call(im->cri, CRI_PULL_IMAGE, &rq.base, 0, on_pulled, i))
			finish(i, IMAGE_FAILED, "out of memory", NULL);
	}
}

static void on_present(void *arg, const struct grpc_status *status, const ProtobufCMessage *msg)
{
	const Cri__ImageStatusResponse *rsp = (const Cri__ImageStatusResponse *)msg;
	struct image *i = arg;

	if (status->code) {
		finish(i, IMAGE_FAILED, status->message, NULL);
	} else if (rsp->image) {
		finish(i, IMAGE_PRESENT, "", rsp->image);
	} else if (i->never) {
		finish(i, IMAGE_NEVER, "", NULL);
	} else {
		list_push_back(&i->im->queue, &i->node);
		pull_next(i->im);
	}
}

int image_ensure(struct images *im, const char *image, const char *policy, image_fn *fn, void *arg)
{
	cleanup(free) char *key = NULL;
	struct waiter *w;
	struct image *i;
	bool pull, never;

	if (!image_name_valid(image)) {
		fn(arg, IMAGE_INVALID_NAME, "invalid reference format", 0, -1);
		return 0;
	}
	image_policy_default(image, &policy);
	pull = streq(policy, "Always");
	never = streq(policy, "Never");
	w = calloc(1, sizeof(*w));
	if (!w || asprintf(&key, "%s%s", pull ? "+" : never ? "-" : "", image) < 0) {
		free(w);
		return -ENOMEM;
	}
	w->fn = fn;
	w->arg = arg;
	list_init(&w->node);
	i = strmap_get(im->map, key);
	if (i) {
		list_push_back(&i->waiters, &w->node);
		if (i->pulling)
			fn(arg, IMAGE_PULLING, "", 0, -1);
		return 0;
	}
	i = calloc(1, sizeof(*i));
	if (!i) {
		free(w);
		return -ENOMEM;
	}
	*i = (struct image){ .im = im, .name = strdup(image), .pull = pull, .never = never };
	list_init(&i->node);
	list_init(&i->waiters);
	list_push_back(&i->waiters, &w->node);
	if (!i->name || strmap_set(im->map, key, i, NULL) < 0) {
		image_free(i);
		return -ENOMEM;
	}
	if (pull) {
		list_push_back(&im->queue, &i->node);
		pull_next(im);
	} else if (!ask_status(i, on_present)) {
		strmap_del(im->map, key);
		image_free(i);
		return -ENOMEM;
	}
	return 0;
}
