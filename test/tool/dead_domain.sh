#!/bin/bash
# SPDX-License-Identifier: MIT
# A service domain that dies while a program uses it: errors at once, never a hang; the other domain
# goes on; a new instance serves new calls. Usage: dead_domain.sh BUILD [TRANSPORT]
set -eu

transport=${2:-unix}
top=$(cd "$(dirname "$0")/../.." && pwd)
. "$top/test/domains.sh" "${1:?usage: dead_domain.sh BUILD [TRANSPORT]}"

cat >"$work/bin/client.py" <<'END'
import errno, os, select, signal, socket, subprocess, sys, threading, time

domain, pid = sys.argv[1], int(sys.argv[2])
tree = os.environ["VT_DIR"]
allowed = {"net": {"ECONNRESET", "ENETDOWN", "ENOTCONN", "EPIPE"}, "storage": {"EIO"}}
failed = False

def say(what, good, detail=""):
    global failed
    failed = failed or not good
    print("ok" if good else "WRONG", what, detail, flush=True)

def result(f, *a):
    try:
        return "no error: %r" % (f(*a),)
    except OSError as e:
        return errno.errorcode[e.errno]

path = os.path.join(tree, "f")
with open(path, "w") as f:
    f.write("x" * 100000)
fd = os.open(path, os.O_RDWR)
lock = os.open(path, os.O_RDWR)
l = socket.create_server(("127.0.0.1", 0))
c = socket.create_connection(l.getsockname())
a, _ = l.accept()
u = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
u.bind(("127.0.0.1", 0))
fifo = os.path.join(tree, "fifo")
os.mkfifo(fifo)
ends = {}

def blocked(name, f, *a):
    def run():
        ends[name] = (result(f, *a), time.monotonic())
    t = threading.Thread(target=run, daemon=True)
    t.start()
    return t

home = os.getcwd()
os.chdir(tree)
ep = select.epoll()
ep.register(c, select.EPOLLIN)
po = select.poll()
po.register(c, select.POLLIN)
waiters = {"net": [blocked("recv", c.recv, 1), blocked("accept", l.accept),
                   blocked("recvfrom", u.recvfrom, 1), blocked("poll", po.poll, 20000),
                   blocked("epoll", ep.poll, 20), blocked("select", select.select, [a], [], [], 20)],
           "storage": [blocked("open of a fifo", os.open, fifo, os.O_RDONLY)]}
time.sleep(0.2)
start = time.monotonic()
os.kill(pid, signal.SIGKILL)
for t in waiters[domain]:
    t.join(5)
for name in (["recv", "accept", "recvfrom", "poll", "epoll", "select"] if domain == "net"
             else ["open of a fifo"]):
    if name not in ends:
        say(name, False, "still blocked")
        continue
    what, when = ends[name]
    ms = int((when - start) * 1000)
    good = what in allowed[domain] if name not in ("poll", "epoll", "select") else "no error" in what
    say("%s: woken" % name, good and ms <= 100, "%s after %d ms" % (what, ms))
dead = [("send", c.send, b"x"), ("recv", a.recv, 1), ("getsockname", l.getsockname)]
if domain == "storage":
    dead = [("read", os.read, fd, 1), ("pread", os.pread, fd, 1, 0), ("write", os.write, fd, b"x"),
            ("fstat", os.fstat, fd)]
for name, f, *args in dead:
    start = time.monotonic()
    what = result(f, *args)
    ms = int((time.monotonic() - start) * 1000)
    say("%s on what is dead" % name, what in allowed[domain] and ms <= 100, "%s after %d ms" % (what, ms))
# What is executed now has no working directory, rather than another one.
if domain == "storage":
    before = os.listdir(home)
    for command in (["ls"], ["cat", "note"], ["touch", "new"], ["sh", "-c", "ls; echo x >new"]):
        r = subprocess.run(command, capture_output=True)
        say("%s in a directory that is dead" % command[0], r.returncode != 0 and not r.stdout, r)
    say("nothing else was touched", os.listdir(home) == before)
else:
    os.chdir("/")
# The other domain does not notice.
if domain == "storage":
    c.sendall(b"alive")
    say("network goes on", a.recv(5) == b"alive")
    say("close", result(os.close, fd).startswith("no error"))
else:
    say("storage goes on", os.pread(fd, 3, 0) == b"xxx")
    say("close", result(c.close).startswith("no error") and result(u.close).startswith("no error"))
# A new instance comes up: new calls reach it.
print("waiting", flush=True)
sys.stdin.readline()
start = time.monotonic()
if domain == "storage":
    with open(path) as f:
        say("a new open works", f.read(3) == "xxx")
    # The working directory was the old one's.
    for name, f, *args in [("open", os.open, "f", os.O_RDONLY), ("getcwd", os.getcwd),
                           ("a new file", os.open, "new", os.O_WRONLY | os.O_CREAT, 0o644),
                           ("mkdir", os.mkdir, "new"), ("list", os.listdir, "."),
                           ("chdir", os.chdir, ".."), ("cwd", os.stat, "/proc/self/cwd/f")]:
        what = result(f, *args)
        say("%s in the old directory" % name, what == "EIO", what)
    pid = os.fork()
    if not pid:
        os._exit(result(os.stat, "f") != "EIO")
    say("in a child, too", os.waitpid(pid, 0)[1] == 0)
    r = subprocess.run(["cat", "f"], capture_output=True)
    say("and in the next image", b"Input/output error" in r.stderr, r)
    os.chdir(tree)
    say("back", os.stat("f").st_size == 100000 and os.getcwd() == tree)
else:
    n = socket.create_server(("127.0.0.1", 0))
    m = socket.create_connection(n.getsockname())
    m.sendall(b"new")
    say("a new connection works", n.accept()[0].recv(3) == b"new")
say("at once", time.monotonic() - start < 1)
os._exit(1 if failed else 0)
END

bad=0
for name in net storage; do
	echo "-- $name"
	rm -rf "$work/root/f" "$work/root/fifo" "$work/to" "$work/from"
	mkfifo "$work/to" "$work/from"
	client python3 "$work/bin/client.py" $name "${svcd_pid[$name]}" <"$work/to" >"$work/from" &
	client_pid=$!
	exec 7>"$work/to" 6<"$work/from"
	while read -r line <&6; do
		echo "$line"
		[ "$line" = waiting ] || continue
		wait "${svcd_pid[$name]}" 2>/dev/null || true
		domains_alive || true
		echo go >&7
	done
	exec 7>&- 6<&-
	rc=0
	wait $client_pid || rc=$?
	[ $rc = 0 ] || { bad=1 && echo "client: status $rc"; }
	domains_alive || true
done
exit $bad
