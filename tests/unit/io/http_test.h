/* SPDX-License-Identifier: Apache-2.0 */
/* A server on a thread of its own with a handler for many cases, and a blocking client that says bytes. */
#ifndef SKEP_TEST_HTTP_TEST_H
#define SKEP_TEST_HTTP_TEST_H

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>

#include "io/http_server.h"
#include "io/loop.h"

struct srv {
	struct loop *loop;
	struct http_server *server;
	pthread_t thread;
	int port;
	/* under lock; changed is signalled */
	pthread_mutex_t lock;
	pthread_cond_t changed;
	int handled, closed, watchers, write_failed;
	unsigned long produced;
};

extern struct srv srv;

/* Defaults fit most tests; tls: makes certificates in a directory of its own. */
void srv_start(struct http_server_config config, bool tls);
void srv_stop(void);
/* Waits until *counter (one of srv's) is at least n; fails the test after 20 s. */
void srv_wait(const int *counter, int n);
void srv_run(void (*fn)(void));		/* on the server's thread; returns when done */
void srv_broadcast(const char *text);	/* from srv_run(): to every /watch, one shared buffer */
const char *srv_file(const char *name); /* path in the certificate directory; static buffers, 4 in turn */

int cl_connect(void);
void cl_send(int fd, const void *data, size_t len);
void cl_say(int fd, const char *text);
/* Reads until the text so far contains `until`, or the end when NULL; NUL-terminated, free(). */
char *cl_read(int fd, const char *until);
/* Sends text, reads to the end of the connection, closes. free(). */
char *cl_talk(const char *text);
bool cl_eof(int fd); /* the peer closes within 20 s */

#endif
