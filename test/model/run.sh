#!/bin/bash
# SPDX-License-Identifier: MIT
# Checks the models with spin: each must hold, and each of its variants with a bug must be caught.
# With --full also the largest state spaces (up to a minute and 2 GiB each).
set -u

here=$(cd "$(dirname "$0")" && pwd)
full=${1:-}
for tool in spin gcc; do
	command -v $tool >/dev/null || {
		echo "skip: $tool is not installed"
		exit 77
	}
done
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
bad=0

check() { # holds|fails MODEL [-D...]
	local want=$1 model=$2 got
	shift 2
	rm -rf "$work/run"
	mkdir "$work/run"
	cp "$here/$model.pml" "$work/run/"
	if ! (cd "$work/run" && spin -a "$@" "$model.pml" && gcc -O2 -w -DSAFETY -DHC4 -DMEMLIM=1900 \
		-o pan pan.c) >"$work/build" 2>&1; then
		cat "$work/build"
		got="does not build"
	else
		# shellcheck disable=SC2094
		(cd "$work/run" && timeout 100 ./pan -m200000) >"$work/out" 2>&1
		case $? in
		124) got="takes too long" ;;
		*) got=$(verdict) ;;
		esac
	fi
	printf '%-4s %s %s: %s%s\n' "$([ "$got" = "$want" ] && echo ok || echo FAIL)" "$model" "$*" \
		"$got" "$(sed -n 's/^ *\([0-9.e+]*\) states, stored$/, \1 states/p' "$work/out")"
	[ "$got" = "$want" ] || bad=1
}

verdict() {
	if grep -qE '^pan:[0-9]+: (invalid end state|assertion violated)' "$work/out"; then
		echo fails
	elif grep -qE 'max search depth|MEMLIM|out of memory' "$work/out" ||
		! grep -q 'errors: 0' "$work/out"; then
		echo "is not decided"
	else
		echo holds
	fi
}

# Lanes: calls of the thread, signals, calls of the pool, claims given back, calls taken back, handlers
# on handlers.
check holds lane -DCALLS=3 -DSIGNALS=1
check holds lane -DCALLS=2 -DSIGNALS=2
check holds lane -DCALLS=3 -DSIGNALS=1 -DABANDONED=1
check holds lane -DCALLS=4 -DSIGNALS=0 -DPOOL=1
check holds lane -DCALLS=2 -DSIGNALS=2 -DSLOTS=4
check holds lane -DCALLS=3 -DSIGNALS=0 -DCANCELS=2 -DSLOTS=4
check holds lane -DCALLS=2 -DSIGNALS=1 -DCANCELS=1 -DSLOTS=4
check fails lane -DBUG_CANCEL -DCALLS=2 -DSIGNALS=0 -DCANCELS=1
check fails lane -DBUG_REWIND -DCALLS=2 -DSIGNALS=2 -DSLOTS=4
check fails lane -DBUG_NESTED -DCALLS=2 -DSIGNALS=1 -DSLOTS=4
check fails lane -DBUG_RING -DCALLS=2 -DSIGNALS=1
check fails lane -DBUG_REST -DCALLS=3 -DSIGNALS=1
check fails lane -DBUG_GAP -DCALLS=2 -DSIGNALS=2 -DABANDONED=1
check fails lane -DBUG_ABANDON -DCALLS=3 -DSIGNALS=0 -DABANDONED=1
check fails lane -DBUG_WAKE -DCALLS=1 -DSIGNALS=0
check fails lane -DBUG_TWICE -DCALLS=2 -DSIGNALS=1 -DPOOL=1
check fails lane -DBUG_MAIL -DCALLS=4 -DSIGNALS=0 -DPOOL=1
if [ "$full" = --full ]; then
	check holds lane -DCALLS=2 -DSIGNALS=1 -DPOOL=1
	check holds lane -DCALLS=1 -DSIGNALS=2 -DSLOTS=4 -DLEVELS=2
fi

check holds wake_fd
check fails wake_fd -DBUG_DRAIN

check holds turn -DBAD=1
check fails turn -DBUG_LEAVE
check fails turn -DBUG_ORDER
check fails turn -DBUG_LOCAL
[ "$full" = --full ] && check holds turn -DBAD=2

# One thread sleeps for all others.
check holds reader -DCALLS=1 -DSIGNALS=0
check holds reader -DLONG -DCALLS=1
check holds reader -DTHREADS=2 -DCALLS=3
check holds reader -DLONG -DTHREADS=2 -DSIGNALS=2
check fails reader -DBUG_PASS -DCALLS=1 -DSIGNALS=0
check fails reader -DBUG_NUDGE -DLONG -DTHREADS=2 -DCALLS=1
check fails reader -DBUG_ASLEEP -DLONG -DTHREADS=2 -DCALLS=1
[ "$full" = --full ] && check holds reader -DLONG -DCALLS=1 -DSIGNALS=2

check holds ready
check fails ready -DBUG_LAP
exit $bad
