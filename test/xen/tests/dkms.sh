#!/bin/bash
# SPDX-License-Identifier: MIT
# kernel-ext/dkms.conf, as DKMS uses it: with the kernel's version behind "make", and from its own tree.
set -eu
images=$("$LAB" build)
top=$(cd ../.. && pwd)
dkms_tree=$LAB_DIR/dkms
kernel_source_dir=$images/headers/build
. "$top/kernel-ext/dkms.conf"
build=$dkms_tree/$PACKAGE_NAME/$PACKAGE_VERSION/build
rm -rf "$dkms_tree"
mkdir -p "$build"
cp "$top"/kernel-ext/* "$build/"
# Its variables have been put in; now the words as a shell has them.
eval "${MAKE[0]/#make/make -s KERNELRELEASE=$(cat "$images/kernel")}"
modinfo -F vermagic "$build/${BUILT_MODULE_NAME[0]}.ko" | grep -F "$(cat "$images/kernel") "
eval "${CLEAN/#make/make -s KERNELRELEASE=$(cat "$images/kernel")}"
[ ! -e "$build/${BUILT_MODULE_NAME[0]}.ko" ]
