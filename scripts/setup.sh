#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Installs the Debian packages that building, running and testing Skep needs, and says nothing when none is missing. With the
# argument "bench" also what the benchmarks compare it with.
set -euo pipefail

packages=(
	# build
	gcc libc6-dev make clang llvm bpftool pkg-config protobuf-c-compiler python3 linux-libc-dev
	libbpf-dev libelf-dev zlib1g-dev libnl-3-dev libnl-route-3-dev libcurl4-openssl-dev libjansson-dev libyaml-dev libpcre2-dev
	libsqlite3-dev libprotobuf-c-dev libnghttp2-dev libhttp-parser-dev libssl-dev
	# run
	containerd runc iproute2
	# demo and tests
	busybox-static libcriterion-dev etcd-server docker-registry prometheus python3-kubernetes curl netcat-openbsd procps valgrind
	# lint, other kernels
	cppcheck clang-format libclang-rt-dev qemu-system-x86 cpio zstd xz-utils kmod
)
[ "${1:-}" = bench ] && packages+=(iptables nftables)

missing=()
for p in "${packages[@]}"; do
	dpkg-query -W -f='${Status}' "$p" 2>/dev/null | grep -q 'ok installed' || missing+=("$p")
done
[ ${#missing[@]} -eq 0 ] && exit 0

if ! command -v apt-get >/dev/null; then
	echo "setup: this is not Debian; install what corresponds to: ${missing[*]}" >&2
	exit 1
fi
if [ "$(id -u)" -ne 0 ]; then
	echo "setup: packages are missing; run as root: apt-get install ${missing[*]}" >&2
	exit 1
fi

# The daemons among them (containerd, etcd, a registry, prometheus) are started by tests on private paths, never by their packages.
policy=/usr/sbin/policy-rc.d
restore() {
	rm -f "$policy"
	[ -e "$policy.skep-saved" ] && mv "$policy.skep-saved" "$policy"
	return 0
}
[ -e "$policy" ] && mv "$policy" "$policy.skep-saved"
trap restore EXIT
printf '#!/bin/sh\nexit 101\n' > "$policy"
chmod 755 "$policy"

log=$(mktemp)
echo "setup: installing ${#missing[@]} Debian packages: ${missing[*]}"
export DEBIAN_FRONTEND=noninteractive
if ! { apt-get update -qq && apt-get install -y -qq --no-install-recommends "${missing[@]}"; } >"$log" 2>&1; then
	tail -20 "$log" >&2
	echo "setup: apt-get failed; see $log" >&2
	exit 1
fi
rm -f "$log"
