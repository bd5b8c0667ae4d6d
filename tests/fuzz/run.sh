#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Builds the fuzz targets and runs each for FUZZ_SECONDS (10). Seeds are in tests/fuzz/corpus; what a run finds interesting is kept in
# build/fuzz/corpus and used by the next. An input that fails is copied to build/logs and printed.
set -uo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
seconds=${FUZZ_SECONDS:-10}
mkdir -p build/fuzz/corpus build/logs
if ! echo 'int LLVMFuzzerTestOneInput(const char *d, unsigned long n) { return 0; }' |
	clang -x c -fsanitize=fuzzer,address - -o build/fuzz/probe 2>/dev/null; then
	echo "skip fuzz # clang has no libFuzzer here: install libclang-rt-NN-dev of its version"
	exit 0
fi
make -s --no-print-directory -j2 FUZZ=1 fuzzers || { echo "not ok fuzz: build"; exit 1; }
rc=0
for target in build/fuzz/targets/*; do
	name=$(basename "$target")
	log=build/logs/fuzz-$name.log
	corpus=build/fuzz/corpus/$name
	seeds=tests/fuzz/corpus/$name
	mkdir -p "$corpus"
	if timeout $((seconds + 120)) "$target" -max_total_time="$seconds" -timeout=20 -rss_limit_mb=2048 -max_len=8192 \
		-artifact_prefix=build/logs/fuzz-"$name"- "$corpus" $([ -d "$seeds" ] && echo "$seeds") >"$log" 2>&1; then
		echo "ok fuzz: $name, $(grep -a 'Done' "$log" | tail -1)"
	else
		echo "not ok fuzz: $name"
		grep -aE 'ERROR|#[0-9]+ .*(skep|userspace|tests/)|Test unit|Base64' "$log" | head -20
		rc=1
	fi
done
exit $rc
