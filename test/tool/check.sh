#!/bin/bash
# SPDX-License-Identifier: MIT
# virtuos check with services that run, and what the library says of those that refuse it: the service
# of another domain, one that acts for another user, one of another version. Usage: check.sh BUILD
set -eu

build=$(realpath "${1:?usage: check.sh BUILD}")
top=$(cd "$(dirname "$0")/../.." && pwd)
for f in "$build/preload/libvirtuos.so" "$build/svcd/svcd" "$build/tools/virtuos"; do
	[ -r "$f" ] || { echo "skip: $f is not built" && exit 77; }
done
[ "$(id -u)" = 0 ] || { echo "skip: needs root" && exit 77; }
. "$top/test/lib.sh"
. "$top/test/three-way.sh"
trap finish EXIT
trap 'exit 130' INT TERM
make_work
mkdir "$work/bin" "$work/net" "$work/root" "$work/root/export" "$work/root/secret"
chmod 700 "$work/root/secret"
cp "$build/preload/libvirtuos.so" "$build/svcd/svcd" "$build/tools/virtuos" "$work/bin/"
failed=0

serve() { # NAME COMMAND...: svcd, ready
	local name=$1 fd line
	shift
	mkfifo "$work/$name.ready"
	clean_exec "$@" >"$work/$name.ready" 2>>"$work/$name.log" &
	on_exit "end_process $!"
	exec {fd}<"$work/$name.ready"
	read -r -t 10 -u "$fd" line || die "$name is not ready: $(cat "$work/$name.log")"
}

nobody=(setpriv --reuid=65534 --regid=65534 --clear-groups)

