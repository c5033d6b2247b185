#!/bin/bash
# SPDX-License-Identifier: MIT
# run-as: root user
# find, xargs, grep, sed and awk over a tree of some hundred files.
. "$(dirname "$0")/prog.sh"

for d in src/{a,b,c}/{x,y,z}; do
	mkdir -p $d
	for i in $(seq 1 10); do
		printf 'line one\nfile %s number %d\nlast line\n' $d $i >$d/file$i.txt
	done
	touch $d/empty
done
chmod 700 src/a/x/file1.txt
touch -d 2000-01-01 src/b/y/file2.txt
ln -s ../../a src/c/x/link
find . -type f | sort | md5sum
find . -type d | sort
find . -name 'file1*' -path '*/b/*' | sort
find . -empty -type f | wc -l
find . -perm 700 -type f
find . ! -newermt 2005-01-01 -type f
find . -size +30c -type f | wc -l
find . -type l -printf '%p -> %l\n'
find -L . -name file3.txt | sort | wc -l
find . -maxdepth 2 -mindepth 2 -printf '%P %y\n' | sort
find src -name '*.txt' -print0 | xargs -0 cat | wc -l
find src -name '*.txt' -print0 | xargs -0 -n 20 -P 4 grep -h number | sort | md5sum
find src/a -name file2.txt -exec cat {} \; | wc -l
find src/a -name 'file*' -exec wc -l {} + | tail -n 1 | sed 's/^ *//'
find src/b -name file5.txt -delete
find src/b -name file5.txt | wc -l
find none 2>&1 || true
find "$VT_DIR/src/c" -name file9.txt | sort
grep -r 'number 7' src | sort
grep -rl 'number 10' src | wc -l
grep -rc 'line' src/a/x | sort
grep -rn --include='file2*' 'last' src/a | sort
grep -L line src/a/x/* 2>/dev/null
grep none src/a/x/file1.txt || echo "status $?"
grep x none 2>&1 || echo "status $?"
grep -f <(echo last) src/a/x/file1.txt
sed -i 's/one/changed/' src/a/x/file*.txt
grep -rh changed src | sort | uniq -c | sed 's/^ *//'
sed -i.bak -e '1d' src/a/y/file1.txt && cat src/a/y/file1.txt src/a/y/file1.txt.bak
awk '/number/ { n += $4 } END { print n }' $(find src -name '*.txt')
awk '{ print > ("out." NR) }' src/a/z/file1.txt && cat out.1 out.3
find src -depth -delete && ls
