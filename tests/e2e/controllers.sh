# SPDX-License-Identifier: Apache-2.0
# Controllers against the real API: garbage collection in its three policies, namespaces, service accounts, node ranges, and a node that
# falls silent: unknown, tainted, its pods evicted and replaced, and well again.
source "$(dirname "$0")/lib.sh"
NS=default
up 2
printf 'apiVersion: v1\nkind: Namespace\nmetadata: {name: gc}\n' | k apply -f - >/dev/null
NS=gc

uid() { field "$1" "$2" metadata.uid; }
names() { kn get "$1" -o name 2>/dev/null | grep -v kube-root-ca.crt | sed 's,.*/,,' | sort | tr '\n' ' '; }
# gone KIND NAME: waits until it is.
gone() { kn wait "$1" "$2" --for=delete --timeout 30s >/dev/null; }
# config NAME [METADATA]: a ConfigMap.
config() { printf 'apiVersion: v1\nkind: ConfigMap\nmetadata: {name: %s%s}\n' "$1" "${2:+, $2}" | kn apply -f - >/dev/null; }
owner() { printf '{apiVersion: v1, kind: ConfigMap, name: %s, uid: "%s"}' "$1" "$(uid configmap "$1")"; }

config parent
config child "ownerReferences: [$(owner parent)]"
config grandchild "ownerReferences: [$(owner child)]"
kn delete configmap parent >/dev/null
check "what a deleted object owned is deleted after it, and what that owned" gone configmap grandchild
check "all of it" [ -z "$(names configmap)" ]

config a
config b
config both "ownerReferences: [$(owner a), $(owner b)]"
b_uid=$(uid configmap b)
kn delete configmap a >/dev/null
check "one of two owners gone: only the reference goes" \
	kn wait configmap both --for=jsonpath='{.metadata.ownerReferences[0].uid}'="$b_uid" --timeout 30s
check "and the object stays" [ "$(names configmap)" = "b both " ]
kn delete configmap b >/dev/null
check "the last owner gone: the object too" gone configmap both

config never "ownerReferences: [{apiVersion: v1, kind: ConfigMap, name: nobody, uid: 6f1b0e52-0000-4000-8000-000000000000}]"
check "an owner that never was counts as gone" gone configmap never

config parent
config child "ownerReferences: [$(owner parent)], finalizers: [test.skep.io/hold]"
# A dependent that blocks its owner.
kn patch configmap child --type merge -p "{metadata: {ownerReferences: [{apiVersion: v1, kind: ConfigMap, name: parent, uid: '$(uid configmap parent)', blockOwnerDeletion: true}]}}" >/dev/null
kn delete configmap parent --cascade foreground --wait=false >/dev/null
check "foreground: the dependent is deleted first" \
	kn wait configmap child --for=jsonpath='{.metadata.deletionTimestamp}' --timeout 30s
check "and its owner stays as long as it does" [ "$(names configmap)" = "child parent " ]
kn patch configmap child --type merge -p '{"metadata":{"finalizers":null}}' >/dev/null
check "then the owner goes" gone configmap parent

config parent
config child "ownerReferences: [$(owner parent)]"
kn delete configmap parent --cascade orphan >/dev/null
check "orphan: the owner goes" gone configmap parent
check "its dependent stays, and nobody owns it" [ "$(names configmap)/$(field configmap child metadata.ownerReferences | tr -d "[]")" = "child /" ]

# A namespace: everything in it goes, it waits for what is held.
kn patch configmap child --type merge -p '{"metadata":{"finalizers":["test.skep.io/hold"]}}' >/dev/null
config other
k delete namespace gc --wait=false >/dev/null
check "a terminating namespace is emptied" gone configmap other
check "but for what a finalizer holds" [ "$(names configmap)" = "child " ]
check "nothing new is let in" bash -c "! printf 'apiVersion: v1\nkind: ConfigMap\nmetadata: {name: late}\n' | skep apply --cluster $CLUSTER -n gc -f - 2>$TMP/late"
check "with the reason" grep -q 'being terminated' "$TMP/late"
kn patch configmap child --type merge -p '{"metadata":{"finalizers":null}}' >/dev/null
check "and goes when that is released" gone namespace gc

NS=default
old=$(uid serviceaccount default)
kn delete serviceaccount default >/dev/null
made_again() { new=$(uid serviceaccount default 2>/dev/null) && [ -n "$new" ] && [ "$new" != "$old" ]; }
check "a deleted default service account is made again, a new one" eventually made_again

