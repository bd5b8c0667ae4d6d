/* SPDX-License-Identifier: Apache-2.0 */
/* Checkpoints of sandboxes: see checkpoint.h. */
#include "checkpoint.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "../../lib/api/api.h"
#include "../../lib/base/cleanup.h"
#include "../../lib/base/file.h"
#include "../../lib/base/str.h"

bool checkpoint_valid_id(const char *id)
{
	size_t n = 0;

	for (; id[n]; n++)
		if (!isalnum((unsigned char)id[n]) && !strchr("-_.", id[n]))
			return false;
	return n && n < 128 && id[0] != '.';
}

static void path_of(const char *dir, const char *id, char *buf)
{
	snprintf(buf, PATH_MAX, "%s/%s.json", dir, id);
}

static char *mac_text(const uint8_t mac[6], char *buf)
{
	snprintf(buf, 18, "%02x:%02x:%02x:%02x:%02x:%02x", mac[0], mac[1], mac[2], mac[3], mac[4], mac[5]);
	return buf;
}

static bool mac_parse(const char *s, uint8_t mac[6])
{
	return s && sscanf(s, "%2hhx:%2hhx:%2hhx:%2hhx:%2hhx:%2hhx", &mac[0], &mac[1], &mac[2], &mac[3], &mac[4],
			   &mac[5]) == 6;
}

int checkpoint_save(const char *dir, const struct sandbox *s, struct err *err)
{
	char ip4[INET6_ADDRSTRLEN], ip6[INET6_ADDRSTRLEN], host_mac[18], pod_mac[18], path[PATH_MAX];
	json_t *obj = json_pack("{s:s,s:s,s:s,s:s,s:s,s:s,s:s,s:I,s:s,s:s,s:I,s:s,s:s}", "sandbox", s->id, "namespace",
				s->ns, "name", s->name, "uid", s->uid, "netns", s->netns, "ifname", s->ifname,
				"hostIfname", s->host_ifname, "number", (json_int_t)s->number, "ip4",
				ip_text(&s->ip4, ip4), "ip6", ip_text(&s->ip6, ip6), "ifindex", (json_int_t)s->ifindex,
				"hostMac", mac_text(s->host_mac, host_mac), "podMac", mac_text(s->pod_mac, pod_mac));
	cleanup(free) char *text = obj ? json_dumps(obj, JSON_INDENT(1)) : NULL;

	json_decref(obj);
	if (!text)
		return err_set(err, ENOMEM, "out of memory");
	path_of(dir, s->id, path);
	return file_write_atomic(path, text, strlen(text), 0600, err);
}

int checkpoint_remove(const char *dir, const char *id, struct err *err)
{
	char path[PATH_MAX];

	path_of(dir, id, path);
	if (unlink(path) < 0 && errno != ENOENT)
		return err_set(err, errno, "remove '%s': %m", path);
	return 0;
}

static bool copy(const json_t *obj, const char *key, char *buf, size_t size)
{
	const char *s = api_get_str(obj, key);

	return s && (size_t)snprintf(buf, size, "%s", s) < size;
}

static int read_one(const char *path, struct sandbox *s, struct err *err)
{
	cleanup(free) char *text = NULL;
	json_t *obj = NULL;
	const char *ip;
	size_t len;
	bool ok;
	int r;

	r = file_read(path, 65536, &text, &len, err);
	if (!r)
		r = api_json_parse(text, len, &obj, NULL, err);
	if (r < 0)
		return r;
	*s = (struct sandbox){ 0 };
	ok = copy(obj, "sandbox", s->id, sizeof(s->id)) && copy(obj, "namespace", s->ns, sizeof(s->ns)) &&
	     copy(obj, "name", s->name, sizeof(s->name)) && copy(obj, "uid", s->uid, sizeof(s->uid)) &&
	     copy(obj, "netns", s->netns, sizeof(s->netns)) && copy(obj, "ifname", s->ifname, sizeof(s->ifname)) &&
	     copy(obj, "hostIfname", s->host_ifname, sizeof(s->host_ifname)) &&
	     mac_parse(api_get_str(obj, "hostMac"), s->host_mac) && mac_parse(api_get_str(obj, "podMac"), s->pod_mac);
	s->number = (uint32_t)api_get_int(obj, "number", 0);
	s->ifindex = (uint32_t)api_get_int(obj, "ifindex", 0);
	if (ok && (ip = api_get_str(obj, "ip4")) && *ip)
		ok = !ip_parse(ip, &s->ip4);
	if (ok && (ip = api_get_str(obj, "ip6")) && *ip)
		ok = !ip_parse(ip, &s->ip6);
	json_decref(obj);
	return ok && s->number && checkpoint_valid_id(s->id) ? 0 : err_set(err, EINVAL, "fields are missing or wrong");
}

int checkpoint_load(const char *dir, struct sandbox **ret, size_t *ret_n,
		    void (*bad)(const char *path, const char *why), struct err *err)
{
	struct sandbox *all = NULL, *more;
	struct dirent *e;
	size_t n = 0;
	int r = 0;
	DIR *d;

	d = opendir(dir);
	if (!d)
		return err_set(err, errno, "open '%s': %m", dir);
	while (!r && (e = readdir(d))) {
		struct err one = ERR_INIT;
		char path[PATH_MAX];

		snprintf(path, sizeof(path), "%s/%s", dir, e->d_name);
		if (strstr(e->d_name, ".json.") || str_starts(e->d_name, "identities.")) {
			unlink(path); /* left by a write that did not end */
			continue;
		}
		if (!str_ends(e->d_name, ".json"))
			continue;
		more = realloc(all, (n + 1) * sizeof(*all));
		if (!more) {
			r = err_set(err, ENOMEM, "out of memory");
			break;
		}
		all = more;
		if (read_one(path, &all[n], &one) < 0)
			bad(path, one.msg);
		else
			n++;
	}
	closedir(d);
	if (r < 0) {
		free(all);
		return r;
	}
	*ret = all;
	*ret_n = n;
	return 0;
}
