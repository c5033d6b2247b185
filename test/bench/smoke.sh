#!/bin/bash
# SPDX-License-Identifier: MIT
# The benchmark with few rounds: that it runs, and that no figure is absurd. Good ones it can tell on
# a machine only where nothing else runs, so it does not ask for them. Usage: smoke.sh BUILD
set -eu

here=$(cd "$(dirname "$0")" && pwd)
tsv=$(mktemp)
trap 'rm -f "$tsv"' EXIT
bash "$here/run.sh" --quick --tsv "$tsv" "${1:?usage: smoke.sh BUILD}"

# The poller must be there where the kernel says that it allows one.
poller=0
! grep -qsx 0 /proc/sys/kernel/io_uring_disabled || poller=2

# Every figure is there, each of its ways was measured, and none is that of a call that did nothing
# or that only a time-out has helped on (those of the waits are 5 ms and longer).
awk -F '\t' -v poller=$poller '
	function absurd(what) {
		printf "absurd: %s: %s\n", $1, what
		bad = 1
	}
	NR == 1 { next }
	{
		figures++
		for (i = 2; i <= 4; i++)
			if (!($i > 1 && $i < 5e6))
				absurd($i " ns")
		pollers += $5 > 1
		floors += $6 > 1
		if (!($8 > 0 && $8 < 1000))
			absurd("forwarded / native is " $8)
	}
	END {
		if (figures < 7) {
			print "absurd: " figures + 0 " figures"
			bad = 1
		}
		if (pollers < poller || floors != 3) {
			print "absurd: " pollers " figures with a poller, " floors " with a floor"
			bad = 1
		}
		exit bad
	}' "$tsv"
