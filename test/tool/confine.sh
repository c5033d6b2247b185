#!/bin/bash
# SPDX-License-Identifier: MIT
# What svcd keeps of its rights: seen from outside, for each of its threads, while it acts for root,
# for somebody else and for nobody; started as root, as a user, and where something is missing.
# Usage: confine.sh BUILD
set -eu

build=$(realpath "${1:?usage: confine.sh BUILD}")
top=$(cd "$(dirname "$0")/../.." && pwd)
svcd=${SVCD:-$build/svcd/svcd}
for f in "$build/preload/libvirtuos.so" "$svcd"; do
	[ -e "$f" ] || { echo "skip: $f is not built" && exit 77; }
done
[ "$(id -u)" = 0 ] || { echo "skip: needs root" && exit 77; }
. "$top/test/lib.sh"
trap finish EXIT
trap 'exit 130' INT TERM
work=$(mktemp -d /var/tmp/virtuos-confine.XXXXXX)
on_exit "rm -rf '$work'"
chmod 755 "$work"
cp "$build/preload/libvirtuos.so" "$svcd" "$work/"
svcd=$work/svcd
mkdir -m 1777 "$work/run" "$work/tree"
echo text >"$work/tree/f"
mkfifo -m 666 "$work/tree/fifo.user" "$work/tree/fifo.root"
cat >"$work/conf" <<-END
	[domain d]
	address = unix:$work/run/sock
	[default]
	file /d = d:/
END

export ASAN_OPTIONS=${ASAN_OPTIONS:-detect_leaks=0} # its tracer needs /proc below --root

bad=0
wrong() {
	echo "WRONG: $*"
	bad=1
}

bit() {
	local set=0 name
	for name in "$@"; do
		case $name in
		chown) name=0 ;; dac_override) name=1 ;; dac_read_search) name=2 ;; fowner) name=3 ;;
		fsetid) name=4 ;; setgid) name=6 ;; setuid) name=7 ;; linux_immutable) name=9 ;;
		net_bind_service) name=10 ;; net_admin) name=12 ;; net_raw) name=13 ;;
		sys_ptrace) name=19 ;; sys_admin) name=21 ;; mknod) name=27 ;; setfcap) name=31 ;;
		esac
		set=$((set | 1 << name))
	done
	echo "$set"
}

