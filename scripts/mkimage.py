#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Makes small OCI images without a registry, reproducibly: the same input gives the same bytes.

    mkimage.py busybox OUT.tar REF [--busybox PATH]     a shell and its tools, from Debian's busybox-static
    mkimage.py binary OUT.tar REF PROGRAM               one static program, as /<its name>; "pause" is the sandbox image

REF is fully qualified: docker.io/library/busybox:local, localhost/pause:1. Load with `ctr -n k8s.io images import OUT.tar`.
"""
import argparse
import gzip
import hashlib
import io
import json
import os
import platform
import subprocess
import sys
import tarfile

ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64", "riscv64": "riscv64", "ppc64le": "ppc64le", "s390x": "s390x"}
PATH = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


def digest(data):
    return "sha256:" + hashlib.sha256(data).hexdigest()


def add_file(tar, name, data, mode):
    info = tarfile.TarInfo(name)
    info.size, info.mode = len(data), mode
    tar.addfile(info, io.BytesIO(data))


def make_layer(dirs, files, links):
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.USTAR_FORMAT) as tar:
        for name, mode in dirs:
            info = tarfile.TarInfo(name)
            info.type, info.mode = tarfile.DIRTYPE, mode
            tar.addfile(info)
        for name, data, mode in files:
            add_file(tar, name, data, mode)
        for name, target in links:
            info = tarfile.TarInfo(name)
            info.type, info.linkname, info.mode = tarfile.SYMTYPE, target, 0o777
            tar.addfile(info)
    return out.getvalue()


def make_image(path, ref, config, layer):
    """Writes an OCI layout whose index carries the image's full name, as containerd and skopeo read it."""
    arch = ARCHITECTURES.get(platform.machine(), platform.machine())
    packed = gzip.compress(layer, 6, mtime=0)
    config = json.dumps({
        "architecture": arch, "os": "linux", "config": config,
        "rootfs": {"type": "layers", "diff_ids": [digest(layer)]},
        "history": [{"created_by": "mkimage.py"}],
    }).encode()
    manifest = json.dumps({
        "schemaVersion": 2, "mediaType": "application/vnd.oci.image.manifest.v1+json",
        "config": {"mediaType": "application/vnd.oci.image.config.v1+json", "digest": digest(config), "size": len(config)},
        "layers": [{"mediaType": "application/vnd.oci.image.layer.v1.tar+gzip", "digest": digest(packed), "size": len(packed)}],
    }).encode()
    index = json.dumps({
        "schemaVersion": 2,
        "manifests": [{
            "mediaType": "application/vnd.oci.image.manifest.v1+json", "digest": digest(manifest), "size": len(manifest),
            "annotations": {"io.containerd.image.name": ref, "org.opencontainers.image.ref.name": ref.rsplit(":", 1)[-1]},
            "platform": {"architecture": arch, "os": "linux"},
        }],
    }).encode()
    temporary = path + ".tmp"
    with tarfile.open(temporary, "w", format=tarfile.USTAR_FORMAT) as tar:
        add_file(tar, "oci-layout", b'{"imageLayoutVersion":"1.0.0"}', 0o644)
        add_file(tar, "index.json", index, 0o644)
        for blob in (config, manifest, packed):
            add_file(tar, "blobs/sha256/" + digest(blob).split(":")[1], blob, 0o644)
    os.replace(temporary, path)


def busybox(args):
    with open(args.busybox, "rb") as f:
        program = f.read()
    applets = subprocess.check_output([args.busybox, "--list"], text=True).split()
    dirs = [(d, 0o755) for d in ("bin", "dev", "etc", "proc", "root", "sys", "usr", "var", "www")] + [("tmp", 0o1777)]
    files = [
        ("bin/busybox", program, 0o755),
        ("etc/group", b"root:x:0:\nnogroup:x:65534:\n", 0o644),
        ("etc/passwd", b"root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534:nobody:/:/bin/false\n", 0o644),
    ]
    links = [("bin/" + a, "busybox") for a in applets if a != "busybox"]
    make_image(args.out, args.ref, {"Env": [PATH], "Cmd": ["sh"]}, make_layer(dirs, files, links))


def binary(args):
    name = os.path.basename(args.program)
    with open(args.program, "rb") as f:
        layer = make_layer([], [(name, f.read(), 0o755)], [])
    make_image(args.out, args.ref, {"Env": [PATH], "Entrypoint": ["/" + name]}, layer)


def main():
    parser = argparse.ArgumentParser(description="Makes small OCI images.")
    commands = parser.add_subparsers(dest="command", required=True)
    p = commands.add_parser("busybox", help="a shell and its tools")
    p.add_argument("out")
    p.add_argument("ref")
    p.add_argument("--busybox", default="/bin/busybox")
    p.set_defaults(fn=busybox)
    p = commands.add_parser("binary", help="one static program")
    p.add_argument("out")
    p.add_argument("ref")
    p.add_argument("program")
    p.set_defaults(fn=binary)
    args = parser.parse_args()
    try:
        args.fn(args)
    except FileNotFoundError as e:
        sys.exit(f"mkimage.py: {e.filename} is missing (busybox comes with Debian's busybox-static)")
    except OSError as e:
        sys.exit(f"mkimage.py: {e}")


if __name__ == "__main__":
    main()
