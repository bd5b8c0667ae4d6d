# SPDX-License-Identifier: Apache-2.0
# Life of pods on a node: volumes, environment, probes, limits, ends and restarts, exec, and what survives the agent and the sandbox.
source "$(dirname "$0")/lib.sh"
NS=default
up 1
node=$(node_name 1)
ctr() { command ctr -a "/run/skep/$CLUSTER/$node/containerd.sock" -n k8s.io "$@"; }

# sees POD PATTERN: the pod's row comes to match.
sees() { timeout 60 bash -c "until skep get pods $1 --no-headers --cluster $CLUSTER | grep -qE '$2'; do :; done"; }
# gone POD: it is, as soon as it goes.
gone() { timeout 60 bash -c "while skep get pod $1 --cluster $CLUSTER >/dev/null 2>&1; do :; done"; }
x() { skep exec --cluster "$CLUSTER" "$@"; }
is() { [ "$1" = "$2" ] || { echo "have '$1', want '$2'"; return 1; }; }
# pod NAME SPEC: its spec in one line of YAML, container c last.
pod() { printf 'apiVersion: v1\nkind: Pod\nmetadata: {name: %s}\nspec: {terminationGracePeriodSeconds: 1, %s}\n---\n' "$1" "$2"; }
image='image: "docker.io/library/test:1", imagePullPolicy: IfNotPresent'

cat > "$TMP/pods.yaml" <<Y
apiVersion: v1
kind: ConfigMap
metadata: {name: settings}
data: {color: blue}
---
apiVersion: v1
kind: Secret
metadata: {name: keys}
stringData: {pw: hush}
---
apiVersion: v1
kind: Pod
metadata: {name: main, labels: {app: main}}
spec:
  terminationGracePeriodSeconds: 5
  initContainers:
  - {name: first, $image, command: [sh, -c, "echo 1 >> /work/order"], volumeMounts: [{name: work, mountPath: /work}]}
  - {name: second, $image, command: [sh, -c, "echo 2 >> /work/order"], volumeMounts: [{name: work, mountPath: /work}]}
  containers:
  - name: c
    $(sed 's/, /\n    /' <<<"$image")
    command: [sh, -c, "echo started; trap 'echo ended; exit 0' TERM; mkdir -p /www; echo hello > /www/index.html; httpd -f -p 8080 -h /www & wait"]
    env:
    - {name: PW, valueFrom: {secretKeyRef: {name: keys, key: pw}}}
    - {name: IP, valueFrom: {fieldRef: {fieldPath: status.podIP}}}
    - {name: BOTH, value: "\$(PW)-\$(SET_color)"}
    envFrom: [{configMapRef: {name: settings}, prefix: SET_}]
    readinessProbe: {httpGet: {port: 8080}, periodSeconds: 1}
    livenessProbe: {exec: {command: [test, "!", -e, /tmp/sick]}, periodSeconds: 1, failureThreshold: 1}
    volumeMounts: [{name: work, mountPath: /work}, {name: settings, mountPath: /settings}, {name: keys, mountPath: /keys}, {name: memory, mountPath: /memory}]
  volumes:
  - {name: work, emptyDir: {}}
  - {name: memory, emptyDir: {medium: Memory, sizeLimit: 1Mi}}
  - {name: settings, configMap: {name: settings}}
  - {name: keys, secret: {secretName: keys, defaultMode: 256}}
Y
{
	pod done "restartPolicy: Never, containers: [{name: c, $image, command: [sh, -c, 'echo bye > /dev/termination-log']}]"
	pod failed "restartPolicy: Never, containers: [{name: c, $image, command: [sh, -c, 'exit 4']}]"
	pod init-failed "restartPolicy: Never, initContainers: [{name: i, $image, command: ['false']}], containers: [{name: c, $image}]"
	pod too-big "restartPolicy: Never, containers: [{name: c, $image, resources: {limits: {memory: 16Mi}}, command: [sh, -c, 'x=a; while :; do x=\$x\$x; done']}]"
	pod too-late "activeDeadlineSeconds: 2, containers: [{name: c, $image, command: [sleep, '1000']}]"
	pod no-key "containers: [{name: c, $image, command: [sleep, '1000'], env: [{name: X, valueFrom: {configMapKeyRef: {name: later, key: k}}}]}]"
	pod too-much "nodeName: $node, containers: [{name: c, $image, resources: {requests: {cpu: 1k}}}]"
} > "$TMP/more.yaml"
must "apply" k apply -f "$TMP/pods.yaml"
must "a pod with init containers, volumes and probes is Ready" sees main '1/1.*Running'
must "apply the others" k apply -f "$TMP/more.yaml"

