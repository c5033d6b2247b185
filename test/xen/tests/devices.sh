#!/bin/bash
# SPDX-License-Identifier: MIT
# Who has which device: the card is in net, the disk in storage, the application domain has neither,
# and dom0's drivers do not hold them.
set -eu

expect() { # DOMAIN WHAT EXPECTED COMMAND
	local got
	got=$("$LAB" exec "$1" sh -c "$4" </dev/null | sort | xargs)
	echo "$1: $2: ${got:-none}"
	[ "$got" = "$3" ] || { echo "expected: ${3:-none}" && exit 1; }
}

links='ls /sys/class/net'
disks='ls /sys/block | grep -v -e loop -e ram || true'
classes='cat /sys/bus/pci/devices/*/class 2>/dev/null || true'
expect net interfaces "eth0 lo" "$links"
expect net disks "" "$disks"
expect net "PCI classes" 0x020000 "$classes"
expect storage interfaces lo "$links"
expect storage disks "nvme0n1 nvme0n2" "$disks"
expect storage "PCI classes" 0x010802 "$classes"
expect app interfaces lo "$links"
expect app disks "" "$disks"
expect app "PCI classes" "" "$classes"
expect dom0 interfaces lo "$links"
expect dom0 disks vda "$disks"
expect dom0 "drivers of what is passed through" "pciback pciback" \
	'. /share/lab.conf; for d in $nic $disk; do basename $(readlink /sys/bus/pci/devices/$d/driver); done'
