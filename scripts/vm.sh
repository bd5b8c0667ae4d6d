#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Runs a command under another kernel: vm.sh 6.1|6.12 COMMAND [ARG...], in this directory, and returns its status.
#
# QEMU boots Debian's kernel of that version (fetched once into $SKEP_VM_CACHE, default /var/cache/skep/vm) without KVM; the guest's root is
# this machine's, read-only under an overlay in memory, so that it runs what is installed here and can change nothing. 77: cannot be
# done here, with the reason on standard error. Settings that matter: thread=single (several TCG threads break the kernel's live code
# patching), vmlinux booted by its PVH entry, generic rather than cloud kernels (those lack 9p), norandmaps.
set -uo pipefail
PATH=$PATH:/usr/sbin:/sbin
[ $# -ge 2 ] || { echo "usage: vm.sh 6.1|6.12 COMMAND [ARG...]" >&2; exit 2; }
want=$1
shift
cache=${SKEP_VM_CACHE:-/var/cache/skep/vm}/$want
cannot() { echo "vm: $*" >&2; exit 77; }
for tool in qemu-system-x86_64 busybox cpio depmod xz zstd; do
	command -v "$tool" >/dev/null || cannot "'$tool' is missing; scripts/setup.sh installs it"
done

# --- the kernel: vmlinux, modules, and an initramfs that reaches the shared root ---
fetch() {
	local dir=$1 name version head_len len start image
	case $want in
	6.1) name='^linux-image-6\.1\.0-[0-9]+-amd64$' ;;
	6.12) name='^linux-image-6\.12\.[0-9]+(\.[0-9]+)?\+deb1[23](\+[0-9]+)?-amd64$' ;;
	*) cannot "kernel '$want' is not 6.1 or 6.12" ;;
	esac
	name=$(apt-cache search --names-only "$name" | awk '{print $1}' | sort -V | tail -1)
	[ -n "$name" ] || return 1
	version=${name#linux-image-}
	(cd "$dir" && apt-get -qq download "$name" >/dev/null 2>&1) || return 1
	dpkg-deb -x "$dir"/*.deb "$dir/x" || return 1
	[ -d "$dir/x/lib/modules" ] || mv "$dir/x/usr/lib" "$dir/x/lib"
	mkdir -p "$dir/lib"
	mv "$dir/x/lib/modules" "$dir/lib/modules"
	rm -rf "$dir/lib/modules/$version/kernel/"{sound,drivers/gpu,drivers/media,drivers/infiniband,drivers/scsi,drivers/usb}
	find "$dir/lib" -name '*.ko.xz' -exec xz -d {} +
	depmod -b "$dir" "$version" || return 1
	# boot protocol: setup sectors at 0x1f1, payload offset and length at 0x248
	image=$dir/x/boot/vmlinuz-$version
	head_len=$(od -An -tu1 -j497 -N1 "$image")
	start=$(((head_len + 1) * 512 + $(od -An -tu4 -j584 -N4 "$image")))
	len=$(od -An -tu4 -j588 -N4 "$image")
	tail -c +$((start + 1)) "$image" | head -c "$len" > "$dir/payload"
	{ xz -dcqq --single-stream "$dir/payload" || zstd -dcqq "$dir/payload"; } > "$dir/vmlinux" 2>/dev/null
	[ "$(head -c 4 "$dir/vmlinux")" = $'\x7fELF' ] || return 1
	mkdir -p "$dir/i/bin" "$dir/i/m" "$dir/i/proc" "$dir/i/sys" "$dir/i/dev" "$dir/i/host" "$dir/i/mem" "$dir/i/root"
	cp "$(command -v busybox)" "$dir/i/bin/busybox"
	local n=10 module
	for module in virtio_pci virtio_console 9pnet_virtio 9p overlay; do
		modprobe -d "$dir" -S "$version" --show-depends "$module"
	done | awk '$1 == "insmod" && !seen[$2]++ {print $2}' | while read -r module; do
		n=$((n + 1))
		cp "$module" "$dir/i/m/$n.ko"
	done
	cat > "$dir/i/init" <<'INIT'
#!/bin/busybox sh
bb=/bin/busybox
$bb mount -t proc proc /proc; $bb mount -t sysfs sysfs /sys; $bb mount -t devtmpfs dev /dev
for m in /m/*; do $bb insmod $m; done
opts=trans=virtio,version=9p2000.L,msize=512000
$bb mount -t 9p -o $opts,ro,cache=loose host /host
$bb mount -t tmpfs mem /mem; $bb mkdir /mem/u /mem/w
$bb mount -t overlay -o lowerdir=/host,upperdir=/mem/u,workdir=/mem/w overlay /root
$bb mount -t tmpfs run /root/run; $bb mkdir -p /root/run/vm /root/run/lock /root/lib/modules
$bb mount -t 9p -o $opts control /root/run/vm
$bb mount -t 9p -o $opts,ro,cache=loose modules /root/lib/modules
for d in proc sys dev; do $bb mount --move /$d /root/$d; done
exec $bb switch_root /root /bin/sh /run/vm/boot
INIT
	chmod +x "$dir/i/init"
	(cd "$dir/i" && find . | cpio -o -H newc --quiet | gzip -1) > "$dir/initrd" || return 1
	rm -rf "$dir/x" "$dir/i" "$dir/payload" "$dir"/*.deb
}
if [ ! -e "$cache/initrd" ]; then
	mkdir -p "$(dirname "$cache")"
	making=$(mktemp -d "$cache.XXXXXX")
	if ! fetch "$making"; then
		rm -rf "$making"
		cannot "Debian's kernel $want could not be fetched (apt-get update? no network?)"
	fi
	rm -rf "$cache"
	mv "$making" "$cache"
fi

# --- the run ---
tmp=$(mktemp -d)
pid=
trap '[ -n "$pid" ] && kill "$pid" 2>/dev/null; rm -rf "$tmp"' EXIT
mkdir "$tmp/control"
cat > "$tmp/control/boot" <<'BOOT'
mkdir -p /dev/pts /dev/shm
mount -t devpts devpts /dev/pts; mount -t tmpfs shm /dev/shm
ln -sf /proc/self/fd /dev/fd; ln -sf fd/0 /dev/stdin; ln -sf fd/1 /dev/stdout; ln -sf fd/2 /dev/stderr
mount -t cgroup2 cgroup /sys/fs/cgroup
mount -t bpf bpf /sys/fs/bpf; mount -t tracefs trace /sys/kernel/tracing; mount -t debugfs debug /sys/kernel/debug
for d in /sys/bus/virtio/devices/*; do [ -e "$d/driver" ] || modprobe "$(cat "$d/modalias")"; done
for m in veth vxlan bridge sch_ingress cls_bpf act_bpf; do modprobe -q $m; done
ip link set lo up
bash /run/vm/command </dev/null > /run/vm/out 2>&1
echo $? > /run/vm/status
sync
echo o > /proc/sysrq-trigger
sleep 60
BOOT
{ export -p; printf 'cd %q || exit 125\nexec' "$PWD"; printf ' %q' "$@"; echo; } > "$tmp/control/command"
share() {
	printf -- '-fsdev local,id=%s,path=%s,security_model=none,multidevs=remap%s -device virtio-9p-pci,fsdev=%s,mount_tag=%s ' "$1" "$2" "${3-}" "$1" "$1"
}
# shellcheck disable=SC2046 # words are wanted
timeout -k 5 "${SKEP_VM_TIMEOUT:-1500}" qemu-system-x86_64 -M q35 -accel tcg,thread=single -cpu Nehalem,+rdrand -smp 2 -m 1536 \
	-nodefaults -no-user-config -display none -no-reboot -kernel "$cache/vmlinux" -initrd "$cache/initrd" \
	-append "console=ttyS0 quiet panic=-1 oops=panic nowatchdog mitigations=off norandmaps tsc=reliable random.trust_cpu=on" \
	-serial "file:$tmp/console" $(share host / ,readonly=on) $(share modules "$cache/lib/modules" ,readonly=on) \
	$(share control "$tmp/control") </dev/null > "$tmp/qemu" 2>&1 &
pid=$!
wait "$pid"
pid=
cat "$tmp/control/out" 2>/dev/null
if [ -s "$tmp/control/status" ]; then
	exit "$(cat "$tmp/control/status")"
fi
echo "vm: the guest ended without a status; its console:" >&2
tail -n 30 "$tmp/console" "$tmp/qemu" >&2
exit 125
