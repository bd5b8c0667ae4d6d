/* SPDX-License-Identifier: Apache-2.0 */
/* Who is known, and every refusal of those who are not. */
#include <string.h>

#include "fixture.h"

#define SELF_REVIEWS "/apis/authentication.k8s.io/v1/selfsubjectreviews"

Test(authn, who_asks_by_certificate)
{
	struct fx f;
	struct answer a;

	fx_init(&f);
	fx_start(&f);
	a = fx_call(&f, ADMIN, "POST", SELF_REVIEWS, "application/json", NULL,
		    "{\"apiVersion\":\"authentication.k8s.io/v1\",\"kind\":\"SelfSubjectReview\"}");
	cr_assert(a.status == 201, "%s", a.text);
	cr_assert_str_eq(api_get_str(a.json, "kind"), "SelfSubjectReview");
	cr_assert_str_eq(api_get_str(a.json, "status.userInfo.username"), "admin");
	cr_assert_str_eq(json_string_value(json_array_get(api_get(a.json, "status.userInfo.groups"), 0)),
			 "system:masters");
	cr_assert_str_eq(json_string_value(json_array_get(api_get(a.json, "status.userInfo.groups"), 1)),
			 "system:authenticated");
	answer_done(&a);
	fx_refused(&f, ANONYMOUS, 401, "POST", SELF_REVIEWS, "{}", "Unauthorized");
	/* a question is only asked: there is nothing to read */
	fx_refused(&f, ADMIN, 405, "GET", SELF_REVIEWS, NULL, "does not allow this method");
	fx_refused(&f, ADMIN, 405, "DELETE", SELF_REVIEWS "/x", NULL, "does not allow this method");
	fx_done(&f);
}
