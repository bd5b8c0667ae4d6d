/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A pod's directory on the node, in kubelet's layout: <state>/pods/<uid>/volumes/<plugin>/<name>, its hosts file, and
 * the files that config maps and secrets become. Those are swapped whole: files lie in a directory of their own that
 * the link ..data names, and a new one is put in its place by rename(), so that a reader sees the old set or the new,
 * never a mixture.
 */
#include "pod-internal.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include "../../lib/base/clock.h"
#include "../../lib/base/file.h"
#include "../../lib/base/str.h"

char *pod_dir(const struct pod *p, struct arena *a)
{
	return arena_printf(a, "%s/pods/%s", p->m->config.state_dir, p->uid);
}

static const char *plugin(const struct api_volume *v)
{
	return v->projected    ? "kubernetes.io~projected"
	       : v->secret     ? "kubernetes.io~secret"
	       : v->config_map ? "kubernetes.io~configmap"
			       : "kubernetes.io~empty-dir";
}

char *volume_dir(const struct pod *p, const struct api_volume *v, struct arena *a)
{
	if (v->host_path)
		return arena_strdup(a, v->host_path->path ? v->host_path->path : "");
	return arena_printf(a, "%s/volumes/%s/%s", pod_dir(p, a), plugin(v), v->name);
}

static bool is_mounted(const char *dir)
{
	char parent[4096];
	struct stat a, b;

	snprintf(parent, sizeof(parent), "%s/..", dir);
	return !stat(dir, &a) && !stat(parent, &b) && a.st_dev != b.st_dev;
}

static int mount_memory(const char *dir, int64_t bytes, mode_t mode, struct err *err)
{
	char options[64];

	if (is_mounted(dir))
		return 0;
	if (bytes > 0)
		snprintf(options, sizeof(options), "mode=%o,size=%lld", (unsigned)mode, (long long)bytes);
	else
		snprintf(options, sizeof(options), "mode=%o", (unsigned)mode);
	if (mount("tmpfs", dir, "tmpfs", MS_NOSUID | MS_NODEV, options) < 0)
		return err_set(err, errno, "mount tmpfs on '%s': %m", dir);
	return 0;
}

static int make_empty_dir(const struct api_empty_dir_volume_source *e, const char *dir, struct err *err)
{
	int64_t limit = 0;
	int r = dir_make(dir, 0755, err);

	if (r < 0)
		return r;
	if (e->medium && streq(e->medium, "Memory")) {
		if (e->size_limit && api_quantity_value(e->size_limit, &limit) < 0)
			return err_set(err, EINVAL, "sizeLimit '%s' is not a quantity", e->size_limit);
		return mount_memory(dir, limit, 01777, err);
	}
	if (chmod(dir, 0777) < 0) /* any user of any container may write, as kubelet has it */
		return err_set(err, errno, "chmod '%s': %m", dir);
	return 0;
}

static int check_host_path(const struct api_host_path_volume_source *h, struct err *err)
{
	const char *type = h->type ? h->type : "";
	const char *path = h->path ? h->path : "";
	struct stat st;
	bool there, fits;
	int fd;

	if (path[0] != '/')
		return err_set(err, EINVAL, "hostPath '%s' must be an absolute path", path);
	if (streq(type, ""))
		return 0;
	there = !stat(path, &st);
	if (!there && errno != ENOENT)
		return err_set(err, errno, "hostPath '%s': %m", path);
	if (!there && streq(type, "DirectoryOrCreate"))
		return dir_make(path, 0755, err);
	if (!there && streq(type, "FileOrCreate")) {
		fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0644);
		if (fd < 0)
			return err_set(err, errno, "create hostPath '%s': %m", path);
		close(fd);
		return 0;
	}
	fits = there &&
	       ((str_starts(type, "Directory") && S_ISDIR(st.st_mode)) ||
		(str_starts(type, "File") && S_ISREG(st.st_mode)) || (streq(type, "Socket") && S_ISSOCK(st.st_mode)) ||
		(streq(type, "CharDevice") && S_ISCHR(st.st_mode)) ||
		(streq(type, "BlockDevice") && S_ISBLK(st.st_mode)));
	if (!fits)
		return err_set(err, ENOTDIR, "hostPath type check failed: %s is not a %s", path, type);
	return 0;
}

/* --- config maps and secrets as files ----------------------------------------------------------------------------- */

