#!/bin/bash
# SPDX-License-Identifier: MIT
# --cpu: the engine stays where it is when a stuck call has it driven by another thread.
# Usage: cpu.sh BUILD
set -eu

top=$(cd "$(dirname "$0")/../.." && pwd)
. "$top/test/domains.sh" "${1:?usage: cpu.sh BUILD}"

cpu=$(taskset -pc $$ | sed 's/.*[^0-9]//')
[ "$cpu" != 0 ] || { echo "skip: one CPU only" && exit 77; }

pinned() { # how many threads of the domain are on that CPU alone
	grep -hx "Cpus_allowed_list:[[:space:]]*$cpu" "/proc/${svcd_pid[pinned]}"/task/*/status | wc -l
}

start_domain pinned void --root "$work/root" --cpu "$cpu"
sed -e "s,storage.sock,pinned.sock," "$work/forwarded.conf" >"$work/pinned.conf"
sed -i -e 's/storage/pinned/' "$work/pinned.conf"
mkfifo "$work/root/fifo"
before=$(pinned)
in_namespace void env "LD_PRELOAD=$work/bin/libvirtuos.so" "VIRTUOS_CONFIG=$work/pinned.conf" \
	timeout -k 2 30 head -c 1 "$work/fwd/data/fifo" >/dev/null &
client_pid=$!
# The stuck thread and the one that has taken over.
for ((i = 0; i < 500 && $(pinned) < 2; i++)); do
	kill -0 $client_pid
	sleep 0.02
done
after=$(pinned)
echo x >"$work/root/fifo"
wait $client_pid
echo "on CPU $cpu: $before, with a stuck call $after"
[ "$before" = 1 ] && [ "$after" = 2 ]
