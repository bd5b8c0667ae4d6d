/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Patterns of schemas. Kubernetes reads them as RE2, which has no back references and no looking around and therefore
 * takes linear time. Here PCRE2 matches: what RE2 refuses is refused when the pattern is defined, and a match has a
 * limit of steps, after which it counts as none, so that no pattern holds the server up.
 */
#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "api-internal.h"

#define MATCH_LIMIT   200000
#define DEPTH_LIMIT   10000
#define HEAP_LIMIT_KB 4096

struct api_regex {
	pcre2_code *code;
	pcre2_match_context *limits;
};

/* What PCRE2 takes and RE2 does not; NULL if there is none of it. */
static const char *beyond_re2(const char *p)
{
	bool in_class = false;

	for (; *p; p++) {
		if (*p == '\\' && p[1]) {
			p++;
			if (!in_class && ((*p >= '1' && *p <= '9') || *p == 'g' || *p == 'k'))
				return "invalid escape sequence: back references are not supported";
			if (strchr("RKGXNHhV", *p))
				return "invalid escape sequence";
		} else if (in_class) {
			if (*p == ']')
				in_class = false;
		} else if (*p == '[') {
			in_class = true;
			/* A bracket right at the beginning of a class is one of its characters. */
			p += p[1] == '^';
			p += p[1] == ']';
		} else if (*p == '(' && p[1] == '?') {
			if (strchr("=!>|#&R+0123456789(C", p[2]) || (p[2] == '<' && (p[3] == '=' || p[3] == '!')) ||
			    (p[2] == 'P' && p[3] != '<'))
				return "invalid or unsupported Perl syntax";
		} else if (*p == '(' && p[1] == '*') {
			return "missing argument to repetition operator: `*`";
		} else if (strchr("*+?}", *p) && p[1] == '+') {
			return "invalid nested repetition operator";
		}
	}
	return NULL;
}

struct api_regex *api_regex_new(const char *pattern, char *why, size_t size)
{
	const char *refused = beyond_re2(pattern);
	struct api_regex *re;
	PCRE2_SIZE at;
	int code;

	if (refused) {
		snprintf(why, size, "error parsing regexp: %s", refused);
		return NULL;
	}
	re = calloc(1, sizeof(*re));
	if (re)
		re->code = pcre2_compile((PCRE2_SPTR)pattern, PCRE2_ZERO_TERMINATED,
					 PCRE2_UTF | PCRE2_DOLLAR_ENDONLY | PCRE2_NEVER_BACKSLASH_C, &code, &at, NULL);
	if (re && re->code)
		re->limits = pcre2_match_context_create(NULL);
	if (re && re->limits) {
		pcre2_set_match_limit(re->limits, MATCH_LIMIT);
		pcre2_set_depth_limit(re->limits, DEPTH_LIMIT);
		pcre2_set_heap_limit(re->limits, HEAP_LIMIT_KB);
		return re;
	}
	if (re && !re->code) {
		PCRE2_UCHAR text[128] = "";

		pcre2_get_error_message(code, text, sizeof(text));
		snprintf(why, size, "error parsing regexp: %s at offset %zu", (const char *)text, (size_t)at);
	} else {
		snprintf(why, size, "out of memory");
	}
	api_regex_free(re);
	return NULL;
}

void api_regex_free(struct api_regex *re)
{
	if (!re)
		return;
	pcre2_match_context_free(re->limits);
	pcre2_code_free(re->code);
	free(re);
}

bool api_regex_matches(const struct api_regex *re, const char *text, size_t len)
{
	pcre2_match_data *data = pcre2_match_data_create(1, NULL);
	int r = data ? pcre2_match(re->code, (PCRE2_SPTR)text, len, 0, 0, data, re->limits) : PCRE2_ERROR_NOMEMORY;

	pcre2_match_data_free(data);
	return r >= 0;
}
