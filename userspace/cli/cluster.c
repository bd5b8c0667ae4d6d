/* SPDX-License-Identifier: Apache-2.0 */
/* Names and paths of a local cluster: see cluster.h. */
#include "cluster.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/str.h"

static bool is_default(const struct cluster *c)
{
	return streq(c->name, "default");
}

int cluster_init(struct cluster *c, const char *name, struct err *err)
{
	size_t len = strlen(name);
	char *slash;
	ssize_t n;

	*c = (struct cluster){ .n_nodes = 1 };
	if (!len || len > 40)
		return err_set(err, EINVAL, "cluster name '%s': 1 to 40 characters are needed", name);
	for (size_t i = 0; i < len; i++)
		if (!(islower((unsigned char)name[i]) || isdigit((unsigned char)name[i]) ||
		      (name[i] == '-' && i && i + 1 < len)))
			return err_set(err, EINVAL,
				       "cluster name '%s': use lower case letters, digits and '-' inside (a DNS label)",
				       name);
	memcpy(c->name, name, len + 1);
	snprintf(c->state_dir, sizeof(c->state_dir), "/var/lib/skep/%s", name);
	snprintf(c->run_dir, sizeof(c->run_dir), "/run/skep/%s", name);
	if (is_default(c))
		snprintf(c->lan_ns, sizeof(c->lan_ns), "skep-lan");
	else
		snprintf(c->lan_ns, sizeof(c->lan_ns), "skep-%s-lan", name);
	n = readlink("/proc/self/exe", c->bin_dir, sizeof(c->bin_dir) - 1);
	if (n < 0)
		return err_set(err, errno, "read /proc/self/exe: %m");
	c->bin_dir[n] = '\0';
	slash = strrchr(c->bin_dir, '/');
	if (slash)
		*slash = '\0';
	return 0;
}

bool cluster_exists(const struct cluster *c)
{
	struct stat st;

	return !stat(c->state_dir, &st) || !stat(c->run_dir, &st);
}

char *cluster_node_name(const struct cluster *c, int i, char *buf)
{
	if (is_default(c))
		snprintf(buf, 64, "node-%d", i);
	else
		snprintf(buf, 64, "%s-node-%d", c->name, i);
	return buf;
}

char *cluster_node_ns(const struct cluster *c, int i, char *buf)
{
	char node[64];

	snprintf(buf, 64, "skep-%.58s", cluster_node_name(c, i, node));
	return buf;
}

void cluster_node_ips(int i, char *ip4, char *ip6)
{
	snprintf(ip4, 64, "172.30.1.%d", i);
	snprintf(ip6, 64, "fd00:30::1:%x", i);
}

int cluster_count_nodes(const struct cluster *c)
{
	struct dirent *e;
	int max = 0;
	DIR *d;

	d = opendir(c->state_dir);
	if (!d)
		return 0;
	while ((e = readdir(d))) {
		const char *at = strstr(e->d_name, "node-");
		char name[64];
		int64_t i;

		if (!at || str_to_i64(at + 5, 1, CLUSTER_MAX_NODES, &i) < 0)
			continue;
		if (streq(cluster_node_name(c, (int)i, name), e->d_name) && i > max)
			max = (int)i;
	}
	closedir(d);
	return max;
}

char *cluster_admin_kubeconfig(const struct cluster *c, char *buf, size_t size)
{
	snprintf(buf, size, "%s/admin.kubeconfig", c->state_dir);
	return buf;
}
