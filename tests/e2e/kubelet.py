#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""
Plays a kubelet with its container runtime for data_plane_only.sh: registers a node, keeps it alive, and gives each pod
that is bound to it a network namespace by way of the CNI configuration in a directory, with a web server that says the
pod's name. Ends with its network namespaces on SIGTERM.
"""
import argparse
import json
import os
import signal
import subprocess
import sys
import threading

from kubernetes import client, config, watch

parser = argparse.ArgumentParser()
for option in ("kubeconfig", "node", "ips", "cni-conf-dir", "cni-bin-dir", "cgroup", "prefix", "work"):
    parser.add_argument("--" + option, required=True)
args = parser.parse_args()
config.load_kube_config(args.kubeconfig)
core = client.CoreV1Api()
pods = {}  # uid -> (namespace's name, process)
done = threading.Event()


def now():
    return subprocess.check_output(["date", "-u", "+%Y-%m-%dT%H:%M:%S.000000Z"], text=True).strip()


def register():
    metadata = {"name": args.node, "labels": {"kubernetes.io/hostname": args.node}}
    core.create_node({"metadata": metadata})
    room = {"cpu": "8", "memory": "4Gi", "pods": "50", "ephemeral-storage": "10Gi"}
    # Not by a strategic merge patch: it knows addresses by their type, and would make one of the two.
    core.replace_node_status(args.node, {"metadata": metadata, "status": {
        "addresses": [{"type": "InternalIP", "address": ip} for ip in args.ips.split(",")],
        "capacity": room, "allocatable": room,
        "conditions": [{"type": "Ready", "status": "True", "reason": "KubeletReady", "message": "",
                        "lastHeartbeatTime": now(), "lastTransitionTime": now()}]}})


def heartbeats():
    leases = client.CoordinationV1Api()
    spec = {"holderIdentity": args.node, "leaseDurationSeconds": 40}
    leases.create_namespaced_lease("kube-node-lease", {"metadata": {"name": args.node}, "spec": spec})
    while True:
        leases.patch_namespaced_lease(args.node, "kube-node-lease", {"spec": {**spec, "renewTime": now()}})
        if done.wait(5):
            return


def cni(command, pod, netns):
    name = sorted(os.listdir(args.cni_conf_dir))[0]
    with open(os.path.join(args.cni_conf_dir, name)) as f:
        conf = json.load(f)
    plugin = {**conf["plugins"][0], "cniVersion": conf["cniVersion"], "name": conf["name"]}
    env = {"CNI_COMMAND": command, "CNI_CONTAINERID": pod.metadata.uid.replace("-", ""), "CNI_IFNAME": "eth0",
           "CNI_NETNS": "/run/netns/" + netns, "CNI_PATH": args.cni_bin_dir,
           "CNI_ARGS": "IgnoreUnknown=1;K8S_POD_NAMESPACE=%s;K8S_POD_NAME=%s;K8S_POD_UID=%s" % (
               pod.metadata.namespace, pod.metadata.name, pod.metadata.uid)}
    r = subprocess.run([os.path.join(args.cni_bin_dir, plugin["type"])], env=env, input=json.dumps(plugin), text=True,
                       stdout=subprocess.PIPE, check=False)
    if r.returncode:
        sys.exit("CNI %s of %s: %s" % (command, pod.metadata.name, r.stdout))
    return json.loads(r.stdout) if r.stdout else None


def join_cgroup():
    with open(os.path.join(args.cgroup, "cgroup.procs"), "w") as f:
        f.write(str(os.getpid()))


def start(pod):
    netns, www = args.prefix + pod.metadata.name, os.path.join(args.work, pod.metadata.name)
    os.makedirs(www)
    with open(os.path.join(www, "index.html"), "w") as f:
        f.write(pod.metadata.name + "\n")
    subprocess.run(["ip", "netns", "add", netns], check=True)
    pods[pod.metadata.uid] = [netns, None]
    ips = [ip["address"].split("/")[0] for ip in cni("ADD", pod, netns)["ips"]]
    subprocess.run(["ip", "-n", netns, "link", "set", "lo", "up"], check=True)
    pods[pod.metadata.uid][1] = subprocess.Popen(
        ["nsenter", "--net=/run/netns/" + netns, "busybox", "httpd", "-f", "-p", "8080", "-h", www], preexec_fn=join_cgroup)
    core.patch_namespaced_pod_status(pod.metadata.name, pod.metadata.namespace, {"status": {
        "phase": "Running", "hostIP": args.ips.split(",")[0], "startTime": now().replace(".000000", ""),
        "podIP": ips[0], "podIPs": [{"ip": ip} for ip in ips],
        "conditions": [{"type": t, "status": "True", "lastTransitionTime": now().replace(".000000", "")}
                       for t in ("Initialized", "Ready", "ContainersReady", "PodScheduled")]}})


def end(uid):
    netns, process = pods.pop(uid)
    if process:
        process.kill()
        process.wait()
    return netns


def stop(pod):
    if pod.metadata.uid in pods:
        netns = end(pod.metadata.uid)
        cni("DEL", pod, netns)
        subprocess.run(["ip", "netns", "del", netns], check=True)
    core.delete_namespaced_pod(pod.metadata.name, pod.metadata.namespace, grace_period_seconds=0)


def clean(*_):
    done.set()
    for uid in list(pods):
        subprocess.run(["ip", "netns", "del", end(uid)], check=False)
    os._exit(0)


signal.signal(signal.SIGTERM, clean)
register()
threading.Thread(target=heartbeats, daemon=True).start()
while True:
    for event in watch.Watch().stream(core.list_pod_for_all_namespaces, field_selector="spec.nodeName=" + args.node):
        pod = event["object"]
        if event["type"] == "DELETED":
            continue
        if pod.metadata.deletion_timestamp:
            stop(pod)
        elif pod.metadata.uid not in pods:
            start(pod)
