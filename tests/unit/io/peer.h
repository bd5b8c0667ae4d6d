/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A small HTTP/1.1 peer for client tests: blocking, a thread per connection, on loopback or a unix socket, plain or
 * TLS. What it does is in the path: /echo, /status/<n>, /endless, /drip, /hang, /close, /short, /upgrade, /refuse,
 * /garbage/<seed>.
 */
#ifndef SKEP_TEST_PEER_H
#define SKEP_TEST_PEER_H

#include <openssl/ssl.h>
#include <stdatomic.h>

struct peer {
	int fd, port;
	char url[128];
	SSL_CTX *ctx; /* NULL: plain */
	atomic_int connections;
};

void peer_start(struct peer *p, SSL_CTX *ctx);
void peer_start_unix(struct peer *p, const char *path);
void peer_stop(struct peer *p);

#endif
