/* SPDX-License-Identifier: Apache-2.0 */
/* Rules of what admission goes by: priority classes, limit ranges, quotas, webhooks. */
#include "api-internal.h"

#include <stdio.h>
#include <string.h>

#include "../base/str.h"

#define HIGHEST_USER_PRIORITY 1000000000

void api_validate_priority_class(const json_t *obj, const json_t *old, struct api_errs *errs)
{
	const char *name = api_get_str(obj, "metadata.name");
	int64_t value = api_get_int(obj, "value", 0);
	struct api_path meta = { .name = "metadata" }, at = { .up = &meta, .name = "name" }, val = { .name = "value" };

	(void)old;
	if (name && str_starts(name, "system-")) {
		if (!(streq(name, "system-node-critical") && value == 2000001000) &&
		    !(streq(name, "system-cluster-critical") && value == 2000000000))
			api_err_forbidden(
				errs, &at,
				"priority class names with 'system-' prefix are reserved for system use only");
	} else if (value > HIGHEST_USER_PRIORITY) {
		api_err_forbidden(errs, &val, "maximum allowed value of a user defined priority is 1000000000");
	}
}

/* --- LimitRange --------------------------------------------------------------------------------------------------- */

/* The value of `low` is at most that of `high`, wherever both have one. */
static void in_order(const json_t *item, const struct api_path *path, const char *low, const char *low_word,
		     const char *high, const char *high_word, struct api_errs *errs)
{
	json_t *a = json_object_get(item, low), *b = json_object_get(item, high), *v;
	const char *key;

	json_object_foreach (a, key, v) {
		json_t *max = json_object_get(b, key);
		struct api_path m = { .up = path, .name = low }, at = { .up = &m, .key = key };
		char why[300];

		if (!max || api_quantity_compare(json_string_value(v), json_string_value(max)) <= 0)
			continue;
		snprintf(why, sizeof(why), "%s value %.100s is greater than %s value %.100s", low_word,
			 json_string_value(v), high_word, json_string_value(max));
		api_err_invalid(errs, &at, v, why);
	}
}

void api_validate_limit_range(const json_t *obj, const json_t *old, struct api_errs *errs)
{
	struct api_path spec = { .name = "spec" }, limits = { .up = &spec, .name = "limits" }, at = { .up = &limits };
	const json_t *list = api_get(obj, "spec.limits"), *item, *v;
	const char *key;

	(void)old;
	json_array_foreach (list, at.index, item) {
		const char *type = api_get_str(item, "type");
		struct api_path t = { .up = &at, .name = "type" };

		for (size_t i = 0; i < at.index; i++)
			if (streq(type, api_get_str(json_array_get(list, i), "type")))
				api_err_duplicate(errs, &t, json_object_get(item, "type"));
		if (streq(type, "Pod")) {
			static const char *const not_here[] = { "default", "defaultRequest" };

			for (size_t i = 0; i < 2; i++) {
				struct api_path d = { .up = &at, .name = not_here[i] };

				if (json_object_size(json_object_get(item, not_here[i])))
					api_err_forbidden(errs, &d, "may not be specified when `type` is 'Pod'");
			}
		}
		if (streq(type, "PersistentVolumeClaim") && !json_object_get(json_object_get(item, "min"), "storage") &&
		    !json_object_get(json_object_get(item, "max"), "storage")) {
			struct api_path m = { .up = &at, .name = "limits" };

			api_err_required(errs, &m,
					 "either minimum or maximum storage value is required, but neither "
					 "was provided");
		}
		in_order(item, &at, "min", "min", "max", "max", errs);
		in_order(item, &at, "min", "min", "default", "default", errs);
		in_order(item, &at, "min", "min", "defaultRequest", "default request", errs);
		in_order(item, &at, "defaultRequest", "default request", "default", "default limit", errs);
		in_order(item, &at, "defaultRequest", "default request", "max", "max", errs);
		in_order(item, &at, "default", "default", "max", "max", errs);
		json_object_foreach (json_object_get(item, "maxLimitRequestRatio"), key, v) {
			struct api_path r = { .up = &at, .name = "maxLimitRequestRatio" }, k = { .up = &r, .key = key };

			if (api_quantity_compare(json_string_value(v), "1") < 0)
				api_err_invalid(errs, &k, v, "ratio is less than 1");
		}
	}
}

/* --- ResourceQuota ------------------------------------------------------------------------------------------------ */

static void quota_amounts(const json_t *list, const struct api_path *path, struct api_errs *errs)
{
	json_t *v;
	const char *key;

	json_object_foreach ((json_t *)list, key, v) {
		struct api_path at = { .up = path, .key = key };
		const char *why = api_format_check("label-key", key);

		if (why)
			api_err_invalid_str(errs, &at, key, why);
		if (api_quantity_compare(json_string_value(v), "0") < 0)
			api_err_invalid(errs, &at, v, "must be greater than or equal to 0");
	}
}

