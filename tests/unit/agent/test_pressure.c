/* SPDX-License-Identifier: Apache-2.0 */
/* Pods that have much of what all share: named when it is scarce, and not on and off. */
#include <criterion/criterion.h>

#include "agent/pressure.h"

Test(pressure, a_quarter_of_a_table_that_is_three_quarters_full)
{
	cr_assert(pressure_by(250, 750, 1000, false));
	cr_assert(!pressure_by(249, 1000, 1000, false), "many small ones");
	cr_assert(!pressure_by(700, 749, 1000, false), "there is room");
	cr_assert(!pressure_by(1, 1, 0, false), "no table");
}

Test(pressure, who_is_named_stays_so_until_it_is_clearly_over)
{
	cr_assert(pressure_by(200, 500, 1000, true));
	cr_assert(!pressure_by(199, 1000, 1000, true));
	cr_assert(!pressure_by(400, 499, 1000, true));
	/* as long as it is between the two, it is what it was */
	cr_assert(!pressure_by(240, 900, 1000, false) && pressure_by(240, 900, 1000, true));
}
