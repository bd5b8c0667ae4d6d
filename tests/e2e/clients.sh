# SPDX-License-Identifier: Apache-2.0
# Clients that others wrote: the official Python one (Debian), the official JavaScript one (npm), Prometheus' service discovery.
source "$(dirname "$0")/lib.sh"
NS=default
up 2
kubeconfig=/var/lib/skep/$CLUSTER/admin.kubeconfig
image=docker.io/library/test:1

if /usr/bin/python3 -c 'import kubernetes' 2>/dev/null; then
	timeout 180 /usr/bin/python3 tests/e2e/clients/client.py "$kubeconfig" $image
	check "the Python client ends well" [ $? -eq 0 ]
else
	echo "skip clients: python # python3-kubernetes is not installed"
fi

# From npm, so only where that can be reached.
if command -v npm >/dev/null && (cd "$TMP" && timeout 120 npm install --silent --no-audit --no-fund @kubernetes/client-node@1 >"$TMP/npm.log" 2>&1); then
	cp tests/e2e/clients/client.mjs "$TMP/client.mjs"
	timeout 180 node "$TMP/client.mjs" "$kubeconfig" $image
	check "the JavaScript client ends well" [ $? -eq 0 ]
else
	echo "skip clients: javascript # npm is not here, or cannot reach its registry"
fi

# Prometheus discovers nodes, pods, services and endpoints by watching.
if command -v prometheus >/dev/null; then
	cat > "$TMP/app.yaml" <<Y
apiVersion: v1
kind: Pod
metadata: {name: found, labels: {app: found}}
spec:
  terminationGracePeriodSeconds: 0
  containers: [{name: c, image: "$image", command: ["sleep", "100000"], ports: [{containerPort: 8080, name: web}]}]
---
apiVersion: v1
kind: Service
metadata: {name: found}
spec: {selector: {app: found}, ports: [{name: web, port: 80, targetPort: web}]}
Y
	k apply -f "$TMP/app.yaml" --wait --timeout 60s >/dev/null
	port=$(python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
	{
		echo "scrape_configs:"
		for role in node pod service endpoints endpointslice; do
			printf -- '- {job_name: %s, scrape_interval: 1h, kubernetes_sd_configs: [{role: %s, kubeconfig_file: %s}]}\n' $role $role "$kubeconfig"
		done
	} > "$TMP/prometheus.yml"
	prometheus --config.file="$TMP/prometheus.yml" --storage.tsdb.path="$TMP/prom" --web.listen-address="127.0.0.1:$port" >"$TMP/prom.log" 2>&1 &
	prometheus=$!
	found() {
		curl -s "http://127.0.0.1:$port/api/v1/targets" | python3 -c "
import json, sys
want = {'node': ('__meta_kubernetes_node_name', '$(node_name 1)'), 'pod': ('__meta_kubernetes_pod_name', 'found'),
        'service': ('__meta_kubernetes_service_name', 'found'), 'endpoints': ('__meta_kubernetes_endpoints_name', 'found'),
        'endpointslice': ('__meta_kubernetes_endpointslice_port_name', 'web')}
key, value = want['$1']
t = json.load(sys.stdin)['data']
sys.exit(not any(x['discoveredLabels'].get(key) == value for x in t['activeTargets'] + t['droppedTargets']))" 2>/dev/null
	}
	for role in node pod service endpointslice; do
		for _ in $(seq 150); do found $role && break; sleep 0.2; done
		check "Prometheus discovers by role $role" found $role
	done
	kill "$prometheus"
	wait "$prometheus" 2>/dev/null
	grep -E "level=(error|warn)" "$TMP/prom.log" | head -5
else
	echo "skip clients: prometheus # it is not installed"
fi
exit "$failures"
