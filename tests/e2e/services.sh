# SPDX-License-Identifier: Apache-2.0
# Services from outside the cluster, by real clients: node ports, external and load balancer addresses, both families, TCP and UDP.
source "$(dirname "$0")/lib.sh"
NS=web
up 3 --xdp generic
gcc -O1 -static -o "$TMP/udp-name" tests/e2e/udp_name.c || exit 1
python3 scripts/mkimage.py binary "$TMP/udp.tar" docker.io/library/udp-name:1 "$TMP/udp-name" || exit 1
must "image load" skep image load "$TMP/udp.tar" --name "$CLUSTER"

# A page that says who serves and whom.
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
        command:
        - sh
        - -c
        - |
          mkdir -p /tmp/www/cgi-bin
          printf '#!/bin/sh\nprintf "\\\\n%%s %%s\\\\n" "\$(hostname)" "\$REMOTE_ADDR"\n' > /tmp/www/cgi-bin/who
          chmod 755 /tmp/www/cgi-bin/who
          head -c 3000000 /dev/urandom > /tmp/www/big
          exec httpd -f -p 8080 -h /tmp/www
        ports: [{containerPort: 8080, name: http}]
        readinessProbe: {httpGet: {path: /cgi-bin/who, port: http}, periodSeconds: 1}
      - {name: udp, image: "docker.io/library/udp-name:1", ports: [{containerPort: 5300, name: dns, protocol: UDP}]}
---
apiVersion: v1
kind: Service
metadata: {name: everywhere, namespace: web}
spec:
  type: NodePort
  ipFamilyPolicy: RequireDualStack
  selector: {app: web}
  ports: [{name: http, port: 80, targetPort: http}, {name: udp, port: 53, targetPort: dns, protocol: UDP}]
---
apiVersion: v1
kind: Service
metadata: {name: here, namespace: web}
spec:
  type: NodePort
  externalTrafficPolicy: Local
  externalIPs: [203.0.113.7]
  ipFamilyPolicy: RequireDualStack
  selector: {app: web}
  ports: [{port: 80, targetPort: http}]
---
apiVersion: v1
kind: Service
metadata: {name: direct, namespace: web, annotations: {skep.io/forwarding-mode: dsr}}
spec:
  type: NodePort
  externalIPs: [203.0.113.9, "2001:db8:9::9"]
  ipFamilyPolicy: RequireDualStack
  selector: {app: web}
  ports: [{name: http, port: 80, targetPort: http}, {name: udp, port: 53, targetPort: dns, protocol: UDP}]
---
apiVersion: v1
kind: Service
metadata: {name: nobody, namespace: web}
spec: {type: LoadBalancer, externalTrafficPolicy: Local, selector: {app: nobody}, ports: [{port: 80}]}
---
apiVersion: v1
kind: Service
metadata: {name: balanced, namespace: web}
spec: {type: LoadBalancer, externalTrafficPolicy: Local, selector: {app: web}, ports: [{port: 8000, targetPort: http}]}
---
apiVersion: v1
kind: Pod
metadata: {name: client, namespace: web}
spec:
  terminationGracePeriodSeconds: 1
  nodeSelector: {kubernetes.io/hostname: $(node_name 1)}
  containers: [{name: c, image: "docker.io/library/test:1", command: ["sleep", "1000000"]}, {name: udp, image: "docker.io/library/udp-name:1"}]
Y
must "apply --wait" k apply -f "$TMP/web.yaml" --wait --timeout 60s

# The world: the LAN's own namespace, which is no node.
world() { ip netns exec "skep-$CLUSTER-lan" "$@"; }
WORLD4=172.30.0.1
WORLD6=fd00:30::1
ask() { world curl -s -g --max-time 5 "http://$1/cgi-bin/who" | sed 's/\[\(::ffff:\)\{0,1\}\(.*\)\]/\2/'; }
api() { # PATH [CURL OPTION...]
	local path=$1
	shift
	curl -s --cacert "/var/lib/skep/$CLUSTER/pki/ca.crt" --cert "/var/lib/skep/$CLUSTER/pki/admin.crt" --key "/var/lib/skep/$CLUSTER/pki/admin.key" \
		"$@" "$(awk '/server:/{print $2}' "/var/lib/skep/$CLUSTER/admin.kubeconfig")$path"
}
patch() { api "$1" -X PATCH -H 'Content-Type: application/merge-patch+json' -d "$2" > "$TMP/patched"; } # PATH JSON
port=$(field svc everywhere spec.ports.0.nodePort)
udp=$(field svc everywhere spec.ports.1.nodePort)
here=$(field svc here spec.ports.0.nodePort)
pod_on() { kn get pods -l app=web -o wide --no-headers | awk -v n="$(node_name "$1")" '$7 == n {print $1}'; }

