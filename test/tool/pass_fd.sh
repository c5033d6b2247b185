#!/bin/bash
# SPDX-License-Identifier: MIT
# Remote descriptors in the hands of processes that are not preloaded, know no such domain, come too
# late, forge them or take them by force. Usage: pass_fd.sh BUILD
set -eu

top=$(cd "$(dirname "$0")/../.." && pwd)
. "$top/test/domains.sh" "${1:?usage: pass_fd.sh BUILD}"

# One program in all parts: "preloaded" processes have the library, "plain" ones do not.
cat >"$work/bin/pass.py" <<'EOF'
import array, ctypes, errno, os, select, signal, socket, struct, subprocess, sys, time

WORK, TREE = os.environ["VT_WORK"], os.environ["VT_DIR"]
BASE = {k: v for k, v in os.environ.items() if k not in ("LD_PRELOAD", "VIRTUOS_CONFIG", "VIRTUOS_STATE")}
LIB = {"LD_PRELOAD": WORK + "/bin/libvirtuos.so"}
libc = ctypes.CDLL(None, use_errno=True)
failed = False

def equal(what, got, want):
    say(what, got == want, got)

def say(what, good, detail=""):
    global failed
    failed = failed or not good
    print("ok  " if good else "WRONG", what, detail, flush=True)

def result(f, *a):
    try:
        return repr(f(*a))
    except OSError as e:
        return errno.errorcode[e.errno]

def call(name, *a):
    r = getattr(libc, name)(*a)
    if r < 0:
        raise OSError(ctypes.get_errno(), name)
    return r

def part(name, config):
    """
    A process that is no child of ours, which would have the library whatever we say. Its end of the
    connection is its standard input.
    """
    a = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    a.settimeout(20)
    a.connect(WORK + "/parts")
    a.send(("%s %s" % (name, config)).encode())
    return a, int(a.recv(20))

def starter():
    """Starts parts, by itself without the library; ends with the number of those that failed."""
    l = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    l.bind(WORK + "/parts")
    l.listen()
    print("started", flush=True)
    parts = []
    while True:
        a, _ = l.accept()
        name, config = a.recv(100).decode().split()
        if name == "end":
            sys.exit(sum(p.wait(20) != 0 for p in parts))
        env = dict(BASE)
        if config != "plain":
            env.update(LIB, VIRTUOS_CONFIG=WORK + "/" + config)
        parts.append(subprocess.Popen([sys.executable, __file__, name], stdin=a, env=env))
        a.send(str(parts[-1].pid).encode())
        a.close()

def port_free(address):
    s = socket.socket()
    try:
        s.bind(address)
        return True
    except OSError:
        return False
    finally:
        s.close()

def wait_free(address, seconds=5):
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        if port_free(address):
            return True
        time.sleep(0.05)
    return False

def listener():
    s = socket.create_server(("127.0.0.1", 0))
    return s, s.getsockname()

def usable(fd):
    s = socket.socket(fileno=fd)
    c = socket.create_connection(s.getsockname())
    n, _ = s.accept()
    c.sendall(b"hello")
    good = n.recv(5) == b"hello"
    for x in (c, n):
        x.close()
    s.detach()
    return good

# --- parts ----------------------------------------------------------------------------------------

def me():
    return socket.socket(fileno=os.dup(0))

def part_look():
    """Says what a descriptor is good for, and sends it back."""
    s = me()
    s.send(b"ready")
    _, (fd,), _, _ = socket.recv_fds(s, 10, 4)
    answers = [result(os.read, fd, 1), result(os.write, fd, b"x"), result(os.readv, fd, [bytearray(4)]),
               result(os.sendfile, 1, fd, None, 10)]
    answers += [result(call, "recv", fd, b"x", 1, 0), result(call, "send", fd, b"x", 1, 0),
                result(call, "accept", fd, None, None), result(call, "listen", fd, 1)]
    socket.send_fds(s, [" ".join(answers).encode()], [fd])

