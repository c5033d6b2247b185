#!/bin/bash
# SPDX-License-Identifier: MIT
# A program that leaves getaddrinfo() by siglongjmp(): its sockets are of class inet again, also those
# of the handler that runs on top of it, on a stack of its own. Usage: resolver_jump.sh BUILD
set -eu

top=$(cd "$(dirname "$0")/../.." && pwd)
. "$top/test/domains.sh" "${1:?usage: resolver_jump.sh BUILD}"

sed 's/^dns = .*/dns = local/' "$work/forwarded.conf" >"$work/dns.conf"
cat >"$work/bin/server.py" <<'END'
import os, signal, socket, subprocess, sys

s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.bind(("127.0.0.1", 0))
env = dict(os.environ, LD_PRELOAD=sys.argv[2], VIRTUOS_CONFIG=sys.argv[3])
p = subprocess.Popen([sys.argv[1], str(s.getsockname()[1])], env=env)
s.settimeout(0.1)
while p.poll() is None:
    try:
        s.recv(512)
    except TimeoutError:
        continue
    p.send_signal(signal.SIGUSR1)
sys.exit(p.returncode)
END
in_namespace plain timeout -k 2 60 python3 "$work/bin/server.py" "$build/test/tool/resolver_jump" \
	"$work/bin/libvirtuos.so" "$work/dns.conf"
