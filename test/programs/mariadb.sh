#!/bin/bash
# SPDX-License-Identifier: MIT
# run-as: root
# timeout: 240
# MariaDB, whose server is one process with a thread for each connection, with its asynchronous I/O on:
# transactions of sysbench by 64 threads, kill -9 in the midst of them, and what is there afterwards.
. "$(dirname "$0")/prog.sh"

mkdir -m 777 db "$VT_LOCAL/run"
cat >my.cnf <<END
[mysqld]
datadir=$VT_DIR/db
socket=$VT_LOCAL/run/my.sock
pid-file=$VT_LOCAL/run/my.pid
bind-address=127.0.0.1
port=3399
user=nobody
skip-name-resolve
skip-grant-tables
innodb_buffer_pool_size=32M
innodb_log_file_size=16M
innodb_use_native_aio=ON
innodb_flush_log_at_trx_commit=1
max_connections=100
lc_messages_dir=/usr/share/mysql
END
mariadb-install-db --defaults-file=my.cnf --auth-root-authentication-method=normal \
	--skip-test-db >install.log 2>&1 || tail -n 20 install.log
serve() {
	start_server "ready for connections" mariadbd --defaults-file="$VT_DIR/my.cnf"
}
q() {
	mariadb -h 127.0.0.1 -P 3399 -u root -N -B -e "$1" "${2:-mysql}"
}
bench() {
	sysbench oltp_read_write --mysql-host=127.0.0.1 --mysql-port=3399 --mysql-user=root \
		--mysql-db=sb --tables=2 --table-size=1000 --db-ps-mode=disable "$@"
}

serve
q "select 6 * 7"
q "create database sb; create table sb.t (id int primary key auto_increment, word text)"
q "insert into sb.t (word) select concat('word ', seq) from seq_1_to_5000"
q "select count(*), max(id), sum(length(word)) from sb.t"
q "select * from sb.t into outfile '$VT_DIR/db/out'" && md5sum <db/out
q "no such statement" 2>&1 | cut -c 1-40
bench prepare | grep -c "Creating table\|Inserting"
bench --threads=64 --events=300 --time=0 run | grep "total number of events" | tr -d ' '
q "check table t, sbtest1, sbtest2" sb
bench --threads=16 --time=60 run >bench.log 2>&1 &
load=$!
until [ "$(q "show global status like 'Handler_commit'" | awk '{print ($2 > 3000)}')" = 1 ]; do :; done
kill -KILL $server
wait $server $load || true
serve
q "check table t, sbtest1, sbtest2" sb
q "select (select count(*) from sbtest1), (select count(*) from sbtest2)" sb
stop_server
