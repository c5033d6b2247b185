#!/bin/bash
# SPDX-License-Identifier: MIT
# Both services die under a program that has confined itself to next to nothing: it gets errors, as
# any other, and makes no call for which its filter would kill it. Usage: confined.sh BUILD
set -eu

top=$(cd "$(dirname "$0")/../.." && pwd)
. "$top/test/domains.sh" "${1:?usage: confined.sh BUILD}"

bad=0
echo abc >"$work/root/f"
mkfifo "$work/to" "$work/from"
in_namespace void env "LD_PRELOAD=$work/bin/libvirtuos.so" "VIRTUOS_CONFIG=$work/forwarded.conf" \
	timeout -k 2 30 "$build/test/tool/confined" "$work/fwd/data/f" <"$work/to" >"$work/from" &
client_pid=$!
exec 7>"$work/to" 6<"$work/from"
while read -r line <&6; do
	echo "$line"
	[ "$line" = "ok ready" ] || continue
	for name in net storage; do
		kill -KILL "${svcd_pid[$name]}"
		wait "${svcd_pid[$name]}" || true
	done
	echo go >&7
done
exec 7>&- 6<&-
wait $client_pid || { bad=1 && echo "client: status $?"; }
exit $bad
