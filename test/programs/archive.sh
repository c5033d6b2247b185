#!/bin/bash
# SPDX-License-Identifier: MIT
# run-as: root user
# tar and gzip: round trips inside the tree, into it and out of it, with links, modes and times.
. "$(dirname "$0")/prog.sh"

mkdir -p in/deep/er
seq 1 100000 >in/numbers
head -c 300000 /dev/zero >in/zeros
truncate -s 2M in/sparse
printf 'end' >>in/sparse
printf '#!/bin/sh\n' >in/deep/script
chmod 750 in/deep/script
ln in/numbers in/deep/hard
ln -s ../numbers in/deep/soft
ln -s /nowhere/at/all in/deep/away
mkfifo in/deep/er/pipe
for i in $(seq 1 200); do
	echo "file $i" >"in/deep/er/f$i"
done
chmod 444 in/deep/er/f7
find in -exec touch -h -d "2010-01-01 00:00:00" {} +

describe() {
	(cd "$1" && find . -printf '%P %y %m %s %n %l %T+\n' | grep -v '^[^ ]* d ' | sort | md5sum)
}
describe in
tar cf plain.tar in
tar tf plain.tar | sort | md5sum
tar tvf plain.tar in/deep/script in/deep/soft | awk '{ print $1, $3, $6, $7, $8 }'
mkdir out && tar xf plain.tar -C out && describe out/in
tar czf packed.tar.gz in
gzip -t packed.tar.gz && echo "packed well"
mkdir out2 && tar xzf packed.tar.gz -C out2 && describe out2/in
tar cSf sparse.tar in/sparse && mkdir out3 && tar xf sparse.tar -C out3
cmp in/sparse out3/in/sparse && echo "sparse equal"
tar cf - in | (mkdir "$VT_LOCAL/out" && tar xf - -C "$VT_LOCAL/out")
describe "$VT_LOCAL/out/in"
tar cf "$VT_LOCAL/local.tar" -C "$VT_LOCAL/out" in
mkdir out4 && tar xf "$VT_LOCAL/local.tar" -C out4 && describe out4/in
tar --diff -f plain.tar && echo "no difference"
echo more >in/deep/new && tar rf plain.tar in/deep/new && tar tf plain.tar | tail -n 1
tar xf none.tar 2>&1 | head -n 1

cp --remove-destination in/numbers in/single
mv in/single in/numbers
gzip -k in/numbers && gzip -l in/numbers.gz | tail -n 1 | awk '{ print $2 }'
zcat in/numbers.gz | cmp - in/numbers && echo "gzip equal"
gunzip -c in/numbers.gz | md5sum
gzip -9 <in/zeros >z.gz && zcat z.gz | wc -c
gzip in/zeros && gunzip in/zeros.gz && stat -c '%s %Y' in/zeros
zgrep -c 777 in/numbers.gz
rm -rf in out out2 out3 out4 && ls
