#!/bin/bash
# SPDX-License-Identifier: MIT
# Both services die and come back, again and again, under a program whose threads never stop to use
# them: each prefix shows its own tree, and no descriptor is left behind. Usage: restarts.sh BUILD
set -eu

top=$(cd "$(dirname "$0")/../.." && pwd)
. "$top/test/domains.sh" "${1:?usage: restarts.sh BUILD}"
rounds=8

trees="a b c d"
for t in $trees; do
	mkdir -p "$work/root/$t"
	echo -n "$t" >"$work/root/$t/name"
	echo "file $work/fwd/$t = storage:/$t" >>"$work/forwarded.conf"
done

cat >"$work/bin/client.py" <<'END'
import errno, os, select, socket, sys, threading

top, trees, rounds = sys.argv[1], sys.argv[2].split(), int(sys.argv[3])
dead = (errno.EIO, errno.ECONNRESET, errno.ENETDOWN)
failed = False
restarted = threading.Event()
done, counted = threading.Barrier(len(trees) + 3), threading.Barrier(len(trees) + 3)

def wrong(*what):
    global failed
    failed = True
    print("WRONG", *what, flush=True)

def read_name(tree):
    fd = os.open(os.path.join(top, tree, "name"), os.O_RDONLY)
    try:
        got = os.read(fd, 9).decode()
    finally:
        os.close(fd)
    if got != tree:
        wrong("the tree of", tree, "is that of", got)

def sleep_in_poll(tree):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
        s.bind(("127.0.0.1", 0))
        p = select.poll()
        p.register(s, select.POLLIN)
        if p.poll(20):
            raise OSError(errno.ENETDOWN, "died")

def each_round(f, tree):
    for i in range(rounds):
        while True:
            after = restarted.is_set()
            try:
                f(tree)
            except OSError as e:
                if e.errno not in dead:
                    wrong(tree, e)
                    os._exit(1)
                continue
            if after:
                break
        done.wait()
        counted.wait()

for tree in trees:
    threading.Thread(target=each_round, args=(read_name, tree)).start()
for i in range(2):
    threading.Thread(target=each_round, args=(sleep_in_poll, "net")).start()
counts = []
for i in range(rounds):
    print("waiting", flush=True)
    sys.stdin.readline()
    restarted.set()
    done.wait()
    counts.append(len(os.listdir("/proc/self/fd")))
    restarted.clear()
    counted.wait()
print("descriptors:", counts)
# Who is about to attach, and who has, differs by a few; what is left behind adds up.
if counts[-1] - counts[1] >= rounds - 2:
    wrong("descriptors are left behind")
sys.stdout.flush()
os._exit(failed)
END

bad=0
mkfifo "$work/to" "$work/from"
in_namespace void env "LD_PRELOAD=$work/bin/libvirtuos.so" "VIRTUOS_CONFIG=$work/forwarded.conf" \
	timeout -k 2 60 python3 "$work/bin/client.py" "$work/fwd" "$trees" $rounds \
	<"$work/to" >"$work/from" &
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
exit $bad
