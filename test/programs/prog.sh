# SPDX-License-Identifier: MIT
# shellcheck shell=bash
# What the program tests share. A test is a script as a user would write it; the whole of it, the
# shell included, runs natively, preloaded with everything local, and forwarded, and what it prints
# must be equal. So it prints no times, process ids or rates; paths of the two directories are
# replaced by the harness.
#
# VT_DIR is the tree under test and the working directory, VT_LOCAL is local in every mode, VT_SIZE
# is quick, normal or full. Ports are free: the network namespace is the test's own.
set -eu
cd "$VT_DIR"

skip() {
	echo "skip: $*"
	exit 77
}

case $VT_SIZE in
quick) big_mib=16 some_mib=16 ;;
full) big_mib=1024 some_mib=1024 ;;
*) big_mib=1024 some_mib=128 ;;
esac

# Starts a server and waits for the line of its output that says that it is ready.
start_server() { # PATTERN COMMAND...
	local pattern=$1 line
	shift
	rm -f "$VT_LOCAL/ready"
	mkfifo "$VT_LOCAL/ready"
	"$@" >"$VT_LOCAL/ready" 2>&1 &
	server=$!
	exec 8<"$VT_LOCAL/ready"
	while read -r -t 15 line <&8; do
		[[ $line != *$pattern* ]] || return 0
		echo "$line" >&2
	done
	echo "not ready: $*"
	kill -KILL "$server"
	exit 1
}

stop_server() {
	kill -TERM "$server" 2>/dev/null || true
	wait "$server" || true
	exec 8<&-
}

# Deterministic bytes that do not compress and do not repeat.
make_data() { # MIB SEED FILE
	python3 -S -c '
import hashlib, sys
mib, seed = int(sys.argv[1]), sys.argv[2]
block = b"".join(hashlib.sha512(b"%s %d" % (seed.encode(), i)).digest() for i in range(16384))
with open(sys.argv[3], "wb") as f:
    for i in range(mib):
        f.write(b"%08d" % i + block[8:])
' "$@"
}

sum_of() {
	md5sum <"$1" | cut -d " " -f 1
}
