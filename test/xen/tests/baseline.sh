#!/bin/bash
# SPDX-License-Identifier: MIT
# The usual way beside ours: the application domain reaches the wire by netfront and netback, and the
# disk by blkfront and blkback, in the same service domains. Leaves both connected.
#   baseline.sh                      connects them, and sees that data is whole
#   baseline.sh compare [OPTION...]  measures both ways, see figures/compare.py
set -eu
. "$(dirname "$LAB")/figures/lib.sh"
mkdir -p "$LAB_DIR/baseline"
cd "$LAB_DIR/baseline"

connect() {
	"$LAB" exec dom0 /share/baseline </dev/null
	"$LAB" exec host ip route replace 10.77.1.0/30 via 10.77.0.2

	exec 5< <("$LAB" exec host iperf3 --server --one-off --forceflush </dev/null)
	local server=$! line
	exits+=("kill $server")
	while read -r -u 5 line && [[ $line != *listening* ]]; do
		:
	done
	"$LAB" exec app iperf3 --client 10.77.0.1 --bytes 8M </dev/null
	wait $server
	unset "exits[-1]"

	"$LAB" exec app sh -ec '
		mkdir -p /mnt/xvdb
		mount /dev/xvdb /mnt/xvdb
		fio --name=baseline --directory=/mnt/xvdb --rw=randrw --bs=4k --size=4M --direct=1 \
			--verify=crc32c --end_fsync=1
		umount /mnt/xvdb' </dev/null
}

connected() {
	"$LAB" exec app [ -b /dev/xvdb ] </dev/null
}

compare() {
	connected || connect
	in_domain app 'mkdir -p /mnt/xvdb && mount /dev/xvdb /mnt/xvdb'
	exits+=("$LAB exec app umount /mnt/xvdb")
	write_config
	start_peer
	stay_awake storage
	stay_awake net
	"$LAB" exec app env OURS=LD_PRELOAD=libvirtuos.so,VIRTUOS_CONFIG=/run/figures.conf \
		/lab/compare.py "$@" /remote /mnt/xvdb 10.77.0.1 </dev/null
}

"${@:-connect}"
