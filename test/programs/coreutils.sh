#!/bin/bash
# SPDX-License-Identifier: MIT
# run-as: root user
# coreutils on the tree: copying, moving, listing, text, space, permissions, links.
. "$(dirname "$0")/prog.sh"

seq 1 5000 >numbers
head -c 100000 numbers >part
mkdir -p a/b/c
cp numbers a/
cp -r a copy
cp -a a archive
cp -al a hard
cp --reflink=auto numbers "$VT_LOCAL/out"
cmp numbers "$VT_LOCAL/out" && echo "equal"
cp "$VT_LOCAL/out" back && cmp back numbers && echo "equal again"
cp -u back numbers
cp none x 2>&1 || true
cp a x 2>&1 || true
mv numbers moved
mv moved "$VT_LOCAL/moved"
mv "$VT_LOCAL/moved" numbers
mv numbers a/b/c/
mv a renamed
mv none x 2>&1 || true
install -m 640 back installed
ln back hardlink
ln -s back symlink
ln -sf installed symlink
ln -s "$VT_LOCAL/out" to-local
readlink symlink
readlink -f symlink
realpath renamed/../renamed/b
cat to-local | head -n 1

touch -d "2001-02-03 04:05:06" dated
touch -r dated also
stat -c '%n %s %a %Y %h %F' dated also
stat -c '%n %s %a %h %F' symlink renamed hardlink
stat -L -c '%n %s %F' symlink
stat -f -c '%T %s' .
chmod 600 dated
chmod -R go-rwx copy
chmod u+s,o+t installed
chmod 755 none 2>&1 || true
ls -ln --time-style=+ | sed 's/  */ /g'
ls -1AF
ls -d renamed
ls none 2>&1 || true
ls -R renamed
ls -i dated also | awk '{ print ($1 > 0), $2 }'
du -a --apparent-size -b renamed | sort -k 2
du -s --inodes renamed
df --output=fstype . | tail -n 1

sort -r back | head -n 3
sort -n -S 1M --parallel=2 back -o sorted && tail -n 1 sorted
uniq -c <(echo; echo) | sed 's/^ *//'
wc back
head -n 2 back
tail -n 2 back
tail -c 5 back
tac back | head -n 1
split -l 1000 back piece.
ls piece.*
cat piece.* | cmp - back && echo "pieces fit"
csplit -s -f part. back 100 2000
wc -l part.*
cut -c 1-2 back | sort -u | wc -l
paste back back | head -n 1
join <(sort back) <(sort back) | wc -l
comm -12 <(sort back) <(sort part) | wc -l
tr 0-9 a-j <back | head -n 2
fold -w 10 back | head -n 2
od -A d -t x1 back | head -n 2
md5sum back part >sums
md5sum -c sums
sha256sum back
cksum back
base64 back | head -n 1
shuf -n 3 back | wc -l
truncate -s 5000 cut
truncate -s +1K cut
stat -c %s cut
shred -n 1 cut && stat -c %s cut
dd if=back of=dd bs=1000 skip=2 count=3 seek=1 conv=notrunc 2>/dev/null
md5sum dd
dd if=/dev/zero of=zero bs=1M count=4 conv=fsync 2>/dev/null
dd if=zero of=sparse bs=64k conv=sparse 2>/dev/null
cmp zero sparse && echo "sparse equal"
dd if=zero bs=4096 count=1 iflag=direct 2>/dev/null | wc -c
tee t1 t2 <dated >/dev/null
echo text | tee t1 t2
fallocate -l 100000 allocated && stat -c %s allocated
sync allocated
mktemp -p . tmp.XXXXXX | wc -c
mkfifo pipe
(echo through >pipe) &
cat pipe
wait
mknod nod p
test -p nod && echo "a pipe"
rm -v dated
rm none 2>&1 || true
rm renamed 2>&1 || true
rmdir renamed 2>&1 || true
rm -rf renamed copy archive hard
rmdir -p none 2>&1 || true
ls -A | sort | grep -v '^tmp\.' | tr '\n' ' '
echo