for at in 172.30.1.1 172.30.1.2 172.30.1.3 "[fd00:30::1:1]" "[fd00:30::1:2]" "[fd00:30::1:3]"; do
	for _ in $(seq 30); do ask "$at:$port"; done | awk '{print $1}' > "$TMP/who"
	check "30 requests to $at are answered" [ "$(grep -c '^web-' "$TMP/who")" -eq 30 ]
	check "by all three pods" [ "$(sort -u "$TMP/who" | wc -l)" -eq 3 ]
done

bad=0
for n in 1 2 3; do
	[ "$(ask "172.30.1.$n:$here")" = "$(pod_on $n) $WORLD4" ] || bad=1
	[ "$(ask "[fd00:30::1:$n]:$here")" = "$(pod_on $n) $WORLD6" ] || bad=1
	[ $bad -eq 0 ] || { ask "172.30.1.$n:$here"; ask "[fd00:30::1:$n]:$here"; }
done
check "externalTrafficPolicy Local: the node's own pod, which sees the client" [ $bad -eq 0 ]

for at in 172.30.1.1 172.30.1.3 fd00:30::1:1 fd00:30::1:2; do
	check "a pod reaches $at" grep -q "^web-" <(kn exec client -c c -- sh -c "printf 'GET /cgi-bin/who HTTP/1.0\r\n\r\n' | nc -w 5 $at $port | tail -1")
	check "by UDP, connected and not" [ "$(kn exec client -c udp -- /udp-name $at "$udp" | grep -c '^web-')" -eq 2 ]
	check "UDP from outside to $at, connected and not" [ "$(world "$TMP/udp-name" $at "$udp" | grep -c '^web-')" -eq 2 ]
done

for n in 1 2 3; do
	kn exec "$(pod_on $n)" -c web -- sha256sum /tmp/www/big
done | awk '{print $1}' | sort > "$TMP/sums"
for _ in $(seq 20); do world curl -s --max-time 20 "http://172.30.1.1:$port/big" | sha256sum; done | awk '{print $1}' | sort -u > "$TMP/got"
check "3 MB come as they are from every pod" cmp "$TMP/sums" "$TMP/got"

# An external address: the router, here the world itself, sends it to a node.
world ip route add 203.0.113.7/32 via 172.30.1.2
check "an external address" [ "$(ask 203.0.113.7)" = "$(pod_on 2) $WORLD4" ]
world curl -s --max-time 5 http://203.0.113.7:81/
check "what is no port of it is refused at once" [ $? -eq 7 ]
check "from inside by every pod" [ "$(for _ in $(seq 20); do kn exec client -c c -- sh -c "printf 'GET /cgi-bin/who HTTP/1.0\r\n\r\n' | nc -w 5 203.0.113.7 80 | tail -1"; done | awk '{print $1}' | sort -u | grep -c '^web-')" -eq 3 ]

world curl -s --max-time 5 "http://172.30.1.1:$(field svc nobody spec.ports.0.nodePort)/"
check "a service without pods refuses at once" [ $? -eq 7 ]

# Direct server return: the pod elsewhere sees the client, and its node answers by itself.
direct=$(field svc direct spec.ports.0.nodePort)
direct_udp=$(field svc direct spec.ports.1.nodePort)
world ip route add 203.0.113.9/32 via 172.30.1.1
world ip route add 2001:db8:9::9/128 via fd00:30::1:1
for at in 172.30.1.1:$direct "[fd00:30::1:1]:$direct" 203.0.113.9 "[2001:db8:9::9]"; do
	for _ in $(seq 40); do ask "$at"; done > "$TMP/who"
	check "direct: 40 requests to $at are answered by all three pods" [ "$(grep -c '^web-' "$TMP/who") $(cut -d' ' -f1 "$TMP/who" | sort -u | wc -l)" = "40 3" ]
	check "each of which sees the client" [ "$(cut -d' ' -f2 "$TMP/who" | sort -u | grep -cx "$WORLD4\|$WORLD6") $(cut -d' ' -f2 "$TMP/who" | sort -u | wc -l)" = "1 1" ]
