# SPDX-License-Identifier: Apache-2.0
# skep up and down themselves: failures name the step and the cause and leave nothing, clusters live side by side, up again is harmless.
source "$(dirname "$0")/lib.sh"
left_of() {
	(ip netns list; ls /run/skep /var/lib/skep /sys/fs/bpf/skep 2>/dev/null; find /sys/fs/cgroup -maxdepth 4 -path '*skep*' -type d) | grep -F -- "$1"
}

python3 - "$TMP/port" <<'P' &
import socket, sys, time
s = socket.socket()
s.bind(("127.0.0.1", 0))
s.listen()
open(sys.argv[1] + ".new", "w").write(str(s.getsockname()[1]))
import os
os.rename(sys.argv[1] + ".new", sys.argv[1])
time.sleep(60)
P
holder=$!
until [ -s "$TMP/port" ]; do kill -0 $holder || exit 1; done
skep up --name "$CLUSTER" --port "$(cat "$TMP/port")" > "$TMP/out" 2>&1
rc=$?
kill $holder
check "a port in use: status 1, the step, the cause and a log" bash -c "[ $rc -eq 1 ] && grep -q 'virtual LAN: .*Address already in use' $TMP/out && grep -q '^log: ' $TMP/out"
check "and nothing is left" [ -z "$(left_of "$CLUSTER")" ]
rm -f "/tmp/skep-$CLUSTER-failed.log"

timeout -s INT 0.4 skep up --name "$CLUSTER" --nodes 2 > "$TMP/out" 2>&1
check "interrupted: nothing is left" [ -z "$(left_of "$CLUSTER")" ]

skep up --name Bad_Name > "$TMP/out" 2>&1
check "a wrong name is wrong usage" [ $? -eq 2 ]

other=$CLUSTER-b
trap 'rc=$?; skep down --name "$other" >/dev/null 2>&1; (exit $rc); finish' EXIT
must "one cluster" skep up --name "$CLUSTER"
must "another beside it" skep up --name "$other"
check "each has its own nodes" bash -c "[ \"\$(skep get nodes -o name --cluster $CLUSTER)/\$(skep get nodes -o name --cluster $other)\" = node/$CLUSTER-node-1/node/$other-node-1 ]"
skep up --name "$CLUSTER" > "$TMP/out"
check "up again says that it runs" grep -q 'running already' "$TMP/out"
skep down --name "$other" >/dev/null
check "down of one leaves the other" skep get nodes --cluster "$CLUSTER"