def part_keep():
    """Keeps a descriptor, and starts a program with it, as a service manager does."""
    s = me()
    _, (fd,), _, _ = socket.recv_fds(s, 10, 4)
    s.recv(1)
    env = dict(BASE, **LIB, VIRTUOS_CONFIG=WORK + "/forwarded.conf", LISTEN_FDS="1")
    for _ in range(2): # and once more: it has kept it
        pid = os.fork()
        if not pid:
            os.dup2(fd, 3)
            os.set_inheritable(3, True)
            os.execve(sys.executable, [sys.executable, __file__, "activated"], env)
        s.send(str(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])).encode())

def part_activated():
    sys.exit(0 if usable(3) else 1)

def part_use():
    s = me()
    s.send(b"ready")
    _, (fd,), _, _ = socket.recv_fds(s, 10, 4)
    s.send(result(os.read, fd, 3).encode())
    s.recv(1)

def part_hold():
    """Has a remote descriptor and a local one, for others to take."""
    s = me()
    f = os.open(TREE + "/f", os.O_RDONLY)
    p, _ = os.pipe()
    s.send(("%d %d" % (f, p)).encode())
    s.recv(1)

# --- what is looked at ----------------------------------------------------------------------------

def not_preloaded():
    s, address = listener()
    a, pid = part("look", "plain")
    a.recv(5)
    socket.send_fds(a, [b"x"], [s.fileno()])
    s.close()
    say("in flight, its port is taken", not port_free(address))
    answers, (fd,), _, _ = socket.recv_fds(a, 300, 4)
    say("without the library calls fail", answers.decode().split() ==
        ["EINVAL"] * 4 + ["ENOTSOCK"] * 4, answers.decode())
    a.close()
    say("sent on to one that has it, it works", usable(fd))
    os.close(fd)
    say("closed by all, its port is free", wait_free(address))

def kept():
    s, address = listener()
    a, pid = part("keep", "plain")
    socket.send_fds(a, [b"x"], [s.fileno()])
    s.close()
    time.sleep(2.5) # the service looks once a second
    a.send(b"x")
    say("kept by a service manager it works for who is started", a.recv(10) == b"0")
    say("and for the next one", a.recv(10) == b"0")
    a.close()
    say("and is gone with the manager", wait_free(address))

def unknown_domain():
    f = os.open(TREE + "/f", os.O_RDONLY)
    for config in ("local.conf", "other.conf"):
        a, pid = part("use", config)
        a.recv(5)
        socket.send_fds(a, [b"x"], [f])
        say("with %s calls fail" % config, a.recv(10) == b"EINVAL")
        a.close()
    os.close(f)

def forged():
    real = os.open(TREE + "/f", os.O_RDONLY)
    a, b = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
    socket.send_fds(a, [b"x"], [real])
    # Received as the kernel has it: behind the library's back.
    p, _ = part("raw", "plain")
    socket.send_fds(p, [b"x"], [real])
    content = bytearray(p.recv(1000))
    p.close()
    say("the file that travels", len(content) == 480 and content[:4] == b"sent", str(len(content)))

    def send(c, seals=15):
        m = os.memfd_create("forged", os.MFD_ALLOW_SEALING)
        os.write(m, c)
        import fcntl
        fcntl.fcntl(m, 1033, seals)
        socket.send_fds(a, [b"x"], [m])
        os.close(m)
        _, (fd,), _, _ = socket.recv_fds(b, 10, 4)
        r = result(os.pread, fd, 4, 0)
        os.close(fd)
        return r
    socket.recv_fds(b, 10, 4)
    equal("a token that was never given", send(content[:16] + os.urandom(16) + content[32:]), "EIO")
    until = time.monotonic() + 5
    while send(bytes(content)) != "EIO" and time.monotonic() < until:
        time.sleep(0.05)
    equal("one that is gone", send(bytes(content)), "EIO")
    equal("another address", send(content[:64] + b"unix:/nowhere".ljust(160, b"\0") + content[224:]), "b'sent'")
    equal("a name without an end", send(content[:32] + b"x" * 32 + content[64:]), "b'sent'")
    equal("another kind", send(content[:8] + struct.pack("I", 7) + content[12:]), "b'sent'")
    equal("a file that can change", send(bytes(content), 7), "b'sent'")
    equal("a shorter one", send(bytes(content[:-1])), "b'sent'")
    os.close(real)

