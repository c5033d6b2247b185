#!/bin/bash
# SPDX-License-Identifier: MIT
# run-as: user
# timeout: 240
# PostgreSQL, whose server is a process for each connection: a new cluster, a schema, transactions of
# many clients at once, kill -9 of the server in the midst of that, and what is there afterwards.
. "$(dirname "$0")/prog.sh"

bin=$(echo /usr/lib/postgresql/*/bin)
export PGHOST=127.0.0.1 PGPORT=5439 PGUSER=owner PGDATABASE=postgres
$bin/initdb -D db -U owner -A trust --locale=C --no-sync | grep -c '^ok$\|ok$'
serve() {
	start_server "ready to accept connections" $bin/postgres -D "$VT_DIR/db" \
		-c listen_addresses=$PGHOST -c port=$PGPORT -c unix_socket_directories= \
		-c autovacuum_naptime=1 -c max_connections=40
}
q() {
	psql -X -q -A -t -c "$1"
}
accounts() {
	q "select count(*), (select sum(bbalance) from pgbench_branches) = sum(abalance),
	   (select count(*) from pgbench_history) >= $1 from pgbench_accounts"
}

serve
q "create table t (id serial primary key, word text, at int[])"
q "insert into t (word, at) select 'word ' || i, array[i, i * i] from generate_series(1, 5000) i"
q "create index on t using gin (at)"
q "select count(*), sum(at[2]) from t where word like '%9'"
q "select word from t where at @> array[1369]"
q "select 1 / 0" 2>&1 || echo "status $?"
q "copy t to '$VT_DIR/copied'"
md5sum <copied
q "vacuum full t"
$bin/pgbench -q -i -s 1 2>&1 | grep -c "done in"
$bin/pgbench -n -c 8 -j 2 -t 20 2>&1 | grep "processed\|failed"
$bin/pgbench -n -C -c 4 -t 10 2>&1 | grep "processed\|failed"
accounts 200
$bin/pgbench -n -c 8 -T 60 >/dev/null 2>&1 &
load=$!
until [ "$(q "select count(*) > 300 from pgbench_history")" = t ]; do :; done
kill -KILL $server
wait $server $load || true
serve
accounts 300
q "select count(*) from t"
stop_server
