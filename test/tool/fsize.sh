#!/bin/bash
# SPDX-License-Identifier: MIT
# svcd with a limit of file sizes: an error for the program that exceeds it, not svcd's end.
# Usage: fsize.sh BUILD
set -eu

top=$(cd "$(dirname "$0")/../.." && pwd)
. "$top/test/domains.sh" "${1:?usage: fsize.sh BUILD}"

cat >"$work/bin/client.py" <<'END'
import errno, os

path = os.path.join(os.environ["VT_DIR"], "f")
fd = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
print(os.write(fd, b"x" * 10000))
for what in (lambda: os.write(fd, b"y"), lambda: os.ftruncate(fd, 10000),
             lambda: os.truncate(path, 10000)):
    try:
        print("no error", what())
    except OSError as e:
        print(errno.errorcode[e.errno])
print(os.fstat(fd).st_size, os.pread(fd, 1, 4095).decode())
END

prlimit --pid "${svcd_pid[storage]}" --fsize=4096:4096
rc=0
got=$(client python3 "$work/bin/client.py" 2>&1) || rc=1
echo "$got"
[ "$got" = $'4096\nEFBIG\nEFBIG\nEFBIG\n4096 x' ] || rc=1
kill -0 "${svcd_pid[storage]}" || rc=1
exit $rc
