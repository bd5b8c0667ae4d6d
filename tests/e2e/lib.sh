# SPDX-License-Identifier: Apache-2.0
# Shared by the cluster tests: one cluster per script, removed at the end however the script ends.
set -uo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
BUILD=$PWD/${BUILD:-build}
PATH=$BUILD/bin:$PATH
export SHELL=/bin/sh # kubectl edit starts it
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

up() { # NODES [OPTION...]
	must "skep up --nodes $1" skep up --nodes "$@" --name "$CLUSTER"
	python3 scripts/mkimage.py busybox "$TMP/image.tar" docker.io/library/test:1 || exit 1
	must "image load" skep image load "$TMP/image.tar" --name "$CLUSTER" >/dev/null
}

# eventually COMMAND...: until it succeeds, at most a minute
eventually() { for _ in $(seq 600); do "$@" && return; sleep 0.1; done; return 1; }

# field KIND NAME PATH
field() { kn get "$1" "$2" -o json | python3 -c "import json,sys; o=json.load(sys.stdin)
for p in '$3'.split('.'): o = o[int(p)] if p.isdigit() else o.get(p, '')
print(o)"; }

# http POD ADDRESS PORT: the answer's last line, from inside the pod.
http() { kn exec "$1" -c c -- sh -c "printf 'GET / HTTP/1.0\r\n\r\n' | nc -w 2 $2 $3 2>/dev/null | tail -1"; }

node_name() { if [ "$CLUSTER" = default ]; then echo "node-$1"; else echo "$CLUSTER-node-$1"; fi; }
pid_of() { cat "/run/skep/$CLUSTER/pids/$1"; }

# until_in TEXT FILE: the file comes to hold the text.
until_in() {
	for _ in $(seq 600); do
		grep -qF -- "$1" "$2" && return
		sleep 0.1
	done
	cat "$2"
	return 1
}

# has TEXT FILE: the file holds the text; if not, it is shown.
has() { grep -qF -- "$1" "$2" || { sed 's/^/# /' "$2"; return 1; }; }

# What a page's server on this machine's port says.
page() { timeout 30 bash -c 'exec 8<>"/dev/tcp/127.0.0.1/$0" && printf "GET / HTTP/1.0\r\n\r\n" >&8 && tail -1 <&8' "$1"; }
# The local port of the n-th target of the port-forward that writes to $TMP/pf.
local_port() { sed -n 's/^Forwarding from 127.0.0.1:\([0-9]*\) .*/\1/p' "$TMP/pf" | sed -n "$1p"; }

# exec, attach, cp and port-forward by the kubectl of the array KC.
streams() {
	local pod pid rc
	cat > "$TMP/io.yaml" <<-Y
	apiVersion: apps/v1
	kind: Deployment
	metadata: {name: io}
	spec:
	  selector: {matchLabels: {app: io}}
	  template:
	    metadata: {labels: {app: io}}
	    spec:
	      terminationGracePeriodSeconds: 1
	      containers:
	      - name: c
	        image: "docker.io/library/test:1"
	        stdin: true
	        command:
	        - sh
	        - -c
	        - |
	          for p in 8001 8002; do mkdir -p /www/\$p /tmp; echo page \$p > /www/\$p/index.html; httpd -p \$p -h /www/\$p; done
	          while read -r l; do echo "got \$l"; done
	          exec sleep 100000
	---
	apiVersion: v1
	kind: Service
	metadata: {name: io}
	spec: {selector: {app: io}, ports: [{port: 80, targetPort: 8001}]}
	Y
	"${KC[@]}" apply -f "$TMP/io.yaml" >/dev/null
	"${KC[@]}" rollout status deployment/io --timeout 60s >/dev/null
	pod=$("${KC[@]}" get pods -l app=io -o name)
	pod=${pod#pod/}
	# The runtime drops what is still to be said once input has ended: it stays open until the answer is there. That also
	# says that the servers have started.
	# Emptied here: what writes into them in the background does so at its leisure, and this may be the second time.
	rm -f "$TMP/in" "$TMP/attached" "$TMP/pf"
	mkfifo "$TMP/in"
	touch "$TMP/attached" "$TMP/pf"
	"${KC[@]}" attach -i "$pod" < "$TMP/in" > "$TMP/attached" 2>&1 &
	pid=$!
	exec 9> "$TMP/in"
	echo hello >&9
	check "attach -i" until_in "got hello" "$TMP/attached"
	exec 9>&-
	wait "$pid"
	check "attach's exit status" [ $? -eq 0 ]
	head -c 3000000 /dev/urandom > "$TMP/big"
	check "exec -i, much input" [ "$("${KC[@]}" exec -i "$pod" -- wc -c < "$TMP/big")" = 3000000 ]
	python3 tests/e2e/terminal.py typed "${KC[@]}" exec -it "$pod" -- sh -c 'read -r l; tty; echo "read $l"' > "$TMP/tty" 2>&1
	rc=$?
	if [ $rc -eq 77 ]; then
		echo "skip $SELF: exec -it # $(cat "$TMP/tty")"
	else
		check "exec -it has a terminal" has "/dev/pts/" "$TMP/tty"
		check "that reads what is typed" has "read typed" "$TMP/tty"
		check "exec -it's exit status" [ $rc -eq 0 ]
	fi
	check "a request to a pod by the server" [ "$("${KC[@]}" get --raw "/api/v1/namespaces/default/pods/$pod:8002/proxy/")" = "page 8002" ]
	check "a request to a service by the server" [ "$("${KC[@]}" get --raw /api/v1/namespaces/default/services/io:80/proxy/)" = "page 8001" ]
	check "cp to a pod" "${KC[@]}" cp "$TMP/big" "$pod:/tmp/big"
	check "cp from a pod" "${KC[@]}" cp "$pod:/tmp/big" "$TMP/back"
	check "cp back gives the same" cmp "$TMP/big" "$TMP/back"
	"${KC[@]}" port-forward svc/io :80 > "$TMP/pf" 2>&1 &
	pid=$!
	check "port-forward to a service" until_in "Forwarding from 127.0.0.1:" "$TMP/pf"
	check "its page" [ "$(page "$(local_port 1)")" = "page 8001" ]
	kill "$pid"
	wait "$pid" 2>/dev/null
	: > "$TMP/pf"
	"${KC[@]}" port-forward deployment/io :8001 :8002 :99 > "$TMP/pf" 2>&1 &
	pid=$!
	check "port-forward to a deployment" until_in "-> 99" "$TMP/pf"
	check "pages of two ports" [ "$(page "$(local_port 1)") $(page "$(local_port 2)")" = "page 8001 page 8002" ]
	page "$(local_port 3)" >/dev/null 2>&1
	check "a port that refuses is told" until_in "connection refused" "$TMP/pf"
	kill "$pid" 2>/dev/null # later versions end by themselves after that
	wait "$pid" 2>/dev/null || true
}
