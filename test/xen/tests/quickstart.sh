#!/bin/bash
# SPDX-License-Identifier: MIT
# The quickstart on Xen, in the machine that is up; and that it leaves there what it found.
set -eu
top=$(cd ../.. && pwd)
mkdir -p "$LAB_DIR/quickstart"
cd "$LAB_DIR/quickstart"

state() {
	"$LAB" exec dom0 /share/count
	"$LAB" exec app sh -c 'ps -o args= -C nginx,redis-server,bash,cat; ls -d /run/quickstart /virtuos-disk 2>&1 || true'
	"$LAB" exec storage sh -c 'ls /srv'
} </dev/null

state >before
TMPDIR=$LAB_DIR/quickstart "$top/examples/xen-quickstart.sh"
# Xen frees what a dead process had after a moment.
for ((i = 0; i < 50; i++)); do
	state >after
	cmp -s before after && break
done
diff before after
