# SPDX-License-Identifier: Apache-2.0
# The machine's kubectl, where there is one of 1.28 or later, against a cluster.
source "$(dirname "$0")/lib.sh"
if ! command -v kubectl >/dev/null; then
	echo "skip kubectl # no kubectl on this machine"
	exit 0
fi
up 1
skep kubeconfig --name "$CLUSTER" > "$TMP/kubeconfig"
KC=(timeout 60 kubectl --kubeconfig "$TMP/kubeconfig")
kc() { "${KC[@]}" "$@"; }
minor=$(kc version -o json 2>/dev/null | python3 -c 'import json,sys; print(json.load(sys.stdin)["clientVersion"]["minor"].rstrip("+"))')
if [ "${minor:-0}" -lt 28 ]; then
	echo "skip kubectl # it is 1.$minor; 1.28 and later read our OpenAPI"
	exit 0
fi
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
check "apply" kc apply -f "$TMP/k.yaml"
check "rollout status" kc rollout status deployment/web --timeout 60s
check "get -o wide" bash -c "kubectl --kubeconfig $TMP/kubeconfig get pods -o wide | grep -c Running | grep -qx 2"
pod=$(kc get pods -o name | head -1)
check "logs" [ "$(kc logs "$pod")" = started ]
check "exec" [ "$(kc exec "$pod" -- echo hi)" = hi ]
check "exec -i" [ "$(echo in | kc exec -i "$pod" -- cat)" = in ]
kc exec "$pod" -- sh -c 'exit 9' >/dev/null 2>&1
check "exec's exit status" [ $? -eq 9 ]
kc debug "$pod" --image=docker.io/library/test:1 --image-pull-policy=IfNotPresent --profile=general --target=c -c dbg -- \
	sh -c 'ps; echo looked; exec sleep 1000' >/dev/null
check "debug adds a container" timeout 60 bash -c "until kubectl --kubeconfig $TMP/kubeconfig logs $pod -c dbg 2>/dev/null | grep -q looked; do :; done"
check "which sees the processes of its target" bash -c "kubectl --kubeconfig $TMP/kubeconfig logs $pod -c dbg | grep -q '1 root .*sleep 100000'"
check "exec into it" [ "$(kc exec "$pod" -c dbg -- echo hi)" = hi ]
kc apply -f - >/dev/null <<Y
apiVersion: v1
kind: Pod
metadata: {name: sized}
spec:
  terminationGracePeriodSeconds: 1
  containers:
  - {name: c, image: "docker.io/library/test:1", imagePullPolicy: IfNotPresent, command: [sleep, "1000"],
     resources: {limits: {cpu: 500m, memory: 64Mi}, requests: {cpu: 100m}}}
Y
kc wait --for=condition=Ready pod/sized --timeout=60s >/dev/null
kc get pod sized -o json | sed 's/"cpu": "500m"/"cpu": "300m"/' > "$TMP/sized.json"
kc replace --raw "/api/v1/namespaces/default/pods/sized/resize" -f "$TMP/sized.json" >/dev/null
check "resize by the subresource" [ $? -eq 0 ]
group="*/pods/pod$(kc get pod sized -o jsonpath='{.metadata.uid}')/*"
check "a resize is in the container's control group" timeout 60 bash -c "until find /sys/fs/cgroup -path '$group/*' \( -name cpu.max -o -name cpu.cfs_quota_us \) -exec cat {} + | grep -q '^30000'; do :; done"
check "and in the container's status" timeout 60 bash -c "until [ \"\$(kubectl --kubeconfig $TMP/kubeconfig get pod sized -o jsonpath='{.status.containerStatuses[0].resources.limits.cpu}')\" = 300m ]; do :; done"
check "without a restart" [ "$(kc get pod sized -o jsonpath='{.status.containerStatuses[0].restartCount}')" = 0 ]
kc delete pod sized --wait=false >/dev/null
kc describe "$pod" > "$TMP/described"
check "describe, with events" grep -q 'Started container c' "$TMP/described"
# Before the pod may be the one that scaling down takes.
check "label and select" bash -c "kubectl --kubeconfig $TMP/kubeconfig label $pod a=b && kubectl --kubeconfig $TMP/kubeconfig get pods -l a=b -o name | grep -qx $pod"
check "scale" kc scale deployment/web --replicas=1
check "apply again" kc apply -f "$TMP/k.yaml"
check "explain" bash -c "kubectl --kubeconfig $TMP/kubeconfig explain pod.spec.containers | grep -q image"
check "top node" bash -c "kubectl --kubeconfig $TMP/kubeconfig top node --no-headers | grep -qE '^[a-z0-9-]+-node-1 +[1-9][0-9]*m +[0-9]+% +[1-9][0-9]*Mi'"
check "top pod" timeout 60 bash -c "until kubectl --kubeconfig $TMP/kubeconfig top pod --no-headers 2>/dev/null | grep -qE '^web-[a-z0-9-]+ +[0-9]+m +[0-9]+Mi'; do :; done"
# One line each: exit status, what the output must match (extended regular expression), the command.
sed 's/replicas: 2/replicas: 3/' "$TMP/k.yaml" > "$TMP/three.yaml"
sed 's/replicas: 2/replicas: -1/' "$TMP/k.yaml" > "$TMP/bad.yaml"
sed 's/replicas: 2/replicaz: 2/' "$TMP/k.yaml" > "$TMP/unknown.yaml"
printf 'resources: [k.yaml]\ncommonAnnotations: {from: kustomize}\n' > "$TMP/kustomization.yaml"
export KUBE_EDITOR="sed -i s/tier:.back/tier:\\ front/"
node=$(kc get nodes -o name)
while IFS='|' read -r want pattern command; do
	eval "kc $command" > "$TMP/out" 2>&1 </dev/null
	got=$?
	if [ "$got" -ne "$want" ] || ! grep -qE -- "$pattern" "$TMP/out"; then
		echo "kubectl $command: status $got"
		cat "$TMP/out"
		false
	fi
	check "kubectl $command" [ "$got" -eq "$want" -a -n "$(grep -E -- "$pattern" "$TMP/out" | head -1)" ]
