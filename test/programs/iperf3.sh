#!/bin/bash
# SPDX-License-Identifier: MIT
# run-as: root user
# iperf3 for two seconds in each direction; the rates are not compared.
. "$(dirname "$0")/prog.sh"

run() {
	start_server "Server listening" iperf3 -s -1 -p 5301 --forceflush
	iperf3 -c 127.0.0.1 -p 5301 -J "$@" >result.json || { cat result.json; exit 1; }
	wait "$server"
	exec 8<&-
	python3 -S - "$*" <<-'END'
		import json, sys
		r = json.load(open("result.json"))
		end = r["end"]
		total = end.get("sum_received") or end["sum"]
		print(sys.argv[1], "transferred" if total["bytes"] > 100000 else "nothing", r.get("error", "no error"))
	END
}
time=2
[ "$VT_SIZE" != quick ] || time=1
run -t $time
run -t 1 -R
run -t 1 -P 4
run -t 1 -u -b 20M
run -n 20M -Z