def part_raw():
    s = me()
    _, (fd,), _, _ = socket.recv_fds(s, 10, 4)
    s.send(os.pread(fd, 1000, 0))

def taken():
    def get(pidfd, fd):
        return os.close(call("pidfd_getfd", pidfd, fd, 0))
    a, pid = part("hold", "forwarded.conf")
    f, pipe = map(int, a.recv(100).split())
    pidfd = os.pidfd_open(pid)
    equal("pidfd_getfd of a remote descriptor", result(get, pidfd, f), "ENOTSUP")
    equal("of a local one", result(get, pidfd, pipe), "None")
    equal("of none", result(get, pidfd, 400), "EBADF")
    a.send(b"x")
    a.close()
    os.close(pidfd)

def epoll_set():
    s, _ = listener()
    with select.epoll() as ep:
        a, b = socket.socketpair()
        socket.send_fds(a, [b"x"], [ep.fileno()])
        say("an epoll descriptor is sent", len(socket.recv_fds(b, 1, 4)[1]) == 1)
        ep.register(s, select.EPOLLIN)
        equal("one with remote members is not",
              result(socket.send_fds, a, [b"x"], [ep.fileno()]), "ENOTSUP")
    s.close()

def domain_dies():
    """The last one: nothing remote of the storage domain works in this process after it."""
    f = os.open(TREE + "/f", os.O_RDONLY)
    a, pid = part("use", "forwarded.conf")
    a.recv(5)
    os.kill(pid, signal.SIGSTOP)
    socket.send_fds(a, [b"x"], [f])
    print("kill", flush=True)
    sys.stdin.readline()
    os.kill(pid, signal.SIGCONT)
    say("of a domain that has died meanwhile", a.recv(10) == b"EIO")
    a.close()
    say("sending what is dead", result(socket.send_fds, a, [b"x"], [f]) in ("EBADF", "EIO"))
    os.close(f)

def main():
    with open(TREE + "/f", "w") as f:
        f.write("0123456789")
    for t in (not_preloaded, kept, unknown_domain, forged, taken, epoll_set, domain_dies):
        print("-- " + t.__name__, flush=True)
        t()
    a = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    a.connect(WORK + "/parts")
    a.send(b"end plain")
    sys.exit(1 if failed else 0)

if sys.argv[1:] == ["starter"]:
    starter()
elif len(sys.argv) > 1:
    globals()["part_" + sys.argv[1]]()
else:
    main()
EOF
# The same names at other addresses.
sed "s#unix:$work/#unix:$work/not-#" "$work/forwarded.conf" >"$work/other.conf"
sed -i '/^file/d; s/^inet = .*/inet = local/; s/^dns = .*/hostname = net/' "$work/other.conf"

bad=0
mkfifo "$work/to" "$work/from" "$work/starter"
in_namespace void env VT_DIR="$work/fwd/data" VT_WORK="$work" timeout -k 2 100 \
	python3 "$work/bin/pass.py" starter >"$work/starter" &
starter_pid=$!
read -r _ <"$work/starter"
in_namespace void env "LD_PRELOAD=$work/bin/libvirtuos.so" "VIRTUOS_CONFIG=$work/forwarded.conf" \
	VT_DIR="$work/fwd/data" VT_WORK="$work" timeout -k 2 100 python3 "$work/bin/pass.py" \
	<"$work/to" >"$work/from" &
client_pid=$!
exec 7>"$work/to" 6<"$work/from"
while read -r line <&6; do
	[ "$line" = kill ] || { echo "$line" && continue; }
	kill -KILL "${svcd_pid[storage]}"
	timeout 5 tail --pid="${svcd_pid[storage]}" -f /dev/null
	domains_alive || true
	echo go >&7
done
exec 7>&- 6<&-
wait $client_pid || { echo "client: status $?" && bad=1 && kill $starter_pid; }
wait $starter_pid || { echo "WRONG $? parts failed" && bad=1; }
left=$(leaks) || { echo "WRONG $left" && bad=1; }
exit $bad
