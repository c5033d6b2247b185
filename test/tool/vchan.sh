#!/bin/bash
# SPDX-License-Identifier: MIT
# What is particular to programs of other Xen domains, over what looks like Xen (test/fakexen): who
# is served and as whom, and that nothing is left of programs that are killed.
# Usage: vchan.sh BUILD [vchan|ext]
set -eu

top=$(cd "$(dirname "$0")/../.." && pwd)
transport=${2:-vchan}
[ -e "$1/test/fakexen/libfakexen_service.so" ] || { echo "skip: built without libxen-dev" && exit 77; }
. "$top/test/domains.sh" "${1:?usage: vchan.sh BUILD [vchan|ext]}"
bad=0

check() { # WHAT TEST...
	local what=$1
	shift
	if "$@"; then
		echo "ok $what"
	else
		echo "WRONG $what: $*"
		bad=1
	fi
}

restart() { # NAME NAMESPACE ARG...
	local name=$1 fd=${svcd_out[$1]}
	kill "${svcd_pid[$name]}"
	wait "${svcd_pid[$name]}" || true
	exec {fd}<&-
	start_domain "$@"
}

refused() {
	! client cat "$tree/d/data" >/dev/null 2>&1
}

no_leaks() {
	leaks >"$work/leaks" && return
	head -n 3 "$work/leaks"
	return 1
}

owner() {
	stat -c %u "$work/root/$1"
}

tree=$work/fwd/data
mkdir -p "$work/root/d"
chmod 777 "$work/root" "$work/root/d"

echo "-- believed"
client python3 -c "open('$tree/d/a', 'w')"
check "root is root" [ "$(owner d/a)" = 0 ]
as_user=(setpriv --reuid=1234 --regid=1234 --clear-groups)
client "${as_user[@]}" sh -c ': >"$1"' sh "$tree/d/b"
check "a user is that user" [ "$(owner d/b)" = 1234 ]
client python3 -c "import os; os.setresuid(77, 77, 77); open('$tree/d/c', 'w')"
check "one that changes is followed" [ "$(owner d/c)" = 77 ]

if [ "$transport" = ext ]; then
	cp "$build/test/fakexen/libfakexen_program.so" "$work/bin/without.so"
	client env LD_PRELOAD="$work/bin/without.so" python3 -c "open('$tree/d/w', 'w')"
	check "one of which no kernel says anything is nobody" [ "$(owner d/w)" = 65534 ]
fi

echo "-- not believed"
vchan_user="--vchan-user 4321"
if ! getent passwd 4321 >/dev/null; then
	vchan_user="--vchan-user daemon"
fi
wanted_uid=$(id -u "${vchan_user##* }")
restart storage void --root "$work/root"
client python3 -c "open('$tree/d/e', 'w')"
check "root is the user of --vchan-user" [ "$(owner d/e)" = "$wanted_uid" ]
client python3 -c "import os; os.setresuid(77, 77, 77); open('$tree/d/f', 'w')"
check "and so is who has changed" [ "$(owner d/f)" = "$wanted_uid" ]
check "what only root may write is refused" \
	[ "$(client python3 -c "open('$tree/d/a', 'w')" 2>&1 | tail -n 1 | cut -d: -f1)" = PermissionError ]
vchan_user=

echo "-- nothing is left"
restart storage void --root "$work/root"
count_domains
rounds=100
[ "${VT_SIZE:-}" != quick ] || rounds=20
cat >"$work/bin/busy.py" <<'END'
import os, sys, threading
def work(more=True):
    while True:
        fd = os.open(sys.argv[1], os.O_RDONLY)
        os.read(fd, 100000)
        os.close(fd)
        if not more:
            return
work(False) # is attached from here on
for i in range(3):
    threading.Thread(target=work, daemon=True).start()
print("busy", flush=True)
work()
END
dd if=/dev/zero of="$work/root/d/data" bs=100000 count=1 2>/dev/null
for ((i = 0; i < rounds; i++)); do
	mkfifo "$work/busy"
	clean_exec nsenter --net="/proc/${netns_pid[void]}/ns/net" env \
		"LD_PRELOAD=$work/bin/libvirtuos.so" "VIRTUOS_CONFIG=$work/forwarded.conf" \
		python3 "$work/bin/busy.py" "$tree/d/data" \
		>"$work/busy" 2>>"$work/busy.err" &
	pid=$!
	read -r _ <"$work/busy"
	rm "$work/busy"
	kill -KILL $pid
	wait $pid 2>/dev/null || true
done
check "$rounds programs were killed at work" no_leaks
check "none of them had an error" [ ! -s "$work/busy.err" ]

echo "-- a domain of that name is another one now"
number=$fakexen/store/~local~domain~4~data~virtuos~domid~app
mkfifo "$work/there"
client python3 -u -c "
import errno, os, sys
fd = os.open('$tree/d/data', os.O_RDONLY)
print('there')
try:
    while True:
        os.pread(fd, 1, 0)
except OSError as e:
    print(errno.errorcode[e.errno])" >"$work/there" &
exec 6<"$work/there"
read -r _ <&6
printf 6 >"$number"
what=
read -r -t 10 what <&6 || true
exec 6<&-
check "those of the old one are dead" [ "$what" = EIO ]
check "and are not served again" refused
printf 5 >"$number"
for ((i = 0; i < 100; i++)); do
	client cat "$tree/d/data" >"$work/copy" 2>/dev/null && break
	sleep 0.02
done
check "those of the new one are" cmp -s "$work/copy" "$work/root/d/data"

echo "-- who may attach"
vchan_from=6
restart net net
start=$(date +%s%N)
what=$(client python3 -c "
import errno, socket
try:
    socket.socket(socket.AF_INET)
except OSError as e:
    print(errno.errorcode[e.errno])")
ms=$((($(date +%s%N) - start) / 1000000))
check "a domain that is not listed finds no service" [ "$what" = ENETDOWN ]
check "at once ($ms ms)" [ $ms -lt 5000 ]
vchan_from=
restart net net
client python3 -c "import socket; socket.socket(socket.AF_INET)"
check "one that is does" true
check "the end of a service takes its name away" \
	[ "$(find "$fakexen/store" -name '*~service~*' | wc -l)" = 2 ]
exit $bad
