# SPDX-License-Identifier: Apache-2.0
# skep-agent --data-plane-only: a node whose pods a kubelet runs (kubelet.py plays it), with the rights of
# examples/data-plane-only and no others, by an API server that knows nothing of Skep (foreign_api.py), beside a node of
# Skep's own.
source "$(dirname "$0")/lib.sh"
NS=web
NODE=$CLUSTER-foreign
NETNS=skep-$NODE
CGROUP=$(findmnt -rnt cgroup2 -o TARGET | head -1)/skep/$CLUSTER/foreign
PIN=/sys/fs/bpf/skep/$NODE
KUBELET= AGENT= API=

finish_here() {
	local rc=$?
	[ "$failures" -gt 0 ] && rc=1
	[ -n "$KUBELET" ] && kill "$KUBELET" 2>/dev/null && wait "$KUBELET" 2>/dev/null
	[ -n "$AGENT" ] && kill -9 "$AGENT" 2>/dev/null && wait "$AGENT" 2>/dev/null
	[ -n "$API" ] && kill "$API" 2>/dev/null && wait "$API" 2>/dev/null
	[ "$rc" -ne 0 ] && for f in "$TMP"/*.log; do echo "--- $f"; tail -n 15 "$f"; done
	rm -rf "$PIN"
	ip netns del "$NETNS" 2>/dev/null
	rmdir "$CGROUP" 2>/dev/null
	(exit "$rc")
	finish
}

says() { # FLAGS... -- TEXT: refused with that text
	local flags=()
	while [ "$1" != -- ]; do flags+=("$1"); shift; done
	timeout 10 skep-agent "${flags[@]}" > "$TMP/said" 2>&1 && return 1
	has "$2" "$TMP/said"
}
check "--cni-conf-dir is required" says --data-plane-only --node-name n --kubeconfig k -- "--cni-conf-dir is missing"
check "what has no meaning is refused" says --data-plane-only --node-name n --kubeconfig k --cni-conf-dir d --tls-ca x -- "--tls-ca means nothing with --data-plane-only"
check "so is a label" says --data-plane-only --node-name n --kubeconfig k --cni-conf-dir d --label a=b -- "--label means nothing"
check "a control group that is not there" says --data-plane-only --node-name n --kubeconfig k --cni-conf-dir d \
	--state-dir "$TMP/s" --run-dir "$TMP/r" --cgroup-root /skep-none-$$ -- "--cgroup-root '/skep-none-$$': no control group"

up 1
trap finish_here EXIT
ADMIN=/var/lib/skep/$CLUSTER/admin.kubeconfig
k apply -f examples/data-plane-only/rbac.yaml >/dev/null || not_ok "the example's rights"

# --- a node on the cluster's network, and the agent's kubeconfig with a service account's token -----------------------
ip netns add "$NETNS"
ip -n "skep-$CLUSTER-lan" link add foreign type veth peer name eth0 netns "$NETNS"
ip -n "skep-$CLUSTER-lan" link set foreign master lan0 up
ip -n "$NETNS" address add 172.30.1.200/16 dev eth0
ip -n "$NETNS" address add fd00:30::1:200/64 dev eth0 nodad
ip -n "$NETNS" link set lo up
ip -n "$NETNS" link set eth0 up
for a in 172.30.0.1 fd00:30::1; do ip -n "$NETNS" route add default via "$a"; done
mkdir -p "$CGROUP" "$TMP/cni"
on_node() { nsenter --net="/run/netns/$NETNS" "$@"; }
/usr/bin/python3 - "$ADMIN" "$TMP" <<'P' || exit 1
import sys
from kubernetes import client, config
admin, out = sys.argv[1:]
config.load_kube_config(admin)
r = client.CoreV1Api().create_namespaced_service_account_token(
    "skep-agent", "kube-system", {"spec": {"audiences": [], "expirationSeconds": 3600}})
with open(out + "/token", "w") as f:
    f.write(r.status.token + "\n")
with open(out + "/kubeconfig", "w") as f:
    f.write("""apiVersion: v1
kind: Config
current-context: c
contexts: [{name: c, context: {cluster: c, user: u}}]
clusters: [{name: c, cluster: {server: "http://172.30.0.1:8001"}}]
users: [{name: u, user: {tokenFile: token}}]
""")
P
nsenter --net="/run/netns/skep-$CLUSTER-lan" /usr/bin/python3 tests/e2e/foreign_api.py 172.30.0.1 8001 https://172.30.0.1:6443 \
	"/var/lib/skep/$CLUSTER/pki/ca.crt" > "$TMP/api.log" 2>&1 &
API=$!

agent() {
	# Not by the function, whose process would not be the agent's.
	nsenter --net="/run/netns/$NETNS" skep-agent --data-plane-only --node-name "$NODE" --kubeconfig "$TMP/kubeconfig" --state-dir "$TMP/agent" \
		--run-dir "$TMP/run" --pin-dir "$PIN" --cgroup-root "/skep/$CLUSTER/foreign" --uplink eth0 \
		--lan-cidrs 172.30.1.0/24,fd00:30::1:0/112 --cni-conf-dir "$TMP/cni" 2>> "$TMP/agent.log" &
	AGENT=$!
}
agent
check "it waits for the node" until_in "waiting for its Node object" "$TMP/agent.log"
health() { [ "$(on_node curl -so "$TMP/health" -w '%{http_code}' "http://127.0.0.1:10256/$1")" = "$2" ]; }
check "/healthz fails until the data plane is there" health healthz 503
check "so does /livez" health livez 503

ips=172.30.1.200,fd00:30::1:200
/usr/bin/python3 tests/e2e/kubelet.py --kubeconfig "$ADMIN" --node "$NODE" --ips "$ips" --cni-conf-dir "$TMP/cni" --cni-bin-dir "$BUILD/bin" \
	--cgroup "$CGROUP" --prefix "$NETNS-" --work "$TMP/www" > "$TMP/kubelet.log" 2>&1 &
KUBELET=$!
must "the data plane is ready" until_in "the data plane is ready" "$TMP/agent.log"
check "/healthz" eventually health healthz 200
check "/livez" health livez 200

# --- pods there and here ----------------------------------------------------------------------------------------------
pods() { # NAME REPLICAS NODE
	cat <<-Y
	---
	apiVersion: apps/v1
	kind: Deployment
	metadata: {name: $1, namespace: web}
	spec:
	  replicas: $2
	  selector: {matchLabels: {app: web, at: $1}}
	  template:
	    metadata: {labels: {app: web, at: $1}}
	    spec:
	      terminationGracePeriodSeconds: 1
	      nodeSelector: {kubernetes.io/hostname: $3}
	      containers:
	      - name: c
	        image: docker.io/library/test:1
	        command: [sh, -c, 'mkdir -p /tmp/w; hostname > /tmp/w/index.html; exec httpd -f -p 8080 -h /tmp/w']
	        readinessProbe: {httpGet: {path: /, port: 8080}, periodSeconds: 1}
	Y
}
{
	cat <<-Y
	apiVersion: v1
	kind: Namespace
	metadata: {name: web}
	---
	apiVersion: v1
	kind: Service
	metadata: {name: web, namespace: web}
	spec: {type: NodePort, ipFamilyPolicy: RequireDualStack, selector: {app: web}, ports: [{port: 80, targetPort: 8080}]}
	Y
	pods there 2 "$NODE"
	pods here 1 "$(node_name 1)"
} > "$TMP/web.yaml"
k apply -f "$TMP/web.yaml" >/dev/null || not_ok "apply"
rolled_out() { kn rollout status "deployment/$1" --timeout 60s >/dev/null; }
for d in there here; do must "deployment $d" rolled_out $d; done
here=$(kn get pods -l at=here -o name | sed 's,.*/,,')
read -r -a there <<< "$(kn get pods -l at=there -o name | sed 's,.*/,,' | xargs)"
[ "${#there[@]}" -eq 2 ] || not_ok "two pods there"
vip4=$(field service web spec.clusterIPs.0)
vip6=$(field service web spec.clusterIPs.1)
port=$(field service web spec.ports.0.nodePort)

in_pod() { # POD COMMAND...: a process of the foreign node's pod
	local pod=$1
	shift
	bash -c 'echo $$ > "$0/cgroup.procs"; exec nsenter --net="/run/netns/$1" "${@:2}"' "$CGROUP" "$NETNS-$pod" "$@"
}
names() { sort -u "$1" | xargs; } # of who has answered
all=$(printf '%s\n' "$here" "${there[@]}" | sort | xargs)
# forty COMMAND...: all three answer within so many times.
forty() {
	for _ in $(seq 40); do "$@" || return 1; done > "$TMP/answers"
	[ "$(names "$TMP/answers")" = "$all" ]
}
ask_there() { forty in_pod "${there[0]}" curl -s --max-time 5 "http://$1/"; }
ask_here() {
	kn exec "$here" -- sh -c "for i in \$(seq 40); do printf 'GET / HTTP/1.0\r\n\r\n' | nc -w 5 $1 80 | tail -1; done" > "$TMP/answers"
	[ "$(names "$TMP/answers")" = "$all" ]
}
check "its pods reach a service's backends on both nodes" eventually ask_there "$vip4"
check "by IPv6" eventually ask_there "[$vip6]"
check "Skep's pods reach the ones there" eventually ask_here "$vip4"
node_port() { forty nsenter --net="/run/netns/skep-$CLUSTER-lan" curl -s --max-time 5 "http://172.30.1.200:$port/"; }
check "a node port there, from outside" eventually node_port
check "the node's own processes" [ "$(bash -c 'echo $$ > "$0/cgroup.procs"; exec nsenter --net="/run/netns/$1" curl -s --max-time 5 "http://$2/" | wc -l' "$CGROUP" "$NETNS" "$vip4")" = 1 ]

# --- policies ---------------------------------------------------------------------------------------------------------
ip_of() { kn get pod "$1" -o json | python3 -c 'import json,sys; print(json.load(sys.stdin)["status"]["podIP"])'; }
cat > "$TMP/policy.yaml" <<Y
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: only-here, namespace: web}
spec:
  podSelector: {matchLabels: {at: there}}
  policyTypes: [Ingress]
  ingress: [{from: [{podSelector: {matchLabels: {at: here}}}], ports: [{port: 8080}]}]
Y
k apply -f "$TMP/policy.yaml" >/dev/null
to=$(ip_of "${there[1]}")
denied() { ! in_pod "${there[0]}" curl -s --max-time 1 -o /dev/null "http://$to:8080/"; }
check "a policy denies a pod there" eventually denied
check "and admits one here" [ "$(http "$here" "$to" 8080)" = "${there[1]}" ]
on_node curl -s http://127.0.0.1:10249/debug/net/drops > "$TMP/drops"
check "the drop has a name" has '"reason":"policy-denied"' "$TMP/drops"
k delete -f "$TMP/policy.yaml" >/dev/null
check "without it the pod is admitted" eventually in_pod "${there[0]}" curl -s --max-time 5 -o /dev/null "http://$to:8080/"

# --- killed under load, and back --------------------------------------------------------------------------------------
in_pod "${there[0]}" bash -c 'for i in $(seq 400); do curl -s --max-time 10 -o /dev/null "http://$0/" || echo failed; done; echo ended' "$vip4" > "$TMP/load" 2>&1 &
load=$!
kill -9 "$AGENT"
wait "$AGENT" 2>/dev/null
: > "$TMP/agent.log"
agent
check "killed, it comes back" until_in "the data plane is ready" "$TMP/agent.log"
wait "$load"
check "and no request has failed" [ "$(cat "$TMP/load")" = ended ]
endpoints() { on_node curl -s http://127.0.0.1:10249/debug/net/endpoints | python3 -c 'import json,sys; print(" ".join(sorted(i["pod"].split("/")[1] for i in json.load(sys.stdin)["items"])))'; }
check "it knows its pods" [ "$(endpoints)" = "$(printf '%s\n' "${there[@]}" | sort | xargs)" ]
kn scale deployment/there --replicas 1 >/dev/null
one() { [ "$(endpoints | wc -w)" = 1 ]; }
check "a pod that goes takes its address with it" eventually one

# --- what load balancers and monitors ask -----------------------------------------------------------------------------
on_node curl -s http://127.0.0.1:10249/metrics > "$TMP/metrics"
check "/metrics is well-formed" promtool check metrics < "$TMP/metrics"
check "and counts" has 'skep_endpoints 1' "$TMP/metrics"
leaving() { /usr/bin/python3 -c 'import sys
from kubernetes import client, config
config.load_kube_config(sys.argv[1])
client.CoreV1Api().patch_node(sys.argv[2], {"spec": {"taints": [{"key": "ToBeDeletedByClusterAutoscaler", "effect": "NoSchedule"}]}})' "$ADMIN" "$NODE"; }
leaving
check "/healthz fails on a node that is to go" eventually health healthz 503
check "and says why" has '"nodeEligible": false' "$TMP/health"
check "/livez does not" health livez 200
not_in() { ! grep -i "$1" "$2"; }
check "that the API knows no NodeDataPlane is said once" [ "$(grep -c 'knows no NodeDataPlane' "$TMP/agent.log")" = 1 ]
check "its rights were enough" not_in forbidden "$TMP/agent.log"
