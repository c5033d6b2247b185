#!/bin/bash
# SPDX-License-Identifier: MIT
# The class hostname: the names are the domain's, however one asks for them; all else that uname() says
# is our own kernel's. With a domain that dies and comes back, one out of reach, and deny.
# Usage: hostname.sh BUILD
set -eu

top=$(cd "$(dirname "$0")/../.." && pwd)
. "$top/test/domains.sh" "${1:?usage: hostname.sh BUILD}"

cat >"$work/bin/names.py" <<'END'
import ctypes, errno, os, socket, sys

libc = ctypes.CDLL(None, use_errno=True)
buf = ctypes.create_string_buffer(6 * 65)
SYS_uname = 63

def result(f, *a):
    try:
        return f(*a)
    except OSError as e:
        return errno.errorcode[e.errno]

def raw():
    if libc.syscall(SYS_uname, buf):
        return errno.errorcode[ctypes.get_errno()]
    return buf.raw[65:130].split(b"\0")[0].decode()

def into(n):
    if libc.gethostname(buf, n):
        return errno.errorcode[ctypes.get_errno()]
    return buf.value.decode()

for line in sys.stdin:
    print(result(socket.gethostname), result(lambda: os.uname().nodename), raw(), into(64), into(4),
          flush=True)
END

# Its names are those of a UTS namespace of its own.
serve() { # HOSTNAME
	local fd
	rm -f "$work/named.ready"
	mkfifo "$work/named.ready"
	# shellcheck disable=SC2016
	clean_exec unshare --uts sh -euc 'hostname "$0" && domainname "nis.$0" && exec "$@"' "$1" \
		"$svcd" --domain named --listen "unix:$work/named.sock" >"$work/named.ready" &
	named_pid=$!
	on_exit "end_process $named_pid"
	exec {fd}<"$work/named.ready"
	read -r -t 10 -u "$fd" _
}

config() { # LINE...: what follows [default]
	{
		printf '[domain named]\naddress = unix:%s\n[default]\n' "$work/named.sock"
		printf '%s\n' "$@"
	} >"$work/names.conf"
}

over() { # COMMAND...
	env "LD_PRELOAD=$work/bin/libvirtuos.so" "VIRTUOS_CONFIG=$work/names.conf" timeout -k 2 30 "$@"
}

bad=0
expect() { # WHAT EXPECTED GOT
	echo "$1: $3"
	[ "$2" = "$3" ] || { echo "   expected: $2" && bad=1; }
}

asked() { # WHAT EXPECTED: of the program that runs all the time
	local line
	echo >&7
	read -r -t 20 line <&6
	expect "$1" "$2" "$line"
}

serve elsewhere
config "hostname = named"
expect "two programs" "elsewhere elsewhere" "$(over hostname) $(over uname -n)"
expect "the other name" nis.elsewhere "$(over domainname)"
expect "all else" "$(uname -srvm)" "$(over uname -srvm)"

mkfifo "$work/to" "$work/from"
over python3 "$work/bin/names.py" <"$work/to" >"$work/from" &
client_pid=$!
exec 7>"$work/to" 6<"$work/from"
asked "every way" "elsewhere elsewhere elsewhere elsewhere ENAMETOOLONG"
kill -KILL $named_pid
wait $named_pid 2>/dev/null || true
asked "without the domain" "EIO EIO EIO EIO EIO"
serve again
config "hostname = named"
expect "a new domain" again "$(over hostname)"
exec 7>&- 6<&-
wait $client_pid || bad=1
kill -TERM $named_pid
wait $named_pid

config "hostname = named" "unavailable = local"
expect "out of reach, local" "$(uname -n)" "$(over hostname)"
config "hostname = deny"
expect "denied" "hostname: Permission denied" "$(over hostname 2>&1)"
exit $bad
