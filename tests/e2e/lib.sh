# SPDX-License-Identifier: Apache-2.0
# Shared by the cluster tests: one cluster per script, removed at the end however the script ends.
set -uo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
BUILD=$PWD/${BUILD:-build}
PATH=$BUILD/bin:$PATH
SELF=$(basename "$0" .sh)
CLUSTER=t-${SELF:0:12}-$$
CLUSTER=${CLUSTER//_/-}
TMP=$(mktemp -d)
failures=0

finish() {
	local rc=$?
	[ "$failures" -gt 0 ] && rc=1
	if [ "$rc" -ne 0 ] && [ -d "/run/skep/$CLUSTER/logs" ]; then
		for f in "/run/skep/$CLUSTER"/logs/*.log; do
			case $f in *containerd.log | *image.log) continue ;; esac
			echo "--- $f"
			tail -15 "$f" | cut -c1-300
		done
	fi
	skep down --name "$CLUSTER" >/dev/null 2>&1
	rm -rf "$TMP"
	exit "$rc"
}
trap finish EXIT
trap 'exit 1' INT TERM

ok() { echo "ok $SELF: $*"; }
not_ok() {
	echo "not ok $SELF: $*"
	failures=$((failures + 1))
}
# check DESCRIPTION COMMAND...: ok if the command succeeds.
check() {
	local what=$1
	shift
	if "$@"; then ok "$what"; else not_ok "$what"; fi
}
# Without these steps nothing after them means anything.
must() {
	local what=$1
	shift
	if ! "$@"; then
		not_ok "$what"
		exit 1
	fi
}

k() {
	local verb=$1
	shift
	skep "$verb" --cluster "$CLUSTER" "$@"
}
kn() {
	local verb=$1
	shift
	skep "$verb" --cluster "$CLUSTER" -n "$NS" "$@"
}

up() {
	must "skep up --nodes $1" skep up --nodes "$1" --name "$CLUSTER"
	python3 scripts/mkimage.py busybox "$TMP/image.tar" docker.io/library/test:1 || exit 1
	must "image load" skep image load "$TMP/image.tar" --name "$CLUSTER" >/dev/null
}

# field KIND NAME PATH
field() { kn get "$1" "$2" -o json | python3 -c "import json,sys; o=json.load(sys.stdin)
for p in '$3'.split('.'): o = o[int(p)] if p.isdigit() else o.get(p, '')
print(o)"; }

# http POD ADDRESS PORT: the answer's last line, from inside the pod.
http() { kn exec "$1" -c c -- sh -c "printf 'GET / HTTP/1.0\r\n\r\n' | nc -w 2 $2 $3 2>/dev/null | tail -1"; }

node_name() { if [ "$CLUSTER" = default ]; then echo "node-$1"; else echo "$CLUSTER-node-$1"; fi; }
pid_of() { cat "/run/skep/$CLUSTER/pids/$1"; }
