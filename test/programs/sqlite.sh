#!/bin/bash
# SPDX-License-Identifier: MIT
# run-as: root user
# sqlite3: a database in the tree, its locks between processes, journals, recovery after a kill.
. "$(dirname "$0")/prog.sh"

sql() {
	sqlite3 -bail "$@" 2>&1
}

sql db 'create table t (id integer primary key, name text, value real);
	create index by_name on t (name);
	with recursive n (i) as (select 1 union all select i + 1 from n where i < 20000)
		insert into t select i, "name " || (i * 7919 % 20000), i / 3.0 from n;'
sql db 'select count (*), sum (id), min (name), max (name) from t;'
sql db 'select id from t where name = "name 12345";'
sql db 'begin; update t set value = value + 1 where id <= 10000; commit;
	select printf ("%.2f", sum (value)) from t;'
sql db 'begin; delete from t; rollback; select count (*) from t;'
sql db 'delete from t where id % 3 = 0; vacuum; select count (*) from t; pragma integrity_check;'
sql db .dump >dump.sql
sql copy <dump.sql
sql copy 'select count (*), sum (id) from t;'
sql db ".backup '$VT_LOCAL/backup'"
sql "$VT_LOCAL/backup" 'select count (*), sum (id) from t;'
sql db "attach '$VT_LOCAL/backup' as b; select count (*) from t join b.t u on t.id = u.id;"
for mode in truncate persist memory delete; do
	sql db "pragma journal_mode = $mode; insert into t values (null, '$mode', 1);
		select name from t where name = '$mode';"
done

# Writers in several processes wait for each other's locks.
for i in 1 2 3 4; do
	for n in $(seq 1 25); do
		echo "insert into w values ($i, $n);"
	done >writes$i.sql
done
sql shared 'create table w (who, n);'
for i in 1 2 3 4; do
	sqlite3 -cmd '.timeout 30000' shared <writes$i.sql >/dev/null &
	pids[i]=$!
done
for i in 1 2 3 4; do
	wait ${pids[i]} && echo "writer $i ok"
done
sql shared 'select who, count (*), sum (n) from w group by who;'

# A lock that is held is seen; when its holder is killed, the rest is rolled back.
mkfifo "$VT_LOCAL/in" "$VT_LOCAL/out"
sqlite3 db <"$VT_LOCAL/in" >"$VT_LOCAL/out" &
holder=$!
exec 7>"$VT_LOCAL/in" 6<"$VT_LOCAL/out"
echo 'begin exclusive; delete from t; select "held";' >&7
read -r line <&6
echo "$line"
sql db 'select count (*) from t;' || true
kill -KILL $holder
wait $holder 2>/dev/null || true
exec 7>&- 6<&-
sql db 'select count (*) from t; pragma integrity_check;'
rm -f ./*.sql
ls
