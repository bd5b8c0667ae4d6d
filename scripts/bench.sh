#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Runs the benchmarks: a table on standard output, JSON beside it in build/bench/. Then a cluster: times and memory of every part.
set -uo pipefail
cd "$(dirname "$0")/.."
BUILD=${BUILD:-build}
PATH=$PWD/$BUILD/bin:$PATH
out=$BUILD/bench
mkdir -p "$out"
[ "$(id -u)" -eq 0 ] || { echo "bench: must run as root (eBPF, network namespaces)" >&2; exit 1; }
rc=0

for b in "$out"/*_bench; do
	[ -x "$b" ] || continue
	[ "$(basename "$b")" = live_bench ] && continue # wants the cluster below
	echo "== $(basename "$b")"
	"$b" --json "$out/$(basename "$b").json" || rc=1
done

cluster=bench-$$
trap 'skep down --name "$cluster" >/dev/null 2>&1' EXIT
now() { date +%s%N; }
ms() { echo $((($2 - $1) / 1000000)); }

echo "== a cluster of three nodes"
t0=$(now)
skep up --nodes 3 --name "$cluster" >/dev/null || exit 1
t1=$(now)
python3 scripts/mkimage.py busybox "$out/image.tar" docker.io/library/hello:1 && skep image load "$out/image.tar" --name "$cluster" >/dev/null || exit 1
t2=$(now)
skep apply -f examples/hello/ --wait --cluster "$cluster" >/dev/null || exit 1
t3=$(now)
printf '%-44s %8s\n' "" ms
printf '%-44s %8d\n' "up, until three nodes are Ready" "$(ms "$t0" "$t1")" "apply of examples/hello, until 5 pods are Ready" "$(ms "$t2" "$t3")"
printf '%-44s %8s %8s\n' "memory (kB)" RSS PSS
json="{\"up_ms\": $(ms "$t0" "$t1"), \"apply_to_ready_ms\": $(ms "$t2" "$t3"), \"memory_kb\": {"
sep=
for f in /run/skep/"$cluster"/pids/*; do
	name=$(basename "$f")
	case $name in *-image) continue ;; esac
	rss=$(awk '/^Rss:/{print $2}' "/proc/$(cat "$f")/smaps_rollup")
	pss=$(awk '/^Pss:/{print $2}' "/proc/$(cat "$f")/smaps_rollup")
	printf '%-44s %8d %8d\n' "$name" "$rss" "$pss"
	json+="$sep\"$name\": {\"rss\": $rss, \"pss\": $pss}"
	sep=", "
done
"$out/live_bench" --kubeconfig "/var/lib/skep/$cluster/admin.kubeconfig" \
	--map "/sys/fs/bpf/skep/$cluster-node-1/maps/services" --services "${BENCH_SERVICES:-10,10000}" \
	--agent "$(cat "/run/skep/$cluster/pids/$cluster-node-1-agent")" --json "$out/live_bench.json" || rc=1
for name in apiserver controller-manager scheduler "$cluster-node-1-agent"; do
	rss=$(awk '/^Rss:/{print $2}' "/proc/$(cat "/run/skep/$cluster/pids/$name")/smaps_rollup")
	printf '%-44s %8d\n' "$name, then (RSS, kB)" "$rss"
	json+="$sep\"$name-10000-services\": {\"rss\": $rss}"
done
t4=$(now)
skep down --name "$cluster" >/dev/null
t5=$(now)
printf '%-44s %8d\n' "down (ms)" "$(ms "$t4" "$t5")"
echo "$json}, \"down_ms\": $(ms "$t4" "$t5")}" > "$out/cluster.json"
echo "JSON: $out/*.json"
exit $rc
