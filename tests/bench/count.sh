#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Instructions of the API server's hot paths (hot.c), counted by callgrind and compared with instructions.txt: more than the
# tolerance above what is recorded is a failure. `tests/bench/count.sh --record` writes the table anew, for a commit that says why.
#
# Counts depend on the code, the compiler and the libraries, not on the machine: glibc's choice by processor is fixed below, and
# libssl and libcrypto, which choose by processor too, are left out. So the table is valid where it was recorded: another
# compiler or libc is a visible skip. About 20 s.
set -uo pipefail
cd "$(dirname "$0")/../.."
BUILD=${BUILD:-build}
table=tests/bench/instructions.txt
hot=$BUILD/bench/hot

skip() {
	echo "skip instructions # $*"
	exit 0
}
command -v valgrind >/dev/null || skip "valgrind is not installed"
[ -x "$hot" ] || { echo "not ok instructions: $hot is not built (make test-count)"; exit 1; }
tools="gcc $(gcc -dumpfullversion), glibc $(getconf GNU_LIBC_VERSION | cut -d' ' -f2), $(uname -m)"
recorded=$(sed -n 's/^# recorded with: //p' "$table" 2>/dev/null)
[ "${1:-}" = --record ] || [ "$tools" = "$recorded" ] || skip "recorded with $recorded; here are $tools"

out=$(mktemp -d /tmp/skep-count-XXXXXX)
trap 'rm -rf "$out"' EXIT
off=-AVX512VL,-AVX512F,-AVX2,-AVX,-AVX_Fast_Unaligned_Load,-ERMS,-FSRM,-BMI2,-RTM,-Prefer_No_VZEROUPPER
export GLIBC_TUNABLES=glibc.cpu.hwcaps=$off:glibc.cpu.x86_non_temporal_threshold=0xc0000:glibc.cpu.x86_rep_movsb_threshold=2048
timeout 300 valgrind --tool=callgrind --collect-atstart=no --compress-strings=no --compress-pos=no --dump-line=no \
	--callgrind-out-file="$out/dump" "$hot" tests/bench/pod.json >"$out/log" 2>&1 ||
	{ echo "not ok instructions: callgrind failed (status $?)"; cat "$out/log"; exit 1; }

# Each dump is named "path times". What a function costs itself, of every object but those left out: the line after "calls=" is
# what its callees cost.
counts=$(awk '
	FNR == 1 { path = ""; times = 0; object = "" }
	/^desc: Trigger: Client Request:/ && $5 != "warm" { path = $5; times = $6 }
	/^ob=/ { object = substr($0, 4) }
	/^calls=/ { getline; next }
	/^[0-9+*-]/ { if (path) { at[path, times]; if (object !~ /lib(ssl|crypto)\.so/) sum[path, times] += $2 } }
	END {
		for (k in at) {
			split(k, p, SUBSEP)
			if ((p[1], p[2] / 2) in at)
				printf "%s %.0f\n", p[1], (sum[p[1], p[2]] - sum[p[1], p[2] / 2]) / (p[2] / 2)
		}
	}' "$out"/dump.* | sort)
[ -n "$counts" ] || { echo "not ok instructions: no counts"; cat "$out/log"; exit 1; }

if [ "${1:-}" = --record ]; then
	{
		echo "# Instructions per operation: name, count, by how many per cent it may be more. See count.sh; written by its --record."
		echo "# recorded with: $tools"
		while read -r name count; do
			tolerance=$(awk -v n="$name" '$1 == n { print $3 }' "$table" 2>/dev/null)
			printf '%-24s %9d %3d\n' "$name" "$count" "${tolerance:-10}"
		done <<<"$counts"
	} >"$out/table"
	cp "$out/table" "$table"
	cat "$table"
	exit 0
fi
rc=0
while read -r name want tolerance; do
	count=$(awk -v n="$name" '$1 == n { print $2 }' <<<"$counts")
	if [ -z "$count" ]; then
		echo "not ok instructions_$name: no longer counted"
		rc=1
	elif [ $((count * 100)) -gt $((want * (100 + tolerance))) ]; then
		echo "not ok instructions_$name: $count, $want are recorded ($((count * 100 / want - 100)) % more; $tolerance % may be)." \
			"If the work is worth it: tests/bench/count.sh --record, and say why in the commit"
		rc=1
	else
		echo "ok instructions_$name $count ($want recorded)"
		[ $((count * 100)) -ge $((want * (100 - tolerance))) ] || echo "# $name: faster by a lot; record it"
	fi
done < <(grep -v '^#' "$table")
while read -r name count; do
	grep -q "^$name " "$table" || { echo "not ok instructions_$name: $count, but not in $table (--record)"; rc=1; }
done <<<"$counts"
exit $rc
