/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the programs that measure the API server share: certificates and processes (proc.c), a client that blocks on
 * one HTTP/1.1 connection (client.c), and a connection with many watches (watcher.c). A failure ends the program:
 * a measurement has nothing to fall back on.
 */
#ifndef TEST_BENCH_H
#define TEST_BENCH_H

#include <nghttp2/nghttp2.h>
#include <openssl/ssl.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

__attribute__((noreturn, format(printf, 1, 2))) void fail(const char *fmt, ...);

/* --- proc.c ------------------------------------------------------------------------------------------------------- */

pid_t spawn(const char *log, char *const argv[]); /* dies with us; its output is appended to log */
void stop(pid_t *pid);				  /* at once, and waits for its end */
int free_port(void);
double cpu_seconds(pid_t pid);
size_t rss_kb(pid_t pid);
int by_value(const void *x, const void *y); /* of uint64_t, for qsort */

/* Where the server is, and who we are: an administrator, with a certificate that is good for the server too. */
struct target {
	int port;
	char ca[96], crt[96], key[96];
	SSL_CTX *ctx;
};
void target_init(struct target *t, const char *dir); /* makes the certificates */
void target_done(struct target *t);

/* --- client.c ----------------------------------------------------------------------------------------------------- */

struct client {
	SSL *ssl;
	int fd;
	char buf[65536];
	size_t have;
	char *body; /* of the last answer; NUL-terminated when kept */
	size_t body_len, body_cap;
	bool keep;
	int status;
};
int dial(const struct target *t); /* -1: refused */
SSL *handshake(const struct target *t, int fd, const char *alpn);
bool client_open(struct client *c, const struct target *t); /* false: refused */
void client_close(struct client *c);
int request(struct client *c, const char *method, const char *path, const char *type, const char *body); /* status */

/* --- watcher.c ---------------------------------------------------------------------------------------------------- */

struct h2 {
	SSL *ssl;
	int fd;
	nghttp2_session *s;
	void (*on_line)(void *arg); /* an event came */
	void *arg;
};
void h2_open(struct h2 *h, const struct target *t, void (*on_line)(void *arg), void *arg);
void h2_watch(struct h2 *h, const char *path); /* queued until h2_flush() */
void h2_flush(struct h2 *h);
void h2_read(struct h2 *h); /* what has come, without waiting */
void h2_close(struct h2 *h);

#endif
