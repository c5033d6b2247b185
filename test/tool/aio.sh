#!/bin/bash
# SPDX-License-Identifier: MIT
# Many O_DIRECT reads in flight at once: svcd needs no threads for them, goes on with other calls,
# outlives a program that is killed meanwhile, and ends in good order. The disk is slowed down for
# svcd, so that they are in flight for long, where there are control groups for that.
# Usage: aio.sh BUILD
set -eu

top=$(cd "$(dirname "$0")/../.." && pwd)
. "$top/test/domains.sh" "${1:?usage: aio.sh BUILD}"
threads=64 per_second=24 bad=0

wrong() {
	echo "WRONG: $*"
	bad=1
}

# Limit svcd for storage to so many reads per second of the disk that $work is on.
slow_down() {
	local dev disk group
	dev=$(stat -c '%Hd:%Ld' "$work/root/big")
	disk=$dev
	[ ! -e "/sys/dev/block/$dev/partition" ] || disk=$(cat "/sys/dev/block/$dev/../dev")
	for group in /sys/fs/cgroup/blkio /sys/fs/cgroup/unified /sys/fs/cgroup; do
		if [ -e $group/cgroup.controllers ]; then
			echo +io >$group/cgroup.subtree_control || continue
		elif [ ! -e $group/blkio.throttle.read_iops_device ]; then
			continue
		fi
		mkdir $group/virtuos-test.$$ || continue
		on_exit "rmdir $group/virtuos-test.$$"
		group=$group/virtuos-test.$$
		if [ -e $group/blkio.throttle.read_iops_device ]; then
			echo "$disk $per_second" >$group/blkio.throttle.read_iops_device || continue
		else
			echo "$disk riops=$per_second" >$group/io.max || continue
		fi
		on_exit "end_process ${svcd_pid[storage]}"
		echo "${svcd_pid[storage]}" >$group/cgroup.procs && return
	done 2>/dev/null
	return 1
}

client() { # COMMAND...
	in_namespace void env "LD_PRELOAD=$work/bin/libvirtuos.so" \
		"VIRTUOS_CONFIG=$work/forwarded.conf" timeout -k 2 60 "$@"
}

cat >"$work/bin/read.py" <<'END'
import errno, mmap, os, sys, threading, time
path, threads, rounds = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
fd = os.open(path, os.O_RDONLY | os.O_DIRECT)
failed = []
def run(n):
    buf = mmap.mmap(-1, 4096)
    for i in range(n, threads * rounds, threads):
        try:
            r = os.preadv(fd, [buf], i * 4096)
        except OSError as e:
            r = errno.errorcode[e.errno]
        if r != 4096 or buf[:8] != i.to_bytes(8, "little"):
            failed.append((i, r))
t = [threading.Thread(target=run, args=(n,)) for n in range(threads)]
start = time.monotonic()
for x in t: x.start()
print(os.getpid(), flush=True)
for x in t: x.join()
print("%.1f" % (time.monotonic() - start), failed or "right", flush=True)
os._exit(len(failed) != 0)
END
python3 - "$work/root/big" $threads <<'END' || { echo "skip: the file system has no O_DIRECT" && exit 77; }
import os, sys
with open(sys.argv[1], "wb") as f:
    for i in range(int(sys.argv[2]) * 256):
        f.write(i.to_bytes(8, "little") + bytes(4088))
    os.fsync(f.fileno())
    os.posix_fadvise(f.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
os.close(os.open(sys.argv[1], os.O_RDONLY | os.O_DIRECT))
END

tasks() {
	local t=("/proc/${svcd_pid[storage]}/task"/*)
	echo ${#t[@]}
}

big=$work/fwd/data/big rounds=1
client stat -c %s "$big"
before=$(tasks)
if slow_down; then
	slow=yes
else
	slow=no rounds=200
	echo "note: no control group to slow the disk down"
fi

reads() { # starts a client that reads, as $reader; its own number is $reading
	rm -f "$work/reads"
	mkfifo "$work/reads"
	client python3 "$work/bin/read.py" "$big" $threads $rounds >"$work/reads" &
	reader=$!
	exec 6<"$work/reads"
	read -r reading <&6
}

echo "-- $threads reads at once"
reads
most=0
for ((i = 0; i < 10; i++)); do
	start=$(date +%s%N)
	client stat "$big" >/dev/null || wrong "a call meanwhile fails"
	ms=$((($(date +%s%N) - start) / 1000000))
	[ $ms -lt 1000 ] || wrong "a call meanwhile takes $ms ms"
	n=$(tasks)
	[ "$n" -le $most ] || most=$n
done
# One that has just attached may have waited for something, and so have started a thread or two.
[ $most -le $((before + 4)) ] || wrong "$most threads for $threads reads, $before before"
[ $slow = no ] || kill -0 $reader || wrong "the reads were over too soon to tell"
read -r seconds how <&6
[ "$how" = right ] || wrong "reads: $how"
wait $reader || wrong "reads: $?"
echo "$most threads, $before before; $seconds s"
[ $slow = no ] || [ "${seconds%.*}" -ge 2 ] || wrong "the disk was not slow"

echo "-- killed meanwhile"
count_domain storage >"$work/storage.base"
count_domain net >"$work/net.base"
reads
kill -KILL "$reading"
wait $reader || true
client stat "$big" >/dev/null || wrong "svcd does not go on"
for ((i = 0; i < 5; i++)); do # what is in flight ends when the disk lets it
	why=$(leaks) && break
done
[ $i -lt 5 ] || wrong "$why"

echo "-- svcd ends meanwhile"
reads
kill -TERM "${svcd_pid[storage]}"
rc=0
timeout 15 tail --pid="${svcd_pid[storage]}" -f /dev/null || rc=$?
[ $rc != 0 ] || wait "${svcd_pid[storage]}" || rc=$?
[ $rc = 0 ] || wrong "svcd ends with $rc: $(tail -n 3 "$work/storage.log")"
read -r _ how <&6 || true
wait $reader || true
[[ $how == right || $how == *EIO* ]] || wrong "the program sees ${how:-nothing}"
exit $bad
