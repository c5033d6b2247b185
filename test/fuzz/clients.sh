#!/bin/bash
# SPDX-License-Identifier: MIT
# Hostile clients against a svcd built with sanitizers, beside honest ones that must not notice.
#
#	test/fuzz/clients.sh BUILD [SECONDS [SEED]]
#
# BUILD is a directory for a build of its own. Needs root. SECONDS are for the random part; what is
# gone through once takes about ten. SANITIZE=thread looks for data races instead, HOSTILE=no has
# honest clients only, LONGEST is how many milliseconds a call of an honest one may take.
set -eu

top=$(cd "$(dirname "$0")/../.." && pwd)
build=$1 seconds=${2:-20} seed=${3:-$(date +%s)}
sanitize=${SANITIZE:-address,undefined} with_hostile=${HOSTILE:-yes} longest=${LONGEST:-2000}
. "$top/test/lib.sh"
. "$top/test/fuzz/lib.sh"

nobody=65534 daemon=1
if [ "${FUZZ_INSIDE:-}" != yes ]; then
	fuzz_build "$build" svcd:executable svcd_honest svcd_hostile svcd_selfish
	FUZZ_INSIDE=yes exec unshare --net --mount --propagation private \
		bash "$0" "$build" "$seconds" "$seed"
fi
fuzz_work
fuzz_options

# Of a limited size: hostile clients write as much as they like. The honest ones have their own.
make_tree() {
	local root=$work/root
	mkdir "$root"
	mount -t tmpfs -o size=64m,nr_inodes=20k,mode=755 fuzz "$root"
	on_exit "umount -l '$root'"
	mkdir "$root/honest" "$root/proc"
	mkdir -m 1777 "$root/hostile" "$root/hostile/d"
	mount -t tmpfs -o size=16m,mode=1777 honest "$root/honest"
	on_exit "umount -l '$root/honest'"
	mount --bind /proc "$root/proc" # the leak checker wants to see its own threads
	on_exit "umount -l '$root/proc'"
	mkfifo -m 666 "$root/hostile/fifo"
	ln -s loop "$root/hostile/loop"
	ln -s /etc/passwd "$root/hostile/out"
	ln -s .. "$root/hostile/d/back"
	touch "$root/hostile/f0" "$root/hostile/d/f2"
	chmod 666 "$root/hostile/f0" "$root/hostile/d/f2"
}

start_svcd() {
	local fd line
	mkfifo "$work/ready"
	"$build/svcd/svcd" --domain fuzz --listen "unix:$work/sock" --root "$work/root" \
		--engines "${ENGINES:-1}" >"$work/ready" 2>"$work/log" &
	svcd=$!
	on_exit "end_process $svcd"
	exec {fd}<"$work/ready"
	read -r -t 20 -u "$fd" line && [[ $line == *ready* ]] ||
		die "svcd does not start: $(tail -n 20 "$work/log")"
}

honest() { # SECONDS
	exec "$build/test/fuzz/svcd_honest" "$work/sock" /honest "$1" $daemon "$longest"
}

svcd_fds() {
	find "/proc/$svcd/fd" -mindepth 1 -printf '%p %l\n' | sed 's,.*/,,' | sort -n
}

svcd_ticks() {
	awk '{ print $14 + $15 }' "/proc/$svcd/stat"
}

broken() { # how many clients have been thrown out
	grep -c 'broke the rules' "$work/log" || true
}

# An honest client for as long as COMMAND runs, which is a number of hostile ones.
beside_honest() { # NAME COMMAND...
	local name=$1 rc=0 before pid
	shift
	before=$(broken)
	honest 600 >"$work/honest" 2>&1 &
	pid=$!
	on_exit "end_process $pid"
	"$@" >"$work/hostile" 2>&1 || rc=$?
	[ $rc = 0 ] || fail "$name: the hostile ones are accepted" "exit status $rc" "$work/hostile"
	rc=0
	kill -TERM $pid 2>/dev/null || true
	wait $pid || rc=$?
	if [ $rc = 0 ]; then
		pass "$name: an honest client goes on: $(cat "$work/honest")"
	else
		fail "$name: an honest client goes on" "exit status $rc" "$work/honest"
	fi
	sed 's/^/     /' "$work/hostile"
	alive || return 0
	if [ "$(broken)" -gt "$before" ] || [ $with_hostile = no ]; then
		pass "$name: the hostile ones are thrown out ($(($(broken) - before)))"
	else
		fail "$name: the hostile ones are thrown out" "nobody was: are they hostile?"
	fi
}

