/* SPDX-License-Identifier: Apache-2.0 */
/*
 * NamespaceLifecycle: nothing is made in a namespace that is not there or on its way out, and the namespaces that a
 * cluster cannot be without stay.
 */
#include "admission-internal.h"

#include <stdio.h>

#include "../../lib/base/cleanup.h"
#include "../../lib/base/str.h"

static enum admit not_found(struct admission *a, const struct resource *namespaces)
{
	char text[300];

	snprintf(text, sizeof(text), "namespaces \"%s\" not found", a->c->ns);
	call_json(a->c, 404, api_status_for(404, "NotFound", namespaces ? namespaces->kind : NULL, a->c->ns, text));
	return ADMIT_ANSWERED;
}

static enum admit terminating(struct admission *a)
{
	struct call *c = a->c;
	cleanup(strbuf_done) struct strbuf text = STRBUF_INIT;
	char resource[256];
	json_t *status;

	strbuf_addf(&text,
		    "%s \"%s\" is forbidden: unable to create new content in namespace %s because it is being "
		    "terminated",
		    call_resource_name(c, resource, sizeof(resource)), c->name, c->ns);
	status = api_status_for(403, "Forbidden", c->res->kind, c->name, text.buf);
	strbuf_clear(&text);
	strbuf_addf(&text, "namespace %s is being terminated", c->ns);
	if (status)
		(void)api_set(status, "details.causes",
			      json_pack("[{s:s,s:s,s:s}]", "reason", "NamespaceTerminating", "message", text.buf,
					"field", "metadata.namespace"));
	call_json(c, 403, status);
	return ADMIT_ANSWERED;
}

static enum admit admit(struct admission *a)
{
	struct call *c = a->c;
	struct resource *namespaces;
	struct object *ns;

	if (streq(c->res->kind->plural, "namespaces") && !c->res->kind->group[0]) {
		if (a->op == ADMIT_DELETE &&
		    (streq(c->name, "default") || streq(c->name, "kube-system") || streq(c->name, "kube-public")))
			return admission_forbid(a, "this namespace may not be deleted");
		return ADMIT_NEXT;
	}
	if (!c->res->kind->namespaced || a->op != ADMIT_CREATE)
		return ADMIT_NEXT;
	namespaces = cache_resource(c->s, "", "namespaces");
	ns = namespaces ? cache_get(namespaces, NULL, c->ns) : NULL;
	if (!ns)
		return not_found(a, namespaces);
	if (api_get(ns->index, "metadata.deletionTimestamp"))
		return terminating(a);
	return ADMIT_NEXT;
}

const struct admission_plugin admission_namespace_lifecycle = {
	.name = "NamespaceLifecycle",
	.ops = ADMIT_CREATE | ADMIT_DELETE,
	.mutate = admit,
};