/* A key's path may have directories but may not leave the volume. */
static bool path_inside(const char *path)
{
	if (!path[0] || path[0] == '/')
		return false;
	for (const char *s = path; *s;) {
		size_t len = strcspn(s, "/");

		if (!len || (len == 2 && !strncmp(s, "..", 2)) || (s == path && !strncmp(s, "..", 2)))
			return false;
		s += len + (s[len] == '/');
	}
	return true;
}

static bool same_file(const char *dir, const struct payload_file *f)
{
	char path[4096];
	cleanup(free) char *data = NULL;
	struct stat st;
	size_t len;

	snprintf(path, sizeof(path), "%s/%s", dir, f->path);
	return !stat(path, &st) && (st.st_mode & 07777) == f->mode && !file_read(path, 4 << 20, &data, &len, NULL) &&
	       len == f->len && !memcmp(data, f->data, len);
}

static size_t count_files(const char *dir)
{
	DIR *d = opendir(dir);
	struct dirent *e;
	size_t n = 0;
	char path[4096];

	if (!d)
		return 0;
	while ((e = readdir(d))) {
		if (streq(e->d_name, ".") || streq(e->d_name, ".."))
			continue;
		snprintf(path, sizeof(path), "%s/%s", dir, e->d_name);
		n += e->d_type == DT_DIR ? count_files(path) : 1;
	}
	closedir(d);
	return n;
}

static bool payload_same(const char *dir, const struct payload_file *files, size_t n)
{
	char data[4096];

	snprintf(data, sizeof(data), "%s/..data", dir);
	if (access(data, F_OK) < 0 || count_files(data) != n)
		return false;
	for (size_t i = 0; i < n; i++)
		if (!same_file(data, &files[i]))
			return false;
	return true;
}

static int write_one(const char *dir, const struct payload_file *f, struct err *err)
{
	char path[4096];
	cleanup(close_fd) int fd = -1;
	char *slash;
	int r;

	snprintf(path, sizeof(path), "%s/%s", dir, f->path);
	slash = strrchr(path, '/');
	*slash = 0;
	r = dir_make(path, 0755, err);
	if (r < 0)
		return r;
	*slash = '/';
	fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	if (fd < 0 || write(fd, f->data, f->len) != (ssize_t)f->len || fchmod(fd, f->mode) < 0)
		return err_set(err, errno, "write '%s': %m", path);
	return 0;
}

/* Top-level names: a link <name> -> ..data/<name> for each, and none that no longer has a file. */
static int link_names(const char *dir, const struct payload_file *files, size_t n, struct err *err)
{
	char name[256], path[4096], target[300];
	struct dirent *e;
	DIR *d;

	for (size_t i = 0; i < n; i++) {
		snprintf(name, sizeof(name), "%.*s", (int)strcspn(files[i].path, "/"), files[i].path);
		snprintf(path, sizeof(path), "%s/%s", dir, name);
		snprintf(target, sizeof(target), "..data/%s", name);
		if (symlink(target, path) < 0 && errno != EEXIST)
			return err_set(err, errno, "link '%s': %m", path);
	}
	d = opendir(dir);
	if (!d)
		return err_set(err, errno, "read '%s': %m", dir);
	while ((e = readdir(d))) {
		bool keep = e->d_name[0] == '.' && e->d_name[1] == '.';

		for (size_t i = 0; i < n && !keep; i++) {
			size_t len = strcspn(files[i].path, "/");

			keep = strlen(e->d_name) == len && !strncmp(e->d_name, files[i].path, len);
		}
		if (!keep && !streq(e->d_name, ".")) {
			snprintf(path, sizeof(path), "%s/%s", dir, e->d_name);
			(void)unlink(path);
		}
	}
	closedir(d);
	return 0;
}

int payload_write(const char *dir, const struct payload_file *files, size_t n, struct err *err)
{
	char fresh[4096], old[256], path[4096], link[4096];
	ssize_t old_len;
	int r;

	for (size_t i = 0; i < n; i++)
		if (!path_inside(files[i].path))
			return err_set(err, EINVAL, "path '%s' leaves the volume", files[i].path);
	if (payload_same(dir, files, n))
		return 0;
	r = dir_make(dir, 0755, err);
	if (r < 0)
		return r;
	snprintf(fresh, sizeof(fresh), "%s/..%lld_XXXXXX", dir, (long long)clock_real_ms());
	if (!mkdtemp(fresh) || chmod(fresh, 0755) < 0)
		return err_set(err, errno, "make '%s': %m", fresh);
	for (size_t i = 0; i < n; i++) {
		r = write_one(fresh, &files[i], err);
		if (r < 0) {
			(void)dir_remove(fresh, NULL);
			return r;
		}
	}
	snprintf(path, sizeof(path), "%s/..data", dir);
	snprintf(link, sizeof(link), "%s/..data_tmp", dir);
	old_len = readlink(path, old, sizeof(old) - 1);
	(void)unlink(link);
	if (symlink(strrchr(fresh, '/') + 1, link) < 0 || rename(link, path) < 0) {
		r = err_set(err, errno, "link '%s': %m", path);
		(void)dir_remove(fresh, NULL);
		return r;
	}
	r = link_names(dir, files, n, err);
	if (old_len > 0) {
		old[old_len] = 0;
		snprintf(path, sizeof(path), "%s/%s", dir, old);
		(void)dir_remove(path, NULL);
	}
	return r;
}

