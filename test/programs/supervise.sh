#!/bin/bash
# SPDX-License-Identifier: MIT
# run-as: root user
# timeout: 120
# A supervisor as service managers do it: a socket that it listens on and a log pipe are its own and
# outlive the workers, which take turns on the socket, crash, hang, and are started again; and a tree
# of processes that cron-like python makes, with its pipes, sessions, limits and orphans.
. "$(dirname "$0")/prog.sh"

cat >worker.py <<'END'
import os, signal, socket, sys
s = socket.socket(fileno=int(os.environ["LISTEN_FD"]))
state = open("state", "a")
print("worker", os.environ["N"], "cwd is", os.path.basename(os.getcwd()), flush=True)
while True:
    c, _ = s.accept()
    what = c.recv(100).decode()
    print(os.environ["N"], what, file=state, flush=True)
    if what == "crash":
        os.kill(os.getpid(), signal.SIGSEGV)
    if what == "hang":
        c.sendall(b"hanging")
        signal.pause()
    if what == "exit":
        sys.exit(3)
    c.sendall(("%s: %s" % (os.environ["N"], what)).encode())
    c.close()
END
cat >supervisor.py <<'END'
import os, resource, signal, socket, subprocess, sys, threading
s = socket.socket()
s.bind(("127.0.0.1", 0))
s.listen(16)
os.set_inheritable(s.fileno(), True)
r, w = os.pipe()
n = 0

def start():
    global n
    n += 1
    return subprocess.Popen([sys.executable, "-S", "worker.py"], stdout=w, close_fds=False,
                            start_new_session=True, restore_signals=True,
                            env=dict(os.environ, LISTEN_FD=str(s.fileno()), N=str(n)),
                            preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_CORE, (0, 0)))

def ask(what, answers=True):
    c = socket.create_connection(s.getsockname(), timeout=30)
    c.sendall(what.encode())
    if answers:
        print("answer", c.recv(100).decode(), flush=True)
    return c

worker = start()
log = os.fdopen(r)
print(log.readline().strip())
ask("one")
for what, how in ("crash", None), ("exit", None), ("hang", signal.SIGKILL), ("hang", signal.SIGTERM):
    c = ask(what, how is not None)
    # The next one is already waiting when nobody serves.
    waiting = socket.create_connection(s.getsockname(), timeout=30)
    waiting.sendall(b"waited")
    if how:
        worker.send_signal(how)
    print(what, "status", worker.wait(30), "left", c.recv(100))
    worker = start()
    print(log.readline().strip())
    print("answer", waiting.recv(100).decode())
worker.send_signal(signal.SIGSTOP)
os.waitpid(worker.pid, os.WUNTRACED)
late = ask("stopped", False)
worker.send_signal(signal.SIGCONT)
print("answer", late.recv(100).decode())
worker.terminate()
print("status", worker.wait(30))
print(open("state").read(), end="")
END
python3 -S supervisor.py

cat >tree.py <<'END'
import os, signal, subprocess, sys
depth = int(sys.argv[1])
with open("tree.log", "a") as f:
    f.write("depth %d\n" % depth)
if depth == 0:
    sys.exit(7)
kids = [subprocess.Popen([sys.executable, "-S", "tree.py", str(depth - 1)],
                         stdin=subprocess.PIPE, stdout=subprocess.PIPE) for _ in range(2)]
print(sum(k.wait() for k in kids) + sum(len(k.stdout.read()) for k in kids))
sys.exit(len(kids))
END
python3 -S tree.py 4 || echo "status $?"
sort tree.log | uniq -c | tr -s ' '
# An orphan that goes on when all its ancestors are gone.
mkfifo go
python3 -S - <<'END'
import os, sys
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        with open("go") as f:
            f.read()
        with open("orphan", "w") as f:
            f.write("parent is gone\n")
        os.rename("orphan", "orphan.done")
    os._exit(0)
os.wait()
END
echo >go
until [ -e orphan.done ]; do sleep 0.01; done
cat orphan.done
timeout 1 sh -c 'sleep 30 & wait' || echo "status $?"
timeout -s KILL 1 sh -c 'cat go' || echo "status $?"
