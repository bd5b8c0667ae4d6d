# SPDX-License-Identifier: Apache-2.0
# What README promises: a cluster, a Deployment spread over its nodes, a Service over its pods, a NetworkPolicy, and nothing left behind.
source "$(dirname "$0")/lib.sh"
NS=web
up 3
gcc -O1 -static -o "$TMP/udp-name" tests/e2e/udp_name.c || exit 1
python3 scripts/mkimage.py binary "$TMP/udp.tar" docker.io/library/udp-name:1 "$TMP/udp-name" || exit 1
must "image load" skep image load "$TMP/udp.tar" --name "$CLUSTER"

cat > "$TMP/web.yaml" <<Y
apiVersion: v1
kind: Namespace
metadata: {name: web}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: web, namespace: web}
spec:
  replicas: 3
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec:
      terminationGracePeriodSeconds: 1
      topologySpreadConstraints:
      - {maxSkew: 1, topologyKey: kubernetes.io/hostname, whenUnsatisfiable: DoNotSchedule, labelSelector: {matchLabels: {app: web}}}
      containers:
      - name: web
        image: docker.io/library/test:1
        command: ["sh", "-c", "mkdir -p /tmp/www && hostname > /tmp/www/index.html && exec httpd -f -p 8080 -h /tmp/www"]
        ports: [{containerPort: 8080, name: http}]
        readinessProbe: {httpGet: {path: /, port: http}, periodSeconds: 1}
      - {name: udp, image: "docker.io/library/udp-name:1", ports: [{containerPort: 5300, name: dns, protocol: UDP}]}
---
apiVersion: v1
kind: Service
metadata: {name: web, namespace: web}
spec:
  ipFamilyPolicy: RequireDualStack
  selector: {app: web}
  ports: [{name: http, port: 80, targetPort: http}, {name: udp, port: 53, targetPort: dns, protocol: UDP}]
---
apiVersion: v1
kind: Service
metadata: {name: local, namespace: web}
spec: {internalTrafficPolicy: Local, selector: {app: web}, ports: [{port: 80, targetPort: http}]}
---
apiVersion: v1
kind: Service
metadata: {name: near, namespace: web}
spec: {trafficDistribution: PreferSameNode, selector: {app: web}, ports: [{port: 80, targetPort: http}]}
---
apiVersion: v1
kind: Service
metadata: {name: sticky, namespace: web}
spec: {sessionAffinity: ClientIP, selector: {app: web}, ports: [{port: 80, targetPort: http}]}
---
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: web, namespace: web}
spec:
  podSelector: {matchLabels: {app: web}}
  ingress:
  - from: [{podSelector: {matchLabels: {role: client}}}]
    ports: [{port: http}, {port: dns, protocol: UDP}]
Y
for node in 1 2 3; do
	for role in client stranger; do
		cat >> "$TMP/web.yaml" <<Y
---
apiVersion: v1
kind: Pod
metadata: {name: $role-$node, namespace: web, labels: {role: $role}}
spec:
  terminationGracePeriodSeconds: 1
  nodeSelector: {kubernetes.io/hostname: $(node_name $node)}
  containers: [{name: c, image: "docker.io/library/test:1", command: ["sleep", "1000000"]}, {name: udp, image: "docker.io/library/udp-name:1"}]
Y
	done
done
must "apply --wait" k apply -f "$TMP/web.yaml" --wait --timeout 60s
ok "apply --wait returns when everything is ready"

nodes=$(kn get pods -l app=web -o wide --no-headers | awk '{print $7}' | sort -u | wc -l)
check "three replicas on three nodes" [ "$nodes" -eq 3 ]

ip4=$(field svc web spec.clusterIPs.0)
ip6=$(field svc web spec.clusterIPs.1)
kn exec client-1 -c c -- sh -c "for i in \$(seq 100); do printf 'GET / HTTP/1.0\r\n\r\n' | nc -w 2 $ip4 80 | tail -1; done" > "$TMP/answers"
check "100 requests, 100 answers" [ "$(grep -c '^web-' "$TMP/answers")" -eq 100 ]
check "from three backends" [ "$(sort -u "$TMP/answers" | wc -l)" -eq 3 ]
check "each with a fair share" [ "$(sort "$TMP/answers" | uniq -c | sort -n | awk 'NR==1{print $1}')" -ge 10 ]

# Ten requests of a pod to a service; who answered, each once.
answering() { kn exec "$1" -c c -- sh -c "for i in \$(seq 10); do printf 'GET / HTTP/1.0\r\n\r\n' | nc -w 2 $2 80 | tail -1; done" | sort -u | xargs; }
bad=0
for node in 1 2 3; do
	here=$(kn get pods -l app=web -o wide --no-headers | awk -v n="$(node_name $node)" '$7 == n {print $1}')
	for service in local near; do
		got=$(answering "client-$node" "$(field svc $service spec.clusterIP)")
		[ "$got" = "$here" ] || { echo "client-$node, service $service: '$got', not '$here'"; bad=1; }
	done
done
check "internalTrafficPolicy Local and trafficDistribution PreferSameNode stay on the node" [ $bad -eq 0 ]
check "sessionAffinity ClientIP stays with one pod" [ "$(answering client-1 "$(field svc sticky spec.clusterIP)" | wc -w)" -eq 1 ]

# Every client and stranger, against every pod: same node and other nodes, both families, directly and by the service.
bad=0
for node in 1 2 3; do
	for family in 0 1; do
		vip=$([ $family = 0 ] && echo "$ip4" || echo "$ip6")
		[[ $(http "client-$node" "$vip" 80) == web-* ]] || { echo "client-$node cannot reach $vip"; bad=1; }
		for pod in $(kn get pods -l app=web -o name | sed 's|pod/||'); do
			to=$(field pod "$pod" status.podIPs.$family.ip)
			[[ $(http "client-$node" "$to" 8080) == "$pod" ]] || { echo "client-$node cannot reach $pod at $to"; bad=1; }
		done
	done
