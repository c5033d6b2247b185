#!/bin/bash
# SPDX-License-Identifier: MIT
# The lab's own sessions: status, streams, much data both ways, many at once, one that is killed; and
# nothing is left of them.
set -eu
mkdir -p "$LAB_DIR/sessions"
cd "$LAB_DIR/sessions"
"$LAB" exec dom0 /share/count >before </dev/null

rc=0
"$LAB" exec app sh -c 'echo out; echo err >&2; exit 7' >out 2>err </dev/null || rc=$?
[ "$rc $(cat out) $(cat err)" = "7 out err" ]
rc=0
"$LAB" exec net sh -c 'kill -9 $$' </dev/null || rc=$?
[ $rc = 137 ]
"$LAB" exec app printf '%s|' "two words" '$x' '' </dev/null >args
[ "$(cat args)" = 'two words|$x||' ]

head -c 5000000 /dev/urandom >data
for domain in dom0 app; do
	"$LAB" exec $domain cat <data | cmp - data
done

pids=()
for i in 1 2 3 4 5 6 7 8 9 10; do
	"$LAB" exec storage sh -c "cat; echo $i" <<<"in $i" >many.$i &
	pids+=($!)
done
for pid in "${pids[@]}"; do
	wait "$pid"
done
for i in 1 2 3 4 5 6 7 8 9 10; do
	[ "$(cat many.$i)" = "in $i"$'\n'"$i" ]
done

# Who asked is killed: so is the command.
mkfifo started
"$LAB" exec app sh -c 'echo $$; exec sleep 1000' >started </dev/null &
read -r pid <started
kill -KILL $!
wait || true
"$LAB" exec app sh -c "while [ -e /proc/$pid ]; do sleep 0.1; done" </dev/null

# Xen frees what a dead process had after a moment.
for ((i = 0; i < 50; i++)); do
	"$LAB" exec dom0 /share/count >after </dev/null
	cmp -s before after && break
done
diff before after
