# SPDX-License-Identifier: Apache-2.0
# kill -9 of each part while a client makes requests: no request fails, the cluster comes back, no pod is doubled, no address leaks.
source "$(dirname "$0")/lib.sh"
NS=default
up 2
cat > "$TMP/app.yaml" <<Y
apiVersion: apps/v1
kind: Deployment
metadata: {name: web}
spec:
  replicas: 4
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec:
      terminationGracePeriodSeconds: 1
      containers:
      - name: web
        image: docker.io/library/test:1
        command: ["sh", "-c", "mkdir -p /tmp/www && hostname > /tmp/www/index.html && exec httpd -f -p 8080 -h /tmp/www"]
        readinessProbe: {tcpSocket: {port: 8080}, periodSeconds: 1}
---
apiVersion: v1
kind: Service
metadata: {name: web}
spec: {selector: {app: web}, ports: [{port: 80, targetPort: 8080}]}
---
apiVersion: v1
kind: Pod
metadata: {name: client}
spec:
  terminationGracePeriodSeconds: 1
  containers: [{name: c, image: "docker.io/library/test:1", command: ["sleep", "1000000"]}]
Y
must "apply" k apply -f "$TMP/app.yaml" --wait --timeout 60s
ip=$(field svc web spec.clusterIP)

supervisor=$(cat "/sys/fs/cgroup/unified/skep/$CLUSTER/supervisor/cgroup.procs" 2>/dev/null || cat "/sys/fs/cgroup/skep/$CLUSTER/supervisor/cgroup.procs")

# requests N: N requests from the client's network namespace, without the API: prints how many were answered.
node=$(field pod client spec.nodeName)
client_pid=$(pgrep -f "^sleep 1000000$" | while read -r p; do grep -q "$CLUSTER/$node" "/proc/$p/cgroup" && echo "$p"; done | head -1)
must "find the client's process" [ -n "$client_pid" ]
cgroup=$(awk -F: '$1 == 0 {print $3}' "/proc/$client_pid/cgroup")
v2=$([ -d /sys/fs/cgroup/unified ] && echo /sys/fs/cgroup/unified || echo /sys/fs/cgroup)
requests() {
	(
		echo $BASHPID > "$v2$cgroup/cgroup.procs"
		nsenter -t "$client_pid" -n bash -c "n=0; for i in \$(seq $1); do printf 'GET / HTTP/1.0\r\n\r\n' | nc -w 2 $ip 80 2>/dev/null | grep -q '^web-' && n=\$((n+1)); done; echo \$n"
	)
}
check "requests work to begin with" [ "$(requests 20)" -eq 20 ]

pods() { kn get pods -l app=web -o name | sort; }
before=$(pods)

# While the supervisor stands still nothing is started again.
kill -STOP "$supervisor"
for i in 1 2; do kill -9 "$(pid_of "$(node_name $i)-agent")"; done
check "no request fails while both agents are dead" [ "$(requests 200)" -eq 200 ]
kill -9 "$(pid_of apiserver)" "$(pid_of scheduler)" "$(pid_of controller-manager)"
check "nor while the control plane is dead too" [ "$(requests 100)" -eq 100 ]
for i in 1 2; do kill -9 "$(pid_of "$(node_name $i)-containerd")"; done
check "nor without the container runtimes" [ "$(requests 100)" -eq 100 ]
requests 1500 > "$TMP/during" &
during=$!
kill -CONT "$supervisor"
must "the nodes come back" k wait node "$(node_name 1)" "$(node_name 2)" --timeout 60s
wait $during
check "nor while all of it starts again" [ "$(cat "$TMP/during")" -eq 1500 ]
check "the same pods run, none twice" [ "$(pods)" = "$before" ]
check "none of their containers was restarted" [ "$(kn get pods --no-headers | awk '{s += $4} END {print s + 0}')" -eq 0 ]

kn scale deployment web --replicas=6 >/dev/null
check "the cluster works on" kn rollout status deployment web --timeout 60s
kn scale deployment web --replicas=1 >/dev/null
check "and shrinks" kn rollout status deployment web --timeout 60s
# The addresses of what is left, and no more: client and one web.
used=0
for i in 1 2; do used=$((used + $(ls "/var/lib/skep/$CLUSTER/$(node_name $i)/agent/net/"*.json 2>/dev/null | wc -l))); done
kn wait pod client --for=ready >/dev/null
running=$(k get pods -A --no-headers | wc -l)
check "no address is leaked ($used sandboxes, $running pods)" [ "$used" -eq "$running" ]

# The supervisor itself: `skep up` again takes over.
kill -9 "$supervisor"
check "requests do not notice the supervisor's end" [ "$(requests 50)" -eq 50 ]
check "skep up repairs" skep up --name "$CLUSTER"
check "and pods go on" [ "$(requests 50)" -eq 50 ]

# Down in the worst state.
kill -9 "$(pid_of apiserver)" "$(pid_of "$(node_name 1)-agent")" "$(pid_of "$(node_name 2)-containerd")" 2>/dev/null
skep down --name "$CLUSTER" > "$TMP/down" 2>&1
left=$( (ip netns list; cat /proc/mounts; ls /sys/fs/bpf/skep /run/skep /var/lib/skep 2>/dev/null; find /sys/fs/cgroup -path "*skep*" -type d) | grep -F -- "$CLUSTER")
check "skep down cleans up after kill -9 of any part" [ -z "$left" ]
[ -z "$left" ] || { cat "$TMP/down"; echo "$left" | head; }