check "init containers ran in order" is "$(x main -- cat /work/order | tr -d '\n')" 12
check "environment" is "$(x main -- sh -c 'echo $PW $SET_color $BOTH')" "hush blue hush-blue"
check "the pod's address in its environment" is "$(x main -- sh -c 'echo $IP')" "$(field pod main status.podIP)"
check "the kubernetes service in its environment" is "$(x main -- sh -c 'echo $KUBERNETES_SERVICE_HOST')" 10.96.0.1
check "a secret's file and its mode" is "$(x main -- sh -c 'cat /keys/pw; stat -L -c " %a" /keys/pw')" "hush 400"
check "secrets are in memory" x main -- sh -c 'grep -q " /keys tmpfs" /proc/mounts && grep -q " /memory tmpfs" /proc/mounts'
check "exit status of exec" is "$(x main -- sh -c 'exit 7' >/dev/null 2>&1; echo $?)" 7
check "half-closed stdin" is "$(echo in and out | timeout 20 skep exec -i main --cluster "$CLUSTER" -- cat)" "in and out"
head -c 2000000 /dev/urandom > "$TMP/random"
check "2 MB through stdin and back" is "$(timeout 60 skep exec -i main --cluster "$CLUSTER" -- cat < "$TMP/random" | md5sum)" "$(md5sum < "$TMP/random")"
check "logs" is "$(k logs main | head -1)" started
sed 's/color: blue/color: red/' "$TMP/pods.yaml" | k apply -f - >/dev/null
check "a changed config map arrives" timeout 30 skep exec main --cluster "$CLUSTER" -- sh -c 'until grep -q red /settings/color; do :; done'

check "an end with 0 and Never" sees done 'Completed'
check "its termination message" is "$(field pod done status.containerStatuses.0.state.terminated.message)" bye
check "its phase" is "$(field pod done status.phase)" Succeeded
check "an end with 4 and Never" sees failed 'Error'
check "its exit code" is "$(field pod failed status.containerStatuses.0.state.terminated.exitCode)" 4
check "a failed init container and Never" sees init-failed 'Init:Error'
check "over its memory limit" sees too-big 'OOMKilled'
check "over its deadline" timeout 60 bash -c "until skep get pod too-late -o json --cluster $CLUSTER | grep -q DeadlineExceeded; do :; done"
check "a missing config map" sees no-key 'CreateContainerConfigError'
k apply -f - >/dev/null <<< $'apiVersion: v1\nkind: ConfigMap\nmetadata: {name: later}\ndata: {k: v}'
check "and what happens when it comes" sees no-key '1/1.*Running'
check "more than the node has" timeout 60 bash -c "until skep get pod too-much -o json --cluster $CLUSTER | grep -q OutOfcpu; do :; done"

# The agent dies: containers stay the same, what was deleted meanwhile goes.
id=$(field pod main status.containerStatuses.0.containerID)
containers=$(ctr containers ls -q | wc -l)
kill -9 "$(pid_of "$node-agent")"
k delete pod no-key --wait=false >/dev/null
check "a pod deleted while the agent was dead goes" gone no-key
check "the container is the same after the agent's death" is "$(field pod main status.containerStatuses.0.containerID)" "$id"
check "it was not restarted" is "$(field pod main status.containerStatuses.0.restartCount)" 0
check "none was doubled" is "$(ctr containers ls -q | wc -l)" $((containers - 2))

# The container falls sick: liveness restarts it.
x main -- touch /tmp/sick
check "liveness restarts" sees main '1/1 +Running +1 '
check "the last state says how it ended" is "$(field pod main status.containerStatuses.0.lastState.terminated.containerID)" "$id"
check "logs of the attempt before" is "$(k logs main --previous | tail -1)" ended

# The sandbox dies: a new one, with init containers and all.
sandbox=$(for c in $(ctr containers ls -q); do ctr containers info "$c" | tr -d ' \n' | grep -q '"io.cri-containerd.kind":"sandbox".*"io.kubernetes.pod.name":"main"' && echo "$c"; done)
ctr tasks kill -s SIGKILL "$sandbox"
check "a dead sandbox is made again" sees main '1/1 +Running +2 '
check "init containers ran again" is "$(x main -- cat /work/order | tr -d '\n')" 1212

# The runtime dies: containers go on, the node says so and recovers.
id=$(field pod main status.containerStatuses.0.containerID)
kill -9 "$(pid_of "$node-containerd")"
check "the node is Ready again after the runtime's death" timeout 60 bash -c "until skep get nodes --no-headers --cluster $CLUSTER | grep -q NotReady; do :; done; until skep get nodes --no-headers --cluster $CLUSTER | grep -q ' Ready '; do :; done"
check "exec works again" timeout 60 bash -c "until skep exec main --cluster $CLUSTER -- true 2>/dev/null; do :; done"
check "the container is the same after the runtime's death" is "$(field pod main status.containerStatuses.0.containerID)" "$id"

# The end: nothing of a pod stays.
uid=$(field pod main metadata.uid)
k delete pod --all >/dev/null 2>&1 || for p in main done failed init-failed too-big too-late too-much; do k delete pod "$p" >/dev/null; done
for p in main done failed init-failed too-big too-late too-much; do gone "$p" || not_ok "$p does not go"; done
check "no containers stay" is "$(ctr containers ls -q | wc -l)" 0
check "no volumes stay" [ ! -e "/var/lib/skep/$CLUSTER/$node/agent/pods/$uid" ]
check "no mounts stay" is "$(grep -c "/skep/$CLUSTER/.*$uid" /proc/mounts)" 0
check "no logs stay" is "$(ls "/var/lib/skep/$CLUSTER/$node/agent/pods/logs" | wc -l)" 0
check "no control groups stay" is "$(find /sys/fs/cgroup -type d -path "*/skep/$CLUSTER/$node/pods/*" | wc -l)" 0