done
check "by UDP, connected and not" [ "$(world "$TMP/udp-name" 203.0.113.9 53 | grep -c '^web-') $(world "$TMP/udp-name" 172.30.1.1 "$direct_udp" | grep -c '^web-')" = "2 2" ]
for _ in $(seq 20); do world curl -s --max-time 20 "http://203.0.113.9/big" | sha256sum; done | awk '{print $1}' | sort -u > "$TMP/got"
check "3 MB come as they are" cmp "$TMP/sums" "$TMP/got"
# Of 160 requests two thirds go elsewhere, each in four packets at least.
check "XDP sent most of it" test "$(api "/api/v1/nodes/$(node_name 1)/proxy/metrics" | awk '$1 == "skep_xdp_forwarded_packets_total" {print $2}')" -gt 300

# What --wait=dataplane has waited for holds at once, on every node.
cat > "$TMP/manual.yaml" <<Y
apiVersion: v1
kind: Service
metadata: {name: manual, namespace: web}
spec: {type: NodePort, ports: [{port: 80, nodePort: 30999}]}
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {name: manual-1, namespace: web, labels: {kubernetes.io/service-name: manual}}
addressType: IPv4
ports: [{port: 8080, protocol: TCP, name: ""}]
endpoints: [{addresses: [$(field pod "$(pod_on 2)" status.podIP)]}]
Y
k apply -f "$TMP/manual.yaml" --wait=dataplane > "$TMP/waited" 2>&1
waited=$?
check "apply --wait=dataplane names every node" [ "$waited $(grep -c '^node .* forwards by it' "$TMP/waited")" = "0 3" ]
check "each of which serves it at once" [ "$(for n in 1 2 3; do ask "172.30.1.$n:30999"; done | grep -c "^$(pod_on 2) ")" -eq 3 ]
served_at() { ask "$1" | grep -q '^web-'; }
not_served_at() { ! served_at "$1"; }
patch /api/v1/namespaces/web/services/manual '{"metadata":{"labels":{"service.kubernetes.io/service-proxy-name":"another"}}}'
check "a service for another proxy is left to it" eventually not_served_at 172.30.1.1:30999
patch /api/v1/namespaces/web/services/manual '{"metadata":{"labels":{"service.kubernetes.io/service-proxy-name":null}}}'
check "and served again without the label" eventually served_at 172.30.1.1:30999
check "as the nodes' reports say" [ "$(kn get ndp --no-headers | wc -l)" -eq 3 ]

# Weights by the pods' annotation, for all nodes alike.
weigh() { patch "/api/v1/namespaces/web/pods/$(pod_on "$1")" "{\"metadata\":{\"annotations\":{\"skep.io/weight\":$2}}}"; }
only() { for _ in $(seq 30); do ask "172.30.1.$2:$port"; done | awk '{print $1}' | sort -u > "$TMP/who"; [ "$(cat "$TMP/who")" = "$(pod_on "$1")" ]; }
weigh 1 '"0"'
weigh 2 '"0"'
check "pods of weight 0 get nothing beside another" eventually only 3 1
check "at every node" eventually only 3 2
weigh 1 '"300"'
shares() { k net services --node "$(node_name 2)" -o json | grep -q '"[0-9.]*:8080=75%"'; }
check "skep net services says who gets how much" eventually shares
check "a weight that is none is refused" [ "$(weigh 3 '"heavy"'; grep -c 'metadata.annotations\[skep.io/weight\]' "$TMP/patched")" = 1 ]
weigh 1 null
weigh 2 null
all_three() { for _ in $(seq 30); do ask "172.30.1.1:$port"; done | awk '{print $1}' | sort -u > "$TMP/who"; [ "$(wc -l < "$TMP/who")" -eq 3 ]; }
check "without weights all get their part again" eventually all_three

