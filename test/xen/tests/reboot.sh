#!/bin/bash
# SPDX-License-Identifier: MIT
# A service domain that restarts by itself, as its recipe says, has another number then. Who watches in
# dom0 (configs/xen/introduce --watch) tells the application domain, and a program that has run all the
# time opens files there again.
set -eu
mkdir -p "$LAB_DIR/reboot"
cd "$LAB_DIR/reboot"
rm -f told found
pids=()
trap 'kill "${pids[@]}" 2>/dev/null || true
	"$LAB" exec storage rm -f /srv/reboot </dev/null' EXIT

dom0() {
	"$LAB" exec dom0 "$@" </dev/null
}

storage_id() {
	dom0 xl domid storage 2>/dev/null
}

told() { # where the application domain finds storage
	dom0 xenstore-read "/local/domain/$app/data/virtuos/domid/storage"
}

app=$(dom0 xl domid app)
before=$(storage_id)
"$LAB" exec storage sh -c 'echo "still there" >/srv/reboot && sync' </dev/null
"$LAB" exec app sh -c 'mkdir -p /run/reboot && cat >/run/reboot/conf' <<END
[domain storage]
address = vchan:storage
[default]
file /there = storage:/
END

"$LAB" exec dom0 /share/introduce --watch app net storage </dev/null &
pids+=($!)
mkfifo told found
exec 5<>told 6<>found
"$LAB" exec app virtuos run --config /run/reboot/conf --require -- \
	bash -c 'while read -r path; do cat "$path" 2>&1; done' <told >found &
pids+=($!)

show() {
	echo /there/reboot >&5
	read -r line <&6
	echo "$line"
}

[ "$(show)" = "still there" ]
"$LAB" exec storage reboot -f </dev/null || true # its answer may not come any more
until after=$(storage_id) && [ "$after" != "$before" ]; do :; done
echo "storage was $before, is $after"
until [ "$(told)" = "$after" ]; do :; done
"$LAB" exec storage true </dev/null
until "$LAB" exec app virtuos check /run/reboot/conf </dev/null; do :; done
[ "$(show)" = "still there" ]
