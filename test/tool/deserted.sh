#!/bin/bash
# SPDX-License-Identifier: MIT
# A service's domain that ends without a word, over what looks like Xen (test/fakexen), and comes back:
# a program that made no call in between has no error, with whatever call it goes on. One that waits in
# a call has one at once. Usage: deserted.sh BUILD
set -eu

top=$(cd "$(dirname "$0")/../.." && pwd)
transport=vchan
[ -e "$1/test/fakexen/libfakexen_service.so" ] || { echo "skip: built without libxen-dev" && exit 77; }
. "$top/test/domains.sh" "${1:?usage: deserted.sh BUILD}"

cat >"$work/bin/client.py" <<'END'
import errno, os, sys

def result(f, *a):
    try:
        f(*a)
    except OSError as e:
        return errno.errorcode[e.errno]
    return "ok"

calls = {"stat": os.stat, "open": lambda p: os.close(os.open(p, os.O_RDONLY)),
         "create": lambda p: os.close(os.open(p + ".new", os.O_CREAT | os.O_EXCL)),
         "unlink": lambda p: os.unlink(p + ".new"), "fifo": lambda p: os.open(p, os.O_RDONLY)}
for line in sys.stdin:
    name, path = line.split()
    print(result(calls[name], path), flush=True)
END

bad=0
asked() { # CALL EXPECTED [PATH]
	local line
	echo "$1 ${3:-$work/fwd/data/file}" >&7
	[ -z "$2" ] && return
	read -r -t 20 line <&6 || line=nothing
	echo "$1: $line"
	[ "$line" = "$2" ] || { echo "   expected: $2" && bad=1; }
}

announcement() {
	echo "$fakexen/store/~local~domain~${fake_domid[storage]}~data~virtuos~service~storage"
}

# It runs no more, and has not had the time to say so; what it had in the store goes. It had slept: one
# that ends at work is found out by the next call only.
domain_ends() {
	gone=${svcd_pid[storage]}
	while ps -L -o stat= -p "$gone" | grep -q R; do :; done
	kill -STOP "$gone"
	on_exit "kill -KILL $gone"
	rm "$(announcement)"
}

# With another number.
domain_returns() {
	local n=$((fake_domid[storage] + 1))
	fake_domid[storage]=$n
	echo -n $n >"$fakexen/store/~local~domain~5~data~virtuos~domid~${fakexen##*/}-storage"
	echo -n 5 >"$fakexen/store/~local~domain~$n~data~virtuos~domid~app"
	start_domain storage void --root "$work/root"
	until [ -s "$(announcement)" ]; do :; done
}

echo here >"$work/root/file"
mkfifo "$work/to" "$work/from" "$work/root/fifo"
client python3 "$work/bin/client.py" <"$work/to" >"$work/from" &
client_pid=$!
exec 7>"$work/to" 6<"$work/from"
for call in stat open create unlink; do
	asked stat ok
	domain_ends
	domain_returns
	asked $call ok
done

asked fifo "" "$work/fwd/data/fifo"
# The program waits: whoever opens it for writing gets it then.
timeout 20 sh -c 'exec 3>"$1"; sleep 0.1' sh "$work/root/fifo" && read -r -t 20 line <&6
echo "fifo: $line"
[ "$line" = ok ] || bad=1
exec 7>&- 6<&-
wait $client_pid || bad=1
exit $bad
