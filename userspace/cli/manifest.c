/* SPDX-License-Identifier: Apache-2.0 */
/* Reading manifests: see manifest.h. */
#include "manifest.h"

#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/file.h"
#include "base/str.h"

enum { MAX_FILE = 64 << 20, MAX_DOCS = 10000 };

char *manifest_where(const struct manifest_doc *doc, const char *field, char *buf)
{
	const char *name = api_get_str(doc->obj, "metadata.name");
	const char *kind = api_get_str(doc->obj, "kind");
	int line = field && *field ? api_yaml_line_of(doc->text, doc->len, doc->index, field) : 0;

	snprintf(buf, 512, "%s:%d (%s %s)", streq(doc->file, "-") ? "standard input" : doc->file,
		 line > 0 ? line : doc->line, kind ? kind : "document", name ? name : "without a name");
	return buf;
}

static int add_doc(struct manifest *m, const struct manifest_doc *from, json_t *obj, struct err *err)
{
	struct manifest_doc *docs, doc = *from;
	const char *av = api_get_str(obj, "apiVersion"), *kind = api_get_str(obj, "kind"), *slash;
	char group[256], where[512];
	json_t *items, *item;
	size_t i;
	int r;

	doc.obj = obj;
	manifest_where(&doc, "", where);
	if (!json_is_object(obj))
		return err_set(err, EINVAL, "%s: not an object: a manifest has apiVersion, kind and metadata", where);
	if (!av || !kind)
		return err_set(err, EINVAL, "%s: %s is missing or not a string", where, av ? "kind" : "apiVersion");
	if (str_ends(kind, "List") && (items = json_object_get(obj, "items")) && json_is_array(items)) {
		json_array_foreach (items, i, item) {
			r = add_doc(m, from, item, err);
			if (r < 0)
				return r;
		}
		return 0;
	}
	slash = strchr(av, '/');
	snprintf(group, sizeof(group), "%.*s", slash ? (int)(slash - av) : 0, av);
	doc.kind = api_kind_by_name(group, slash ? slash + 1 : av, kind);
	if (!doc.kind)
		return err_set(err, EINVAL, "%s: no kind \"%s\" in version \"%s\": Skep does not serve it", where, kind,
			       av);
	if (!api_get_str(obj, "metadata.name") && !api_get_str(obj, "metadata.generateName"))
		return err_set(err, EINVAL, "%s: metadata.name is missing", where);
	if (m->n >= MAX_DOCS)
		return err_set(err, E2BIG, "more than %d documents", MAX_DOCS);
	docs = realloc(m->docs, (m->n + 1) * sizeof(*docs));
	if (!docs)
		return err_set(err, ENOMEM, "out of memory");
	m->docs = docs;
	doc.obj = json_incref(obj);
	m->docs[m->n++] = doc;
	return 0;
}

/* Takes file and text over. */
static int add_text(struct manifest *m, char *file, char *text, size_t len, struct err *err)
{
	char **files, **texts;
	json_t *array = NULL;
	int *lines = NULL, r;

	files = realloc(m->files, (m->n_files + 1) * sizeof(*files));
	if (files)
		m->files = files;
	texts = realloc(m->texts, (m->n_files + 1) * sizeof(*texts));
	if (texts)
		m->texts = texts;
	if (!files || !texts || !file || !text) {
		free(file);
		free(text);
		return err_set(err, ENOMEM, "out of memory");
	}
	m->files[m->n_files] = file;
	m->texts[m->n_files++] = text;
	r = api_yaml_parse(text, len, &array, &lines, err);
	if (r < 0)
		return err_wrap(err, r, "%s", streq(file, "-") ? "standard input" : file);
	for (size_t i = 0; !r && i < json_array_size(array); i++) {
		struct manifest_doc doc = { .file = file, .text = text, .len = len, .index = i, .line = lines[i] };

		if (!json_is_null(json_array_get(array, i)))
			r = add_doc(m, &doc, json_array_get(array, i), err);
	}
	json_decref(array);
	free(lines);
	return r;
}

static int add_stdin(struct manifest *m, struct err *err)
{
	cleanup(strbuf_done) struct strbuf sb = STRBUF_INIT;
	size_t n, len;

	do {
		if (strbuf_reserve(&sb, 65536) < 0)
			return err_set(err, ENOMEM, "out of memory");
		n = fread(sb.buf + sb.len, 1, 65536, stdin);
		sb.len += n;
		sb.buf[sb.len] = '\0';
		if (sb.len > MAX_FILE)
			return err_set(err, EFBIG, "standard input is larger than 64 MiB");
	} while (n);
	len = sb.len;
	return add_text(m, strdup("-"), strbuf_detach(&sb, NULL), len, err);
}

static int manifest_file(const struct dirent *e)
{
	return e->d_name[0] != '.' &&
	       (str_ends(e->d_name, ".yaml") || str_ends(e->d_name, ".yml") || str_ends(e->d_name, ".json"));
}

static int add_path(struct manifest *m, const char *path, bool recursive, bool top, struct err *err)
{
	char *text = NULL;
	struct stat st;
	size_t len;
	int r = 0, n;

	if (streq(path, "-"))
		return add_stdin(m, err);
	if (stat(path, &st) < 0)
		return err_set(err, errno, "'%s': %m", path);
	if (S_ISDIR(st.st_mode)) {
		struct dirent **list = NULL;
		size_t before = m->n_files;

		n = scandir(path, &list, recursive ? NULL : manifest_file, alphasort);
		if (n < 0)
			return err_set(err, errno, "read directory '%s': %m", path);
		for (int i = 0; i < n; i++) {
			char child[PATH_MAX];

			snprintf(child, sizeof(child), "%s%s%s", path, str_ends(path, "/") ? "" : "/", list[i]->d_name);
			if (!r && list[i]->d_name[0] != '.' && !stat(child, &st) &&
			    (S_ISDIR(st.st_mode) ? recursive : manifest_file(list[i])))
				r = add_path(m, child, recursive, false, err);
			free(list[i]);
		}
		free(list);
		if (!r && top && m->n_files == before)
			return err_set(err, ENOENT, "'%s' has no .yaml, .yml or .json files", path);
		return r;
	}
	r = file_read(path, MAX_FILE, &text, &len, err);
	return r < 0 ? r : add_text(m, strdup(path), text, len, err);
}

int manifest_load(const struct cli_list *paths, bool recursive, struct manifest *ret, struct err *err)
{
	int r = 0;

	*ret = (struct manifest){ 0 };
	for (size_t i = 0; !r && i < paths->n; i++)
		r = add_path(ret, paths->v[i], recursive, true, err);
	if (!r && !ret->n)
		r = err_set(err, EINVAL, "no objects in the given files");
	if (r < 0)
		manifest_done(ret);
	return r;
}

void manifest_done(struct manifest *m)
{
	for (size_t i = 0; i < m->n; i++)
		json_decref(m->docs[i].obj);
	for (size_t i = 0; i < m->n_files; i++) {
		free(m->files[i]);
		free(m->texts[i]);
	}
	free(m->docs);
	free(m->files);
	free(m->texts);
	*m = (struct manifest){ 0 };
}
