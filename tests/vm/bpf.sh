# SPDX-License-Identifier: Apache-2.0
# The eBPF ring on Debian 12's and Debian 13's kernels, at the same time: every object loads and its tests pass there, too.
cd "$(dirname "$0")/../.." || exit 1
export SKEP_TEST_PART=50 # of what is large: processors are emulated
KERNELS="6.1 6.12"

run() {
	local kernel=$1 log=build/logs/vm-$1.log rc line
	scripts/vm.sh "$kernel" build/tests/bpf --color=never -j1 > "$log" 2> "$log.err"
	rc=$?
	line=$(grep -a 'Synthesis:' "$log" | tail -1)
	if [ $rc -eq 77 ]; then
		echo "skip vm $kernel # $(tail -1 "$log.err")"
	elif [ $rc -eq 0 ] && [[ $line =~ Passing:\ [1-9] ]]; then
		echo "ok vm $kernel: ${line##*Synthesis: }"
	else
		echo "not ok vm $kernel: status $rc; $line"
		grep -aE '\[(FAIL|----|CRSH|ERR)' "$log" | tail -30
		tail -n 5 "$log" "$log.err"
	fi
}

for kernel in $KERNELS; do
	run "$kernel" > "build/logs/vm-$kernel.result" &
done
wait
for kernel in $KERNELS; do cat "build/logs/vm-$kernel.result"; done
