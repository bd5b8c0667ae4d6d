/* SPDX-License-Identifier: Apache-2.0 */
/* lib/api: resource quantities. */
#include <criterion/criterion.h>
#include <errno.h>

#include "api/api.h"

Test(api_quantity, values)
{
	static const struct {
		const char *q;
		int64_t milli, value;
	} t[] = {
		{ "0", 0, 0 },
		{ "1", 1000, 1 },
		{ "100m", 100, 1 },
		{ "1500m", 1500, 2 },
		{ "0.5", 500, 1 },
		{ ".5", 500, 1 },
		{ "2.", 2000, 2 },
		{ "1k", 1000000, 1000 },
		{ "1Ki", 1024000, 1024 },
		{ "1.5Gi", 1610612736000, 1610612736 },
		{ "64Mi", 67108864000, 67108864 },
		{ "1e3", 1000000, 1000 },
		{ "1E3", 1000000, 1000 },
		{ "12e-1", 1200, 2 },
		{ "1E", INT64_MAX, 1000000000000000000 },
		{ "1n", 1, 1 },
		{ "-1500m", -1500, -1 },
		{ "+3", 3000, 3 },
		{ "100Ei", INT64_MAX, INT64_MAX },
		{ "99999999999999999999999999", INT64_MAX, INT64_MAX },
		{ "0.000000000000000000000000000001", 1, 1 },
		{ "1u", 1, 1 },
		{ "8Ti", 8796093022208000, 8796093022208 },
	};

	for (size_t i = 0; i < sizeof(t) / sizeof(t[0]); i++) {
		int64_t milli, value;

		cr_assert_eq(api_quantity_milli(t[i].q, &milli), 0);
		cr_assert_eq(api_quantity_value(t[i].q, &value), 0);
		cr_assert_eq(milli, t[i].milli, "%s: %lld", t[i].q, (long long)milli);
		cr_assert_eq(value, t[i].value, "%s: %lld", t[i].q, (long long)value);
	}
}

Test(api_quantity, refuses_what_is_not_one)
{
	static const char *const t[] = { "",   "a",   "1x", "1Kii", "1 ",  " 1", "1..2", "--1",
					 "1e", "1e+", "Ki", ".",    "1mi", "1K", "-" };

	for (size_t i = 0; i < sizeof(t) / sizeof(t[0]); i++) {
		int64_t v;

		cr_assert_eq(api_quantity_milli(t[i], &v), -EINVAL, "%s", t[i]);
	}
}

Test(api_quantity, canonical_form)
{
	static const struct {
		const char *in, *out;
	} t[] = {
		{ "1000m", "1" },	{ "0.5", "500m" },  { "1024Mi", "1Gi" }, { "1.5Gi", "1536Mi" },
		{ "1000Mi", "1000Mi" }, { "1000", "1k" },   { "100m", "100m" },	 { "1e3", "1e3" },
		{ "0", "0" },		{ "0Ki", "0" },	    { "0.5Ki", "512" },	 { "2", "2" },
		{ "-1000m", "-1" },	{ "64Mi", "64Mi" }, { "1500", "1500" },	 { "128974848", "128974848" },
		{ "129e6", "129e6" },	{ "1Ei", "1Ei" },
	};

	for (size_t i = 0; i < sizeof(t) / sizeof(t[0]); i++) {
		char buf[64], again[64];

		cr_assert_eq(api_quantity_canonical(t[i].in, buf, sizeof(buf)), 0);
		cr_assert_str_eq(buf, t[i].out);
		cr_assert_eq(api_quantity_canonical(buf, again, sizeof(again)), 0);
		cr_assert_str_eq(again, t[i].out);
	}
}

Test(api_quantity, formats_thousandths)
{
	char buf[32];

	api_quantity_format_milli(1500, buf, sizeof(buf));
	cr_assert_str_eq(buf, "1500m");
	api_quantity_format_milli(2000, buf, sizeof(buf));
	cr_assert_str_eq(buf, "2");
	api_quantity_format_milli(0, buf, sizeof(buf));
	cr_assert_str_eq(buf, "0");
}