# A node without an agent gets its own ranges; removed, its pods go with it.
cat > "$TMP/ghost.yaml" <<Y
apiVersion: v1
kind: Node
metadata: {name: ghost}
---
apiVersion: v1
kind: Pod
metadata: {name: haunted, namespace: default}
spec:
  nodeName: ghost
  tolerations: [{operator: Exists}]
  containers: [{name: c, image: "docker.io/library/test:1"}]
Y
k apply -f "$TMP/ghost.yaml" >/dev/null
check "a new node gets address ranges" k wait node ghost --for=jsonpath='{.spec.podCIDR}' --timeout 30s
check "one per family, of its own" \
	[ "$(k get nodes -o json | python3 -c "import json,sys; c=[r for n in json.load(sys.stdin)['items'] for r in n['spec']['podCIDRs']]; print(len(c), len(set(c)))")" = "6 6" ]
check "a node nobody speaks for is tainted not-ready" k wait node ghost --for=jsonpath='{.spec.taints[0].key}'=node.kubernetes.io/not-ready --timeout 30s
k delete node ghost >/dev/null
check "the pods of a node that was removed go" gone pod haunted

# Silence. The agent stops, nothing else does: pods that may leave are replaced on the other node.
cat > "$TMP/app.yaml" <<Y
apiVersion: apps/v1
kind: Deployment
metadata: {name: mobile}
spec:
  replicas: 2
  selector: {matchLabels: {app: mobile}}
  template:
    metadata: {labels: {app: mobile}}
    spec:
      terminationGracePeriodSeconds: 1
      tolerations:
      - {key: node.kubernetes.io/unreachable, operator: Exists, effect: NoExecute, tolerationSeconds: 1}
      containers: [{name: c, image: "docker.io/library/test:1", command: ["sleep", "1000000"]}]
---
apiVersion: v1
kind: Service
metadata: {name: mobile}
spec: {selector: {app: mobile}, ports: [{port: 80}]}
---
apiVersion: v1
kind: Pod
metadata: {name: stays}
spec:
  nodeName: $(node_name 2)
  terminationGracePeriodSeconds: 1
  tolerations: [{key: node.kubernetes.io/unreachable, operator: Exists, effect: NoExecute}]
  containers: [{name: c, image: "docker.io/library/test:1", command: ["sleep", "1000000"]}]
Y
must "apply" k apply -f "$TMP/app.yaml" --wait --timeout 60s
silent=$(node_name 2)
lost=$(kn get pods -l app=mobile -o json | python3 -c "import json,sys; print(*[p['metadata']['name'] for p in json.load(sys.stdin)['items'] if p['spec']['nodeName'] == '$silent'])")
must "the deployment is on both nodes" [ "$(wc -w <<<"$lost")" -eq 1 ]
agent=$(pid_of "$silent-agent")
kill -STOP "$agent"
check "a silent node becomes Unknown" k wait node "$silent" --for=condition=Ready=Unknown --timeout 90s
check "its pods are not ready" kn wait pod stays --for=condition=Ready=False --timeout 30s
check "it is tainted unreachable" k wait node "$silent" --for=jsonpath='{.spec.taints[1].effect}'=NoExecute --timeout 30s
check "a pod whose toleration ran out is marked for deletion" kn wait pod "$lost" --for=jsonpath='{.metadata.deletionTimestamp}' --timeout 30s
check "and replaced on the other node" kn rollout status deployment mobile --timeout 60s
check "a pod that tolerates it for ever is not" [ -z "$(field pod stays metadata.deletionTimestamp)" ]
check "only the live pods are endpoints" \
	[ "$(kn get endpointslices -l kubernetes.io/service-name=mobile -o json | python3 -c "import json,sys; print(sum(e['conditions']['ready'] for s in json.load(sys.stdin)['items'] for e in s.get('endpoints') or [] if s['addressType'] == 'IPv4'))")" -eq 2 ]
kill -CONT "$agent"
check "the node speaks again: Ready" k wait node "$silent" --for=condition=Ready --timeout 60s
kn patch deployment mobile -p "{spec: {template: {spec: {nodeSelector: {kubernetes.io/hostname: $silent}}}}}" >/dev/null
check "its taints go: it gets pods again" kn rollout status deployment mobile --timeout 60s
check "the evicted pod is ended there" gone pod "$lost"
check "the other one is ready again" kn wait pod stays --for=condition=Ready --timeout 60s
exit "$failures"
