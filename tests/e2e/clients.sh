# SPDX-License-Identifier: Apache-2.0
# Clients that others wrote: the official Python one (Debian), the official JavaScript one (npm). (Debian builds its Prometheus
# without Kubernetes' service discovery, so that one cannot be tried.)
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

exit "$failures"