done <<'T'
0|^deployment.apps/web serverside-applied$|apply --server-side --force-conflicts -f $TMP/k.yaml
1|^\+  replicas: 3$|diff -f $TMP/three.yaml
0|^yes$|auth can-i create pods
1|^no$|auth can-i create pods --as nobody
0|^deployment.apps/web configured$|apply -k $TMP
0|kustomize|get deployment web -o jsonpath='{.metadata.annotations.from}'
0|^deployment.apps/web annotated$|annotate deployment web a=b
0|^deployment.apps/web labeled$|label deployment web tier=back
0|^deployment.apps/web edited$|edit deployment web
0|^front$|get deployment web -o jsonpath='{.metadata.labels.tier}{"\n"}'
0|^deployment.apps/web patched$|patch deployment web --type=json -p '[{"op":"add","path":"/metadata/labels/j","value":"s"}]'
0|^deployment.apps/web patched$|patch deployment web --type=merge -p '{"metadata":{"labels":{"j":null}}}'
1|is invalid|patch deployment web --type=json -p '[{"op":"remove","path":"/spec/selector"}]'
0|^deployment.apps/web env updated$|set env deployment/web COLOUR=blue
0|successfully rolled out$|rollout status deployment/web --timeout 60s
0|^2 +|rollout history deployment/web
0|^deployment.apps/web rolled back$|rollout undo deployment/web
0|^deployment.apps/web paused$|rollout pause deployment/web
0|^deployment.apps/web resumed$|rollout resume deployment/web
0|^deployment.apps/web restarted$|rollout restart deployment/web
0|condition met$|wait --for=condition=Available deployment/web --timeout 60s
0|^horizontalpodautoscaler.autoscaling/web autoscaled$|autoscale deployment web --min 1 --max 3
0|^service/web exposed$|expose deployment web --port 80
0|^ey[A-Za-z0-9_-]+\.ey|create token default
0|^c +1$|get pods -o custom-columns=C:.spec.containers[0].name,G:.metadata.generation --no-headers
0|web-|get pods --sort-by=.metadata.creationTimestamp --field-selector=spec.nodeName=${node#node/}
0|tainted$|taint node ${node#node/} dedicated=x:NoSchedule
0|untainted$|taint node ${node#node/} dedicated-
0|cordoned$|cordon $node
0|drained$|drain $node --ignore-daemonsets --delete-emptydir-data --force --timeout 60s
0|uncordoned$|uncordon $node
1|spec.replicas: Invalid value: -1: must be greater than or equal to 0|apply -f $TMP/bad.yaml
1|unknown field "spec.replicaz"|apply -f $TMP/unknown.yaml
1|the server doesn't have a resource type "nonesuch"|get nonesuch
1|Error from server \(NotFound\): pods "nonesuch" not found|get pod nonesuch
0|deployments +deploy +apps/v1 +true +Deployment|api-resources
0|^metrics.k8s.io/v1beta1$|api-versions
T
check "delete" kc delete -f "$TMP/k.yaml" --timeout 60s
check "get what is not there fails" bash -c "! kubectl --kubeconfig $TMP/kubeconfig get pod nonesuch 2>/dev/null"
streams