done
check "clients on every node reach every pod and the service, IPv4 and IPv6" [ $bad -eq 0 ]

bad=0
for node in 1 2 3; do
	kn exec "stranger-$node" -c c -- sh -c "for a in $ip4 $ip6; do nc -w 1 \$a 80 </dev/null 2>/dev/null && echo REACHED; done" | grep -q REACHED && bad=1
done
check "strangers on every node reach nothing" [ $bad -eq 0 ]
k net drops > "$TMP/drops"
check "and the drops are counted under their name" grep -q 'web/web-.*policy-denied.*ingress' "$TMP/drops"

for vip in "$ip4" "$ip6"; do
	kn exec client-2 -c udp -- /udp-name "$vip" 53 > "$TMP/udp"
	check "UDP by the service, connected and not, $vip" [ "$(grep -c '^web-' "$TMP/udp")" -eq 2 ]
done

# A live change of policy, both ways.
must "open" k apply -f - <<Y
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: open, namespace: web}
spec:
  podSelector: {matchLabels: {app: web}}
  ingress: [{}]
Y
kn exec stranger-1 -c c -- sh -c "for i in \$(seq 50); do printf 'GET / HTTP/1.0\r\n\r\n' | nc -w 1 $ip4 80 | tail -1; done" > "$TMP/opened"
check "a policy that allows more works" grep -q '^web-' "$TMP/opened"

# To the world: masqueraded, so that it can answer.
timeout 60 ip netns exec "skep-$CLUSTER-lan" nc -l 198.51.100.1 7777 > "$TMP/world" &
world=$!
for _ in $(seq 600); do
	ip netns exec "skep-$CLUSTER-lan" ss -Hltn 'sport = :7777' | grep -q . && break
	sleep 0.1
done
kn exec client-3 -c c -- sh -c 'echo from-a-pod | nc -w 2 198.51.100.1 7777'
wait $world
check "a pod reaches the world" grep -q from-a-pod "$TMP/world"

check "exec gives the command's exit status" bash -c "skep exec client-1 -c c -n web --cluster $CLUSTER -- sh -c 'exit 7'; [ \$? -eq 7 ]"
check "exec passes standard input" [ "$(echo hello | kn exec -i client-1 -c c -- cat)" = hello ]
cat > "$TMP/talk.yaml" <<Y
apiVersion: v1
kind: Pod
metadata: {name: talk, namespace: web}
spec:
  restartPolicy: Never
  containers: [{name: c, image: "docker.io/library/test:1", command: ["sh", "-c", "echo one; echo two >&2"]}]
Y
k apply -f "$TMP/talk.yaml" --wait >/dev/null
check "logs" [ "$(kn logs talk | sort | tr '\n' ' ')" = "one two " ]

# Rolling update and scale.
kn scale deployment web --replicas=6 > /dev/null
sed 's/hostname > /echo v2 > /' "$TMP/web.yaml" | sed 's/replicas: 3/replicas: 6/' > "$TMP/web2.yaml"
check "rolling update" bash -c "skep apply -f $TMP/web2.yaml --cluster $CLUSTER > /dev/null && skep rollout status deployment web -n web --cluster $CLUSTER --timeout 120s > /dev/null"
check "after it the service answers with the new version" [ "$(http client-1 "$ip4" 80)" = v2 ]
check "the old set is empty" [ "$(kn get rs --no-headers | awk '$2 == 0' | wc -l)" -eq 1 ]

for c in apiserver:6443 scheduler:10259 controller-manager:10257; do
	name=${c%:*} port=${c#*:}
	args=(-s)
	[ "$name" = apiserver ] && args+=(--cacert "/var/lib/skep/$CLUSTER/pki/ca.crt" --cert "/var/lib/skep/$CLUSTER/pki/admin.crt" --key "/var/lib/skep/$CLUSTER/pki/admin.key")
	url=$([ "$name" = apiserver ] && echo https || echo http)://172.30.0.1:$port/metrics
	ip netns exec "skep-$CLUSTER-lan" curl "${args[@]}" "$url" > "$TMP/$name.prom"
	check "metrics of $name" promtool check metrics < "$TMP/$name.prom"
done
curl -s --cacert "/var/lib/skep/$CLUSTER/pki/ca.crt" --cert "/var/lib/skep/$CLUSTER/pki/admin.crt" --key "/var/lib/skep/$CLUSTER/pki/admin.key" \
	"$(awk '/server:/{print $2}' "/var/lib/skep/$CLUSTER/admin.kubeconfig")/api/v1/nodes/$(node_name 1)/proxy/metrics" > "$TMP/agent.prom"
check "metrics of an agent" promtool check metrics < "$TMP/agent.prom"
check "with a pod's bytes" grep -q '^skep_pod_network_transmit_bytes_total{namespace="web"' "$TMP/agent.prom"
check "no packet filter rule was made" bash -c "! ip netns exec skep-$(node_name 1) sh -c 'cat /proc/net/ip_tables_names 2>/dev/null' | grep -q ."

must "delete namespace" k delete ns web --timeout 60s
ok "the namespace goes with everything in it"

skep down --name "$CLUSTER" > "$TMP/down"
left=$( (ip netns list; cat /proc/mounts; pgrep -af skep; ls /sys/fs/bpf/skep /run/skep /var/lib/skep 2>/dev/null; find /sys/fs/cgroup -path "*skep*" -type d) | grep -F -- "$CLUSTER" | grep -v "$0")
check "skep down leaves nothing" [ -z "$left" ]
[ -z "$left" ] || echo "$left" | head
