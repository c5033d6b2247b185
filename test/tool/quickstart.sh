#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# The quickstart, as a newcomer runs it, and that it leaves nothing behind.
set -eu
top=$(cd "$(dirname "$0")/../.." && pwd)
state() {
	ip netns list 2>/dev/null | sort
	losetup -a | sort
	ip -o link show | cut -d: -f2 | sort
}
before=$(state)
"$top/examples/quickstart.sh"
after=$(state)
if [ "$before" != "$after" ]; then
	echo "left behind:"
	diff <(echo "$before") <(echo "$after")
	exit 1
fi
