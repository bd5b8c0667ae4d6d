/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One object of every kind that is served, for tests that go over all kinds. Who adds a kind adds its sample here; the
 * tests fail and say so otherwise.
 */
#ifndef TEST_APISERVER_SAMPLES_H
#define TEST_APISERVER_SAMPLES_H

enum {
	LINGERS = 1, /* a deletion only begins: a controller finishes it */
	SHARED = 2,  /* the server itself writes the object, too */
};

struct sample {
	const char *group, *kind;
	const char *body;   /* YAML, without apiVersion and kind; its name is "sample" unless metadata says otherwise */
	const char *change; /* YAML of a merge patch outside metadata and status; NULL: nothing may change */
	const char *status; /* YAML of a merge patch of the status; NULL: the kind has none */
	unsigned flags;
};
extern const struct sample samples[]; /* ends with kind NULL */

const struct sample *sample_of(const char *group, const char *kind); /* NULL: nobody wrote one */

#endif
