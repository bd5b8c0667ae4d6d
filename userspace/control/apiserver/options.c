/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The parameters that requests share (dryRun, fieldValidation, those of lists): what they may be, refused in
 * Kubernetes' words under the name of the options they belong to.
 */
#include "options.h"

#include <string.h>

#include "../../lib/base/str.h"

const char *options_kind(const struct call *c)
{
	static const struct {
		const char *verb, *kind;
	} table[] = {
		{ "create", "CreateOptions" }, { "update", "UpdateOptions" },		{ "patch", "PatchOptions" },
		{ "delete", "DeleteOptions" }, { "deletecollection", "DeleteOptions" },
	};

	for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++)
		if (streq(table[i].verb, c->verb))
			return table[i].kind;
	return "ListOptions";
}

static int refuse(struct call *c, struct api_errs *errs)
{
	if (!errs->n)
		return 0;
	call_options_invalid(c, options_kind(c), errs);
	api_errs_done(errs);
	return -1;
}

int options_refuse(struct call *c, enum api_cause cause, const char *field, const char *text)
{
	struct api_errs errs = { 0 };

	api_errs_add(&errs, cause, field, "%s", text);
	(void)refuse(c, &errs);
	return -1;
}

int options_dry_run(struct call *c, const char *value)
{
	struct api_errs errs = { 0 };

	if (!streq(value, "All"))
		api_errs_add(&errs, API_C_NOT_SUPPORTED, "dryRun",
			     "Unsupported value: []string{\"%.100s\"}: supported values: \"All\"", value ? value : "");
	if (refuse(c, &errs) < 0)
		return -1;
	c->dry_run = true;
	return 0;
}

int options_check_timeout(struct call *c)
{
	const char *timeout = call_query(c, "timeout");
	int64_t ms;

	if (!timeout || !*timeout || streq(c->verb, "watch") || streq(c->sub, "proxy") ||
	    str_to_duration_ms(timeout, &ms) == 0)
		return 0;
	call_status(c, 400, "BadRequest",
		    "invalid timeout specified in the request URL - time: invalid duration \"%.64s\"", timeout);
	return -1;
}

int options_check_write(struct call *c)
{
	const char *dry = call_query(c, "dryRun"), *mode = call_query(c, "fieldValidation");
	struct api_errs errs = { 0 };

	/* what a proxied request asks for is not for us */
	if (streq(c->verb, "get") || streq(c->verb, "list") || streq(c->verb, "watch") || streq(c->sub, "proxy"))
		return 0;
	if (dry && *dry && options_dry_run(c, dry) < 0)
		return -1;
	if (mode && *mode && !streq(mode, "Strict") && !streq(mode, "Warn") && !streq(mode, "Ignore"))
		api_errs_add(&errs, API_C_NOT_SUPPORTED, "fieldValidation",
			     "Unsupported value: \"%.100s\": supported values: \"\", \"Ignore\", \"Strict\", \"Warn\"",
			     mode);
	return refuse(c, &errs);
}

int options_check_list(struct call *c)
{
	const char *match = call_query(c, "resourceVersionMatch"), *rv = call_query(c, "resourceVersion");
	const char *cont = call_query(c, "continue"), *initial = call_query(c, "sendInitialEvents");
	bool watch = streq(c->verb, "watch"), has_rv = rv && *rv;
	struct api_errs errs = { 0 };

	if (initial && *initial && !watch)
		api_errs_add(&errs, API_C_FORBIDDEN, "sendInitialEvents",
			     "Forbidden: sendInitialEvents is forbidden for list");
	if (initial && *initial && watch && !streq(match, "NotOlderThan"))
		api_errs_add(&errs, API_C_FORBIDDEN, "resourceVersionMatch",
			     "Forbidden: sendInitialEvents requires setting resourceVersionMatch to NotOlderThan");
	if (match && *match && watch && !(initial && *initial))
		api_errs_add(
			&errs, API_C_FORBIDDEN, "resourceVersionMatch",
			"Forbidden: resourceVersionMatch is forbidden for watch unless sendInitialEvents is provided");
	if (match && *match && !watch) {
		if (cont && *cont)
			api_errs_add(&errs, API_C_FORBIDDEN, "resourceVersionMatch",
				     "Forbidden: resourceVersionMatch is forbidden when continue is provided");
		if (!has_rv)
			api_errs_add(&errs, API_C_FORBIDDEN, "resourceVersionMatch",
				     "Forbidden: resourceVersionMatch is forbidden unless resourceVersion is provided");
		if (!streq(match, "Exact") && !streq(match, "NotOlderThan"))
			api_errs_add(
				&errs, API_C_NOT_SUPPORTED, "resourceVersionMatch",
				"Unsupported value: \"%.64s\": supported values: \"Exact\", \"NotOlderThan\", \"\"",
				match);
		if (streq(match, "Exact") && streq(rv, "0"))
			api_errs_add(
				&errs, API_C_FORBIDDEN, "resourceVersionMatch",
				"Forbidden: resourceVersionMatch \"exact\" is forbidden for resourceVersion \"0\"");
	}
	return refuse(c, &errs);
}
