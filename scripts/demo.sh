#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# make demo: a cluster of three nodes on this machine, examples/hello on it, and a look at what the eBPF maps hold.
# demo.sh down (make demo-down): removes it.
set -uo pipefail
cd "$(dirname "$0")/.."
PATH=$PWD/build/bin:$PATH

[ "$(id -u)" -eq 0 ] || { echo "demo: must run as root (network namespaces, cgroups, eBPF)" >&2; exit 1; }
if [ "${1:-}" = down ]; then
	exec skep down
fi

step() { printf '\n== %s\n' "$*"; }
fail() {
	echo "demo: $* failed; taking the cluster down again (logs were in /run/skep/default/logs)" >&2
	tail -n 5 /run/skep/default/logs/*agent.log 2>/dev/null | cut -c1-200 >&2
	skep down >/dev/null 2>&1
	exit 1
}

step "a cluster of three nodes"
skep up --nodes 3 | sed '/^$/,$d'
[ "${PIPESTATUS[0]}" -eq 0 ] || exit 1

step "an image from Debian's busybox, loaded on every node"
python3 scripts/mkimage.py busybox build/images/hello.tar docker.io/library/hello:1 || fail "making the image"
skep image load build/images/hello.tar >/dev/null || fail "loading the image"
echo "docker.io/library/hello:1"

step "skep apply -f examples/hello/ --wait"
skep apply -f examples/hello/ --wait || fail "apply"
echo
skep get pods -n hello -o wide

vip=$(skep get service hello -n hello -o json | python3 -c 'import json,sys; print(json.load(sys.stdin)["spec"]["clusterIP"])')
ask="printf 'GET / HTTP/1.0\r\n\r\n' | nc -w 2 $vip 80 2>/dev/null | tail -1"

step "100 requests from the client to the service $vip: who answered"
skep exec client -n hello -- sh -c "for i in \$(seq 100); do $ask; done" > build/demo.txt || fail "the client's requests"
sort build/demo.txt | uniq -c
[ "$(wc -l < build/demo.txt)" -eq 100 ] && [ "$(sort -u build/demo.txt | wc -l)" -eq 3 ] || fail "spreading 100 requests over three pods"

step "the stranger, whom the policy does not admit"
if [ -n "$(skep exec stranger -n hello -- sh -c "$ask" 2>/dev/null)" ]; then
	fail "refusing the stranger"
fi
echo "no answer. Counted by reason:"
skep net drops | grep -E 'REASON|policy-denied' || fail "counting the drop"

step "what node-1 forwards by: services and policies, by name"
skep net services --node node-1
echo
skep net policies --node node-1

bpftool=$(command -v bpftool || echo /usr/sbin/bpftool)
maps=/sys/fs/bpf/skep/node-1/maps
step "the same straight from the kernel: bpftool map dump pinned $maps/services"
"$bpftool" map dump pinned "$maps/services" 2>/dev/null | head -30

# policies is a map of maps: each pod's own holds its rules.
"$bpftool" -j map dump pinned "$maps/policies" 2>/dev/null | python3 -c '
import json, sys
for e in json.load(sys.stdin):
    print(int("".join(b[2:] for b in reversed(e["value"])), 16))' | while read -r id; do
	step "and a pod's policy: bpftool map dump id $id"
	"$bpftool" map dump id "$id" 2>/dev/null | head -30
done

cat <<'T'

== your turn (the programs lie in build/bin)
  build/bin/skep get pods -A -o wide
  build/bin/skep exec -it client -n hello -- sh
  build/bin/skep scale deployment hello -n hello --replicas=6
  build/bin/skep describe pod client -n hello
  build/bin/skep net drops
  build/bin/skep kubeconfig > /tmp/kubeconfig && kubectl --kubeconfig /tmp/kubeconfig get nodes
  make demo-down
T
