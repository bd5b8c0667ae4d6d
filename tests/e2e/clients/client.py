# SPDX-License-Identifier: Apache-2.0
"""The official Python client against a cluster: client.py KUBECONFIG IMAGE. One "ok" or "not ok" line a check."""
import sys
import threading

from kubernetes import client, config, watch
from kubernetes.client.rest import ApiException
from kubernetes.stream import portforward, stream

failed = 0


def check(what, good, got=None):
    global failed
    print(("ok" if good else "not ok") + " clients: python: " + what + ("" if good else f" (got {got!r})"), flush=True)
    failed += not good


def refused(status, call, *args, **kw):
    try:
        call(*args, **kw)
    except ApiException as e:
        return e.status == status
    return False


config.load_kube_config(sys.argv[1])
image = sys.argv[2]
core, apps, custom, ext = client.CoreV1Api(), client.AppsV1Api(), client.CustomObjectsApi(), client.ApiextensionsV1Api()

ns = core.create_namespace({"metadata": {"name": "py"}})
check("create a namespace", ns.status.phase == "Active", ns.status)

seen, ready = [], threading.Event()


def follow():
    w = watch.Watch()
    ready.set()
    for ev in w.stream(core.list_namespaced_config_map, "py", timeout_seconds=60):
        if ev["object"].metadata.name == "kube-root-ca.crt":
            continue
        seen.append((ev["type"], (ev["object"].data or {}).get("n")))
        if ev["type"] == "DELETED":
            return


t = threading.Thread(target=follow, daemon=True)
t.start()
ready.wait()
cm = core.create_namespaced_config_map("py", {"metadata": {"name": "c"}, "data": {"n": "1"}})
cm.data["n"] = "2"
cm2 = core.replace_namespaced_config_map("c", "py", cm)
check("a stale update is a conflict", refused(409, core.replace_namespaced_config_map, "c", "py", cm))
core.patch_namespaced_config_map("c", "py", {"data": {"n": "3"}})
core.patch_namespaced_config_map("c", "py", [{"op": "replace", "path": "/data/n", "value": "4"}])
core.delete_namespaced_config_map("c", "py")
t.join(60)
check("a watch sees every change once and in order",
      seen == [("ADDED", "1"), ("MODIFIED", "2"), ("MODIFIED", "3"), ("MODIFIED", "4"), ("DELETED", "4")], seen)
check("what is gone is 404", refused(404, core.read_namespaced_config_map, "c", "py"))
check("what is wrong is 422", refused(422, core.create_namespaced_config_map, "py", {"metadata": {"name": "Not_A_Name"}}))

for i in range(7):
    core.create_namespaced_config_map("py", {"metadata": {"name": f"p{i}", "labels": {"odd": str(i % 2)}}})
names, token = [], None
while True:
    page = core.list_namespaced_config_map("py", limit=3, label_selector="odd", _continue=token)
    names += [c.metadata.name for c in page.items]
    token = page.metadata._continue
    if not token:
        break
check("a list in pages", names == [f"p{i}" for i in range(7)], names)
check("a list by label", len(core.list_namespaced_config_map("py", label_selector="odd=1").items) == 3)

dep = apps.create_namespaced_deployment("py", {
    "metadata": {"name": "d"},
    "spec": {"replicas": 1, "selector": {"matchLabels": {"app": "d"}},
             "template": {"metadata": {"labels": {"app": "d"}},
                          "spec": {"terminationGracePeriodSeconds": 0,
                                   "containers": [{"name": "c", "image": image, "command": ["sh", "-c", "mkdir -p /www; echo page > /www/index.html; "
                                                                            "httpd -p 8001 -h /www; exec sleep 100000"]}]}}}})
for ev in watch.Watch().stream(apps.list_namespaced_deployment, "py", timeout_seconds=60):
    if ev["object"].status.available_replicas == 1:
        break
check("a deployment becomes available", apps.read_namespaced_deployment_status("d", "py").status.ready_replicas == 1)
pod = core.list_namespaced_pod("py", label_selector="app=d").items[0]
out = stream(core.connect_get_namespaced_pod_exec, pod.metadata.name, "py", command=["echo", "hello from the pod"],
             stdout=True, stderr=True, stdin=False, tty=False)
check("exec over WebSocket", out == "hello from the pod\n", out)
stream(core.connect_get_namespaced_pod_exec, pod.metadata.name, "py", stdout=True, stderr=True, stdin=False, tty=False,
       command=["sh", "-c", "until wget -q -O /dev/null http://127.0.0.1:8001/; do sleep 0.1; done"])
forward = portforward(core.connect_get_namespaced_pod_portforward, pod.metadata.name, "py", ports="8001")
sock = forward.socket(8001)
sock.settimeout(60)
sock.sendall(b"GET / HTTP/1.0\r\n\r\n")
page = b""
while not page.endswith(b"page\n"):
    piece = sock.recv(4096)
    if not piece:
        break
    page += piece
check("port-forward over WebSocket", page.endswith(b"page\n") and not forward.error(8001), (page, forward.error(8001)))
forward.close()
scale = apps.patch_namespaced_deployment_scale("d", "py", {"spec": {"replicas": 2}})
check("scale", scale.spec.replicas == 2, scale.spec)
check("delete with dependents", apps.delete_namespaced_deployment("d", "py", propagation_policy="Foreground").status is not None)

ext.create_custom_resource_definition({
    "metadata": {"name": "bees.example.skep.io"},
    "spec": {"group": "example.skep.io", "scope": "Namespaced", "names": {"plural": "bees", "kind": "Bee", "singular": "bee"},
             "versions": [{"name": "v1", "served": True, "storage": True,
                           "schema": {"openAPIV3Schema": {"type": "object", "properties": {"spec": {
                               "type": "object", "properties": {"legs": {"type": "integer", "default": 6, "maximum": 6}}}}}}}]}})
for ev in watch.Watch().stream(ext.list_custom_resource_definition, timeout_seconds=30):
    if any(c.type == "Established" and c.status == "True" for c in (ev["object"].status.conditions or [])):
        break
bee = custom.create_namespaced_custom_object("example.skep.io", "v1", "py", "bees",
                                             {"apiVersion": "example.skep.io/v1", "kind": "Bee", "metadata": {"name": "b"}, "spec": {}})
check("a custom object, with defaults", bee["spec"] == {"legs": 6}, bee)
check("its schema is enforced", refused(422, custom.create_namespaced_custom_object, "example.skep.io", "v1", "py", "bees",
                                        {"apiVersion": "example.skep.io/v1", "kind": "Bee", "metadata": {"name": "x"}, "spec": {"legs": 8}}))
ext.delete_custom_resource_definition("bees.example.skep.io")
auth = client.AuthorizationV1Api().create_self_subject_access_review(
    {"spec": {"resourceAttributes": {"verb": "create", "resource": "pods", "namespace": "py"}}})
check("may I", auth.status.allowed is True, auth.status)
core.delete_namespace("py")
sys.exit(1 if failed else 0)
