# SPDX-License-Identifier: Apache-2.0
# What only a cluster shows of admission: a restricted namespace's pod runs with the runtime's system call filter, a quota is counted by the
# controller and given back when pods go, and the token that a pod is given works.
source "$(dirname "$0")/lib.sh"
up 1
until_text() { timeout 60 bash -c "until skep get $1 --cluster $CLUSTER 2>/dev/null | grep -qE '$2'; do :; done"; }
image='image: "docker.io/library/test:1", imagePullPolicy: IfNotPresent'

cat >"$TMP/ns.yaml" <<Y
apiVersion: v1
kind: Namespace
metadata: {name: strict, labels: {pod-security.kubernetes.io/enforce: restricted}}
---
apiVersion: v1
kind: ResourceQuota
metadata: {name: q, namespace: strict}
spec: {hard: {pods: "1"}}
Y
check "a restricted namespace with a quota" skep apply -f "$TMP/ns.yaml" --cluster "$CLUSTER"
check "the controller counts it" until_text "resourcequotas q -n strict" 'pods: 0/1'
pod() {
	cat <<Y
apiVersion: v1
kind: Pod
metadata: {name: $1, namespace: strict}
spec:
  terminationGracePeriodSeconds: 1
  securityContext: {runAsNonRoot: true, runAsUser: 1000, seccompProfile: {type: RuntimeDefault}}
  containers:
  - {name: c, $image, command: [sleep, "1000"], securityContext: {allowPrivilegeEscalation: false, capabilities: {drop: [ALL]}}}
Y
}
pod one >"$TMP/one.yaml"
pod two >"$TMP/two.yaml"
sed '/securityContext: {runAsNonRoot/d' "$TMP/two.yaml" >"$TMP/bad.yaml"
check "a pod that is restricted enough" skep apply -f "$TMP/one.yaml" --cluster "$CLUSTER"
check "runs" until_text "pods one -n strict" 'Running'
check "with a filter of system calls" bash -c "skep exec one -n strict --cluster $CLUSTER -- cat /proc/self/status | grep -qE '^Seccomp:\s*2'"
check "another is refused by the standard" bash -c "skep apply -f $TMP/bad.yaml --cluster $CLUSTER 2>&1 | grep -q 'violates PodSecurity'"
check "another is refused by the quota" bash -c "skep apply -f $TMP/two.yaml --cluster $CLUSTER 2>&1 | grep -q 'exceeded quota: q'"
check "the first goes" skep delete pod one -n strict --cluster "$CLUSTER"
check "its place is given back" until_text "resourcequotas q -n strict" 'pods: 0/1'
check "and taken" skep apply -f "$TMP/two.yaml" --cluster "$CLUSTER"

# The token that every pod gets: what is in it works against the API server, with the CA that lies beside it.
token_dir=/var/run/secrets/kubernetes.io/serviceaccount
in_pod() { skep exec two -n strict --cluster "$CLUSTER" -- "$@" </dev/null; }
check "the second runs" until_text "pods two -n strict" 'Running'
in_pod cat $token_dir/ca.crt >"$TMP/ca.crt"
server=$(awk '$1 == "server:" {print $2}' "/var/lib/skep/$CLUSTER/admin.kubeconfig")
check "its token is its account's" bash -c "curl -sS --max-time 60 --cacert $TMP/ca.crt -H 'Authorization: Bearer $(in_pod cat $token_dir/token)' \
	-H 'Content-Type: application/json' -d '{}' $server/apis/authentication.k8s.io/v1/selfsubjectreviews |
	grep -q '\"username\":\"system:serviceaccount:strict:default\"'"
check "and it reaches the API server" in_pod sh -c 'nc -w 10 $KUBERNETES_SERVICE_HOST $KUBERNETES_SERVICE_PORT </dev/null'
check "its namespace is there" [ "$(in_pod cat $token_dir/namespace)" = strict ]