static int add_file(struct arena *a, const struct payload_source *s, const char *key, const char *path,
		    struct api_opt_int mode, struct payload_file *f, struct err *err)
{
	const char *text = s->secret ? NULL : api_map_get(s->data, key);
	const char *base64 = s->secret ? api_map_get(s->data, key) : api_map_get(s->binary, key);

	f->path = path;
	f->mode = (mode_t)(mode.set ? mode.v : s->mode.set ? s->mode.v : 0644);
	if (text) {
		f->data = text;
		f->len = strlen(text);
	} else if (base64) {
		cleanup(free) unsigned char *raw = str_unbase64(base64, &f->len);

		f->data = raw ? arena_strndup(a, (char *)raw, f->len) : NULL;
		if (raw && f->data)
			memcpy((char *)f->data, raw, f->len);
		if (!f->data)
			return err_set(err, EINVAL, "key \"%s\" cannot be read", key);
	} else {
		return err_set(err, ENOENT, "references non-existent %s key: %s", s->secret ? "secret" : "config", key);
	}
	return 0;
}

/* Room for n more; the list is the arena's. */
static int payload_room(struct arena *a, struct payload_list *l, size_t n, struct err *err)
{
	struct payload_file *files = arena_calloc(a, l->n + n + 1, sizeof(*files));

	if (!files)
		return err_set(err, ENOMEM, "out of memory");
	if (l->n)
		memcpy(files, l->files, l->n * sizeof(*files));
	l->files = files;
	return 0;
}

int payload_add(struct arena *a, struct payload_list *l, const struct payload_file *file, struct err *err)
{
	int r = payload_room(a, l, 1, err);

	if (!r)
		l->files[l->n++] = *file;
	return r;
}

static int collect(struct arena *a, const struct payload_source *s, struct payload_list *l, struct err *err)
{
	size_t max = s->n_items ? s->n_items : s->data->n + (s->binary ? s->binary->n : 0);
	const struct api_map *maps[] = { s->data, s->binary };
	struct api_opt_int dflt = { 0 };
	int r = payload_room(a, l, max, err);

	if (r < 0)
		return r;
	for (size_t i = 0; i < s->n_items; i++) {
		r = add_file(a, s, s->items[i].key, s->items[i].path, s->items[i].mode, &l->files[l->n], err);
		if (r == -ENOENT && s->optional)
			continue;
		if (r < 0)
			return r;
		l->n++;
	}
	for (size_t m = 0; m < 2 && !s->n_items; m++)
		for (size_t i = 0; maps[m] && i < maps[m]->n; i++) {
			r = add_file(a, s, maps[m]->v[i].key, maps[m]->v[i].key, dflt, &l->files[l->n], err);
			if (r < 0)
				return r;
			l->n++;
		}
	return 0;
}

int payload_add_object(struct pod *p, struct arena *a, struct payload_source *s, struct payload_list *l,
		       struct err *err)
{
	static const struct api_map none;
	const struct api_object *obj;
	int r = objects_get(p->m->objects, s->secret, p->ns, s->name ? s->name : "", &obj);

	if (r == -ENOENT && !s->optional)
		return err_set(err, ENOENT, "%s \"%s\" not found", s->secret ? "secret" : "configmap", s->name);
	if (r < 0 && r != -ENOENT)
		return err_set(err, -r, "%s \"%s\" is not known yet", s->secret ? "secret" : "configmap", s->name);
	s->data = &none;
	if (!r) {
		s->data = s->secret ? &((const struct api_secret *)obj)->data
				    : &((const struct api_config_map *)obj)->data;
		s->binary = s->secret ? NULL : &((const struct api_config_map *)obj)->binary_data;
	}
	return collect(a, s, l, err);
}

