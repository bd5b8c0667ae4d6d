/* SPDX-License-Identifier: Apache-2.0 */
/* Rules of Skep's own kinds. */
#include "api-internal.h"

#include <errno.h>
#include <stdio.h>

#include "../base/iprange.h"
#include "../base/str.h"

#define RANGES_MAX	    256	       /* of a pool */
#define RANGE_ADDRESSES_MAX (1U << 20) /* of a range */

/* Addresses that no service can have. */
static const struct {
	const char *range, *why;
} unusable[] = {
	{ "0.0.0.0/8", "must not have unspecified addresses (0.0.0.0/8)" },
	{ "127.0.0.0/8", "must not have loopback addresses (127.0.0.0/8)" },
	{ "169.254.0.0/16", "must not have link-local addresses (169.254.0.0/16)" },
	{ "224.0.0.0/4", "must not have multicast addresses (224.0.0.0/4)" },
	{ "255.255.255.255/32", "must not have the broadcast address (255.255.255.255)" },
	{ "::/128", "must not have the unspecified address (::)" },
	{ "::1/128", "must not have the loopback address (::1)" },
	{ "::ffff:0:0/96", "must not have IPv4 addresses in IPv6's form (::ffff:0:0/96)" },
	{ "fe80::/10", "must not have link-local addresses (fe80::/10)" },
	{ "ff00::/8", "must not have multicast addresses (ff00::/8)" },
};

static const char *range_wrong(const char *text, struct ip_range *ret)
{
	const char *why;

	if (ip_range_parse(text, ret, &why) < 0)
		return why;
	for (size_t i = 0; i < sizeof(unusable) / sizeof(unusable[0]); i++) {
		struct ip_range no;

		if (!ip_range_parse(unusable[i].range, &no, NULL) && ip_ranges_overlap(ret, &no))
			return unusable[i].why;
	}
	if (ip_range_size(ret) > RANGE_ADDRESSES_MAX)
		return "must not have more than 1048576 addresses: use a longer prefix, or several pools";
	return NULL;
}

void api_validate_weight(const json_t *obj, const struct api_path *path, struct api_errs *errs)
{
	const json_t *v = json_object_get(api_get(obj, "metadata.annotations"), "skep.io/weight");
	struct api_path meta = { .up = path, .name = "metadata" }, notes = { .up = &meta, .name = "annotations" };
	int64_t weight;

	if (v && (!json_is_string(v) || str_to_i64(json_string_value(v), 0, 1000, &weight) < 0))
		api_err_invalid(errs, &(struct api_path){ .up = &notes, .key = "skep.io/weight" }, v,
				"must be a number from 0 to 1000");
}

void api_validate_load_balancer_pool(const json_t *obj, const json_t *old, struct api_errs *errs)
{
	struct api_path spec = { .name = "spec" }, list = { .up = &spec, .name = "addresses" }, at = { .up = &list };
	const json_t *addresses = api_get(obj, "spec.addresses"), *v;
	struct ip_range seen[RANGES_MAX];
	size_t n = 0;

	(void)old;
	if (json_array_size(addresses) > RANGES_MAX) {
		api_path_err(errs, &list, API_C_TOO_MANY, "Too many: %zu: must have at most %d items",
			     json_array_size(addresses), RANGES_MAX);
		return;
	}
	json_array_foreach (addresses, at.index, v) {
		const char *text = json_string_value(v), *why = range_wrong(text ? text : "", &seen[n]);

		if (why) {
			api_err_invalid(errs, &at, v, why);
			continue;
		}
		for (size_t i = 0; i < n; i++)
			if (ip_ranges_overlap(&seen[i], &seen[n])) {
				api_err_invalid(errs, &at, v, "must not overlap another range of the pool");
				break;
			}
		n++;
	}
}
