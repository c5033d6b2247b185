#!/bin/bash
# SPDX-License-Identifier: MIT
# virtuos run, check and explain: what they print, and their exit codes. Usage: virtuos_cli.sh BUILD
#
# The command is tried in a tree of its own with an empty library, because nothing here is about
# what the library does.
set -u

build=$(realpath "${1:?usage: virtuos_cli.sh BUILD}")
command -v cc >/dev/null || exit 77
[ -x "$build/tools/virtuos" ] || exit 77
work=$(mktemp -d)
listener=
# shellcheck disable=SC2154 # rc is set in the trap
trap 'rc=$?; [ -z "$listener" ] || kill "$listener"; rm -rf "$work"; exit $rc' EXIT
cd "$work" || exit 1
unset LD_PRELOAD VIRTUOS_CONFIG VIRTUOS_UNAVAILABLE VIRTUOS_LIBC_PATCH VIRTUOS_REQUIRE
failed=0

# expect CODE PATTERN COMMAND...: the exit code, and an extended regex for stdout and stderr.
expect() {
	local code=$1 pattern=$2 out rc
	shift 2
	out=$(timeout 20 "$@" 2>&1)
	rc=$?
	if [ $rc != "$code" ] || ! grep -qE -- "$pattern" <<<"$out"; then
		printf 'FAIL: %s\n  expected %s: %s\n  got %s:\n%s\n' "$*" "$code" "$pattern" $rc "$out"
		failed=1
	fi
}

refute() { # PATTERN COMMAND...
	local pattern=$1
	shift
	if timeout 20 "$@" 2>&1 | grep -E -- "$pattern"; then
		printf 'FAIL: %s\n  printed the above\n' "$*"
		failed=1
	fi
}

# program NAME [CC-OPTION...]: a program that exits with 3.
program() {
	local name=$1
	shift
	cc -o "$name" "$@" -x c - <<<'int main(void) { return 3; }' 2>/dev/null
}

mkdir tools preload bin
cp "$build/tools/virtuos" tools/ || exit 1
cc -shared -fPIC -o preload/libvirtuos.so -x c - <<<'int vos_dummy;' || exit 1
lib=$work/preload/libvirtuos.so
v=$work/tools/virtuos
cat >good.conf <<-END
	[domain net]
	address = unix:$work/net.sock
	[default]
	inet = net
	file /srv/data = net:/
	[app other]
	inet = deny
	[app hello*] ; scripts go by their own name too
	inet = local
	file /srv/data/q = net:/elsewhere/
END
printf '[default]\n\ninet = nett\n' >bad.conf
: >empty.conf

# --- the command itself ---
expect 2 'Usage' "$v"
expect 2 "unknown command 'walk'" "$v" walk
expect 0 'virtuos run' "$v" --help
expect 0 '^virtuos [0-9]+\.[0-9]+\.[0-9]+$' "$v" --version

# --- check ---
[ -e /etc/virtuos/virtuos.conf ] || expect 1 '^virtuos: /etc/virtuos/virtuos.conf: No such file' "$v" check
expect 1 '^Usage: virtuos check' env VIRTUOS_CONFIG=nofile "$v" check
expect 0 "^$work/empty.conf: ok, 0 domains$" env VIRTUOS_CONFIG=empty.conf "$v" check
expect 2 "^virtuos check: unrecognized option '--what'" "$v" check --what good.conf
expect 2 '^Usage: virtuos check' "$v" check --what good.conf
expect 0 '^empty.conf: ok, 0 domains$' "$v" check empty.conf
expect 0 '^good.conf: ok, 1 domain not attached to$' "$v" check --no-connect good.conf
expect 1 "^bad.conf:3: unknown domain 'nett' for 'inet': local or deny; or a section \[domain nett\] defines it$" "$v" check bad.conf
expect 1 '^bad.conf:3: ' "$v" check --no-connect empty.conf bad.conf good.conf
expect 1 '^nofile: cannot open the file: No such file' "$v" check nofile
at="^good.conf:2: domain 'net' cannot be used at unix:$work/net.sock:"
expect 1 "$at No such file or directory \(is its svcd running\?\)" "$v" check good.conf
# What listens, but is no svcd. One that is: test/tool/check.sh.
for type in SOCK_SEQPACKET SOCK_STREAM; do
	cc -o listen -D_GNU_SOURCE -x c - <<-END || exit 1
		#include <sys/socket.h>
		#include <sys/un.h>
		#include <stdio.h>
		#include <unistd.h>
		int main(int argc, char **argv)
		{
			struct sockaddr_un a = { AF_UNIX, "" };
			int s = socket(AF_UNIX, $type, 0);
			(void)argc;
			snprintf(a.sun_path, sizeof(a.sun_path), "%s", argv[1]);
			unlink(argv[1]);
			if (bind(s, (struct sockaddr *)&a, sizeof(a)) || listen(s, 5) || puts("ready") < 0)
				return 1;
			fflush(stdout);
			s = accept(s, 0, 0);
			return s < 0 || send(s, "hello", 5, 0) != 5 || sleep(60);
		}
	END
	exec {out}< <(exec ./listen "$work/net.sock")
	listener=$!
	read -r -t 10 _ <&"$out" || failed=1
	case $type in
	SOCK_STREAM) why='Protocol wrong type for socket \(what listens there is no svcd\)' ;;
	*) why='what answers there is no svcd' ;;
	esac
	expect 1 "$at $why" "$v" check good.conf
	kill "$listener"
	wait "$listener" 2>/dev/null || true
	listener=
	exec {out}<&-
