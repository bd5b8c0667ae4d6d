/* SPDX-License-Identifier: Apache-2.0 */
/* Bearer tokens and continue tokens. */
#include "fuzz.h"

#include <string.h>

#include "control/apiserver/continue_token.h"
#include "control/apiserver/jwt.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const char *const issuers[] = { "https://kubernetes.default.svc.cluster.local", NULL };
	struct jwt_keys none = { 0 };
	char *text = malloc(size + 1), *after = NULL;
	struct jwt t;
	int64_t rev;

	memcpy(text, data, size);
	text[size] = '\0';
	if (jwt_parse(text, size, &t) == 0) {
		MUST(!jwt_verify(&t, text, &none));
		(void)jwt_check(t.claims, issuers, 1700000000);
		(void)jwt_has_audience(t.claims, "api");
		jwt_done(&t);
	}
	if (continue_token_read(text, &rev, &after) == 0) {
		char *token = continue_token_make(rev, after), *same = NULL;
		int64_t same_rev;

		MUST(token && continue_token_read(token, &same_rev, &same) == 0);
		MUST(same_rev == rev && !strcmp(same, after));
		free(token);
		free(same);
	}
	free(after);
	free(text);
	return 0;
}
