/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An error that a person will read: an errno-style code and a message with context, in a buffer owned by the caller,
 * so that reporting a failure cannot itself run out of memory. Functions return 0 or -errno; those that take a struct
 * err * fill it on failure. A NULL struct err * is allowed everywhere and drops the text.
 *
 * 	return err_set(err, errno, "open '%s': %m", path);     returns -errno
 * 	return err_wrap(err, r, "ipam state '%s'", path);      "ipam state '...': <previous text>", returns r
 */
#ifndef SKEP_BASE_ERR_H
#define SKEP_BASE_ERR_H

struct err {
	int code;	/* positive errno; 0 = no error */
	char msg[1024]; /* always NUL-terminated; truncated text ends in "..." */
};

#define ERR_INIT                                                                                                       \
	{                                                                                                              \
		0, ""                                                                                                  \
	}

/* code: positive errno. Returns -code (-EIO if code is 0, so that a caller's mistake is still an error). */
int err_set(struct err *err, int code, const char *fmt, ...) __attribute__((format(printf, 3, 4)));

/* Puts "context: " before the present text. r: a negative errno, returned unchanged and stored. */
int err_wrap(struct err *err, int r, const char *fmt, ...) __attribute__((format(printf, 3, 4)));

void err_clear(struct err *err);

#endif
