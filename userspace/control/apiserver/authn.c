/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Who asks: the verified client certificate's CN is the user, its Os are the groups, as in Kubernetes. Who shows
 * nothing is system:anonymous.
 */
#include "authn.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "../../lib/base/str.h"

/* One answer for every bad credential: which check failed is nobody's business. */
void authn_refuse(struct call *c)
{
	if (c->req && !c->answered)
		http_add_header(c->req, "WWW-Authenticate", "Bearer realm=\"kubernetes\"");
	call_status(c, 401, "Unauthorized", "Unauthorized");
}

static void by_certificate(const struct call *c, const char *cn, struct identity *who)
{
	const char *org;

	who->user = cn;
	who->authenticated = true;
	for (size_t i = 0; who->n_groups < MAX_GROUPS - 1 && (org = http_req_cert_org(c->req, i)); i++)
		who->groups[who->n_groups++] = org;
	who->groups[who->n_groups++] = "system:authenticated";
}

void authn_identify(struct call *c, call_fn *then)
{
	const char *cn = http_req_cert_cn(c->req);
	struct identity who = { .user = "system:anonymous" };

	if (cn && *cn)
		by_certificate(c, cn, &who);
	else
		who.groups[who.n_groups++] = "system:unauthenticated";
	if (identity_copy(&c->who, &who) < 0)
		call_oom(c);
	else
		then(c);
}

void self_subject_review(struct call *c)
{
	review_answer(c, json_pack("{s:o}", "userInfo", identity_user_info(&c->who)));
}
