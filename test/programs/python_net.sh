#!/bin/bash
# SPDX-License-Identifier: MIT
# run-as: root user
# python3: sockets, selectors, asyncio, socketserver with threads, multiprocessing.
. "$(dirname "$0")/prog.sh"

cat >net.py <<'END'
import asyncio, errno, multiprocessing, os, select, selectors, socket, socketserver, threading

def plain():
    s = socket.create_server(("127.0.0.1", 0)); c = socket.create_connection(s.getsockname())
    a, peer = s.accept()
    print(peer[0], a.getsockname() == c.getpeername(), socket.gethostbyname("127.0.0.1"))
    c.sendall(b"x" * 100000); c.shutdown(socket.SHUT_WR)
    print(len(b"".join(iter(lambda: a.recv(65536), b""))))
    c.settimeout(0.05)
    try:
        c.recv(1)
    except TimeoutError:
        print("timeout")
    a.close(); print(c.recv(1)); c.close(); s.close()
    try:
        socket.create_connection(("127.0.0.1", 1))
    except ConnectionRefusedError:
        print("refused")
    u = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); u.bind(("127.0.0.1", 0))
    u.sendto(b"datagram", u.getsockname()); print(u.recvfrom(100)[0])
    u.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 100000)
    print(u.getsockopt(socket.SOL_SOCKET, socket.SO_TYPE) == socket.SOCK_DGRAM); u.close()
    with open("f", "wb") as f:
        f.write(os.urandom(10) * 50000)
    s = socket.create_server(("127.0.0.1", 0)); c = socket.create_connection(s.getsockname()); a, _ = s.accept()
    t = threading.Thread(target=lambda: (c.sendfile(open("f", "rb")), c.close())); t.start()
    print(b"".join(iter(lambda: a.recv(65536), b"")) == open("f", "rb").read()); t.join()

def ready(kind):
    if not hasattr(selectors, kind):
        return
    sel = getattr(selectors, kind)()
    pairs = []
    for i in range(20):
        s = socket.create_server(("127.0.0.1", 0)); c = socket.create_connection(s.getsockname())
        a, _ = s.accept(); s.close(); pairs.append((c, a)); sel.register(a, selectors.EVENT_READ, i)
    r, w = os.pipe(); sel.register(r, selectors.EVENT_READ, "pipe")
    print(kind, sel.select(0), end=" ")
    for i in (3, 7, 19):
        pairs[i][0].send(b"!")
    os.write(w, b"x")
    seen = set()
    while len(seen) < 4:
        seen.update(k.data for k, _ in sel.select(5))
    print(sorted(map(str, seen)))
    sel.close(); os.close(r); os.close(w)

class Upper(socketserver.StreamRequestHandler):
    def handle(self):
        for line in self.rfile:
            self.wfile.write(line.upper())

class Threaded(socketserver.ThreadingTCPServer):
    request_queue_size = 64

def threaded():
    with Threaded(("127.0.0.1", 0), Upper) as server:
        t = threading.Thread(target=server.serve_forever); t.start()
        out = []
        def ask(i):
            with socket.create_connection(server.server_address) as c:
                c.sendall(b"line %d\n" % i); c.shutdown(socket.SHUT_WR); out.append(c.makefile().read())
        ts = [threading.Thread(target=ask, args=(i,)) for i in range(30)]
        [x.start() for x in ts]; [x.join() for x in ts]
        print(len(out), sorted(out)[0], end=""); server.shutdown(); t.join()

def forking():
    with socketserver.ForkingTCPServer(("127.0.0.1", 0), Upper) as server:
        t = threading.Thread(target=server.serve_forever); t.start()
        for i in range(5):
            with socket.create_connection(server.server_address) as c:
                c.sendall(b"fork\n"); c.shutdown(socket.SHUT_WR); print(c.makefile().read(), end="")
        server.shutdown(); t.join()

async def echo(reader, writer):
    while data := await reader.read(4096):
        writer.write(data); await writer.drain()
    writer.close()

async def client(port, i):
    r, w = await asyncio.open_connection("127.0.0.1", port)
    w.write(b"%d" % i * 20000); w.write_eof()
    data = await r.read(-1); w.close()
    return len(data)

async def asynchronous():
    server = await asyncio.start_server(echo, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    async with server:
        print(sum(await asyncio.gather(*(client(port, i) for i in range(50)))))
    p = await asyncio.create_subprocess_exec("cat", "f", stdout=asyncio.subprocess.PIPE)
    print(len((await p.communicate())[0]))
    loop = asyncio.get_running_loop()
    print(await loop.run_in_executor(None, os.path.getsize, "f"))
    try:
        await asyncio.wait_for(asyncio.sleep(5), 0.05)
    except asyncio.TimeoutError:
        print("timeout")

def work(n):
    with open(f"mp{n}", "w") as f:
        f.write(str(n))
    return n * n

if __name__ == "__main__":
    plain()
    for kind in ("SelectSelector", "PollSelector", "EpollSelector"):
        ready(kind)
    threaded()
    forking()
    asyncio.run(asynchronous())
    with multiprocessing.Pool(4) as pool:
        print(sum(pool.map(work, range(20))))
    print(sorted(x for x in os.listdir() if x.startswith("mp"))[:3])
END
python3 net.py
