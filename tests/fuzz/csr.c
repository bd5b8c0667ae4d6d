/* SPDX-License-Identifier: Apache-2.0 */
/* Certificate requests. */
#include "fuzz.h"

#include "io/tls_csr.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct err err = ERR_INIT;
	struct tls_csr csr = { 0 };

	if (tls_csr_read((const char *)data, size, &csr, &err) == 0)
		tls_csr_done(&csr);
	return 0;
}
