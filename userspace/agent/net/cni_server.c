/* SPDX-License-Identifier: Apache-2.0 */
/* CNI requests on a unix socket: see cni_server.h. */
#include "cni_server.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../../lib/api/api.h"
#include "../../lib/base/cleanup.h"
#include "../../lib/base/str.h"

struct cni_server {
	struct http_server *http;
	void (*handler)(struct cni_request *req, void *arg);
	void *arg;
};

static void reply(struct cni_request *req, int status, json_t *body /* stolen */)
{
	cleanup(free) char *text = body ? json_dumps(body, JSON_COMPACT) : NULL;
	struct http_req *http = req->http;

	json_decref(body);
	if (http) {
		req->http = NULL;
		http_req_set_data(http, NULL, NULL);
		http_respond(http, text ? status : 500, "application/json", text ? text : "", text ? strlen(text) : 0);
	}
	free(req);
}

void cni_reply_error(struct cni_request *req, int code, const char *msg, const char *details)
{
	reply(req, 500,
	      json_pack("{s:s,s:i,s:s,s:s}", "cniVersion", req->version, "code", code, "msg", msg, "details",
			details ? details : ""));
}

void cni_reply_ok(struct cni_request *req)
{
	reply(req, 200, json_object());
}

static void add_ip(json_t *ips, const struct ip_addr *ip, const char *gateway, bool old_version)
{
	char text[INET6_ADDRSTRLEN], cidr[INET6_ADDRSTRLEN + 8];
	json_t *one;

	if (ip_is_zero(ip))
		return;
	snprintf(cidr, sizeof(cidr), "%s/%d", ip_text(ip, text), ip_is_v4(ip) ? 32 : 128);
	one = json_pack("{s:i,s:s,s:s}", "interface", 1, "address", cidr, "gateway", gateway);
	if (old_version)
		json_object_set_new(one, "version", json_string(ip_is_v4(ip) ? "4" : "6"));
	json_array_append_new(ips, one);
}

void cni_reply_added(struct cni_request *req, const struct sandbox *s)
{
	bool old_version = str_starts(req->version, "0.");
	json_t *ips = json_array(), *routes = json_array();
	char host_mac[18], pod_mac[18];

	snprintf(host_mac, sizeof(host_mac), "%02x:%02x:%02x:%02x:%02x:%02x", s->host_mac[0], s->host_mac[1],
		 s->host_mac[2], s->host_mac[3], s->host_mac[4], s->host_mac[5]);
	snprintf(pod_mac, sizeof(pod_mac), "%02x:%02x:%02x:%02x:%02x:%02x", s->pod_mac[0], s->pod_mac[1], s->pod_mac[2],
		 s->pod_mac[3], s->pod_mac[4], s->pod_mac[5]);
	add_ip(ips, &s->ip4, "169.254.1.1", old_version);
	add_ip(ips, &s->ip6, "fe80::1", old_version);
	if (!ip_is_zero(&s->ip4))
		json_array_append_new(routes, json_pack("{s:s,s:s}", "dst", "0.0.0.0/0", "gw", "169.254.1.1"));
	if (!ip_is_zero(&s->ip6))
		json_array_append_new(routes, json_pack("{s:s,s:s}", "dst", "::/0", "gw", "fe80::1"));
	reply(req, 200,
	      json_pack("{s:s,s:[{s:s,s:s},{s:s,s:s,s:s}],s:o,s:o,s:{}}", "cniVersion", req->version, "interfaces",
			"name", s->host_ifname, "mac", host_mac, "name", s->ifname, "mac", pod_mac, "sandbox", s->netns,
			"ips", ips, "routes", routes, "dns"));
}

static void gone(struct http_req *http, void *data)
{
	struct cni_request *req = data;

	(void)http;
	req->http = NULL;
	if (req->on_gone)
		req->on_gone(req);
}

/* "K8S_POD_NAMESPACE=a;K8S_POD_NAME=b;..." */
static void take_arg(const char *args, const char *key, char *buf, size_t size)
{
	size_t len = strlen(key);

	buf[0] = '\0';
	while (args && *args) {
		size_t n = strcspn(args, ";");

		if (n > len && args[len] == '=' && !strncmp(args, key, len) && n - len - 1 < size) {
			memcpy(buf, args + len + 1, n - len - 1);
			buf[n - len - 1] = '\0';
			return;
		}
		args += n + (args[n] == ';');
	}
}

