/* SPDX-License-Identifier: Apache-2.0 */
/* Encryption at rest: values sealed and opened, settings that are refused, and a server whose store tells nothing. */
#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "../../../userspace/control/apiserver/encrypt-internal.h"
#include "base/file.h"
#include "base/log.h"
#include "base/str.h"
#include "fixture.h"

#define HEAD	"apiVersion: apiserver.config.k8s.io/v1\nkind: EncryptionConfiguration\nresources:\n"
#define K1	"{name: k1, secret: MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=}"
#define K2	"{name: k2, secret: ZmVkY2JhOTg3NjU0MzIxMGZlZGNiYTk4NzY1NDMyMTA=}"
#define SECRETS "/api/v1/namespaces/default/secrets"
#define PLAIN	"very-confidential-words"
#define BASE64	"dmVyeS1jb25maWRlbnRpYWwtd29yZHM="

static void write_keys(struct fx *f, const char *providers)
{
	static char path[128];
	char text[1024];
	struct err err = ERR_INIT;

	snprintf(path, sizeof(path), "%s/encryption.yaml", f->dir);
	snprintf(text, sizeof(text), HEAD "- resources: [secrets]\n  providers: [%s]\n", providers);
	cr_assert(file_write_atomic(path, text, strlen(text), 0600, &err) == 0);
	f->config.encryption_keys = path;
}

/* Do the files of the store hold this text anywhere? */
static bool store_holds(struct fx *f, const char *text)
{
	char dir[96], path[512], *data;
	struct dirent *e;
	bool found = false;
	size_t len;
	DIR *d;

	snprintf(dir, sizeof(dir), "%s/db", f->dir);
	d = opendir(dir);
	cr_assert(d);
	while ((e = readdir(d))) {
		snprintf(path, sizeof(path), "%s/%s", dir, e->d_name);
		if (e->d_type != DT_REG || file_read(path, 64 << 20, &data, &len, NULL) < 0)
			continue;
		found |= memmem(data, len, text, strlen(text)) != NULL;
		free(data);
	}
	closedir(d);
	return found;
}

static void make_secret(struct fx *f, const char *name)
{
	char body[256];

	snprintf(body, sizeof(body), "{\"metadata\":{\"name\":\"%s\"},\"data\":{\"k\":\"" BASE64 "\"}}", name);
	fx_do(f, 201, "POST", SECRETS, body);
}

static json_t *read_secret(struct fx *f, const char *name)
{
	char path[128];
	json_t *v;

	snprintf(path, sizeof(path), SECRETS "/%s", name);
	v = fx_expect(f, 200, "GET", path, NULL);
	cr_assert_str_eq(api_get_str(v, "data.k"), BASE64);
	return v;
}

/* Writes it as it is; did that make a new revision? */
static bool rewrite(struct fx *f, const char *name)
{
	json_t *v = read_secret(f, name), *after;
	char path[128], *text = json_dumps(v, 0);
	bool written;

	snprintf(path, sizeof(path), SECRETS "/%s", name);
	after = fx_expect(f, 200, "PUT", path, text);
	written = !streq(api_get_str(v, "metadata.resourceVersion"), api_get_str(after, "metadata.resourceVersion"));
	free(text);
	json_decref(v);
	json_decref(after);
	return written;
}

Test(encrypt, the_store_does_not_hold_what_secrets_say)
{
	struct fx f;

	fx_init(&f);
	write_keys(&f, "{aesgcm: {keys: [" K1 "]}}, {identity: {}}");
	fx_start(&f);
	make_secret(&f, "s");
	fx_do(&f, 201, "POST", CMS, CM("c", "\"k\":\"" PLAIN "\""));
	json_decref(read_secret(&f, "s"));
	cr_assert(!rewrite(&f, "s")); /* nothing changed, and the key is the right one */
	fx_stop(&f);
	cr_assert(store_holds(&f, "k8s:enc:aesgcm:v1:k1:"));
	cr_assert(store_holds(&f, PLAIN)); /* the config map: the search does find what is there */
	cr_assert(!store_holds(&f, BASE64));
	fx_start(&f);
	json_decref(read_secret(&f, "s"));
	fx_do(&f, 200, "DELETE", SECRETS "/s", NULL);
	fx_done(&f);
}

Test(encrypt, keys_are_rotated_by_writing_anew)
{
	static const char *const steps[] = {
		"{identity: {}}, {aesgcm: {keys: [" K1 "]}}", /* as without any settings */
		"{aesgcm: {keys: [" K1 "]}}, {identity: {}}",
		"{aesgcm: {keys: [" K2 "," K1 "]}}",
		"{aesgcm: {keys: [" K2 "]}}",
		"{identity: {}}, {aesgcm: {keys: [" K2 "]}}", /* and back */
	};
	struct fx f;

	fx_init(&f);
	write_keys(&f, steps[0]);
	fx_start(&f);
	make_secret(&f, "s");
	fx_stop(&f);
	cr_assert(store_holds(&f, BASE64));
	for (size_t i = 1; i < sizeof(steps) / sizeof(steps[0]); i++) {
		bool changed = i != 3; /* only the old key went away */

		write_keys(&f, steps[i]);
		fx_start(&f);
		cr_assert(rewrite(&f, "s") == changed, "step %zu", i);
		cr_assert(!rewrite(&f, "s"), "step %zu", i);
		fx_stop(&f);
	}
	cr_assert(store_holds(&f, BASE64));
	fx_done(&f);
}

