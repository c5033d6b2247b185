#!/bin/bash
# SPDX-License-Identifier: MIT
# Hostile clients against a svcd built with sanitizers, beside an honest one that must not notice.
#
#	test/fuzz/run.sh BUILD [SECONDS [SEED]]
#
# BUILD is a directory for builds of its own; nothing else is done there. Needs root. SANITIZE=thread
# checks for data races instead (with honest clients only when HOSTILE=no).
set -eu

top=$(cd "$(dirname "$0")/../.." && pwd)
build=$1 seconds=${2:-20} seed=${3:-$(date +%s)}
sanitize=${SANITIZE:-address,undefined}
hostile=${HOSTILE:-yes}
only=${only:-}
. "$top/test/lib.sh"

[ "$(id -u)" = 0 ] || die "must be run as root: it acts for several users, in name spaces of its own"
if [ "${FUZZ_INSIDE:-}" != yes ]; then
	mkdir -p "$build"
	build=$build/fuzz-${sanitize%%,*}
	[ -e "$build/build.ninja" ] || meson setup "$build" "$top" -Db_sanitize="$sanitize" \
		-Db_lundef=false >"$build.log" 2>&1 || { cat "$build.log"; exit 1; }
	meson compile -C "$build" svcd:executable svcd_honest svcd_hostile >"$build.log" 2>&1 ||
		{ cat "$build.log"; exit 1; }
	FUZZ_INSIDE=yes exec unshare --net --mount --propagation private \
		bash "$0" "$build" "$seconds" "$seed"
fi

nobody=65534 daemon=1
trap finish EXIT
trap 'exit 130' INT TERM
export VT_SHOW_LINES=30
work=$(mktemp -d)
chmod 755 "$work"
on_exit "rm -rf '$work'"
ip link set lo up
mkdir "$work/root"
# Of a limited size: hostile clients write as much as they like. The honest one has its own.
mount -t tmpfs -o size=64m,nr_inodes=20k,mode=755 fuzz "$work/root"
on_exit "umount -l '$work/root'"
mkdir -m 1777 "$work/root/hostile" "$work/root/hostile/d"
mkdir "$work/root/honest"
mount -t tmpfs -o size=16m,mode=1777 honest "$work/root/honest"
on_exit "umount -l '$work/root/honest'"
mkdir "$work/root/proc" # the leak checker wants to see its own threads
mount --bind /proc "$work/root/proc"
on_exit "umount -l '$work/root/proc'"
mkfifo -m 666 "$work/root/hostile/fifo"
ln -s loop "$work/root/hostile/loop"
ln -s /etc/passwd "$work/root/hostile/out"
ln -s .. "$work/root/hostile/d/back"
touch "$work/root/hostile/f0" "$work/root/hostile/d/f2"
chmod 666 "$work/root/hostile/f0" "$work/root/hostile/d/f2"
for i in 1 2 3 4 5 6 7 8; do # what they name as roots
	ln -s hostile "$work/root/r$i"
done

export ASAN_OPTIONS=abort_on_error=1:detect_leaks=1:handle_abort=0:allocator_may_return_null=1
export UBSAN_OPTIONS=halt_on_error=1:abort_on_error=1:print_stacktrace=1
export TSAN_OPTIONS=exitcode=66:report_thread_leaks=0
ulimit -c 0
"$build/svcd/svcd" --domain fuzz --listen "unix:$work/sock" --root "$work/root" \
	--engines "${ENGINES:-1}" >"$work/out" 2>"$work/log" &
svcd=$!
on_exit "end_process $svcd"
for ((i = 0; i < 200; i++)); do
	grep -q ready "$work/out" && break
	sleep 0.05
done
grep -q ready "$work/out" || die "svcd does not start: $(tail -n 20 "$work/log")"

svcd_fds() {
	find "/proc/$svcd/fd" -mindepth 1 -printf '%p %l\n' | sed 's,.*/,,' | sort -n
}

svcd_ticks() {
	awk '{ print $14 + $15 }' "/proc/$svcd/stat"
}

# What is still open some time after everybody has gone. Tickets that nobody takes last 10 seconds.
settled() {
	local i
	# A token without a file lasts for a minute.
	for ((i = 0; i < 700; i++)); do
		svcd_fds >"$work/fds.$1"
		[ "$1" = before ] || [ "$(wc -l <"$work/fds.$1")" = "$(wc -l <"$work/fds.before")" ] && return
		sleep 0.1
	done
}

# Threads of svcd start and end with the load: give each kind a first time.
"$build/test/fuzz/svcd_honest" "$work/sock" /honest 1 $daemon >/dev/null || die "an honest client fails alone"
sleep 1
settled before

"$build/test/fuzz/svcd_honest" "$work/sock" /honest "$((seconds + 1))" $daemon >"$work/honest" 2>&1 &
honest=$!
on_exit "end_process $honest"
hostiles=()
if [ "$hostile" = yes ]; then
	for i in 1 2; do
		# Its own races are what it is for.
		TSAN_OPTIONS=report_bugs=0 "$build/test/fuzz/svcd_hostile" "$work/sock" "$seconds" "$((seed * 1000 + i * 100000))" $nobody \
			>"$work/hostile.$i" 2>&1 &
		hostiles+=($!)
		on_exit "end_process $!"
	done
else
	for i in 1 2 3; do
		"$build/test/fuzz/svcd_honest" "$work/sock" /honest "$seconds" $daemon >"$work/hostile.$i" 2>&1 &
		hostiles+=($!)
		on_exit "end_process $!"
	done
fi

echo "seed $seed, $seconds s, $sanitize"
for pid in "${hostiles[@]}"; do
	wait "$pid" || fail "the other clients" "exit status $?" "$work"/hostile.*
done
rc=0
wait $honest || rc=$?
if [ $rc = 0 ]; then
	pass "an honest client goes on: $(cat "$work/honest")"
else
	fail "an honest client goes on" "$(cat "$work/honest")"
fi
cat "$work"/hostile.*
if ! kill -0 $svcd 2>/dev/null; then
	sed '/^svcd\[fuzz\]/d' "$work/log" | head -n 60 >"$work/said"
	VT_SHOW_LINES=60 fail "svcd survives" "it has ended" "$work/said"
	summary
	exit 1
fi
pass "svcd survives"

settled after
if [ "$(wc -l <"$work/fds.after")" -le "$(wc -l <"$work/fds.before")" ]; then
	pass "no descriptors are left"
else
	diff "$work/fds.before" "$work/fds.after" >"$work/fds" || true
	fail "no descriptors are left" "more than before" "$work/fds"
fi
before=$(svcd_ticks)
sleep 2
ticks=$(($(svcd_ticks) - before))
if [ $ticks -le 5 ]; then
	pass "svcd is idle afterwards ($ticks ticks in 2 s)"
else
	fail "svcd is idle afterwards" "$ticks ticks in 2 s"
fi
rc=0
kill -TERM $svcd
timeout 10 tail --pid=$svcd -f /dev/null || rc=$?
[ $rc != 0 ] || wait $svcd || rc=$?
if [ $rc = 0 ]; then
	pass "svcd ends, and the sanitizers have nothing to say"
else
	sed '/^svcd\[fuzz\]/d' "$work/log" | head -n 60 >"$work/said"
	VT_SHOW_LINES=60 fail "svcd ends, and the sanitizers have nothing to say" "exit status $rc" "$work/said"
fi
grep -o 'broke the rules ([^)]*)' "$work/log" | sort | uniq -c | sort -rn | head -n 20
summary