# Whoever balances the load says where; the nodes serve what it says.
patch /api/v1/namespaces/web/services/balanced/status '{"status":{"loadBalancer":{"ingress":[{"ip":"203.0.113.8"}]}}}'
world ip route add 203.0.113.8/32 via 172.30.1.3
served() { for _ in $(seq 600); do k net services -o json | grep -qF "203.0.113.8:8000" && return; sleep 0.1; done; return 1; }
check "a load balancer's address is in the maps" served
check "and is served by that node's pod" [ "$(ask 203.0.113.8:8000)" = "$(pod_on 3) $WORLD4" ]
healthy() { world curl -s -g -o "$TMP/health" -w '%{http_code}' --max-time 5 "http://$1:$(field svc "$2" spec.healthCheckNodePort)/healthz"; }
check "every node with a pod is healthy for it" [ "$(healthy 172.30.1.1 balanced) $(healthy "[fd00:30::1:2]" balanced)" = "200 200" ]
check "and says how many it has" grep -q '"localEndpoints": 1' "$TMP/health"
check "a node without is not" [ "$(healthy 172.30.1.1 nobody)" = 503 ]
check "kubectl's columns say so" [ "$(kn get svc balanced --no-headers | awk '{print $2, $4}')" = "LoadBalancer 203.0.113.8" ]

# Addresses out of a pool on the LAN: no route to them but what a node answers to ARP and neighbour discovery.
cat > "$TMP/pool.yaml" <<Y
apiVersion: skep.io/v1alpha1
kind: LoadBalancerPool
metadata: {name: lan}
spec: {addresses: [172.30.2.0/28, "fd00:30::2:0/124"]}
---
apiVersion: v1
kind: Service
metadata: {name: pooled, namespace: web}
spec:
  type: LoadBalancer
  ipFamilyPolicy: RequireDualStack
  allocateLoadBalancerNodePorts: false
  selector: {app: web}
  ports: [{port: 80, targetPort: http}]
Y
must "pool" k apply -f "$TMP/pool.yaml"
announcer() { kn get svc pooled -o json | sed -n 's|.*"skep.io/announced-by": "\(.*\)".*|\1|p'; }
mac_of() { ip netns exec "skep-$1" cat /sys/class/net/eth0/address; }
known_at() { world ip neigh show "$1" | grep -q "lladdr $2"; }
eventually field svc pooled status.loadBalancer.ingress.1.ip > "$TMP/vip6" 2> "$TMP/err"
vip4=$(field svc pooled status.loadBalancer.ingress.0.ip)
vip6=$(cat "$TMP/vip6")
check "a service gets addresses of both families out of the pool" [ "${vip4%.*} ${vip6%:*}" = "172.30.2 fd00:30::2" ]
check "a client on the LAN finds it by ARP" eventually served_at "$vip4"
check "and by neighbour discovery" eventually served_at "[$vip6]"
was=$(announcer)
check "at the node that the service names" known_at "$vip4" "$(mac_of "$was")"
patch "/api/v1/nodes/$was" '{"metadata":{"labels":{"node.kubernetes.io/exclude-from-external-load-balancers":""}}}'
moved() { now=$(announcer); [ -n "$now" ] && [ "$now" != "$was" ] && known_at "$vip4" "$(mac_of "$now")" && known_at "$vip6" "$(mac_of "$now")"; }
check "it moves when that node is excluded, and its neighbours are told" eventually moved
check "and is served there" [ "$(ask "$vip4" | cut -c1-4) $(ask "[$vip6]" | cut -c1-4)" = "web- web-" ]
must "delete" kn delete svc pooled
check "without the service nobody answers" eventually not_served_at "$vip4"

# A flow that is there goes on when the backends change.
mkfifo "$TMP/in"
world nc -w 60 172.30.1.1 "$port" < "$TMP/in" > "$TMP/long" &
long=$!
exec 9> "$TMP/in"
printf 'GET /cgi-bin/who HTTP/1.0\r\n' >&9
kn scale deployment web --replicas=6 > /dev/null
must "scaled" kn rollout status deployment web --timeout 60s
printf '\r\n' >&9
exec 9>&-
wait $long
check "a connection outlives a change of the service" grep -q "^web-" "$TMP/long"
k net top --node "$(node_name 1)" > "$TMP/top"
check "skep net top names the pods and the node" bash -c "grep -q ' web/client  *[0-9]' '$TMP/top' && grep -q ' (node)  *[0-9]' '$TMP/top'"
k net drops > "$TMP/drops"
check "nothing was dropped on the way but what was refused" bash -c "! grep -v 'no-backend\|no-tunnel-endpoint\|^NODE' '$TMP/drops'"