Test(encrypt, without_its_key_a_secret_is_not_read)
{
	struct fx f;

	fx_init(&f);
	write_keys(&f, "{aesgcm: {keys: [" K1 "]}}");
	fx_start(&f);
	make_secret(&f, "s");
	fx_stop(&f);
	write_keys(&f, "{aesgcm: {keys: [" K2 "]}}, {identity: {}}");
	log_set_level(LOG_ERROR - 1);
	fx_start(&f);
	fx_refused(&f, ADMIN, 404, "GET", SECRETS "/s", NULL, "not found");
	/* its place is not taken by another */
	{
		struct answer a = fx_call(&f, ADMIN, "POST", SECRETS, "application/json", NULL,
					  "{\"metadata\":{\"name\":\"s\"}}");

		cr_assert(a.status == 409, "%s", a.text);
		answer_done(&a);
	}
	fx_stop(&f);
	write_keys(&f, "{aesgcm: {keys: [" K2 "," K1 "]}}");
	fx_start(&f);
	json_decref(read_secret(&f, "s"));
	fx_done(&f);
}

static struct encrypt_config *load(const char *text, struct err *err)
{
	char path[] = "/tmp/skep-encrypt-test-XXXXXX";
	struct encrypt_config *c = NULL;
	int fd = mkstemp(path);

	cr_assert(fd >= 0);
	cr_assert(write(fd, text, strlen(text)) == (ssize_t)strlen(text));
	close(fd);
	if (encrypt_config_load(path, &c, err) < 0)
		c = NULL;
	unlink(path);
	return c;
}

Test(encrypt, values)
{
	static const char text[] = "{\"a\":1}";
	struct err err = ERR_INIT;
	struct encrypt_config *c = load(
		HEAD "- resources: [secrets, deployments.apps]\n  providers: [{aesgcm: {keys: [" K1 "," K2 "]}}]\n",
		&err);
	const struct encrypt_rule *rule;
	unsigned char *sealed, *again, *open;
	size_t len, len2, n;
	bool stale;

	cr_assert(c, "%s", err.msg);
	cr_assert(encrypt_rule_for(c, "/apps/deployments/a/b"));
	cr_assert(!encrypt_rule_for(c, "/core/secretsx/a/b"));
	cr_assert(!encrypt_rule_for(c, "/core/configmaps/a/b"));
	rule = encrypt_rule_for(c, "/core/secrets/a/b");
	cr_assert(rule && rule->n_keys == 2);
	cr_assert(encrypt_seal(rule, "/core/secrets/a/b", text, sizeof(text), &sealed, &len) == 0);
	cr_assert(encrypt_seal(rule, "/core/secrets/a/b", text, sizeof(text), &again, &len2) == 0);
	cr_assert(len == len2 && memcmp(sealed, again, len) != 0);
	cr_assert(encrypt_unseal(rule, "/core/secrets/a/b", sealed, len, &open, &n, &stale) == 0);
	cr_assert(n == sizeof(text) && !memcmp(open, text, n) && !stale);
	free(open);
	/* in another's place, shortened, or changed anywhere */
	cr_assert(encrypt_unseal(rule, "/core/secrets/a/c", sealed, len, &open, &n, &stale) == -EBADMSG);
	for (size_t i = 0; i < len; i++) {
		sealed[i] ^= 1;
		cr_assert(encrypt_unseal(rule, "/core/secrets/a/b", sealed, len, &open, &n, &stale) == -EBADMSG);
		sealed[i] ^= 1;
		cr_assert(encrypt_unseal(rule, "/core/secrets/a/b", sealed, i, &open, &n, &stale) == -EBADMSG);
	}
	/* plain text is not taken where no rule says so */
	cr_assert(encrypt_unseal(rule, "/core/secrets/a/b", text, sizeof(text), &open, &n, &stale) == -EBADMSG);
	free(sealed);
	free(again);
	encrypt_config_free(c);
}

Test(encrypt, settings_that_are_refused)
{
	static const struct {
		const char *text, *why;
	} t[] = {
		{ "", "one YAML document" },
		{ "kind: EncryptionConfiguration\n", "not an EncryptionConfiguration" },
		{ "apiVersion: apiserver.config.k8s.io/v1\nkind: EncryptionConfiguration\nresources: []\n", "empty" },
		{ HEAD "- resources: [secrets]\n", "needs resources and providers" },
		{ HEAD "- resources: ['*.*']\n  providers: [{identity: {}}]\n", "plural" },
		{ HEAD "- resources: [secrets]\n  providers: [{aescbc: {keys: [" K1 "]}}]\n", "'aescbc' is not known" },
		{ HEAD "- resources: [secrets]\n  providers: [{aesgcm: {keys: []}}]\n", "no keys" },
		{ HEAD "- resources: [secrets]\n  providers: [{aesgcm: {keys: [" K1 "," K1 "]}}]\n", "two keys" },
		{ HEAD "- resources: [secrets]\n  providers: [{aesgcm: {keys: [{name: a, secret: AAAA}]}}]\n",
		  "16, 24 or 32 bytes" },
		{ HEAD "- resources: [secrets]\n  providers: [{aesgcm: {keys: [{name: 'a:b', secret: AAAA}]}}]\n",
		  "without ':'" },
		{ HEAD "- resources: [secrets]\n  providers: [{identity: {}, aesgcm: {keys: [" K1 "]}}]\n", "one of" },
		{ HEAD "- resources: [secrets]\n  provider: [{identity: {}}]\n", "'provider' is not known" },
	};

	for (size_t i = 0; i < sizeof(t) / sizeof(t[0]); i++) {
		struct err err = ERR_INIT;

		cr_assert(!load(t[i].text, &err), "row %zu", i);
		cr_assert(strstr(err.msg, t[i].why), "row %zu: %s", i, err.msg);
	}
}