expect() { # STATUS LINES COMMAND...: all that it prints, as extended regexes, one for each line
	local status=$1 lines=$2 out rc=0 i
	shift 2
	out=$(timeout 20 "$@" 2>&1) || rc=$?
	mapfile -t out <<<"$out"
	mapfile -t lines <<<"$lines"
	[ $rc = "$status" ] && [ ${#out[@]} = ${#lines[@]} ] || failed=1
	for i in "${!lines[@]}"; do
		[[ ${out[i]-} =~ ^${lines[i]}$ ]] || failed=1
	done
	[ $failed = 0 ] && return
	printf 'WRONG %s\n  status %s, printed:\n' "$*" $rc
	printf '    %s\n' "${out[@]}"
	printf '  expected %s:\n' "$status"
	printf '    %s\n' "${lines[@]}"
	exit 1
}

config() { # NET STORAGE LINE...: addresses, and what follows [default]
	cat >"$work/conf" <<-END
		[domain net]
		address = unix:$work/$1.sock

		[domain storage]
		address = unix:$work/$2.sock

		[default]
	END
	shift 2
	printf '%s\n' "$@" >>"$work/conf"
}

svcd=$work/bin/svcd check=("$work/bin/virtuos" check "$work/conf")
serve net "$svcd" --domain net --listen "unix:$work/net.sock" --root "$work/net"
serve storage "$svcd" --domain storage --listen "unix:$work/storage.sock" --root "$work/root"

# --- all is well ---
version='svcd [0-9.]+'
at_net="$work/conf:2: domain 'net' cannot be used at unix:$work/net.sock:"
config net storage 'inet = net' 'dns = net' 'file /data = storage:/export'
net="net: ok: unix:$work/net.sock, $version, for inet, dns"
expect 0 "$net
storage: ok: unix:$work/storage.sock, $version, for /data \(its /export\)" "${check[@]}"
expect 0 "$net
storage: ok: unix:$work/storage.sock, $version, for /data \(its /export\)" "${nobody[@]}" "${check[@]}"
# A section for some programs counts as well; the same thing twice is said once.
config net storage 'file /data = storage:/export' '[app x]' 'file /data = storage:/' \
	'[app y]' 'file /data = storage:/export' 'inet = local'
expect 0 "net: ok: unix:$work/net.sock, $version, for nothing: no section names it
storage: ok: unix:$work/storage.sock, $version, for /data \(its /export\), /data \(its /\)" \
	"${check[@]}"

# --- more roots than one attachment can have ---
lines=()
for s in a b c; do
	lines+=("[app $s]")
	for i in {1..31}; do
		lines+=("file /$s$i = storage:/export")
	done
done
config net storage "${lines[@]}"
expect 0 "net: .*
storage: ok: .* /c31 \(its /export\)" "${check[@]}"

# --- a root that is not there, or not for this user ---
config net storage 'inet = net' '[app x]' 'file /data = storage:/gone'
expect 1 "net: ok: .*
$work/conf:10: domain 'storage' has no directory /gone for 'file /data': No such file or directory" \
	"${check[@]}"
config net storage 'file /data = storage:/secret/x'
mkdir "$work/root/secret/x"
expect 0 "net: ok: .*
storage: ok: .*" "${check[@]}"
expect 1 "net: ok: .*
.*: domain 'storage' has no directory /secret/x for 'file /data': Permission denied" \
	"${nobody[@]}" "${check[@]}"

# --- the service of another domain ---
config storage storage 'inet = net' 'file /data = storage:/export'
expect 1 "$work/conf:2: domain 'net' cannot be used at unix:$work/storage.sock: \
the service there is that of domain storage
storage: ok: .*" "${check[@]}"
cat >"$work/sockets.py" <<'END'
import errno, socket
for i in range(3):
    try:
        socket.socket()
        print("a socket")
    except OSError as e:
        print(errno.errorcode[e.errno])
END
export LD_PRELOAD= VIRTUOS_CONFIG="$work/conf"
preloaded=(env "LD_PRELOAD=$work/bin/libvirtuos.so")
expect 0 "virtuos: domain net cannot be used at unix:$work/storage.sock: \
the service there is that of domain storage
ENETDOWN
ENETDOWN
ENETDOWN" "${preloaded[@]}" python3 -u "$work/sockets.py"
expect 0 "virtuos: domain net cannot be used at .*
a socket
a socket
a socket" env VIRTUOS_UNAVAILABLE=local "${preloaded[@]}" python3 -u "$work/sockets.py"

# --- a service that cannot act for us ---
mkdir "$work/own"
chown 65534:65534 "$work/own"
serve own "${nobody[@]}" "$svcd" --domain net --listen "unix:$work/own/net.sock"
config own/net storage 'inet = net'
expect 1 "$work/conf:2: domain 'net' cannot be used at .*: this service can act only for its own user, with all of its groups
storage: ok: .*" "${check[@]}"
expect 0 "net: ok: .*
storage: ok: .*" "${nobody[@]}" "${check[@]}"
expect 0 "virtuos: domain net cannot be used at .*: this service can act only for its own user, with all of its groups
ENETDOWN
ENETDOWN
ENETDOWN" "${preloaded[@]}" python3 -u "$work/sockets.py"

# --- a socket in a directory that we may not search ---
chmod 700 "$work/own"
expect 1 "$work/conf:2: domain 'net' cannot be used at .*: Permission denied \(does the socket's directory let this user through\?\)
storage: ok: .*" setpriv --reuid=1 --regid=1 --clear-groups "${check[@]}"

# --- a service of another version: what it answers, from a real one ---
cat >"$work/old.py" <<'END'
import os, socket, struct, sys
path = sys.argv[1]
s = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
s.bind(path)
os.chmod(path, 0o777)
s.listen(4)
print("ready", flush=True)
while True:
    c, _ = s.accept()
    c.recv(4096)
    c.send(struct.pack("=IIiI16s32s128s", 0x736f7476, 99, 0, 0, b"", b"net", b""))
    c.close()
END
serve old python3 "$work/old.py" "$work/old.sock"
config old storage 'inet = net'
expect 1 "$work/conf:2: domain 'net' cannot be used at .*: the service is of another version
storage: ok: .*" "${check[@]}"

# --- an address that this machine cannot reach ---
sed -i "s#^address = .*old.sock#address = vchan:7#" "$work/conf"
expect 1 "$work/conf:2: domain 'net' cannot be used at vchan:7: No such device \(is this a Xen domain, with /dev/xen\?\)
storage: ok: .*" "${check[@]}"
exit $failed
