#!/bin/bash
# SPDX-License-Identifier: MIT
# run-as: root user
# fio with verification of what it reads: several engines, block sizes, threads and processes.
. "$(dirname "$0")/prog.sh"

run() {
	local name=$1
	shift
	if fio --name="$name" --directory="$VT_DIR" --verify=crc32c --verify_fatal=1 --randseed=7 \
		--fallocate=none --verify_state_save=0 --output=log "$@" >errors 2>&1 && ! grep -q 'err= *[1-9]' log; then
		echo "$name ok"
	else
		echo "$name failed"
		cat log errors
		exit 1
	fi
	rm -f "$name".*
}
run sequential --rw=write --size=16m --bs=64k --ioengine=psync --end_fsync=1
run random --rw=randwrite --size=16m --bs=4k --ioengine=sync
run mixed --rw=randrw --size=8m --bsrange=512-16k --ioengine=psync
run vectors --rw=randwrite --size=8m --bs=8k --ioengine=vsync --iodepth=8
run vectors2 --rw=randwrite --size=8m --bs=8k --ioengine=pvsync2
run posixaio --rw=randwrite --size=8m --bs=4k --ioengine=posixaio --iodepth=8
run direct --rw=randwrite --size=8m --bs=4k --ioengine=psync --direct=1
run threads --rw=randwrite --size=4m --bs=4k --ioengine=psync --thread --numjobs=4
run processes --rw=randwrite --size=4m --bs=4k --ioengine=psync --numjobs=4
run synced --rw=randwrite --size=256k --bs=4k --ioengine=psync --fsync=4
ls
