# SPDX-License-Identifier: Apache-2.0
# Images from a registry: Debian's docker-registry on the node's loopback. Pulled when absent, always, and after the registry was away.
source "$(dirname "$0")/lib.sh"
NS=default
command -v docker-registry >/dev/null || { echo "skip registry: docker-registry is not installed"; exit 0; }
up 1
node=$(node_name 1)
inside() { nsenter --net="/run/netns/skep-$node" "$@"; }

cat > "$TMP/registry.yml" <<Y
version: 0.1
log: {level: warn}
storage: {filesystem: {rootdirectory: $TMP/registry}}
http: {addr: "127.0.0.1:5000"}
Y
registry_start() {
	nsenter --net="/run/netns/skep-$node" docker-registry serve "$TMP/registry.yml" > "$TMP/registry.log" 2>&1 &
	registry=$!
	timeout 20 bash -c "until nsenter --net=/run/netns/skep-$node curl -fs http://127.0.0.1:5000/v2/ >/dev/null; do :; done"
}
registry_stop() {
	kill "$registry" 2>/dev/null
	wait "$registry" 2>/dev/null
	return 0
}
trap 'rc=$?; registry_stop; (exit $rc); finish' EXIT

# Every blob of an OCI layout, then its manifest, by the registry's HTTP API.
cat > "$TMP/push.py" <<'P'
import hashlib, json, sys, tarfile, urllib.request
tar, repo, tag = tarfile.open(sys.argv[1]), sys.argv[2], sys.argv[3]
base = "http://127.0.0.1:5000/v2/" + repo
def read(name): return tar.extractfile(name).read()
def call(method, url, data=b"", kind="application/octet-stream"):
    return urllib.request.urlopen(urllib.request.Request(url, data, {"Content-Type": kind}, method=method))
manifest = read("blobs/sha256/" + json.loads(read("index.json"))["manifests"][0]["digest"].split(":")[1])
m = json.loads(manifest)
for d in [m["config"]] + m["layers"]:
    where = call("POST", base + "/blobs/uploads/").headers["Location"]
    where = where if where.startswith("http") else "http://127.0.0.1:5000" + where
    call("PUT", where + ("&" if "?" in where else "?") + "digest=" + d["digest"], read("blobs/sha256/" + d["digest"].split(":")[1]))
call("PUT", base + "/manifests/" + tag, manifest, m["mediaType"])
P
must "the registry starts" registry_start
must "an image is pushed" inside python3 "$TMP/push.py" "$TMP/image.tar" team/app 1

sees() { timeout 60 bash -c "until skep get pods $1 --no-headers --cluster $CLUSTER | grep -qE '$2'; do :; done"; }
pod() { printf 'apiVersion: v1\nkind: Pod\nmetadata: {name: %s}\nspec:\n  terminationGracePeriodSeconds: 0\n  containers:\n  - {name: c, image: "%s", imagePullPolicy: %s, command: [sleep, "100000"]}\n' "$1" "$2" "$3" | k apply -f - >/dev/null; }

pod absent localhost:5000/team/app:1 IfNotPresent
check "an absent image is pulled" sees absent '1/1 +Running'
check "the event says so" bash -c "skep describe pod absent --cluster $CLUSTER | grep -q 'Successfully pulled image \"localhost:5000/team/app:1\"'"
pod always localhost:5000/team/app:1 Always
check "Always pulls again" sees always '1/1 +Running'
pod unknown localhost:5000/team/none:1 IfNotPresent
check "an image the registry does not have" sees unknown 'ErrImagePull|ImagePullBackOff'
registry_stop
pod present localhost:5000/team/app:1 IfNotPresent
check "a present image needs no registry" sees present '1/1 +Running'
pod later localhost:5000/team/app:1 Always
check "a registry that is away" sees later 'ErrImagePull|ImagePullBackOff'
must "the registry comes back" registry_start
check "and the pod runs" sees later '1/1 +Running'
