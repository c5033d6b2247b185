# SPDX-License-Identifier: MIT
# shellcheck shell=bash disable=SC2154
# What the quickstarts have in common: what they print, packages, and processes in the background.
# $top is the project, $work a directory for the run.

declare -A pid # of what runs in the background, by name
started=()     # the names, in order
failed=0

export PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin LC_ALL=C
unset LD_PRELOAD VIRTUOS_CONFIG TMOUT

# --- what is printed ---------------------------------------------------------------------------------

steps=0 bold='' plain=''
if [ -t 1 ]; then
	bold=$'\033[1m' plain=$'\033[0m'
fi

step() {
	steps=$((steps + 1))
	printf '\n%s%d. %s%s\n' "$bold" $steps "$*" "$plain"
}

say() { # NAME TEXT
	printf '   %-10s %s\n' "$1" "$2"
}

indent() {
	sed 's/^/              /'
}

die() {
	printf '%s: %s\n' "$(basename "$0" .sh)" "$*" >&2
	exit 1
}

fails() { # COMMAND...
	! "$@"
}

check() { # WHAT COMMAND...
	local what=$1
	shift
	if "$@"; then
		say ok "$what"
	else
		failed=1
		say FAILED "$what"
	fi
}

show_logs() {
	local log
	for log in "$work"/*.log; do
		[ -s "$log" ] || continue
		printf '\n--- the end of %s\n' "${log##*/}"
		tail -n 20 "$log"
	done
}

now_ms() {
	echo $((${EPOCHREALTIME/[.,]/} / 1000))
}

# --- starting and stopping ---------------------------------------------------------------------------

# COMMAND in the background, with none of our descriptors but 0 to 2. It does not outlive us.
start_with() { # INPUT NAME COMMAND...
	local input=$1 name=$2
	shift 2
	{
		for fd in /proc/"$BASHPID"/fd/*; do
			fd=${fd##*/}
			[ "$fd" -le 2 ] || exec {fd}>&-
		done
		exec setpriv --pdeathsig KILL "$@"
	} <"$input" &
	pid[$name]=$!
	started+=("$name")
}

start() { # NAME COMMAND...
	start_with /dev/null "$@"
}

stop() { # NAME
	local p=${pid[$1]} i
	kill -TERM "$p" 2>/dev/null || true
	for ((i = 0; i < 60; i++)); do
		kill -0 "$p" 2>/dev/null || break
		sleep 0.05
	done
	kill -KILL "$p" 2>/dev/null || true
	wait "$p" 2>/dev/null || true
	unset "pid[$1]"
}

# Also at the end, after an error or Ctrl-C.
stop_all() {
	local i
	[ ${#started[@]} = 0 ] || printf '\nStopping:'
	for ((i = ${#started[@]} - 1; i >= 0; i--)); do
		printf ' %s' "${started[i]}"
		stop "${started[i]}"
	done
	[ ${#started[@]} = 0 ] || printf '\n'
}

# It is not ours to stop any more.
ended() { # NAME
	local name rest=()
	unset "pid[$1]"
	for name in "${started[@]}"; do
		[ "$name" = "$1" ] || rest+=("$name")
	done
	started=("${rest[@]}")
}

# --- packages ----------------------------------------------------------------------------------------

# Installing a server must not start it: policy-rc.d says so meanwhile.
install_packages() { # PACKAGE...
	local missing=() p policy=/usr/sbin/policy-rc.d ours='' rc=0
	for p in "$@"; do
		[ "$(dpkg-query -W -f '${db:Status-Status}' "$p" 2>/dev/null)" = installed ] ||
			missing+=("$p")
	done
	if [ ${#missing[@]} = 0 ]; then
		say packages "all there"
		return
	fi
	say packages "installing ${missing[*]}"
	if [ ! -e $policy ]; then
		ours=yes
		printf '#!/bin/sh\nexit 101\n' >$policy
		chmod 755 $policy
	fi
	export DEBIAN_FRONTEND=noninteractive
	{ apt-get -qq update && apt-get -qq -y --no-install-recommends install "${missing[@]}"; } \
		</dev/null >"$work/apt.log" 2>&1 || rc=$?
	[ -z $ours ] || rm -f $policy
	[ $rc = 0 ] || die "the packages cannot be installed"
	rm "$work/apt.log"
}