alive() {
	kill -0 "$svcd" 2>/dev/null && return
	what_svcd_said
	fail "svcd survives" "it has ended" "$work/said"
	summary
	exit 1
}

what_svcd_said() {
	sed '/^svcd\[fuzz\]/d' "$work/log" | head -n 60 >"$work/said"
}

hostile() { # NUMBER SECONDS KIND
	local i pids=() rc=0 pid
	for ((i = 1; i <= $1; i++)); do
		# Its own races are what it is for.
		TSAN_OPTIONS=report_bugs=0 "$build/test/fuzz/svcd_hostile" "$work/sock" "$2" \
			$((seed * 1000 + i * 100000)) $nobody "$3" &
		pids+=($!)
	done
	for pid in "${pids[@]}"; do
		wait "$pid" || rc=1
	done
	return $rc
}

# What breaks no rule, but must not be at the expense of others.
selfish() { # KIND...
	local kind
	for kind; do
		"$build/test/fuzz/svcd_selfish" "$work/sock" $nobody "$kind" >"$work/selfish" 2>&1 &&
			pass "selfish: $kind" || fail "selfish: $kind" "$(tail -n 3 "$work/selfish")"
	done
}

honest_pair() { # SECONDS
	honest "$1" &
	(honest "$1") && wait $!
}

# What is open when nobody is there.
settle_before() {
	local last=
	until svcd_fds >"$work/fds.before" && [ "$(wc -l <"$work/fds.before")" = "$last" ]; do
		last=$(wc -l <"$work/fds.before")
		sleep 0.2
	done
}

# What is open when everybody has gone. Tickets that nobody takes last 10 seconds, tokens a minute.
settled() {
	local i
	for ((i = 0; i < 700; i++)); do
		svcd_fds >"$work/fds.after"
		[ "$(wc -l <"$work/fds.after")" -gt "$(wc -l <"$work/fds.before")" ] || return 0
		sleep 0.1
	done
	diff "$work/fds.before" "$work/fds.after" >"$work/fds" || true
	return 1
}

is_idle() {
	local before ticks
	before=$(svcd_ticks)
	sleep 1
	ticks=$(($(svcd_ticks) - before))
	[ $ticks -le 3 ] && pass "svcd is idle afterwards" && return
	fail "svcd is idle afterwards" "$ticks ticks in a second"
}

ends() {
	local rc=0
	kill -TERM "$svcd"
	timeout 20 tail --pid="$svcd" -f /dev/null || rc=$?
	[ $rc != 0 ] || wait "$svcd" || rc=$?
	what_svcd_said
	if [ $rc = 0 ] && [ ! -s "$work/said" ]; then
		pass "svcd ends, and the sanitizers have nothing to say"
	else
		fail "svcd ends, and the sanitizers have nothing to say" "exit status $rc" "$work/said"
	fi
}

ip link set lo up
make_tree
start_svcd
echo "seed $seed, $seconds s, $sanitize"
# Threads of svcd start and end with the load: give each kind a first time.
(honest 1) >"$work/honest" 2>&1 || die "an honest client fails alone: $(cat "$work/honest" "$work/log")"
pass "an honest client alone: $(cat "$work/honest")"
settle_before
if [ $with_hostile = yes ]; then
	selfish leftovers lingering-hello lingering-rest lingering-bells other-wake-fd \
		lingerers tickets
	beside_honest "all limits" hostile 1 120 table
	beside_honest "scribblers" hostile 2 $((seconds / 4 + 1)) scribble
	beside_honest "flippers" hostile 2 $((seconds / 4 + 1)) flip
	beside_honest "all sorts" hostile 2 $((seconds / 2)) any
else
	beside_honest "honest ones" honest_pair "$seconds"
fi
(honest 1) >"$work/honest" 2>&1 && pass "a newcomer is served: $(cat "$work/honest")" ||
	fail "a newcomer is served" "exit status" "$work/honest"
alive
pass "svcd survives"
if settled; then
	pass "no descriptors are left"
else
	fail "no descriptors are left" "more than before" "$work/fds"
fi
is_idle
ends
grep -o 'broke the rules ([^)]*)' "$work/log" | sort | uniq -c | sort -rn | head -n 20
summary
