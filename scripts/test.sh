#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Runs rings of tests that are built: unit, count, bpf, net, e2e, vm, fuzz; all by default. Ends with "N passed, N failed, N skipped".
# Logs lie in build/logs. A binary that runs no test, or a script that reports none, is a failure.
set -uo pipefail
cd "$(dirname "$0")/.."
BUILD=${BUILD:-build}
logs=$BUILD/logs
mkdir -p "$logs"
passed=0 failed=0 skipped=0

say() { printf '%s\n' "$*"; }

criterion() {
	local bin=$1 name log line rc
	name=$(basename "$bin")
	log=$logs/$name.log
	timeout 900 "$bin" --color=never -j1 >"$log" 2>&1
	rc=$?
	line=$(grep -a 'Synthesis:' "$log" | tail -1)
	if [[ $line =~ Tested:\ ([0-9]+)\ \|\ Passing:\ ([0-9]+)\ \|\ Failing:\ ([0-9]+)\ \|\ Crashing:\ ([0-9]+) ]]; then
		local tested=${BASH_REMATCH[1]} ok=${BASH_REMATCH[2]} bad=$((BASH_REMATCH[3] + BASH_REMATCH[4])) skips
		skips=$(grep -ac '\[SKIP\]' "$log")
		passed=$((passed + ok)) failed=$((failed + bad)) skipped=$((skipped + skips))
		[ "$skips" -gt 0 ] && grep -a '\[SKIP\]' "$log"
		if [ "$bad" -gt 0 ] || [ "$rc" -ne 0 ] || [ "$tested" -eq 0 ]; then
			[ "$bad" -eq 0 ] && failed=$((failed + 1))
			say "FAIL $name (status $rc): $line"
			grep -aE '\[(FAIL|----|CRSH|ERR)' "$log" | tail -40
		else
			say "ok   $name: $ok passed, $skips skipped"
		fi
	else
		failed=$((failed + 1))
		say "FAIL $name: no summary (status $rc); the end of $log:"
		tail -20 "$log"
	fi
}

# A script prints "ok NAME", "not ok NAME" and "skip NAME # reason" lines; everything else is its log.
script() {
	local file=$1 name log rc n
	name=$(basename "$file" .sh)
	log=$logs/$(basename "$(dirname "$file")")-$name.log
	timeout "${2:-600}" bash "$file" >"$log" 2>&1 </dev/null
	rc=$?
	n=$(grep -acE '^(ok|not ok|skip) ' "$log")
	passed=$((passed + $(grep -acE '^ok ' "$log")))
	skipped=$((skipped + $(grep -acE '^skip ' "$log")))
	failed=$((failed + $(grep -acE '^not ok ' "$log")))
	grep -aE '^skip ' "$log"
	if [ "$rc" -ne 0 ] || [ "$n" -eq 0 ] || grep -qaE '^not ok ' "$log"; then
		grep -qaE '^not ok ' "$log" || failed=$((failed + 1))
		say "FAIL $(basename "$(dirname "$file")") $name (status $rc):"
		grep -aE -B10 '^not ok ' "$log" | grep -avE '^ok ' # with what was shown of it just before
		say "the end of $log:"
		tail -60 "$log"
	else
		say "ok   $(basename "$(dirname "$file")") $name: $(grep -acE '^ok ' "$log") passed"
	fi
}

rings=("$@")
[ ${#rings[@]} -eq 0 ] && rings=(unit count bpf net e2e vm fuzz)
for ring in "${rings[@]}"; do
	began=$SECONDS
	case $ring in
	unit)
		for t in "$BUILD"/tests/unit-*; do
			[ -x "$t" ] && criterion "$t"
		done
		;;
	count)
		script tests/bench/count.sh
		;;
	bpf | net)
		if [ "$(id -u)" -ne 0 ]; then
			say "skip $ring # needs root"
			skipped=$((skipped + 1))
		elif [ -x "$BUILD/tests/$ring" ]; then
			criterion "$BUILD/tests/$ring"
		fi
		;;
	e2e)
		if [ "$(id -u)" -ne 0 ]; then
			say "skip e2e # needs root"
			skipped=$((skipped + 1))
			continue
		fi
		for t in tests/e2e/*.sh; do
			[ "$(basename "$t")" = lib.sh ] || script "$t"
		done
		;;
	vm)
		for t in tests/vm/*.sh; do
			[ -e "$t" ] && script "$t" 1800
		done
		;;
	fuzz)
		script tests/fuzz/run.sh 1800
		;;
	*)
		say "unknown ring '$ring': unit, count, bpf, net, e2e, vm, fuzz"
		exit 2
		;;
	esac
	say "     ($ring: $((SECONDS - began)) s)"
done
say "$passed passed, $failed failed, $skipped skipped"
[ "$failed" -eq 0 ] && [ "$passed" -gt 0 ]
