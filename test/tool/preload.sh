#!/bin/bash
# SPDX-License-Identifier: MIT
# The library preloaded by hand, without "virtuos run": relative paths, and no configuration at all.
# Usage: preload.sh BUILD
set -eu

build=$(realpath "${1:?usage: preload.sh BUILD}")
[ -r "$build/preload/libvirtuos.so" ] || { echo "skip: libvirtuos.so is not built" && exit 77; }
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
unset LD_PRELOAD VIRTUOS_CONFIG VIRTUOS_REQUIRE VIRTUOS_QUIET
failed=0

expect() { # TEXT COMMAND...: all that it prints
	local text=$1 out
	shift
	out=$(timeout 20 "$@" 2>&1) || true
	[ "$out" != "$text" ] || return 0
	printf 'WRONG %s\n  printed: %s\n  expected: %s\n' "$*" "$out" "$text"
	failed=1
}

mkdir lib
cp "$build/preload/libvirtuos.so" lib/
echo secret >file
printf '[default]\nfile %s = deny\n' "$work/file" >conf
denied="cat: $work/file: Permission denied"

# A program in another directory has the same library and configuration.
relative=(env LD_PRELOAD=lib/libvirtuos.so VIRTUOS_CONFIG=conf)
expect "$denied" "${relative[@]}" sh -c 'cd / && cat "$1"' sh "$work/file"
expect "$work/lib/libvirtuos.so $work/conf" "${relative[@]}" \
	sh -c 'cd / && env -u LD_PRELOAD sh -c "echo \$LD_PRELOAD \$VIRTUOS_CONFIG"'
expect "$denied" "${relative[@]}" python3 -c '
import os, sys
os.execve("/bin/cat", ["cat", sys.argv[1]], {})' "$work/file"

# Without any configuration: said once, not by each program that is started.
if [ ! -e /etc/virtuos/virtuos.conf ]; then
	bare=(env LD_PRELOAD="$work/lib/libvirtuos.so")
	none="virtuos: nothing is forwarded: VIRTUOS_CONFIG is not set, and there is no \
/etc/virtuos/virtuos.conf"
	expect "$none"$'\n'secret "${bare[@]}" sh -c 'env true; cat file'
	expect secret "${bare[@]}" VIRTUOS_QUIET=1 sh -c 'env true; cat file'
	expect "virtuos: /etc/virtuos/virtuos.conf: cannot open the file: there is none" "${bare[@]}" \
		VIRTUOS_REQUIRE=1 true
fi
exit $failed
