#!/bin/bash
# SPDX-License-Identifier: MIT
# run-as: root user
# timeout: 180
# 200 processes at once, each with files and pipes of its own, then a thousand one after the other.
. "$(dirname "$0")/prog.sh"

count=200 rounds=1000
[ "$VT_SIZE" != quick ] || count=40 rounds=100
seq 1 1000 >common
# Nobody goes on before all are there: the lock is shared once it is given up here.
exec 9>"$VT_LOCAL/go"
flock 9
one() {
	flock -s "$VT_LOCAL/go" true
	for n in 1 2 3; do
		seq 1 100 >file$1.$n
		cat common file$1.$n | md5sum >sum$1.$n
	done
	cat sum$1.1 sum$1.2 sum$1.3 | uniq | wc -l >done$1
}
for i in $(seq 1 $count); do
	one $i 9>&- &
	pids[i]=$!
done
exec 9>&-
good=0
for i in $(seq 1 $count); do
	wait ${pids[i]} && good=$((good + 1))
done
echo "$good of $count processes ended well"
cat done* | sort | uniq -c | sed 's/^ *//'
cat sum* | sort -u
rm -f file* sum* done*
for i in $(seq 1 $rounds); do
	/bin/true <common
done
echo "$rounds short ones"
