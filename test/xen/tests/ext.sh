#!/bin/bash
# SPDX-License-Identifier: MIT
# The kernel extension in the application domain, with a peer in the storage domain (test/xen/ext).
#   ext.sh           what ext/program.c tests; then nothing of it is left in any domain
#   ext.sh unload    the module stays while there is a channel, and goes when there is none
#   ext.sh destroy   the peer's domain ends while a thread waits
set -eu
mkdir -p "$LAB_DIR/ext"
cd "$LAB_DIR/ext"
rm -f ./*
pids=()
trap 'kill "${pids[@]}" 2>/dev/null || true' EXIT

in_dom0() {
	"$LAB" exec dom0 "$@" </dev/null
}

app=$(in_dom0 xl domid app)
service=$(in_dom0 xl domid storage)
"$LAB" exec app sh -c '[ -c /dev/virtuos ] || insmod /lab/virtuos.ko' </dev/null

# Who may read the offers, as an administrator says it. What the peer says is there until the end.
offers=/local/domain/$app/data/virtuos/offer
in_dom0 sh -c "xenstore-write $offers/nobody '' $offers/exttest '' &&
	xenstore-chmod $offers/exttest n$app b$service &&
	xenstore-write /local/domain/$service/data/virtuos/service/exttest ''"

expect() { # DESCRIPTOR LINE
	local line
	read -r -u "$1" line
	echo "$line"
	[ "$line" = "$2" ]
}

start_peer() {
	exec 5< <("$LAB" exec storage /lab/extpeer "$app" </dev/null)
	pids+=($!)
	expect 5 ready
}

# A program that is there until its input ends.
start_program() { # TEST
	mkfifo input
	exec 6< <("$LAB" exec app /lab/extprogram "$service" "$1" <input)
	program=$!
	pids+=($program)
	exec 7>input
}

# Of the domains concerned.
count() {
	in_dom0 /share/count | grep -e '^app' -e '^storage'
}

all() {
	count >before
	start_peer
	"$LAB" exec app /lab/extprogram "$service" </dev/null
	kill "${pids[@]}"
	# Xen frees what a dead process had after a moment.
	until count >after && cmp before after; do
		diff before after >difference || true
	done
}

unload() {
	start_peer
	start_program hold
	expect 6 holding
	if "$LAB" exec app rmmod virtuos </dev/null; then
		echo "the module was unloaded under a channel" && exit 1
	fi
	exec 7>&-
	wait $program
	"$LAB" exec app rmmod virtuos </dev/null
	"$LAB" exec app sh -c '[ ! -e /dev/virtuos ] && insmod /lab/virtuos.ko' </dev/null
}

destroy() {
	start_peer
	start_program domain_ends
	expect 6 waiting
	in_dom0 xl destroy storage
	wait $program
	"$LAB" start storage
}

"${1:-all}"
