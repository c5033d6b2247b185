#!/bin/bash
# SPDX-License-Identifier: MIT
# Makes the lab's images, from Debian packages only, in the directory named:
#
#   xen              the hypervisor, as QEMU loads it
#   vmlinuz          the kernel of every domain; its version is in the file "kernel"
#   modules/         lib/modules of that kernel
#   headers/         what a module for that kernel is built against: headers/build
#   checkpatch.pl    from the kernel's source, with its lists
#   dom0.squashfs    Debian with Xen's tools
#   app.squashfs     the same without them: the application domain's userland
#
# The directory keeps its name: some of the files refer to it.
set -eu

here=$(cd "$(dirname "$0")" && pwd)
out=$1
root=$out/root
debs=$out/debs
mirror=${VIRTUOS_LAB_MIRROR:-http://deb.debian.org/debian}
security=${VIRTUOS_LAB_SECURITY:-http://deb.debian.org/debian-security}

# Nothing of these is needed on a machine without screen, sound or radio.
no_modules=(
	drivers/gpu drivers/media drivers/infiniband drivers/staging drivers/iio drivers/hid
	drivers/isdn drivers/net/wireless drivers/video drivers/scsi drivers/usb sound
)

# Kernel and hypervisor are unpacked, not installed. mmdebstrap names the new root in $1.
fetch_debs='
	mkdir -m 777 "$1/debs"
	version=$(chroot "$1" apt-cache depends linux-image-amd64 |
		sed -n "s/.*Depends: linux-image-//p" | head -n 1)
	chroot "$1" sh -ec "cd /debs; apt-get -q download linux-image-$version \
		linux-headers-$version linux-headers-${version%-amd64}-common \
		linux-kbuild-${version%%.0-*} linux-source-${version%%.0-*} xen-hypervisor-4.17-amd64"
	echo "$version" >"$1/debs/kernel"
'

make_root() {
	local include options=() name
	include=$(sed 's/#.*//' "$here/packages" | xargs | tr ' ' ,)
	for name in doc man locale info lintian; do
		options+=(--dpkgopt="path-exclude=/usr/share/$name/*")
	done
	mmdebstrap --quiet --variant=apt --include="$include" "${options[@]}" \
		--aptopt='Acquire::Languages "none"' --customize-hook="$fetch_debs" bookworm "$root" \
		"deb $mirror bookworm main" "deb $mirror bookworm-updates main" \
		"deb $security bookworm-security main"
	mv "$root/debs" "$debs"
	rm -rf "$root"/var/cache/apt/* "$root"/var/lib/apt/lists/*
}

unpack_kernel() {
	local exclude=() dir
	for dir in "${no_modules[@]}"; do
		exclude+=(--exclude "*/kernel/$dir/*")
	done
	mkdir "$out/modules"
	dpkg-deb --fsys-tarfile "$debs"/linux-image-*.deb |
		tar -x -C "$out/modules" "${exclude[@]}" ./boot ./lib
	mv "$out"/modules/boot/vmlinuz-* "$out/vmlinuz"
	rm -r "$out/modules/boot"
	cp "$debs/kernel" "$out/kernel"
	depmod -b "$out/modules" "$(cat "$out/kernel")"
}

# In the package they expect to be in /usr/src.
unpack_headers() {
	local deb dir=$out/headers
	mkdir "$dir"
	for deb in "$debs"/linux-headers-*.deb "$debs"/linux-kbuild-*.deb; do
		dpkg-deb -x "$deb" "$dir"
	done
	sed -i "s#/usr/src/#$dir/usr/src/#" "$dir"/usr/src/linux-headers-*-amd64/Makefile
	ln -s "usr/src/linux-headers-$(cat "$out/kernel")" "$dir/build"
}

unpack_checkpatch() {
	local name names=()
	for name in checkpatch.pl spelling.txt const_structs.checkpatch; do
		names+=("*/scripts/$name")
	done
	dpkg-deb --fsys-tarfile "$debs"/linux-source-*.deb |
		tar -x -O --wildcards './usr/src/*.tar.xz' |
		tar -x -J -C "$out" --strip-components=2 --wildcards "${names[@]}"
}

unpack_xen() {
	dpkg-deb --fsys-tarfile "$debs"/xen-hypervisor-*.deb |
		tar -x -O --wildcards './boot/xen-*.gz' | gzip -dc >"$out/xen"
}

squash() { # NAME OPTION...
	local name=$1
	shift
	mksquashfs "$root" "$out/$name.squashfs" -quiet -no-progress -comp lz4 "$@"
}

make_root
unpack_kernel
unpack_headers
unpack_checkpatch
unpack_xen
squash dom0
squash app -wildcards -e 'usr/lib/xen-*' usr/lib/xen-common etc/xen 'etc/init.d/xen*'
rm -rf "$root" "$debs"
