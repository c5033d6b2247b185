#!/bin/bash
# SPDX-License-Identifier: MIT
# run-as: root user
# redis-server with its append-only file in the tree, redis-cli, a small benchmark, a restart.
. "$(dirname "$0")/prog.sh"

serve() {
	start_server "Ready to accept connections" redis-server --bind 127.0.0.1 --port 6390 \
		--dir "$VT_DIR" --save "" --appendonly yes --appendfsync always --io-threads 1
}
r() {
	redis-cli -p 6390 "$@"
}
serve
r ping
r set key value
r get key
r mset a 1 b 2 c 3
r incrby a 41
r rpush list $(seq 1 100)
r lrange list 0 4
seq 1 500 | sed 's/.*/set k& v&/' | r --pipe | tail -n 1
r dbsize
head -c 3000000 /dev/zero | tr '\0' x | r -x set big
r strlen big
r get big | md5sum
r expire b 1000
r nosuch 2>&1
(r subscribe channel | head -n 6) >heard &
listener=$!
until [ "$(r publish channel message)" = 1 ]; do sleep 0.01; done
r publish channel again >/dev/null
wait $listener || true
head -n 6 heard | tail -n 3
redis-benchmark -p 6390 -n 2000 -c 20 -t set,get,lpush,mset -d 100 --csv | cut -d , -f 1
redis-benchmark -p 6390 -n 2000 -c 10 -P 16 -t ping --csv | wc -l
r bgrewriteaof
until r info persistence | grep -q 'aof_rewrite_in_progress:0'; do sleep 0.02; done
r info persistence | grep aof_last_bgrewrite_status | tr -d '\r'
r save
keys=$(r dbsize)
r shutdown
wait $server || true
ls | sort
serve
[ "$(r dbsize)" = "$keys" ] && echo "all keys are back"
r get key
r strlen big
stop_server