has() { # what a root process here has itself
	local caps
	caps=$(sed -n 's/^CapPrm:\t//p' /proc/self/status)
	echo $((16#$caps & $1))
}

for_callers=$(bit chown dac_override dac_read_search fowner fsetid mknod linux_immutable \
	net_bind_service net_raw net_admin)
everything=$((for_callers | $(bit setuid setgid sys_admin setfcap)))
caller=$(has "$for_callers")
kept=$(has "$everything")
extra=0 # sanitizers
nm "$svcd" 2>/dev/null | grep -q __asan_init && extra=$(has "$(bit sys_ptrace)")

start() { # COMMAND... that runs svcd; its options come after it
	rm -f "$work/out" "$work/run/sock"
	mkfifo "$work/out"
	"$@" --domain d --listen "unix:$work/run/sock" "${options[@]}" >"$work/out" 2>"$work/log" &
	pid=$!
	on_exit "end_process $pid"
	read -r -t 10 line <"$work/out" && [[ $line == *ready* ]] && return
	wrong "no svcd: $(cat "$work/log")"
	exit 1
}

stop() {
	kill -TERM "$pid"
	wait "$pid" || wrong "svcd ends with $?"
}

run() { # USER COMMAND...: preloaded
	local as=()
	[ "$1" = root ] || as=(setpriv --reuid=65534 --regid=65534 --clear-groups)
	shift
	env -i PATH=/usr/bin:/bin LD_PRELOAD="$work/libvirtuos.so" VIRTUOS_CONFIG="$work/conf" \
		timeout -k 2 20 "${as[@]}" "$@"
}

threads() { # FIELD: its values, with the effective user of each thread first
	local t
	for t in "/proc/$pid/task"/*/status; do
		awk -v field="$1:" '$1 == "Uid:" { uid = $3 } $1 == field { print uid, $2 }' "$t"
	done
}

all_are() { # FIELD VALUE
	local uid value n=0
	while read -r uid value; do
		[ "$value" = "$2" ] || wrong "$1 is $value in a thread of user $uid, not $2"
		n=$((n + 1))
	done < <(threads "$1")
	[ $n -ge 3 ] || wrong "only $n threads"
}

hex() {
	printf '%016x' "$1"
}

sealed() { # PERMITTED FILTER [bounded]: by what no user can change
	all_are CapInh "$(hex 0)"
	all_are CapPrm "$(hex "$1")"
	[ "${3:-}" = bounded ] || all_are CapBnd "$(hex 0)"
	all_are CapAmb "$(hex 0)"
	all_are NoNewPrivs 1
	all_are Seccomp "$2"
}

effective() { # UID CAPS: that of threads that act for this user, of which there is one
	local uid value n=0
	while read -r uid value; do
		[ "$uid" = "$1" ] || continue
		value=$((16#$value & ~extra))
		# The others of root act for nobody.
		[ "$value" = 0 ] && [ "$1" = 0 ] && continue
		[ "$value" = "$2" ] || wrong "a thread of user $1 has $(hex $value), not $(hex "$2")"
		n=$((n + 1))
	done < <(threads CapEff)
	[ $n -gt 0 ] || wrong "no thread acts for user $1"
}

opening() { # threads that sit in openat2(): opening a pipe that nobody writes to
	cat "/proc/$pid/task"/*/syscall 2>/dev/null | grep -c '^437 ' || true
}

declare -A reader
block() { # USER
	local i before
	before=$(opening)
	run "$1" cat "/d/fifo.$1" >/dev/null &
	reader[$1]=$!
	on_exit "end_process $!"
	for ((i = 0; i < 200; i++)); do
		[ "$(opening)" -gt "$before" ] && return
		sleep 0.02
	done
	wrong "nobody blocks"
}

unblock() { # USER
	echo x >"$work/tree/fifo.$1"
	wait "${reader[$1]}" || wrong "the $1's call fails"
}

echo "-- as root"
options=(--root "$work/tree")
start "$svcd"
sealed $((kept | extra)) 2
all_are CapEff "$(hex $extra)"
block user
sealed $((kept | extra)) 2
effective 65534 0
while read -r uid value; do
	[ $((16#$value & ~extra)) = 0 ] || wrong "a thread of user $uid has $value, for a plain user"
done < <(threads CapEff)
unblock user
block root
sealed $((kept | extra)) 2
effective 0 "$caller"
# A call of a user by a thread that may have acted for root: nothing is left of that.
run user stat -c %a /d/f >/dev/null || wrong "a user's stat"
block user
effective 65534 0
unblock user
unblock root
stop
[ $kept != "$everything" ] || [ ! -s "$work/log" ] || wrong "complains: $(cat "$work/log")"

echo "-- files that look at the effective user"
options=()
start "$svcd"
file=/d/proc/sys/net/ipv4/ip_forward
run root sh -c ": >>$file" || wrong "root cannot write what is root's"
run user cat $file >/dev/null || wrong "a user cannot read what all may"
! run user sh -c ": >>$file" 2>/dev/null || wrong "a user can open a file below /proc/sys for writing"
stop

echo "-- without the filter, and where there is none"
options=(--no-filter)
start "$svcd"
sealed $((kept | extra)) 0
stop
options=()
cat >"$work/nothing.py" <<'END'
import ctypes, os, struct, sys
# seccomp(): ENOSYS; prctl(PR_SET_SECCOMP): EINVAL
prog = [(0x20, 0, 0, 0), (0x15, 0, 1, 317), (0x06, 0, 0, 0x00050026), (0x15, 0, 3, 157),
        (0x20, 0, 0, 16), (0x15, 0, 1, 22), (0x06, 0, 0, 0x00050016), (0x06, 0, 0, 0x7fff0000)]
code = ctypes.create_string_buffer(b"".join(struct.pack("HBBI", *i) for i in prog))
fprog = struct.pack("HxxxxxxP", len(prog), ctypes.addressof(code))
libc = ctypes.CDLL(None, use_errno=True)
if libc.prctl(38, 1, 0, 0, 0) or libc.prctl(22, 2, ctypes.c_char_p(fprog), 0, 0):
    sys.exit("prctl: " + os.strerror(ctypes.get_errno()))
os.execv(sys.argv[1], sys.argv[1:])
END
start python3 "$work/nothing.py" "$svcd"
grep -q 'no filter of system calls' "$work/log" || wrong "says nothing of the filter"
[ "$(run user cat "/d$work/tree/f")" = text ] || wrong "does not serve without a filter"
stop

echo "-- root with less"
start setpriv --bounding-set=-setpcap "$svcd"
grep -q 'no CAP_SETPCAP' "$work/log" || wrong "says nothing of CAP_SETPCAP: $(cat "$work/log")"
all_are CapPrm "$(hex $((kept | extra)))"
stop
start setpriv --bounding-set=-net_admin,-mknod "$svcd"
grep -q 'without cap_mknod cap_net_admin' "$work/log" || wrong "does not say what is missing"
sealed $(((kept | extra) & ~$(bit net_admin mknod))) 2
[ "$(run user cat "/d$work/tree/f")" = text ] || wrong "does not serve users"
stop
start setpriv --bounding-set=-setuid "$svcd"
grep -q 'serves programs of user 0 only' "$work/log" || wrong "does not say whom it serves"
[ "$(run root cat "/d$work/tree/f")" = text ] || wrong "does not serve root"
! run user cat "/d$work/tree/f" 2>/dev/null || wrong "serves a user it cannot act for"
stop

echo "-- as a user"
start setpriv --reuid=65534 --regid=65534 --clear-groups "$svcd"
grep -q 'serves programs of user 65534 only' "$work/log" || wrong "does not say whom it serves"
sealed 0 2 bounded
[ "$(run user cat "/d$work/tree/f")" = text ] || wrong "does not serve its user"
! run root cat "/d$work/tree/f" 2>/dev/null || wrong "serves root"
stop
# Its groups are not for programs of the same user that do not have them.
start setpriv --reuid=65534 --regid=65534 --groups=7 "$svcd"
! run user cat "/d$work/tree/f" 2>/dev/null || wrong "gives its groups away"
stop
rc=0
setpriv --reuid=65534 --regid=65534 --clear-groups "$svcd" --domain d \
	--listen "unix:$work/run/sock" --root "$work/tree" 2>"$work/log" || rc=$?
[ $rc = 1 ] && grep -q CAP_SYS_CHROOT "$work/log" || wrong "--root as a user: $rc, $(cat "$work/log")"
exit $bad
