#!/bin/bash
# SPDX-License-Identifier: MIT
# The benchmark with few rounds: that it runs, and that no figure is absurd. Good ones it can tell on
# a machine only where nothing else runs, so it does not ask for them. Usage: smoke.sh BUILD
set -eu

here=$(cd "$(dirname "$0")" && pwd)
tsv=$(mktemp)
trap 'rm -f "$tsv"' EXIT
bash "$here/run.sh" --quick --tsv "$tsv" "${1:?usage: smoke.sh BUILD}"

# Every figure is there, each of its ways was measured, and none is that of a call that did nothing
# or that only a time-out has helped on (those of the waits are 5 ms and longer).
awk -F '\t' '
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
		if (!($7 > 0 && $7 < 1000))
			absurd("forwarded / native is " $7)
	}
	END {
		if (figures < 8) {
			print "absurd: " figures + 0 " figures"
			bad = 1
		}
		exit bad
	}' "$tsv"
