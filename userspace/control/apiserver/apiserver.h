/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The API server: HTTPS in front of the store. One per process and loop; main.c gives it its flags, tests start it on
 * loopback.
 */
#ifndef SKEP_APISERVER_H
#define SKEP_APISERVER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "../../lib/base/err.h"
#include "../../lib/io/loop.h"
#include "../../lib/io/tls.h"

struct apiserver;

#define APISERVER_MAX_LISTEN  16
#define APISERVER_MAX_KEYS    8
#define APISERVER_MAX_ISSUERS 8
struct apiserver_config {
	const char *listen[APISERVER_MAX_LISTEN]; /* "127.0.0.1:6443", "[::]:6443", "unix:/path" */
	int n_listen;
	bool socket_activation;	  /* also the descriptors of LISTEN_FDS */
	const char *store;	  /* "sqlite:DIR" or "etcd:http(s)://host:port,..." */
	const char *etcd_servers; /* instead of "etcd:": URLs of the members */
	struct tls_files etcd_tls;
	struct tls_files tls;	   /* serving certificate and key; ca_file: issuer of clients' certificates */
	struct tls_files kubelet;  /* identity towards the agents and the CA of theirs */
	const char *node_ports;	   /* "30000-32767": NodePort services */
	const char *service_cidrs; /* "10.96.0.0/12,fd00:10:96::/112": at most one of each family, first is primary */
	const char *advertise;	   /* "ip:port,...": backends of the `kubernetes` Service; NULL: none */
	unsigned max_seats;	   /* requests at work at once, in seats; 0: 600 */
	int request_timeout_s;	   /* of requests that are not streams; 0: 60 */
	const char *audit_policy_file, *audit_log_path;		      /* both or neither */
	int audit_log_maxsize, audit_log_maxbackup, audit_log_maxage; /* MiB (0: 100), files, days (0: all) */
	size_t audit_log_buffer;				      /* bytes; 0: 16 MiB */
	int64_t etcd_quota; /* its --quota-backend-bytes, where it does not tell itself; 0: 2 GiB */
	const char *enable_admission_plugins, *disable_admission_plugins; /* names, comma-separated; NULL: none */
	int care_interval_ms;	 /* between looks at the store\'s room; 0: 30 s */
	int compact_interval_s;	 /* history kept; 0: 300 */
	bool proxy_to_loopback;	 /* for tests: pods/proxy and services/proxy may reach this machine */
	int bookmark_interval_s; /* 0: 60 */
	int ring_events;	 /* events kept per kind for watches to resume; 0: 4096 */

	/* Service accounts' tokens: PEM files; the issuers, of which the first signs; comma-separated audiences */
	const char *encryption_keys; /* EncryptionConfiguration: what is encrypted in the store; NULL: nothing */
	const char *token_auth_file; /* users by token, as CSV; NULL: none */
	const char *sa_signing_key;  /* NULL: no tokens are given out */
	const char *sa_keys[APISERVER_MAX_KEYS];
	int n_sa_keys; /* further keys whose tokens are good */
	const char *sa_issuers[APISERVER_MAX_ISSUERS];
	int n_sa_issuers;	     /* 0: https://kubernetes.default.svc.cluster.local */
	const char *api_audiences;   /* NULL: the first issuer */
	int64_t sa_max_expiration_s; /* longer wishes are cut to it; 0: no limit */
};

/*
 * Parses argv into config (strings are borrowed from argv). 0; 1: help or version was printed; <0: err says what is
 * wrong.
 */
int apiserver_config_parse(int argc, char **argv, struct apiserver_config *config, struct err *err);

/*
 * Opens the store and listens. Requests are answered once the cache is filled, which /readyz tells; until then they
 * get 503.
 */
int apiserver_new(struct loop *loop, const struct apiserver_config *config, struct apiserver **ret, struct err *err);
void apiserver_free(struct apiserver *s);
int apiserver_port(const struct apiserver *s, int i); /* port bound by the i-th listen address */
bool apiserver_ready(const struct apiserver *s);
/*
 * Ends watches cleanly (their clients reconnect elsewhere) and refuses new requests; fn runs once nothing is in
 * flight.
 */
void apiserver_shutdown(struct apiserver *s, void (*fn)(void *arg), void *arg);

#endif
