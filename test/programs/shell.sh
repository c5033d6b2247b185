#!/bin/bash
# SPDX-License-Identifier: MIT
# run-as: root user
# bash: redirections, here-documents, pipelines, globs, tests, descriptors, subshells.
. "$(dirname "$0")/prog.sh"

echo "one" >f
echo "two" >>f
cat f
cat <f
cat <<END >here
a here-document in $((1 + 1)) lines
second line
END
cat here
{ echo out; echo err >&2; } >both 2>&1
cat both
echo "replaced" >|f
(set -C; echo "no" >f) 2>/dev/null || echo "noclobber holds"
echo "$(<f)"

# Descriptors by number, kept open over several commands.
exec 5>numbered 6<here
echo "first" >&5
read -r line <&6
echo "$line"
read -r line <&6
echo "$line"
echo "second" >&5
exec 5>&- 6<&-
cat numbered
exec 7<>rw
echo "read and write" >&7
exec 7>&-
cat rw

# Pipelines and what they return.
printf '%s\n' c a b | sort | tee sorted | head -n 2
cat sorted | while read -r x; do echo "[$x]"; done
false | true && echo "pipeline ok"
(exit 7) || echo "status $?"
seq 1 20000 | awk '{ s += $1 } END { print s }'
seq 1 100000 >numbers
wc -l <numbers
yes | head -n 5 | tr -d '\n'
echo

# Substitutions.
diff <(echo same) <(echo same) && echo "no difference"
echo "in $(cat f) and $(cat here | wc -l)"
mapfile -t lines <sorted
echo "${#lines[@]} ${lines[2]}"

# Globs and tests.
mkdir -p d/e
touch d/a.c d/b.c d/c.h "d/with space" d/.hidden
echo d/*.c
echo d/*
echo d/.h*
echo nothing/*
shopt -s globstar
echo **/*.c
for t in -e -f -d -L -r -w -x -s; do
	for x in f d none; do
		test $t $x && echo "$t $x"
	done
done
ln -s f link
[ -L link ] && [ -f link ] && [ link -ef f ] && echo "link"
[ f -nt none ] && echo "newer"

# Directories.
(cd d/e && pwd -P && cd .. && echo * && pwd)
pushd d >/dev/null
pwd
popd >/dev/null
pwd
cd -P d/e/..
pwd
cd "$VT_DIR"
CDPATH=d
cd e
cd "$VT_DIR"

# Background jobs and their output.
for i in 1 2 3 4 5; do
	(echo "job $i" >"job$i") &
done
wait
cat job?
trap 'echo "trapped"' USR1
kill -USR1 $$
(sleep 0.05; echo later >late) &
wait $!
cat late

# Scripts as files.
printf 'echo "sourced $1"; x=5\n' >script
. ./script argument
echo $x
bash script "by bash"
bash -c 'cat; echo "$0"' name <f
sh -c 'echo dash >from-dash; cat from-dash'
echo 'echo from stdin' | bash