done
expect 1 "$at Connection refused \(is its svcd running\?\)" "$v" check good.conf

# --- run: environment and exit codes ---
expect 125 'no command' "$v" run --config good.conf
expect 125 "^virtuos run: unrecognized option '--confg'" "$v" run --confg good.conf true
expect 125 '^Usage: virtuos run ' "$v" run --confg good.conf true
expect 2 "^virtuos explain: unrecognized option '--what'" "$v" explain --what true
expect 125 'nofile: No such file' "$v" run --config nofile true
expect 125 "^$work/bad.conf:3: unknown domain" "$v" run --config bad.conf true
expect 127 'nosuchprogram: No such file' "$v" run --config good.conf nosuchprogram
expect 127 'No such file' "$v" run --config good.conf -- ./nosuchprogram
expect 126 'good.conf: Permission denied' "$v" run --config good.conf -- ./good.conf
expect 126 'Permission denied' "$v" run --config good.conf -- /
expect 7 '^$' "$v" run --config good.conf -- sh -c 'exit 7'
expect 0 '^-x$' "$v" run --config good.conf echo -x
expect 0 "^VIRTUOS_CONFIG=$work/good.conf$" "$v" run --config good.conf env
expect 0 "^VIRTUOS_CONFIG=$work/good.conf$" env VIRTUOS_CONFIG=good.conf "$v" run env
expect 0 "^LD_PRELOAD=$lib$" "$v" run --config good.conf env
# With LD_PRELOAD set, a sanitised build of the command itself would complain.
export ASAN_OPTIONS=verify_asan_link_order=0
expect 0 "^LD_PRELOAD=$lib:libm.so.6 librt.so.1$" \
	env LD_PRELOAD='libm.so.6 librt.so.1' "$v" run --config good.conf env
expect 0 "^LD_PRELOAD=libm.so.6:$lib$" \
	env LD_PRELOAD="libm.so.6:$lib" "$v" run --config good.conf env
unset ASAN_OPTIONS
expect 0 '^VIRTUOS_REQUIRE=1$' "$v" run --config good.conf --require env
refute '^VIRTUOS_REQUIRE' "$v" run --config good.conf env
expect 125 "bad value 'x' of 'VIRTUOS_UNAVAILABLE': fail or local" \
	env VIRTUOS_UNAVAILABLE=x "$v" run --config good.conf true
expect 125 "bad value 'x' of 'VIRTUOS_LIBC_PATCH': auto, off or require" \
	env VIRTUOS_LIBC_PATCH=x "$v" run --config good.conf true
mkdir 'a b' 'a b/tools' 'a b/preload'
cp "$v" 'a b/tools/' && cp "$lib" 'a b/preload/'
expect 125 'cannot hold a path with a space' 'a b/tools/virtuos' run --config good.conf true
mv preload gone
# Unless one is installed, which then is used.
"$v" run --config good.conf true 2>/dev/null ||
	expect 125 'no libvirtuos.so in ' "$v" run --config good.conf true
mv gone preload

# --- run: programs that the library cannot serve ---
# unfit NAME REASON [CODE]: a warning, and a refusal where it is required.
unfit() {
	expect "${3:-3}" "warning: .*$2" "$v" run --config good.conf "$work/$1"
	expect 126 "refused: .*$2" "$v" run --config good.conf --require "$work/$1"
	expect 0 "^preload +NO: .*$2" "$v" explain --config good.conf "$work/$1"
}

