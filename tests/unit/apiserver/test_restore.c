/* SPDX-License-Identifier: Apache-2.0 */
/* A server on a restored or migrated store: everything is there, and clients of before are told to list again. */
#include "fixture.h"

#include <stdio.h>
#include <string.h>

#include "../../../userspace/control/apiserver/store_tool.h"
#include "../store/etcd_server.h"
#include "base/str.h"

static int tool(const char *a, const char *b, const char *c, const char *d, const char *e)
{
	char *argv[] = { "store", (char *)a, (char *)b, (char *)c, (char *)d, (char *)e, NULL };
	int argc = 1;

	while (argv[argc])
		argc++;
	return store_tool_main(argc, argv);
}

/* What a client knew before: an object, its revision, the service's address. */
struct known {
	char rv[32], uid[64], ip[64];
};

static struct known before(struct fx *f)
{
	struct known k;
	json_t *o;

	fx_do(f, 201, "POST", CMS, CM("gone", ""));
	fx_do(f, 200, "DELETE", CMS "/gone", NULL);
	o = fx_expect(f, 201, "POST", CMS, CM("kept", "\"a\":\"1\""));
	snprintf(k.rv, sizeof(k.rv), "%s", api_get_str(o, "metadata.resourceVersion"));
	snprintf(k.uid, sizeof(k.uid), "%s", api_get_str(o, "metadata.uid"));
	json_decref(o);
	o = fx_expect(f, 201, "POST", "/api/v1/namespaces/default/services",
		      "{\"kind\":\"Service\",\"apiVersion\":\"v1\",\"metadata\":{\"name\":\"s\"},\"spec\":{\"ports\":"
		      "[{\"port\":80}]}}");
	snprintf(k.ip, sizeof(k.ip), "%s", api_get_str(o, "spec.clusterIP"));
	json_decref(o);
	return k;
}

static void after(struct fx *f, const struct known *k)
{
	char path[200], body[300];
	struct fx_watch w;
	json_t *o, *ev;

	o = fx_expect(f, 200, "GET", CMS "/kept", NULL);
	cr_assert_str_eq(api_get_str(o, "metadata.uid"), k->uid);
	cr_assert(strtoll(api_get_str(o, "metadata.resourceVersion"), NULL, 10) > strtoll(k->rv, NULL, 10) + 1000000);
	json_decref(o);
	fx_do(f, 404, "GET", CMS "/gone", NULL);
	o = fx_expect(f, 200, "GET", "/api/v1/namespaces/default/services/s", NULL);
	cr_assert_str_eq(api_get_str(o, "spec.clusterIP"), k->ip);
	json_decref(o);
	/* whoever watches from before is told to begin anew */
	snprintf(path, sizeof(path), CMS "?watch=1&resourceVersion=%s", k->rv);
	fx_watch_start(f, &w, ADMIN, path, NULL);
	if (w.status == 200) {
		ev = fx_watch_next(&w);
		cr_assert(ev && streq(api_get_str(ev, "type"), "ERROR") && api_get_int(ev, "object.code", 0) == 410);
	} else {
		cr_assert(w.status == 410, "%d", w.status);
	}
	fx_watch_done(&w);
	/* a write that was decided on the old state is a conflict */
	snprintf(body, sizeof(body),
		 "{\"apiVersion\":\"v1\",\"kind\":\"ConfigMap\",\"metadata\":{\"name\":\"kept\",\"resourceVersion\":"
		 "\"%s\"},\"data\":{\"a\":\"2\"}}",
		 k->rv);
	fx_do(f, 409, "PUT", CMS "/kept", body);
	fx_do(f, 200, "PATCH", CMS "/kept", "{\"data\":{\"a\":\"3\"}}");
	fx_do(f, 201, "POST", CMS, CM("new", ""));
}

Test(restore, a_backup_of_a_running_server_is_restored, .timeout = 180)
{
	char file[128], from[160], to[160];
	struct known k;
	struct fx f;

	fx_init(&f);
	fx_start(&f);
	k = before(&f);
	snprintf(file, sizeof(file), "%s/backup", f.dir);
	snprintf(from, sizeof(from), "--store=%s", f.store);
	cr_assert(tool("backup", file, from, NULL, NULL) == 0);
	cr_assert(tool("status", file, NULL, NULL, NULL) == 0);
	cr_assert(tool("restore", file, from, NULL, NULL) == 1, "it is in use");
	fx_do(&f, 200, "PATCH", CMS "/kept", "{\"data\":{\"a\":\"lost\"}}");
	fx_stop(&f);
	cr_assert(tool("restore", file, from, NULL, NULL) == 1, "it has content");
	cr_assert(tool("restore", file, from, "--force", NULL) == 0);
	fx_start(&f);
	after(&f, &k);
	fx_stop(&f);
	snprintf(to, sizeof(to), "--to=sqlite:%s/other", f.dir);
	cr_assert(tool("migrate", "--from", f.store, to, NULL) == 0);
	cr_assert(tool("migrate", to, NULL, NULL, NULL) == 2);
	cr_assert(tool("restore", file, NULL, NULL, NULL) == 2);
	cr_assert(tool("restore", file, "--store=elsewhere", NULL, NULL) == 2);
	cr_assert(tool("mend", file, NULL, NULL, NULL) == 2);
	fx_done(&f);
}

Test(restore, the_embedded_store_moves_to_etcd_by_one_command, .timeout = 180)
{
	struct etcd_server etcd;
	char to[160], store[160];
	struct known k;
	struct fx f;

	etcd_server_start(&etcd, false);
	fx_init(&f);
	fx_start(&f);
	k = before(&f);
	snprintf(to, sizeof(to), "etcd:%s", etcd.url);
	cr_assert(tool("migrate", "--from", f.store, "--to", to) == 1, "the server runs");
	fx_stop(&f);
	cr_assert(tool("migrate", "--from", f.store, "--to", to) == 0);
	snprintf(store, sizeof(store), "etcd:%s", etcd.url);
	f.config.store = store;
	fx_start(&f);
	after(&f, &k);
	fx_done(&f);
	etcd_server_stop(&etcd);
}