static int sync_object(struct pod *p, const struct api_volume *v, const char *dir, struct arena *a, struct err *err)
{
	struct payload_source s = { .secret = v->secret != NULL };
	struct payload_list files = { 0 };
	int r;

	if (v->secret) {
		s.name = v->secret->secret_name;
		s.n_items = v->secret->n_items;
		s.items = v->secret->items;
		s.mode = v->secret->default_mode;
		s.optional = v->secret->optional.set && v->secret->optional.v;
	} else {
		s.name = v->config_map->name;
		s.n_items = v->config_map->n_items;
		s.items = v->config_map->items;
		s.mode = v->config_map->default_mode;
		s.optional = v->config_map->optional.set && v->config_map->optional.v;
	}
	r = payload_add_object(p, a, &s, &files, err);
	return r < 0 ? r : payload_mount(dir, s.secret, &files, err);
}

int payload_mount(const char *dir, bool memory, const struct payload_list *l, struct err *err)
{
	int r = dir_make(dir, 0755, err);

	if (!r && memory)
		r = mount_memory(dir, 0, 0755, err);
	return r < 0 ? r : payload_write(dir, l->files, l->n, err);
}

int pod_volumes_sync(struct pod *p, struct err *err)
{
	struct arena a = ARENA_INIT;
	int r = 0;

	for (size_t i = 0; i < p->obj->spec.n_volumes && !r; i++) {
		const struct api_volume *v = &p->obj->spec.volumes[i];
		const char *dir = volume_dir(p, v, &a);

		if (!dir)
			r = err_set(err, ENOMEM, "out of memory");
		else if (v->host_path)
			r = check_host_path(v->host_path, err);
		else if (v->secret || v->config_map)
			r = sync_object(p, v, dir, &a, err);
		else if (v->projected)
			r = projected_sync(p, v->projected, dir, &a, err);
		else if (v->empty_dir)
			r = make_empty_dir(v->empty_dir, dir, err);
		else
			r = err_set(err, EOPNOTSUPP, "this kind of volume is not served");
		if (r < 0)
			(void)err_wrap(err, r, "MountVolume.SetUp failed for volume \"%s\" ", v->name);
	}
	arena_done(&a);
	return r;
}

int pod_write_hosts(struct pod *p, struct err *err)
{
	cleanup(strbuf_done) struct strbuf sb = STRBUF_INIT;
	struct arena a = ARENA_INIT;
	const char *host = p->obj->spec.hostname && p->obj->spec.hostname[0] ? p->obj->spec.hostname : p->name;
	char *path = arena_printf(&a, "%s/etc-hosts", pod_dir(p, &a));
	int r;

	strbuf_adds(&sb,
		    "# Made by the node's agent.\n127.0.0.1\tlocalhost\n::1\tlocalhost ip6-localhost ip6-loopback\n"
		    "fe00::\tip6-localnet\nff00::\tip6-mcastprefix\nff02::1\tip6-allnodes\nff02::2\tip6-allrouters\n");
	for (int i = 0; i < 2; i++) {
		if (!p->ips[i][0])
			continue;
		strbuf_addf(&sb, "%s\t", p->ips[i]);
		if (p->obj->spec.subdomain && p->obj->spec.subdomain[0])
			strbuf_addf(&sb, "%s.%s.%s.svc.cluster.local ", host, p->obj->spec.subdomain, p->ns);
		strbuf_addf(&sb, "%s\n", host);
	}
	r = path && !strbuf_oom(&sb) ? dir_make(pod_dir(p, &a), 0755, err) : err_set(err, ENOMEM, "out of memory");
	if (!r)
		r = file_write_atomic(path, sb.buf, sb.len, 0644, err);
	arena_done(&a);
	return r;
}

/* tmpfs mounts of this pod are found by walking: the walk itself never enters one it cannot unmount. */
static void unmount_below(const char *dir, int depth)
{
	char path[4096];
	struct dirent *e;
	DIR *d;

	if (is_mounted(dir))
		(void)umount2(dir, MNT_DETACH | UMOUNT_NOFOLLOW);
	d = depth ? opendir(dir) : NULL;
	while (d && (e = readdir(d))) {
		if (e->d_type != DT_DIR || streq(e->d_name, ".") || streq(e->d_name, ".."))
			continue;
		snprintf(path, sizeof(path), "%s/%s", dir, e->d_name);
		unmount_below(path, depth - 1);
	}
	if (d)
		closedir(d);
}

int volumes_remove(const char *dir, struct err *err)
{
	char volumes[4096];

	if (access(dir, F_OK) < 0)
		return 0;
	snprintf(volumes, sizeof(volumes), "%s/volumes", dir);
	unmount_below(volumes, 2); /* volumes/<plugin>/<name> */
	return dir_remove(dir, err);
}