program hello && expect 3 '^$' "$v" run --require --config good.conf ./hello
program static -static && unfit static 'statically linked'
program static-pie -static-pie && unfit static-pie 'statically linked'
cc -o go -x c - <<-'END' && unfit go 'built by Go'
	__attribute__((section(".go.buildinfo"), used)) static char info[16] = "buildinf";
	int main(void) { return 3; }
END
program musl -Wl,--dynamic-linker=/lib/ld-musl-x86_64.so.1 && unfit musl 'linked with musl' \
	"$([ -e /lib/ld-musl-x86_64.so.1 ] && echo 3 || echo 127)"
program odd -Wl,--dynamic-linker="$work/loader" && unfit odd 'unknown loader' 127
cp hello other-class && printf '\001' | dd of=other-class bs=1 seek=4 conv=notrunc 2>/dev/null
expect 126 'refused: .*not a 64-bit x86-64' "$v" run --config good.conf --require ./other-class
head -c 70 hello >short && chmod +x short
expect 126 'refused: ' "$v" run --config good.conf --require ./short
head -c 2 hello >shorter && chmod +x shorter
"$v" run --config good.conf --require ./shorter >/dev/null 2>&1
[ $? -lt 128 ] || { echo 'FAIL: shorter' && failed=1; }
loader=$(realpath /lib64/ld-linux-x86-64.so.2)
expect 3 '^$' "$v" run --require --config good.conf "$loader" ./hello

if [ "$(id -u)" = 0 ] && cp hello suid && chown 12345 suid && chmod 4755 suid &&
	! findmnt -T "$work" -o OPTIONS | grep -q nosuid; then
	unfit suid 'set-user-ID'
	cp hello sgid && chgrp 12345 sgid && chmod 2755 sgid && unfit sgid 'set-group-ID'
	cp hello caps && chmod 755 . tools preload
	if setcap cap_net_raw+ep caps 2>/dev/null && command -v setpriv >/dev/null; then
		chmod 644 good.conf
		expect 126 'has file capabilities' setpriv --reuid 12345 --regid 12345 --clear-groups \
			"$v" run --config good.conf --require ./caps
		expect 3 '^$' "$v" run --config good.conf --require ./caps
	fi
fi

if program asan -fsanitize=address && ./asan 2>/dev/null; [ $? = 3 ]; then
	expect 3 '^$' "$v" run --require --config good.conf ./asan
	expect 0 'after libasan\.so\.[0-9]+, which must be the first' \
		"$v" explain --config good.conf ./asan
fi

# --- scripts ---
printf '#!%s/static -x\n' "$work" >by-static
printf '#! /usr/bin/env -S FOO=1 hello -u\n' >hello.py
printf '#!/nonexistent/interpreter\n' >dangling
printf 'exit 5\n' >plain
printf '#!%s/loop\n' "$work" >loop
chmod +x by-static hello.py dangling plain loop
cp hello bin/
PATH=$work/bin:$PATH
expect 126 "refused: .*statically" "$v" run --config good.conf --require ./by-static
expect 3 '^$' "$v" run --config good.conf --require ./hello.py
expect 0 "^program +$work/bin/hello, runs the script ./hello.py" \
	"$v" explain --config good.conf ./hello.py
expect 127 "^virtuos: ./dangling: its interpreter .*: No such file" \
	"$v" run --config good.conf ./dangling
expect 127 "^virtuos: ./dangling: its interpreter .*: No such file" \
	"$v" explain --config good.conf ./dangling
expect 5 '^$' "$v" run --config good.conf --require ./plain
expect 126 'Too many levels' "$v" run --config good.conf ./loop

# --- explain ---
expect 2 'no command' "$v" explain
expect 127 'No such file' "$v" explain --config good.conf nosuchprogram
expect 125 'bad.conf:3' "$v" explain --config bad.conf true
expect 0 "^config +$work/good.conf$" "$v" explain --config good.conf true
expect 0 '^preload +yes: dynamically' "$v" explain --config good.conf true
expect 0 '^inet +net \(unix:.*\) +\[default\], line 4$' "$v" explain --config good.conf true
expect 0 '^dns +local +built in' "$v" explain --config good.conf true
expect 0 '^inet +local +\[app hello\*\], line 9$' "$v" explain --config good.conf hello
expect 0 '^file /srv/data/q +net:/elsewhere +\[app hello\*\], line 10$' \
	"$v" explain --config good.conf hello
expect 0 '^/srv/data/q/x +net:/elsewhere/x +\[app hello\*\], line 10$' \
	"$v" explain --config good.conf hello -f /srv/data/q/x
expect 0 '^/srv/data/x +net:/x +\[default\], line 5$' \
	"$v" explain --config good.conf -- hello /srv/data/x
