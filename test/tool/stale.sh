#!/bin/bash
# SPDX-License-Identifier: MIT
# Descriptors of a service that is no longer the one that gave them: they are dead, whatever the new
# one has under the same number; also for children that have not used theirs yet. And a domain that
# cannot be reached, with unavailable = local and = fail. Usage: stale.sh BUILD
set -eu

top=$(cd "$(dirname "$0")/../.." && pwd)
. "$top/test/domains.sh" "${1:?usage: stale.sh BUILD}"

cat >"$work/bin/client.py" <<'END'
import errno, os, socket, sys

tree = os.environ["VT_DIR"]
failed = False

def check(who, what, f, *a, **k):
    global failed
    try:
        r = "%r" % (f(*a, **k),)
    except OSError as e:
        r = errno.errorcode[e.errno]
    good = r in ("EIO", "ECONNRESET", "ENETDOWN")
    failed = failed or not good
    print("%s: %s: %s%s" % (who, what, r, "" if good else " WRONG"), flush=True)

def write(path, text):
    with open(os.path.join(tree, path), "w") as f:
        f.write(text)

os.mkdir(os.path.join(tree, "d"))
write("d/f", "old")
write("other", "other")
fd = os.open(os.path.join(tree, "d/f"), os.O_RDONLY)
d = os.open(os.path.join(tree, "d"), os.O_RDONLY)
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.bind(("127.0.0.1", 0))
go, ready = os.pipe()

def try_all(who):
    check(who, "fstat", os.fstat, fd)
    check(who, "read", os.read, fd, 3)
    check(who, "openat", os.open, "f", os.O_RDONLY, dir_fd=d)
    check(who, "stat", os.stat, "f", dir_fd=d)
    check(who, "getsockname", s.getsockname)
    check(who, "fchdir", os.fchdir, d)

# What each child does first.
first = {
    "fstat": lambda: check("child 1", "fstat", os.fstat, fd),
    "dir": lambda: check("child 2", "openat", os.open, "f", os.O_RDONLY, dir_fd=d),
    "new": lambda: [os.open(os.path.join(tree, "other"), os.O_RDONLY) for i in range(8)],
    "close": lambda: os.close(fd),
    "dup": lambda: check("child 5", "dup", lambda: os.fstat(os.dup(fd))),
    "name": lambda: check("child 6", "getsockname", s.getsockname),
}
children = []
for i, f in enumerate(first.values()):
    pid = os.fork()
    if not pid:
        os.close(ready)
        os.read(go, 1)
        f()
        if i != 3:
            try_all("child %d" % (i + 1))
        n = os.open(os.path.join(tree, "other"), os.O_RDONLY)
        print("child %d: a new one: %r" % (i + 1, os.read(n, 5)), flush=True)
        os._exit(failed)
    children.append(pid)
print("waiting", flush=True)
sys.stdin.readline()
os.close(ready)
for pid in children:
    _, status = os.waitpid(pid, 0)
    failed = failed or status != 0
# It has made no call since: the first one goes to the new service.
os.stat(os.path.join(tree, "other"))
new = [os.open(os.path.join(tree, "other"), os.O_RDONLY) for i in range(8)]
try_all("parent")
# Closing what is dead closes nothing else.
os.close(fd)
os.close(d)
print("new ones:", {os.read(n, 5) for n in new})
os._exit(failed)
END

bad=0
mkfifo "$work/to" "$work/from"
client python3 "$work/bin/client.py" <"$work/to" >"$work/from" &
client_pid=$!
exec 7>"$work/to" 6<"$work/from"
while read -r line <&6; do
	echo "$line"
	[ "$line" = waiting ] || continue
	for name in net storage; do
		kill -KILL "${svcd_pid[$name]}"
		wait "${svcd_pid[$name]}" || true
	done
	domains_alive || true
	echo go >&7
done
exec 7>&- 6<&-
wait $client_pid || bad=1

echo "-- out of reach"
mkdir -p "$work/here"
echo "from here" >"$work/here/f"
for unavailable in local fail; do
	cat >"$work/unavailable.conf" <<-END
		[domain none]
		address = unix:$work/none.sock
		[default]
		unavailable = $unavailable
		inet = none
		file $work/here = none:/
	END
	got=$(env "LD_PRELOAD=$work/bin/libvirtuos.so" "VIRTUOS_CONFIG=$work/unavailable.conf" bash -c "
		cat '$work/here/f' && cd '$work/here' && cat f && ls '$work/here/'
		python3 -c 'import socket; socket.socket()'" 2>&1) || true
	echo "$unavailable: $got"
	case $unavailable in
	local) [ "$got" = $'from here\nfrom here\nf' ] || bad=1 ;;
	fail) [[ $got == *"Input/output error"*"Network is down"* ]] || bad=1 ;;
	esac
done
exit $bad
