# SPDX-License-Identifier: Apache-2.0
# kubectl 1.20 (Debian 12's kubernetes-client), which reads OpenAPI v2 in protobuf before it sends anything and
# speaks SPDY, and 1.27, where there is one. Debian's package is unpacked into build/, not installed: it would take the place of the machine's own.
source "$(dirname "$0")/lib.sh"
old=$BUILD/kubectl-old
if [ ! -x "$old/usr/bin/kubectl" ]; then
	mkdir -p "$old"
	(cd "$TMP" && timeout 120 apt-get download kubernetes-client && dpkg-deb -x kubernetes-client_*.deb "$old") >/dev/null 2>&1
fi
if [ ! -x "$old/usr/bin/kubectl" ]; then
	echo "skip kubectl_old # Debian's kubernetes-client cannot be downloaded"
	exit 0
fi
up 1
skep kubeconfig --name "$CLUSTER" > "$TMP/kubeconfig"
export HOME=$TMP # its cache of discovery and schemas
cat > "$TMP/k.yaml" <<Y
apiVersion: apps/v1
kind: Deployment
metadata: {name: web}
spec:
  replicas: 2
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec:
      terminationGracePeriodSeconds: 1
      containers: [{name: c, image: "docker.io/library/test:1", command: ["sh", "-c", "echo started; exec sleep 100000"]}]
Y
kc() { "${KC[@]}" "$@"; }
says() { # TEXT COMMAND...: its output holds the text, whatever its status
	local text=$1
	shift
	"$@" > "$TMP/out" 2>&1
	grep -qF -- "$text" "$TMP/out" || { cat "$TMP/out"; false; }
}
use() { # KUBECTL: by it from here on
	KC=(timeout 60 "$1" --kubeconfig "$TMP/kubeconfig")
	minor=$(kc version --client -o json 2>/dev/null | python3 -c 'import json,sys; print(json.load(sys.stdin)["clientVersion"]["minor"].rstrip("+"))')
	echo "# kubectl 1.$minor"
}
commands() {
	local pod
	check "create, validated" says "web created" kc create -f "$TMP/k.yaml" --save-config
	check "apply, validated" says "web unchanged" kc apply -f "$TMP/k.yaml"
	sed 's/replicas: 2/replicaz: 2/' "$TMP/k.yaml" > "$TMP/bad.yaml"
	check "an unknown field is found by its schema" \
		says "$unknown" kc apply -f "$TMP/bad.yaml"
	sed 's/replicas: 2/replicas: two/' "$TMP/k.yaml" > "$TMP/bad.yaml"
	check "a wrong type is found by its schema" says "$wrong" kc apply -f "$TMP/bad.yaml"
	check "rollout status" kc rollout status deployment/web --timeout 60s
	check "dry run on the server" says "(server dry run)" kc apply --dry-run=server -f "$TMP/k.yaml"
	check "diff finds nothing" kc diff -f "$TMP/k.yaml"
	sed 's/replicas: 2/replicas: 1/' "$TMP/k.yaml" > "$TMP/one.yaml"
	check "diff finds a change" says "+  replicas: 1" kc diff -f "$TMP/one.yaml"
	check "explain" says "ports" kc explain deployment.spec.template.spec.containers
	check "get -o wide" says "CONTAINERS" kc get deployment web -o wide
	pod=$(kc get pods -o name | head -1)
	check "logs" [ "$(kc logs "$pod")" = started ]
	check "describe" says "Started container c" kc describe "$pod"
	# Before the pod may be the one that scaling down takes.
	check "label" kc label "$pod" a=b
	check "scale" kc scale deployment/web --replicas=1
	check "strategic merge patch" kc patch deployment web -p '{"spec":{"template":{"spec":{"containers":[{"name":"c","env":[{"name":"A","value":"b"}]}]}}}}'
	check "create configmap" kc create configmap c --from-literal a=b
	# Of an object that no controller writes meanwhile.
	check "edit's replace" eval 'kc get configmap c -o yaml | kc replace -f - >/dev/null'
	check "wait" kc wait --for=condition=Available deployment/web --timeout 60s
	check "delete" kc delete -f "$TMP/k.yaml" --timeout 60s
	streams
}
use "$old/usr/bin/kubectl"
unknown='unknown field "replicaz" in io.k8s.api.apps.v1.DeploymentSpec' wrong='invalid type for io.k8s.api.apps.v1.DeploymentSpec.replicas'
commands
# Later ones leave the validation to the server; until 1.30 their streams are SPDY. Where the machine has one, this is 1.27.
other=$(readlink -f "$(command -v kubectl || true)").1.27
if [ ! -x "$other" ]; then
	echo "skip kubectl_old: the commands with 1.27 # no $other"
	exit 0
fi
kc delete deployment/io service/io configmap/c --timeout 60s >/dev/null
kc wait --for=delete pod --all --timeout 60s >/dev/null
rm "$TMP/in"
use "$other"
unknown='unknown field "spec.replicaz"' wrong='spec.replicas: Invalid value: string: must be an integer'
commands