expect 0 '^/srv/database +local +built in' "$v" explain --config good.conf hello /srv/database
expect 0 '^unavailable +fail +built in' "$v" explain --config good.conf true
expect 0 '^unavailable +local +environment, VIRTUOS_UNAVAILABLE$' \
	env VIRTUOS_UNAVAILABLE=local "$v" explain --config good.conf true
expect 0 '^libc_patch +off +environment, VIRTUOS_LIBC_PATCH$' \
	env VIRTUOS_LIBC_PATCH=off "$v" explain --config good.conf true

# Paths are what the program will make of them.
mkdir -p srv/data/sub srv/other
cat >paths.conf <<-END
	[domain net]
	address = unix:$work/net.sock
	[default]
	file $work/srv/data = net:/
END
ln -s srv/data link
path() { # ARGUMENT PLACE
	expect 0 "^$1 +$2 " "$v" explain --config paths.conf true "$1"
}
path "$work/srv/./data//x" net:/x
path "$work/srv/other/../data/x" net:/x
path "$work/srv/data/../other" local
path "$work/link/x" net:/x
path "$work/none/../srv/data/x/" net:/x
path ./srv/data/sub net:/sub
path ../"${work##*/}"/srv/data/y net:/y
path srv/data/sub net:/sub # it exists
path "$work/srv/data" net:/
path / local
refute '^(-x|srv/none)' "$v" explain --config paths.conf true -x srv/none

# --- programs that are in a domain ---
if [ "$(id -u)" = 0 ] && [ -r "$build/preload/libvirtuos.so" ] && [ -x "$build/svcd/svcd" ]; then
	mkdir -p root/bin gone
	cp hello root/bin/remote
	[ ! -e static ] || cp static root/bin/remote-static
	printf '#!/bin/sh\nexit 6\n' >root/bin/script
	ln -s /etc/hostname root/leaves
	ln -s bin root/also
	chmod -R a+rx root
	cat >remote.conf <<-END
		[domain storage]
		address = unix:$work/storage.sock
		[domain none]
		address = unix:$work/none.sock
		[default]
		file $work/there = storage:/
		file $work/gone = none:/
	END
	cp "$build/preload/libvirtuos.so" preload/
	exec {out}< <(exec "${SVCD:-$build/svcd/svcd}" --domain storage --root "$work/root" \
		--listen "unix:$work/storage.sock")
	listener=$!
	read -r -t 10 _ <&"$out" || failed=1
	there=$work/there
	expect 3 '^$' "$v" run --config remote.conf --require "$there/bin/remote"
	expect 3 '^$' env PATH="$there/bin:$PATH" "$v" run --config remote.conf --require remote
	expect 6 '^$' "$v" run --config remote.conf --require "$there/bin/script"
	expect 127 'No such file' "$v" run --config remote.conf "$there/bin/none"
	expect 127 'No such file' "$v" run --config remote.conf "$work/root/../there/bin/none"
	[ ! -e static ] ||
		expect 126 'refused: .*statically' "$v" run --config remote.conf --require \
			"$there/bin/remote-static"
	expect 0 "^program +$there/bin/remote$" \
		"$v" explain --config remote.conf "$there/also/../bin/remote"
	expect 0 "^$there/also/remote +storage:/bin/remote " \
		"$v" explain --config remote.conf true "$there/also/remote"
	expect 0 "^$there/leaves +local " "$v" explain --config remote.conf true "$there/leaves"
	expect 0 "^$work/gone/x +none:/x " "$v" explain --config remote.conf true "$work/gone/x"
	expect 0 "^config +$work/remote.conf$" "$v" explain --config remote.conf "$there/bin/remote"
	# The configuration itself lies below a prefix: it is read here all the same.
	mkdir hides
	sed "s|^file $work/gone .*|file $work/hides = storage:/|" remote.conf >hides/conf
	expect 3 '^$' "$v" run --config hides/conf --require "$there/bin/remote"
	expect 0 "^config +$work/hides/conf$" "$v" explain --config hides/conf "$there/bin/remote"
	expect 0 "^$there/x +storage:/x +\[default\], line [0-9]+" \
		"$v" explain --config hides/conf true "$there/x"
	expect 3 '^$' env VIRTUOS_CONFIG=hides/conf "$v" run "$there/bin/remote"
	kill "$listener"
	wait "$listener" 2>/dev/null || true
	listener=
	expect 0 "^$there/x +storage:/x " "$v" explain --config remote.conf true "$there/x"
fi

exit $failed
