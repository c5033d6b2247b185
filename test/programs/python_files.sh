#!/bin/bash
# SPDX-License-Identifier: MIT
# run-as: root user
# python3: os, pathlib, shutil, tempfile, subprocess, sqlite3, zipfile, modules in the tree.
. "$(dirname "$0")/prog.sh"

cat >module.py <<'END'
import errno, fcntl, glob, io, json, mmap, os, pathlib, pickle, shutil, stat, subprocess, sys
import tempfile, zipfile, sqlite3, select, threading

def err(f, *a):
    try:
        f(*a)
        return "no error"
    except OSError as e:
        return errno.errorcode[e.errno]

def files():
    with open("t", "w") as f:
        for i in range(1000):
            f.write(f"{i}\n")
    with open("t") as f:
        print(sum(int(x) for x in f))
    with open("t", "r+b", buffering=0) as f:
        print(f.read(4), f.seek(-4, io.SEEK_END), f.read(), f.tell())
        f.truncate(100)
    print(os.path.getsize("t"), os.stat("t").st_nlink, oct(os.stat("t").st_mode))
    fd = os.open("t", os.O_RDWR | os.O_APPEND)
    print(os.write(fd, b"abc"), os.pread(fd, 3, 100), os.lseek(fd, 0, os.SEEK_CUR))
    os.ftruncate(fd, 50); os.fsync(fd); print(os.fstat(fd).st_size); os.close(fd)
    print(err(open, "none"), err(os.mkdir, "t"), err(os.rmdir, "t"), err(os.listdir, "t"))
    print(err(os.close, fd), err(os.open, "t/x", 0), err(os.readlink, "t"))
    os.utime("t", ns=(1_000_000_001, 2_000_000_002)); print(os.stat("t").st_mtime_ns)
    os.setxattr("t", "user.a", b"1"); print(os.listxattr("t"), os.getxattr("t", "user.a"))

def trees():
    for d in ("a/b", "a/c"):
        os.makedirs(d)
        for i in range(20):
            pathlib.Path(d, f"f{i}").write_text(f"{d} {i}")
    os.symlink("b", "a/link")
    print(sorted((r, sorted(d), len(f)) for r, d, f in os.walk("a")))
    print(len(glob.glob("a/**", recursive=True)), sorted(p.name for p in pathlib.Path("a").glob("*/f1*"))[:3])
    with os.scandir("a") as it:
        print(sorted((e.name, e.is_dir(), e.is_symlink(), e.inode() > 0) for e in it))
    shutil.copytree("a", "z", symlinks=True)
    shutil.copytree("a", os.environ["VT_LOCAL"] + "/z", symlinks=True)
    shutil.move("z", "y"); shutil.move(os.environ["VT_LOCAL"] + "/z", "x")
    print(sorted(os.listdir()), sum(len(f) for _, _, f in os.walk("x")))
    shutil.make_archive("arch", "zip", "a")
    with zipfile.ZipFile("arch.zip") as z:
        print(len(z.namelist()), z.testzip(), z.read("b/f3"))
    shutil.rmtree("y"); print(os.path.exists("y"), os.path.realpath("a/link/f1"))
    print(shutil.disk_usage(".").total > 0, os.path.samefile("a/b", "a/link"))
    dfd = os.open("a", os.O_RDONLY)
    print(sorted(os.listdir(dfd)), os.stat("b/f1", dir_fd=dfd).st_size)
    os.rename("b/f1", "b/g1", src_dir_fd=dfd, dst_dir_fd=dfd); os.close(dfd)
    print(os.path.exists("a/b/g1"), os.getcwd() == os.environ["VT_DIR"])

def temporary():
    with tempfile.TemporaryDirectory(dir=".") as d:
        print(os.path.isdir(d), err(os.rmdir, d))
    with tempfile.NamedTemporaryFile(dir=".") as f:
        f.write(b"x" * 10); f.flush(); print(os.path.getsize(f.name))
    with tempfile.TemporaryFile(dir=".") as f:
        f.write(b"nameless"); f.seek(0); print(f.read())

def processes():
    with open("in", "w") as f:
        f.write("input\n")
    with open("in") as i, open("out", "w") as o:
        print(subprocess.run(["cat"], stdin=i, stdout=o).returncode)
    print(open("out").read(), end="")
    print(subprocess.run("cat in; pwd | wc -l", shell=True, cwd=".", capture_output=True).stdout)
    print(subprocess.check_output(["cat", "f1"], cwd="a/c"))
    print(subprocess.run(["cat", "/dev/fd/9"], preexec_fn=lambda: os.dup2(os.open("in", 0), 9),
                         close_fds=False, capture_output=True).stdout)
    r, w = os.pipe()
    pid = os.fork()
    if not pid:
        os.write(w, open("in", "rb").read()); os._exit(3)
    print(os.read(r, 100), os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])); os.close(r); os.close(w)
    p = subprocess.Popen([sys.executable, "-S", "-c", "import os; print(os.path.getsize('in'))"], stdout=subprocess.PIPE)
    print(p.communicate()[0])

def locks():
    f = open("lock", "w"); fcntl.flock(f, fcntl.LOCK_EX)
    g = open("lock", "w")
    print(err(fcntl.flock, g, fcntl.LOCK_EX | fcntl.LOCK_NB)); f.close()
    fcntl.flock(g, fcntl.LOCK_EX); g.close()

def threads():
    total = []
    def work(n):
        p = pathlib.Path(f"thread{n}")
        for i in range(50):
            p.write_bytes(bytes([n]) * i * 100); total.append(len(p.read_bytes()))
    t = [threading.Thread(target=work, args=(n,)) for n in range(6)]
    [x.start() for x in t]; [x.join() for x in t]
    print(len(total), sum(total))

def mapped():
    with open("m", "wb") as f:
        f.write(bytes(range(256)) * 64)
    with open("m", "rb") as f, mmap.mmap(f.fileno(), 0, prot=mmap.PROT_READ, flags=mmap.MAP_PRIVATE) as m:
        print(len(m), m[300], m.find(b"\xff\x00"))

def database():
    c = sqlite3.connect("db"); c.execute("create table t (x)")
    c.executemany("insert into t values (?)", ((i,) for i in range(100))); c.commit()
    print(c.execute("select sum(x) from t").fetchone()); c.close()
    json.dump({"a": [1, 2]}, open("j", "w")); print(json.load(open("j")))
    pickle.dump(list(range(10)), open("p", "wb")); print(pickle.load(open("p", "rb")))
END
mkdir package && echo 'name = "imported"' >package/__init__.py
cat >main.py <<'END'
import sys, module, package
print(package.name)
for f in (module.files, module.trees, module.temporary, module.processes, module.locks,
          module.threads, module.mapped, module.database):
    print("--", f.__name__)
    sys.stdout.flush()
    f()
END
python3 main.py
ls __pycache__
python3 -m compileall -q . && python3 -m zipfile -l arch.zip | wc -l
