#!/bin/bash
# SPDX-License-Identifier: MIT
# What is written to the file system of the storage domain is on the disk of this machine.
set -eu
mark=$(od -An -N16 -tx1 /dev/urandom | tr -d ' \n')
"$LAB" exec storage sh -c "mount | grep '^/dev/nvme0n1 on /srv type ext4'"
"$LAB" exec storage sh -c "echo $mark >/srv/mark && sync /srv/mark"
grep -aq "$mark" "$LAB_DIR/disk.img"
"$LAB" exec storage rm /srv/mark
