/* SPDX-License-Identifier: Apache-2.0 */
/* When a pod's token and a node's certificate are renewed. */
#include <criterion/criterion.h>

#include "agent/join.h"
#include "agent/pod/pod-internal.h"

Test(token, is_renewed_well_before_its_end)
{
	const int64_t hour = 3600 * INT64_C(1000);

	for (unsigned spread = 0; spread < 5000; spread += 7) {
		int64_t at = token_renew_after(hour, spread);

		cr_assert(at <= hour * 4 / 5 && at >= hour * 7 / 10);
		at = token_renew_after(365 * 24 * hour, spread);
		cr_assert(at <= 24 * hour && at >= 21 * hour);
		at = token_renew_after(600000, spread);
		cr_assert(at > 0 && at <= 480000);
	}
	cr_assert(token_renew_after(hour, 1) != token_renew_after(hour, 500));
}

Test(join, certificates_are_renewed_in_their_last_third)
{
	const int64_t day = 86400;

	for (unsigned spread = 0; spread < 3000; spread += 11) {
		int64_t due = renewal_due_ms(0, 100 * day, 0, spread);

		cr_assert(due >= 70 * day * 1000 && due < 90 * day * 1000);
	}
	cr_assert(renewal_due_ms(0, 100 * day, 95 * day * 1000, 0) == 0);
	cr_assert(renewal_due_ms(0, 100 * day, 200 * day * 1000, 0) == 0);
}
