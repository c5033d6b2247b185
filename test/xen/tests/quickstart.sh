#!/bin/bash
# SPDX-License-Identifier: MIT
# The quickstart on Xen, in the machine that is up; and that it leaves there what it found.
set -eu
if [ "${VT_SIZE:-normal}" != full ]; then
	echo "skip: the quickstart takes minutes in the lab, --full has it"
	exit 77
fi
top=$(cd ../.. && pwd)
mkdir -p "$LAB_DIR/quickstart"
cd "$LAB_DIR/quickstart"

state() {
	"$LAB" exec app sh -c 'ps -o args= -C nginx,redis-server,bash,cat; ls -d /run/quickstart /virtuos-disk 2>&1 || true'
	"$LAB" exec storage ls /srv
} </dev/null

state >before
TMPDIR=$LAB_DIR/quickstart "$top/examples/xen-quickstart.sh"
# What it has stopped may take a moment to end.
for ((i = 0; i < 20; i++)); do
	state >after
	cmp -s before after && break
done
diff before after
