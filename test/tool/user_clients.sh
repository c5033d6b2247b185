#!/bin/bash
# SPDX-License-Identifier: MIT
# One user's programs cannot be all clients of svcd; root's may. Usage: user_clients.sh BUILD
set -eu

top=$(cd "$(dirname "$0")/../.." && pwd)
. "$top/test/domains.sh" "${1:?usage: user_clients.sh BUILD}"

end_process "${svcd_pid[storage]}" || true
rm -f "$work/storage.sock"
mkfifo "$work/ready"
"$build/svcd/svcd" --domain storage --listen "unix:$work/storage.sock" --root "$work/root" \
	--max-clients 20 --max-user-clients 8 >"$work/ready" 2>"$work/limited.log" &
svcd_pid[storage]=$!
read -r -t 10 line <"$work/ready"
echo content >"$work/root/f"
rc=0

# As many as it can get: attaches until it is refused, and stays until it is told.
hold() { # UID: sets line
	mkfifo "$work/go" "$work/said"
	"$build/test/fuzz/svcd_selfish" "$work/storage.sock" "$1" clients <"$work/go" >"$work/said" &
	holder=$!
	exec 7>"$work/go" 6<"$work/said"
	read -r -t 60 line <&6 || line=nothing
	echo "user $1: $line"
	rm "$work/go" "$work/said"
}

let_go() {
	exec 7>&- 6<&-
	wait $holder || rc=1
}

served() { # UID
	[ "$(in_namespace void setpriv --reuid="$1" --regid="$1" --clear-groups env \
		"LD_PRELOAD=$work/bin/libvirtuos.so" "VIRTUOS_CONFIG=$work/forwarded.conf" \
		cat "$work/fwd/data/f")" = content ]
}

# Clients that have just ended count until svcd has seen it.
served_soon() {
	local i
	for i in {1..100}; do
		! served "$1" 2>/dev/null || return 0
		sleep 0.1
	done
	served "$1"
}

hold 1234
[[ $line == '8 clients, then: Too many users' ]] || rc=1
# Others are served, also one whose number differs by a power of two; root, too.
for uid in 1235 $((1234 + 64)) $((1234 + 256)) 0; do
	served $uid || { rc=1 && echo "user $uid is not served"; }
done
! served 1234 2>/dev/null || { rc=1 && echo "user 1234 has one more"; }
let_go
served_soon 1234 || { rc=1 && echo "user 1234 is not served any more"; }
hold 0
[[ $line == '20 clients, then: Too many users' ]] || rc=1
let_go
served_soon 1234 || { rc=1 && echo "user 1234 is not served after root"; }
exit $rc