void api_validate_resource_quota(const json_t *obj, const json_t *old, struct api_errs *errs)
{
	struct api_path spec = { .name = "spec" }, hard = { .up = &spec, .name = "hard" },
			scopes = { .up = &spec, .name = "scopes" }, st = { .name = "status" },
			st_hard = { .up = &st, .name = "hard" }, st_used = { .up = &st, .name = "used" },
			sel = { .up = &spec, .name = "scopeSelector" }, at = { .up = &sel, .name = "matchExpressions" },
			e = { .up = &at };
	static const char *const opposites[][2] = { { "BestEffort", "NotBestEffort" },
						    { "Terminating", "NotTerminating" } };
	const json_t *list = api_get(obj, "spec.scopes"), *v;
	bool has[2][2] = { { false } };
	size_t i;

	(void)old;
	quota_amounts(api_get(obj, "spec.hard"), &hard, errs);
	quota_amounts(api_get(obj, "status.hard"), &st_hard, errs);
	quota_amounts(api_get(obj, "status.used"), &st_used, errs);
	json_array_foreach (list, i, v)
		for (int p = 0; p < 2; p++)
			for (int q = 0; q < 2; q++)
				has[p][q] |= streq(json_string_value(v), opposites[p][q]);
	for (int p = 0; p < 2; p++)
		if (has[p][0] && has[p][1])
			api_err_invalid(errs, &scopes, list, "conflicting scopes");
	json_array_foreach (api_get(obj, "spec.scopeSelector.matchExpressions"), e.index, v) {
		const char *op = api_get_str(v, "operator"), *scope = api_get_str(v, "scopeName");
		struct api_path vals = { .up = &e, .name = "values" }, o = { .up = &e, .name = "operator" };
		bool wants = streq(op, "In") || streq(op, "NotIn");
		size_t n = json_array_size(json_object_get(v, "values"));

		if (!streq(scope, "PriorityClass") && !streq(op, "Exists"))
			api_err_invalid_str(errs, &o, op,
					    "must be 'Exist' when scope is any of ResourceQuotaScopeTerminating, "
					    "ResourceQuotaScopeNotTerminating, ResourceQuotaScopeBestEffort, "
					    "ResourceQuotaScopeNotBestEffort or "
					    "ResourceQuotaScopeCrossNamespacePodAffinity");
		if (wants && !n)
			api_err_required(
				errs, &vals,
				"must be at least one value when `operator` is 'In' or 'NotIn' for scope selector");
		if (!wants && n)
			api_err_invalid(errs, &vals, json_object_get(v, "values"),
					"must be no value when `operator` is 'Exist' or 'DoesNotExist' for scope "
					"selector");
	}
}

/* --- webhooks ----------------------------------------------------------------------------------------------------- */

static void webhook_client(const json_t *config, const struct api_path *path, struct api_errs *errs)
{
	const char *url = api_get_str(config, "url"), *host;
	struct api_path u = { .up = path, .name = "url" }, s = { .up = path, .name = "service" },
			p = { .up = &s, .name = "path" };
	const char *service_path = api_get_str(config, "service.path");

	if (!!url == !!json_object_get(config, "service")) {
		api_err_required(errs, path, "exactly one of url or service is required");
		return;
	}
	if (service_path && *service_path &&
	    (*service_path != '/' || strstr(service_path, "//") || strpbrk(service_path, "?# \r\n")))
		api_err_invalid_str(errs, &p, service_path, "must start with a '/' and have no empty segments");
	if (!url)
		return;
	if (!str_starts(url, "https://")) {
		api_err_invalid_str(errs, &u, url,
				    "'https' is the only allowed URL scheme; desired format: "
				    "https://host[:port]/path");
		return;
	}
	host = url + strlen("https://");
	if (!*host || *host == '/' || *host == ':')
		api_err_invalid_str(errs, &u, url, "host must be specified; desired format: https://host[:port]/path");
	if (strcspn(host, "@") < strcspn(host, "/"))
		api_err_invalid_str(errs, &u, url, "user information is not permitted in the URL");
	if (strchr(host, '#'))
		api_err_invalid_str(errs, &u, url, "fragments are not permitted in the URL");
	if (strchr(host, '?'))
		api_err_invalid_str(errs, &u, url, "query parameters are not permitted in the URL");
}

static size_t dots(const char *s)
{
	size_t n = 0;

	for (; *s; s++)
		n += *s == '.';
	return n;
}

void api_validate_webhooks(const json_t *obj, const json_t *old, struct api_errs *errs)
{
	struct api_path hooks = { .name = "webhooks" }, at = { .up = &hooks };
	const json_t *hook, *v;
	size_t i;

	(void)old;
	json_array_foreach (json_object_get(obj, "webhooks"), at.index, hook) {
		struct api_path name = { .up = &at, .name = "name" }, client = { .up = &at, .name = "clientConfig" },
				versions = { .up = &at, .name = "admissionReviewVersions" },
				ns = { .up = &at, .name = "namespaceSelector" },
				os = { .up = &at, .name = "objectSelector" };
		const char *text = api_get_str(hook, "name");
		bool known = false;

		if (text && *text && (api_format_check("dns-subdomain", text) || dots(text) < 2))
			api_err_invalid_str(errs, &name, text,
					    "should be a domain with at least three segments separated by dots");
		if (json_object_get(hook, "clientConfig"))
			webhook_client(json_object_get(hook, "clientConfig"), &client, errs);
		json_array_foreach (json_object_get(hook, "admissionReviewVersions"), i, v)
			known |= streq(json_string_value(v), "v1");
		if (!known && json_array_size(json_object_get(hook, "admissionReviewVersions")))
			api_err_invalid(errs, &versions, json_object_get(hook, "admissionReviewVersions"),
					"must include at least one of v1");
		api_validate_label_selector(json_object_get(hook, "namespaceSelector"), &ns, errs);
		api_validate_label_selector(json_object_get(hook, "objectSelector"), &os, errs);
	}
}
