# SPDX-License-Identifier: Apache-2.0
# Wrong manifests change nothing and say where they are wrong; pods that cannot run say why, as Kubernetes shows it.
source "$(dirname "$0")/lib.sh"
NS=default
up 1
pod() { printf 'apiVersion: v1\nkind: Pod\nmetadata: {name: %s}\nspec:\n  terminationGracePeriodSeconds: 0\n  containers:\n  - {name: c, image: "%s", command: %s}\n' "$1" "$2" "$3"; }

# refused NAME PATTERN: standard input is refused, with words that match, and changes nothing.
refused() {
	cat > "$TMP/bad.yaml"
	local before after out rc
	before=$(k get pods -A -o name; k get svc -A -o name; k get deploy -A -o name; k get cm -A -o name)
	out=$(k apply -f "$TMP/bad.yaml" 2>&1)
	rc=$?
	after=$(k get pods -A -o name; k get svc -A -o name; k get deploy -A -o name; k get cm -A -o name)
	if [ $rc -ne 0 ] && grep -qE -- "$2" <<<"$out" && [ "$before" = "$after" ]; then
		ok "$1"
	else
		not_ok "$1 (status $rc): $(cut -c1-300 <<<"$out")"
	fi
}
refused "not YAML" 'bad.yaml.*line 2' <<< $'a: b\n\t- c'
refused "unknown kind" 'bad.yaml:1 .*no kind "Pot"' <<< $'apiVersion: v1\nkind: Pot\nmetadata: {name: a}'
refused "unknown field" 'bad.yaml.*unknown field "spec.contaners"' <<< $'apiVersion: v1\nkind: Pod\nmetadata: {name: a}\nspec:\n  contaners: []\n  containers: [{name: c, image: b}]'
refused "wrong type" 'bad.yaml.*replicas' <<< $'apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: a}\nspec:\n  replicas: many\n  selector: {matchLabels: {a: b}}\n  template: {metadata: {labels: {a: b}}, spec: {containers: [{name: c, image: b}]}}'
refused "missing field" 'bad.yaml.*image' <<< $'apiVersion: v1\nkind: Pod\nmetadata: {name: a}\nspec:\n  containers:\n  - name: c'
refused "bad name" 'bad.yaml.*RFC 1123' <<< $'apiVersion: v1\nkind: Pod\nmetadata: {name: Big_Name}\nspec: {containers: [{name: c, image: b}]}'
refused "duplicate container" 'Duplicate' <<< $'apiVersion: v1\nkind: Pod\nmetadata: {name: a}\nspec: {containers: [{name: c, image: b}, {name: c, image: b}]}'
refused "selector that does not match" 'selector' <<< $'apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: a}\nspec:\n  selector: {matchLabels: {a: b}}\n  template: {metadata: {labels: {a: c}}, spec: {containers: [{name: c, image: b}]}}'
refused "service address in use" '10.96.0.1' <<< $'apiVersion: v1\nkind: Service\nmetadata: {name: a}\nspec: {clusterIP: 10.96.0.1, ports: [{port: 80}]}'
refused "the same port twice" 'Duplicate' <<< $'apiVersion: v1\nkind: Service\nmetadata: {name: a}\nspec: {ports: [{name: a, port: 80}, {name: b, port: 80}]}'
refused "a field that is not honoured yet" 'hostPID' <<< $'apiVersion: v1\nkind: Pod\nmetadata: {name: a}\nspec: {hostPID: true, containers: [{name: c, image: b}]}'
python3 -c "print('apiVersion: v1\nkind: ConfigMap\nmetadata: {name: big}\ndata: {a: \"' + 'x' * 4500000 + '\"}')" | refused "a body of 4 MB" 'Too Large|too large'

# Optimistic concurrency: a stale resourceVersion is a conflict.
cat <<'Y' | k apply -f - > /dev/null
apiVersion: v1
kind: ConfigMap
metadata: {name: c}
data: {a: "1"}
Y
api() { curl -s --cacert "/var/lib/skep/$CLUSTER/pki/ca.crt" --cert "/var/lib/skep/$CLUSTER/pki/admin.crt" --key "/var/lib/skep/$CLUSTER/pki/admin.key" "$@"; }
server=$(awk '/server:/{print $2}' "/var/lib/skep/$CLUSTER/admin.kubeconfig")
api "$server/api/v1/namespaces/default/configmaps/c" > "$TMP/c.json"
sed 's/"a":"1"/"a":"2"/' "$TMP/c.json" > "$TMP/c2.json"
first=$(api -o /dev/null -w '%{http_code}' -X PUT -H 'Content-Type: application/json' -d "@$TMP/c2.json" "$server/api/v1/namespaces/default/configmaps/c")
second=$(api -o /dev/null -w '%{http_code}' -X PUT -H 'Content-Type: application/json' -d "@$TMP/c2.json" "$server/api/v1/namespaces/default/configmaps/c")
check "a stale resourceVersion is refused" [ "$first/$second" = 200/409 ]
check "no client certificate, no answer" [ "$(curl -s -k -o /dev/null -w '%{http_code}' "$server/api/v1/pods")" = 401 ]

# sees POD PATTERN: the pod's row matches, as soon as it changes to that.
sees() {
	timeout 60 grep -qEm1 "$2" < <(exec skep get pods "$1" -w --no-headers --cluster "$CLUSTER")
}
pod no-image docker.io/library/none:1 '[a]' | sed 's/command: \[a\]/imagePullPolicy: Never/' | k apply -f - >/dev/null
check "an image that may not be pulled" sees no-image 'ErrImageNeverPull'
pod bad-pull localhost:1/none:1 '[a]' | k apply -f - >/dev/null
check "an image that cannot be pulled" sees bad-pull 'ErrImagePull|ImagePullBackOff'
pod no-command docker.io/library/test:1 '["/does/not/exist"]' | k apply -f - >/dev/null
check "a command that does not exist" sees no-command 'RunContainerError|StartError|CrashLoopBackOff'
pod crash docker.io/library/test:1 '["sh", "-c", "exit 3"]' | k apply -f - >/dev/null
check "a container that crashes at once" sees crash 'CrashLoopBackOff'
k describe pod crash > "$TMP/crash"
check "describe shows its exit code" grep -q 'Exit Code:  3' "$TMP/crash"
check "and the back-off" grep -q 'BackOff' "$TMP/crash"
check "a pod that fits nowhere says why" bash -c "printf 'apiVersion: v1\nkind: Pod\nmetadata: {name: huge}\nspec: {containers: [{name: c, image: b, resources: {requests: {cpu: \"1000\"}}}]}' | skep apply -f - --cluster $CLUSTER >/dev/null; timeout 20 bash -c \"until skep describe pod huge --cluster $CLUSTER | grep -q '0/1 nodes are available: 1 Insufficient cpu'; do :; done\""
check "wrong usage exits with 2" bash -c "skep get --nonsense >/dev/null 2>&1; [ \$? -eq 2 ]"
