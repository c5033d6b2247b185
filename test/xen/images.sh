# SPDX-License-Identifier: MIT
# shellcheck shell=bash disable=SC2154
# The cache of images: a directory for each state of what they are made from.

lab_cache=${VIRTUOS_LAB_CACHE:-${XDG_CACHE_HOME:-/var/cache}/virtuos-lab}

# On this machine.
lab_packages=(
	qemu-system-x86 mmdebstrap debian-archive-keyring gpgv squashfs-tools cpio kmod busybox-static
	e2fsprogs iproute2 util-linux pciutils strace libxen-dev gcc make sparse xz-utils perl
)

# Why the lab cannot be here, if it cannot.
lab_impossible() {
	local kib
	if [ "$(uname -m)" != x86_64 ]; then
		echo "not an x86-64 machine"
	elif ! grep -q '^VERSION_CODENAME=bookworm' /etc/os-release; then
		echo "not Debian 12, which the domains of the lab run"
	elif kib=$(awk '/^MemAvailable:/ { print $2 }' /proc/meminfo) && [ "$kib" -lt 4718592 ]; then
		echo "less than 4.5 GiB of memory available for the lab"
	elif [ ! -c /dev/net/tun ] && ! { mkdir -p /dev/net && mknod /dev/net/tun c 10 200; } 2>/dev/null ||
		! (: <>/dev/net/tun) 2>/dev/null; then
		echo "no /dev/net/tun for the lab's network"
	else
		return 1
	fi
}

image_key() {
	cat "$top"/test/xen/{make-images.sh,packages} | sha256sum | cut -c1-16
}

# Sets $images. Images in use are locked. When new ones are made the ones used last are kept, for work
# on two branches, and others removed: 1.2 GiB at most.
build_images() {
	local old lock
	images=$lab_cache/$(image_key)
	mkdir -p "$lab_cache"
	exec {lock}>"$lab_cache/lock"
	flock $lock
	if [ ! -e "$images/complete" ]; then
		ls -dt "$lab_cache"/*/ 2>/dev/null | tail -n +2 | while read -r old; do
			flock -n "$old" rm -rf "$old" || true
		done
		rm -rf "$images" # one that was not completed
		mkdir "$images"
		echo "xen lab: making images in $images" >&2
		if ! timeout 900 "$top/test/xen/make-images.sh" "$images" >"$lab_cache/log" 2>&1; then
			tail -n 30 "$lab_cache/log" >&2
			rm -rf "$images"
			return 1
		fi
		touch "$images/complete"
	fi
	touch "$images"
	exec {images_lock}<"$images"
	flock -s "$images_lock"
	exec {lock}>&-
}
