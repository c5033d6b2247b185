#!/bin/bash
# SPDX-License-Identifier: MIT
# Programs that lie in a domain have the section of their own name, though it is a copy of them that
# the kernel executes. Usage: app_name.sh BUILD
set -eu

top=$(cd "$(dirname "$0")/../.." && pwd)
. "$top/test/domains.sh" "${1:?usage: app_name.sh BUILD}"

bad=0
bin=$work/fwd/data/bin # in the domain
long=$(printf '%0255d' 0)
mkdir "$work/root/bin" "$work/here"
for name in reader other "$long"; do
	cp "$(command -v cat)" "$work/root/bin/$name"
done
ln -s reader "$work/root/bin/linked"
cp "$(command -v cat)" "$work/here/reader"
echo "seen" >"$work/root/seen"
cat >"$work/app.conf" <<-END
	[domain storage]
	address = unix:$work/storage.sock
	[default]
	file $bin = storage:/bin
	[app reader]
	file $work/for-reader = storage:/
	[app linked]
	file $work/for-linked = storage:/
	[app 000*0]
	file $work/for-long = storage:/
END

run() { # EXPECTED COMMAND...
	local expected=$1 got
	shift
	got=$(env LD_PRELOAD="$work/bin/libvirtuos.so" VIRTUOS_CONFIG="$work/app.conf" \
		timeout -k 2 30 "$@" 2>/dev/null) || true
	[ "$got" = "$expected" ] && return
	printf 'FAIL: %s: expected "%s", got "%s"\n' "$*" "$expected" "$got"
	bad=1
}

run seen "$work/here/reader" "$work/for-reader/seen"
run seen env "$bin/reader" "$work/for-reader/seen"
run seen env -C "$bin" ./reader "$work/for-reader/seen"
run seen env "PATH=$bin" reader "$work/for-reader/seen"
run seen env "$bin/linked" "$work/for-linked/seen"
run seen env "$bin/$long" "$work/for-long/seen"
run "" env "$bin/other" "$work/for-reader/seen"
run "" env "$bin/reader" "$work/for-linked/seen"
exit $bad
