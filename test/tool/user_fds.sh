#!/bin/bash
# SPDX-License-Identifier: MIT
# One user's programs cannot take all descriptors of svcd: not by being many, nor by roots and wake
# descriptors. Usage: user_fds.sh BUILD
set -eu

top=$(cd "$(dirname "$0")/../.." && pwd)
. "$top/test/domains.sh" "${1:?usage: user_fds.sh BUILD}"

end_process "${svcd_pid[storage]}" || true
limit=400
# Without CAP_SYS_RESOURCE it keeps the limit that it has.
svcd_limited() {
	exec setpriv --bounding-set=-sys_resource prlimit --nofile=$limit:$limit "$build/svcd/svcd" "$@"
}
rm -f "$work/storage.sock"
mkfifo "$work/limited"
svcd_limited --domain storage --listen "unix:$work/storage.sock" --root "$work/root" \
	>"$work/limited" 2>"$work/limited.log" &
svcd_pid[storage]=$!
read -r -t 10 line <"$work/limited"
echo "$line"

echo content >"$work/root/f"
mkfifo "$work/go" "$work/said"
"$build/test/fuzz/svcd_selfish" "$work/storage.sock" 1234 clients <"$work/go" >"$work/said" &
selfish=$!
exec 7>"$work/go" 6<"$work/said"
rc=0
read -r -t 60 line <&6 || rc=1
echo "$line"
[[ $line == *clients,\ then:* ]] || rc=1
set -- "/proc/${svcd_pid[storage]}"/fd/*
echo "$# descriptors"
[ $# -le $((limit / 4 * 3 + 60)) ] && [ $# -ge $((limit / 2)) ] || rc=1
[ "$(client cat "$work/fwd/data/f")" = content ] || { rc=1 && echo "others are not served"; }
exec 7>&-
wait $selfish || rc=1
# And it can be used again afterwards.
got=$(in_namespace void setpriv --reuid=1234 --regid=1234 --clear-groups env \
	"LD_PRELOAD=$work/bin/libvirtuos.so" "VIRTUOS_CONFIG=$work/forwarded.conf" cat "$work/fwd/data/f") || true
[ "$got" = content ] || { rc=1 && echo "the user is not served any more: $got"; }
exit $rc
