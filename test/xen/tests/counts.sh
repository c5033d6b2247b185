#!/bin/bash
# SPDX-License-Identifier: MIT
# shellcheck disable=SC2154,SC2016
# What a forwarded call takes besides time: system calls and hypercalls of the application domain,
# events between the domains, wake-ups of threads. Counts, so they hold for any machine.
#
# Each way to count is shown to count by system calls that are not forwarded. What the lab's own
# session takes, and what a kernel does by the clock, is taken off by counting an equally long time
# without calls.
set -eu
figures=$(dirname "$LAB")/figures
. "$figures/lib.sh"
mkdir -p "$LAB_DIR/counts"
cd "$LAB_DIR/counts"
rm -f ./*

calls=20000
wakes=100
failed=0

# --- the program that makes the calls ---

start_worker() {
	mkfifo input
	exec 6< <("$LAB" exec app "${forwarding[@]}" /lab/labworker /remote 10.77.0.1 <input)
	exits+=("kill $!")
	exec 7>input
	make read_1 100 # attaches
	make ask 1
	worker=$(in_domain app 'pidof labworker')
}

# Sets $took, in milliseconds.
make() { # KIND COUNT
	local kind ns
	echo "$1 $2" >&7
	read -r -u 6 kind ns
	[ "$kind" = "$1" ]
	took=$((ns / 1000000 + 1))
}

# --- counting ---

# A figure, and whether it is at most so many thousandths for each call.
verdict() { # WHAT COUNT CALLS MOST-PER-1000
	local word=
	(($2 * 1000 <= $3 * $4)) || word="  too many"
	printf '%-62s %8d of %6d: %7s each%s\n' "$1" "$2" "$3" \
		"$(awk "BEGIN { printf \"%.4f\", $2 / $3 }")" "$word"
	[ -z "$word" ]
}

# An emulated processor may get no time from ours in the middle of it all, and then the other side
# does go to sleep. So each figure has some chances to be that of two sides that are awake.
some_time() { # COUNT...
	local i
	for ((i = 0; i < 5; i++)); do
		"$@" && return
	done
	failed=1
}

system_calls_of() { # KIND COUNT
	local line pid
	exec 8< <("$LAB" exec app strace -f -c -o /run/strace -p "$worker" 2>&1 </dev/null)
	pid=$!
	read -r -u 8 line
	[[ $line == *attached* ]]
	make "$1" "$2"
	in_domain app 'kill -INT $(pidof strace)'
	wait $pid || true
	in_domain app 'cat /run/strace' >strace
	awk '$NF == "total" { print $4 }' strace
}

# Sets $hypercalls and $events_sent of the application domain, and $service_hypercalls of storage's.
hypercalls_of() { # KIND COUNT
	local pid
	in_domain dom0 'rm -f /tmp/trace'
	exec 8< <("$LAB" exec dom0 xentrace -D -e 0x00221000 -S 1024 /tmp/trace </dev/null 2>&1)
	pid=$!
	in_domain dom0 'until [ -s /tmp/trace ]; do sleep 0.1; done'
	make "$1" "$2"
	in_domain dom0 'kill $(pidof xentrace)'
	wait $pid || true
	"$LAB" exec dom0 cat /tmp/trace >trace </dev/null
	"$figures/trace.py" trace "$app" "$storage" >kinds
	{ read -r _ _ hypercalls app_kinds && read -r _ _ service_hypercalls service_kinds; } <kinds
	echo "$1 $2: app $hypercalls $app_kinds; storage $service_hypercalls $service_kinds" >>hypercalls
}

# Events that have come, of channels of ours.
events() { # DOMAIN
	in_domain "$1" 'awk "/evtchn:(labworker|svcd)|virtuos\$/ { n += \$2 } END { print n + 0 }" \
		/proc/interrupts'
}

# How often threads of the program have gone to sleep.
sleeps() {
	in_domain app "cat /proc/$worker/task/*/status" |
		awk '/^voluntary_ctxt_switches/ { n += $2 } END { print n }'
}

# --- the counts ---

count_system_calls() {
	verdict "system calls of the program, 1 B from a file (strace)" \
		$(($(system_calls_of read_1 $calls) - 2)) $calls 1
}

count_hypercalls() {
	local own
	hypercalls_of read_1 $calls
	own=$hypercalls
	hypercalls_of nothing $took
	verdict "hypercalls of its domain, the same (xentrace)" \
		$((own > hypercalls ? own - hypercalls : 0)) $calls 10
}

count_events() { # DOMAIN KIND COUNT TEXT
	local program service good=0
	program=$(events app)
	service=$(events "$1")
	make "$2" "$3"
	program=$(($(events app) - program))
	service=$(($(events "$1") - service))
	verdict "events to the program, $4 (/proc/interrupts)" $program "$3" 1 || good=1
	verdict "events to the service, the same" $service "$3" 1 || good=1
	return $good
}

# With a thread that watches for the others that one is woken as well, and they look for themselves
# now and then; the kernel extension wakes who is due.
count_wakes() { # KIND MOST-PER-1000 TEXT
	local slept came good=0
	make "$1" 1
	slept=$(sleeps)
	came=$(events app)
	make "$1" $wakes
	slept=$(($(sleeps) - slept))
	came=$(($(events app) - came))
	((came * 10 >= wakes * 9)) || { echo "$3: it did not sleep" && return 1; }
	verdict "events, $3" $came $wakes 1100 || good=1
	verdict "threads woken, the same" $slept $wakes "$2" || good=1
	return $good
}

app=$(in_domain dom0 'xl domid app')
storage=$(in_domain dom0 'xl domid storage')
write_config
start_peer
stay_awake storage
stay_awake net
start_worker
ext=$(in_domain app "ls -l /proc/$worker/fd | grep -c ' /dev/virtuos\$' || true")
echo "kernel extension in use: $ext"

n=$(system_calls_of system_calls 1000)
((n >= 1000)) || { echo "system calls are not seen: $n of 1000" && exit 1; }
some_time count_system_calls
hypercalls_of system_calls $calls
((hypercalls >= calls)) || { echo "hypercalls are not seen: $hypercalls of $calls" && exit 1; }
some_time count_hypercalls
cat hypercalls
some_time count_events storage read_1 $calls "1 B from a file"
some_time count_events storage read_4k $calls "4 KiB from a file"
some_time count_events net bulk_in 2000 "much data from the network"
some_time count_wakes woken 1100 "one thread sleeps, and is woken"
some_time count_wakes woken_beside_others $((ext ? 1100 : 3200)) "the same beside 15 threads that sleep"
exit $failed
