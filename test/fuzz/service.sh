#!/bin/bash
# SPDX-License-Identifier: MIT
# A hostile service against a program, with the library and the program built with sanitizers.
#
#	test/fuzz/service.sh BUILD [SECONDS [SEED]]
#
# BUILD is a directory for a build of its own. Beside the random part, a call that is never answered
# by a service that dies in silence takes half a minute, whatever SECONDS is; WAIT=no leaves it out.
set -eu

top=$(cd "$(dirname "$0")/../.." && pwd)
build=$1 seconds=${2:-20} seed=${3:-$(date +%s)} sanitize=address,undefined
. "$top/test/lib.sh"
. "$top/test/fuzz/lib.sh"

fuzz_build "$build" virtuos:shared_library service_hostile program
fuzz_work
fuzz_options
ASAN_OPTIONS+=:detect_leaks=0
library=$build/preload/libvirtuos.so
asan=$(ldd "$library" | awk '/libasan/ { print $3 }')
[ -n "$asan" ] || die "$library is not built with the address sanitizer"

serve() { # NAME ARG...: starts a service and makes a configuration for it
	local name=$1 fd line
	shift
	mkfifo "$work/$name.ready"
	"$build/test/fuzz/service_hostile" "$work/$name.sock" "$seed" "$@" >"$work/$name.ready" &
	on_exit "end_process $!"
	exec {fd}<"$work/$name.ready"
	read -r -t 20 -u "$fd" line && [[ $line == ready ]] || die "the service does not start"
	cat >"$work/$name.conf" <<-END
		[domain hostile]
		address = unix:$work/$name.sock

		[default]
		inet = hostile
		hostname = hostile
		file /remote = hostile:/
	END
}

# With the sanitizer's library in front, as it wants to be; and where it can do no harm: a service may
# send any call on a path to any place of the program's own, as a symlink in its tree could.
run() { # NAME ARG...
	local name=$1
	shift
	unshare --mount --propagation private sh -c 'mount -o remount,bind,ro / && exec "$@"' sh \
		setpriv --reuid=65534 --regid=65534 --clear-groups env \
		"LD_PRELOAD=$asan $work/libvirtuos.so" "VIRTUOS_CONFIG=$work/$name.conf" \
		"$work/program" "$@" >"$work/$name.out" 2>&1
}

# Where any user can read them, whatever the modes of the build directory are.
cp "$library" "$build/test/fuzz/program" "$work/"
echo "seed $seed, $seconds s"
serve sudden silent
serve hostile
if [ "${WAIT:-yes}" = yes ]; then
	run sudden 0 0 wait &
	sudden=$!
	on_exit "end_process $sudden"
fi
rc=0 start=$SECONDS
run hostile "$seconds" "$seed" || rc=$?
took=$((SECONDS - start))
# "virtuos: domain D cannot be used at ADDRESS: TEXT" is the library's to say.
sed -i '/^virtuos: /d' "$work/hostile.out"
if [ $rc = 0 ] && [ "$(wc -l <"$work/hostile.out")" = 1 ]; then
	pass "a program survives: $(cat "$work/hostile.out")"
else
	fail "a program survives" "exit status $rc" "$work/hostile.out"
fi
if [ $took -le $((seconds + 10)) ]; then
	pass "no call hangs"
else
	fail "no call hangs" "it took $took s"
fi
if [ "${WAIT:-yes}" = yes ]; then
	rc=0
	wait $sudden || rc=$?
	if [ $rc = 0 ]; then
		pass "a death that was kept quiet is noticed: $(cat "$work/sudden.out")"
	else
		fail "a death that was kept quiet is noticed" "exit status $rc" "$work/sudden.out"
	fi
fi
summary
