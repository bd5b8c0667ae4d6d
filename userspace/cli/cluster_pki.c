/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Certificates and kubeconfigs of a local cluster. One authority signs all; the user names and groups are those
 * Kubernetes gives its own components, so that its authorization rules apply unchanged.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/file.h"
#include "base/str.h"
#include "base/strbuf.h"
#include "cluster.h"
#include "io/tls.h"

enum { DAYS = 3650 };

static void pki_path(const struct cluster *c, const char *name, const char *ext, char *buf)
{
	snprintf(buf, PATH_MAX, "%s/pki/%s.%s", c->state_dir, name, ext);
}

static int make(const struct cluster *c, const char *name, const struct tls_cert_request *req, struct err *err)
{
	char ca_cert[PATH_MAX], ca_key[PATH_MAX], cert[PATH_MAX], key[PATH_MAX];
	int r;

	pki_path(c, "ca", "crt", ca_cert);
	pki_path(c, "ca", "key", ca_key);
	pki_path(c, name, "crt", cert);
	pki_path(c, name, "key", key);
	if (!access(cert, R_OK) && !access(key, R_OK))
		return 0;
	r = tls_make_cert(ca_cert, ca_key, req, cert, key, err);
	return r < 0 ? err_wrap(err, r, "certificate of %s", name) : 0;
}

static int make_client(const struct cluster *c, const char *name, const char *user, const char *group, struct err *err)
{
	const char *groups[] = { group, NULL };
	struct tls_cert_request req = { .common_name = user, .organizations = groups, .client = true, .days = DAYS };

	return make(c, name, &req, err);
}

static int make_node(const struct cluster *c, int i, struct err *err)
{
	char node[64], ip4[64], ip6[64], user[96];
	const char *groups[] = { "system:nodes", NULL };
	const char *names[] = { node, NULL };
	const char *ips[] = { ip4, ip6, NULL };
	struct tls_cert_request req = {
		.common_name = user,
		.organizations = groups,
		.dns_names = names,
		.ip_addresses = ips,
		.server = true,
		.client = true,
		.days = DAYS,
	};

	cluster_node_name(c, i, node);
	cluster_node_ips(i, ip4, ip6);
	snprintf(user, sizeof(user), "system:node:%s", node);
	return make(c, node, &req, err);
}

/* Secrets are encrypted in the store by a key of this cluster's own. */
static int make_encryption_keys(const char *path, struct err *err)
{
	cleanup(strbuf_done) struct strbuf sb = STRBUF_INIT;
	cleanup(free) char *text = NULL;
	unsigned char key[32];

	if (!access(path, R_OK))
		return 0;
	if (getrandom(key, sizeof(key), 0) != sizeof(key))
		return err_set(err, errno, "random numbers: %m");
	text = str_base64(key, sizeof(key));
	explicit_bzero(key, sizeof(key));
	strbuf_addf(&sb,
		    "apiVersion: apiserver.config.k8s.io/v1\nkind: EncryptionConfiguration\nresources:\n"
		    "- resources: [secrets]\n  providers:\n  - aesgcm:\n      keys:\n      - name: key1\n"
		    "        secret: %s\n  - identity: {}\n",
		    text ? text : "");
	if (!text || strbuf_oom(&sb))
		return err_set(err, ENOMEM, "out of memory");
	return file_write_atomic(path, sb.buf, sb.len, 0600, err);
}

int cluster_make_pki(const struct cluster *c, struct err *err)
{
	static const char *const server_names[] = { "localhost",
						    "kubernetes",
						    "kubernetes.default",
						    "kubernetes.default.svc",
						    "kubernetes.default.svc.cluster.local",
						    NULL };
	static const char *const server_ips[] = { "127.0.0.1",	   "::1",	    "10.96.0.1", "fd00:10:96::1",
						  CLUSTER_LAN_IP4, CLUSTER_LAN_IP6, NULL };
	const struct tls_cert_request server = { .common_name = "kube-apiserver",
						 .dns_names = server_names,
						 .ip_addresses = server_ips,
						 .server = true,
						 .days = DAYS };
	char dir[PATH_MAX], cert[PATH_MAX], key[PATH_MAX];
	int r;

	snprintf(dir, sizeof(dir), "%s/pki", c->state_dir);
	r = dir_make(dir, 0755, err);
	if (r < 0)
		return r;
	pki_path(c, "ca", "crt", cert);
	pki_path(c, "ca", "key", key);
	if (access(cert, R_OK) || access(key, R_OK)) {
		r = tls_make_ca("skep-ca", DAYS, cert, key, err);
		if (r < 0)
			return err_wrap(err, r, "certificate authority");
	}
	pki_path(c, "sa", "key", key);
	if (access(key, R_OK)) {
		r = tls_make_key(key, err);
		if (r < 0)
			return err_wrap(err, r, "key of service accounts' tokens");
	}
	pki_path(c, "encryption", "yaml", key);
	r = make_encryption_keys(key, err);
	if (r < 0)
		return err_wrap(err, r, "keys of the store");
	r = make(c, "apiserver", &server, err);
	if (!r)
		r = make_client(c, "admin", "kubernetes-admin", "system:masters", err);
	if (!r)
		r = make_client(c, "apiserver-kubelet-client", "kube-apiserver", "system:masters", err);
	if (!r)
		r = make_client(c, "scheduler", "system:kube-scheduler", "system:kube-scheduler", err);
	if (!r)
		r = make_client(c, "controller-manager", "system:kube-controller-manager",
				"system:kube-controller-manager", err);
	for (int i = 1; !r && i <= c->n_nodes; i++)
		r = make_node(c, i, err);
	return r;
}

static int add_file_base64(struct strbuf *sb, const char *key, const char *path, struct err *err)
{
	cleanup(free) char *data = NULL;
	cleanup(free) char *text = NULL;
	size_t len;
	int r;

	r = file_read(path, 1 << 20, &data, &len, err);
	if (r < 0)
		return r;
	text = str_base64(data, len);
	if (!text)
		return err_set(err, ENOMEM, "out of memory");
	strbuf_addf(sb, "    %s: %s\n", key, text);
	return 0;
}

int cluster_write_kubeconfig(const struct cluster *c, const char *user, const char *server, const char *path,
			     struct err *err)
{
	cleanup(strbuf_done) struct strbuf sb = STRBUF_INIT;
	char ca[PATH_MAX], cert[PATH_MAX], key[PATH_MAX];
	int r;

	pki_path(c, "ca", "crt", ca);
	pki_path(c, user, "crt", cert);
	pki_path(c, user, "key", key);
	strbuf_addf(&sb,
		    "apiVersion: v1\nkind: Config\ncurrent-context: skep-%s\nclusters:\n- name: skep-%s\n  cluster:\n"
		    "    server: %s\n",
		    c->name, c->name, server);
	r = add_file_base64(&sb, "certificate-authority-data", ca, err);
	if (r < 0)
		return r;
	strbuf_addf(
		&sb,
		"contexts:\n- name: skep-%s\n  context:\n    cluster: skep-%s\n    user: %s\nusers:\n- name: %s\n  user:\n",
		c->name, c->name, user, user);
	r = add_file_base64(&sb, "client-certificate-data", cert, err);
	if (!r)
		r = add_file_base64(&sb, "client-key-data", key, err);
	if (r < 0)
		return r;
	if (strbuf_oom(&sb))
		return err_set(err, ENOMEM, "out of memory");
	return file_write_atomic(path, sb.buf, sb.len, 0600, err);
}