static bool take(const json_t *obj, const char *path, char *buf, size_t size)
{
	const char *s = api_get_str(obj, path);

	buf[0] = '\0';
	return !s || (size_t)snprintf(buf, size, "%s", s) < size;
}

static void on_request(struct http_req *http, void *arg)
{
	struct cni_server *s = arg;
	struct cni_request *req = calloc(1, sizeof(*req));
	struct err err = ERR_INIT;
	json_t *obj = NULL;
	const void *body;
	size_t len;
	bool ok;

	body = http_req_body(http, &len);
	if (!req || !streq(http_req_method(http), "POST") || !streq(http_req_path(http), "/cni")) {
		free(req);
		http_respond(http, 404, "text/plain", "POST /cni is what there is\n", 27);
		return;
	}
	req->http = http;
	snprintf(req->version, sizeof(req->version), "1.0.0");
	http_req_set_data(http, req, gone);
	if (api_json_parse(body, len, &obj, NULL, &err) < 0) {
		cni_reply_error(req, CNI_ERR_IO, "the request is not JSON", err.msg);
		return;
	}
	ok = take(obj, "command", req->command, sizeof(req->command)) &&
	     take(obj, "containerId", req->container_id, sizeof(req->container_id)) &&
	     take(obj, "netns", req->netns, sizeof(req->netns)) &&
	     take(obj, "ifname", req->ifname, sizeof(req->ifname));
	if (api_get_str(obj, "config.cniVersion"))
		ok &= take(obj, "config.cniVersion", req->version, sizeof(req->version));
	take_arg(api_get_str(obj, "args"), "K8S_POD_NAMESPACE", req->pod_ns, sizeof(req->pod_ns));
	take_arg(api_get_str(obj, "args"), "K8S_POD_NAME", req->pod_name, sizeof(req->pod_name));
	take_arg(api_get_str(obj, "args"), "K8S_POD_UID", req->pod_uid, sizeof(req->pod_uid));
	json_decref(obj);
	if (!ok || !checkpoint_valid_id(req->container_id)) {
		cni_reply_error(req, CNI_ERR_INVALID_ENV,
				"CNI_CONTAINERID, CNI_NETNS or CNI_IFNAME is missing, too long or malformed",
				req->container_id);
		return;
	}
	if (streq(req->command, "ADD") && (!req->netns[0] || !req->ifname[0] || !req->pod_name[0] || !req->pod_ns[0])) {
		cni_reply_error(req, CNI_ERR_INVALID_ENV,
				"ADD needs CNI_NETNS, CNI_IFNAME and CNI_ARGS with K8S_POD_NAMESPACE and K8S_POD_NAME",
				"");
		return;
	}
	if (!streq(req->command, "ADD") && !streq(req->command, "DEL") && !streq(req->command, "CHECK")) {
		cni_reply_error(req, CNI_ERR_INVALID_ENV, "CNI_COMMAND is not ADD, DEL or CHECK", req->command);
		return;
	}
	s->handler(req, s->arg);
}

int cni_server_new(struct loop *loop, const char *socket, void (*handler)(struct cni_request *req, void *arg),
		   void *arg, struct cni_server **ret, struct err *err)
{
	struct cni_server *s = calloc(1, sizeof(*s));
	struct http_server_config config = {
		.max_body = 256 << 10, .max_connections = 1000, .handler = on_request, .arg = s
	};
	char address[300];
	int r;

	if (!s)
		return err_set(err, ENOMEM, "out of memory");
	s->handler = handler;
	s->arg = arg;
	unlink(socket); /* of an agent that was killed */
	snprintf(address, sizeof(address), "unix:%s", socket);
	r = http_server_new(loop, &config, &s->http, err);
	if (!r)
		r = http_server_listen(s->http, address, NULL, err);
	if (!r && chmod(socket, 0600) < 0)
		r = err_set(err, errno, "chmod '%s': %m", socket);
	if (r < 0) {
		cni_server_free(s);
		return r;
	}
	*ret = s;
	return 0;
}

void cni_server_free(struct cni_server *s)
{
	if (!s)
		return;
	http_server_free(s->http);
	free(s);
}
