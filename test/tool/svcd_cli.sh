#!/bin/bash
# SPDX-License-Identifier: MIT
# svcd's options, and what becomes of its sockets' names. Usage: svcd_cli.sh BUILD
set -eu

build=$(realpath "${1:?usage: svcd_cli.sh BUILD}")
svcd=${SVCD:-$build/svcd/svcd}
[ -x "$svcd" ] || { echo "skip: svcd is not built" && exit 77; }
top=$(cd "$(dirname "$0")/../.." && pwd)
. "$top/test/lib.sh"
trap finish EXIT
trap 'exit 130' INT TERM
make_work
mkdir "$work/run" "$work/root"
failed=0

wrong() {
	echo "WRONG $*"
	failed=1
}

refused() { # STATUS PATTERN OPTION...: and no socket is left
	local status=$1 pattern=$2 rc=0 out
	shift 2
	out=$(timeout 10 "$svcd" "$@" 2>&1) || rc=$?
	[ $rc = "$status" ] || wrong "status $rc for $*, not $status"
	[[ $out =~ $pattern ]] || wrong "$* says: $out"
	[ -z "$(ls "$work/run")" ] || wrong "$* leaves $(ls "$work/run")"
}

start() { # OPTION...: sets pid
	local fd line
	rm -f "$work/ready"
	mkfifo "$work/ready"
	"$svcd" --domain d "${listen[@]}" "$@" >"$work/ready" 2>"$work/log" &
	pid=$!
	on_exit "end_process $pid"
	exec {fd}<"$work/ready"
	read -r -t 10 -u "$fd" line || wrong "svcd does not start: $(cat "$work/log")"
	exec {fd}<&-
}

ends() { # SIGNAL
	kill "-$1" "$pid"
	wait "$pid" || true
}

listen=(--listen "unix:$work/run/a")
refused 2 'are needed' "${listen[@]}"
refused 2 'a domain cannot have this name' --domain local "${listen[@]}"
refused 2 'a domain cannot have this name' --domain deny "${listen[@]}"
for name in '' 'a b' 'a/b' '[a]' 12345678901234567890123456789012; do
	refused 2 "1 to 31 letters, digits, '_', '.' and '-' are allowed" --domain "$name" "${listen[@]}"
done
refused 2 'absolute path below 108 bytes' --domain d --listen unix:run/a
refused 2 'unix:PATH is allowed' --domain d --listen "$work/run/a"
refused 1 'engine 0 cannot run on CPU 1023' --domain d "${listen[@]}" --cpu 1023
# What has been made goes again when the start fails later.
refused 1 'No such file' --domain d "${listen[@]}" --listen "unix:$work/gone/b"
refused 1 'No such file' --domain d "${listen[@]}" --root "$work/gone"

# The names go at the end, from outside of --root as well.
[ "$(id -u)" != 0 ] || root=(--root "$work/root")
start "${root[@]}" --listen "unix:$work/run/b"
[ -S "$work/run/a" ] && [ -S "$work/run/b" ] || wrong "svcd runs without its sockets"
refused_by=$("$svcd" --domain d "${listen[@]}" 2>&1) && wrong "two services on one socket"
[[ $refused_by == *'another service listens there'* ]] || wrong "the second says: $refused_by"
[ -S "$work/run/a" ] || wrong "the refused one has taken the socket of the first away"
ends TERM
[ -z "$(ls "$work/run")" ] || wrong "SIGTERM leaves $(ls "$work/run")"

# One that was killed leaves its name; the next one replaces it.
start
ends KILL
[ -S "$work/run/a" ] || wrong "who has removed the name?"
start "${root[@]}"
# Somebody else's newer one stays.
mv "$work/run/a" "$work/old"
first=$pid
start
second=$pid
pid=$first ends TERM
[ -S "$work/run/a" ] || wrong "the name of a newer service is removed"
pid=$second ends TERM
[ -z "$(ls "$work/run")" ] || wrong "the newer one leaves $(ls "$work/run")"

# The same options in a file: what is for other domains does not count, the command line counts more.
options() { # LINE...
	printf '%s\n' "$@" >"$work/options"
}

listen=()
options '[svcd]' 'spin = 20' 'verbose = yes' '; a comment' '[svcd d]' "listen = unix:$work/run/a" \
	"listen = unix:$work/run/b" '[svcd other]' 'root = /nowhere'
start --config "$work/options"
[ -S "$work/run/a" ] && [ -S "$work/run/b" ] || wrong "the file's addresses: $(ls "$work/run")"
ends TERM
start --config "$work/options" --listen "unix:$work/run/c"
[ "$(ls "$work/run")" = c ] || wrong "the file's addresses with one of the command line: $(ls "$work/run")"
ends TERM
refused 2 'are needed' --domain other --config "$work/options"
listen=(--listen "unix:$work/run/a")
options '[svcd d]' 'root = /nowhere'
refused 1 'root /nowhere: No such file' --domain d "${listen[@]}" --config "$work/options"
[ "$(id -u)" != 0 ] || { start --config "$work/options" --root "$work/root" && ends TERM; }
wrong_line() { # PATTERN LINE...
	local pattern=$1
	shift
	options '[svcd]' "$@"
	refused 2 "$work/options:2: $pattern" --domain d "${listen[@]}" --config "$work/options"
}
wrong_line 'pool: a number from 1 to 1024 is allowed' 'pool = many'
wrong_line 'listen: .* is allowed' 'listen = /run/x.sock'
wrong_line 'verbose: yes or no is allowed' 'verbose = 1'
wrong_line 'polo: no such option here' 'polo = 3'
wrong_line 'domain: no such option here' 'domain = d'
wrong_line 'neither a section nor' 'what is this'
options 'pool = 3'
refused 2 "$work/options:1: .svcd. and .svcd DOMAIN. are allowed" --domain d "${listen[@]}" \
	--config "$work/options"
refused 2 "config $work/none: No such file" --domain d "${listen[@]}" --config "$work/none"

# Started from a shell that runs over the library, it serves others, not itself.
library=$build/preload/libvirtuos.so
printf '[domain d]\naddress = unix:%s\n[default]\ninet = d\n' "$work/run/a" >"$work/conf"
LD_PRELOAD=$library VIRTUOS_CONFIG=$work/conf start
LD_PRELOAD=$library VIRTUOS_CONFIG=$work/conf timeout 10 \
	python3 -c 'import socket; socket.create_server(("127.0.0.1", 0))' ||
	wrong "an svcd that the library is preloaded into serves nobody"
ends TERM
exit $failed
