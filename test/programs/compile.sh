#!/bin/bash
# SPDX-License-Identifier: MIT
# run-as: root user
# The compiler, assembler, linker and archiver on sources in the tree.
. "$(dirname "$0")/prog.sh"

mkdir -p inc src
echo '#define ANSWER 42' >inc/answer.h
echo 'int twice(int x) { return 2 * x; }' >src/twice.c
cat >src/main.c <<'END'
#include "answer.h"
#include <stdio.h>
int twice(int);
int main(void) { printf("%d\n", twice(ANSWER)); return 0; }
END
for f in twice main; do
	gcc -O2 -pipe -Iinc -MMD -c src/$f.c -o $f.o
done
cat main.d | tr -d '\\\n' | sed 's/  */ /g' | cut -d ' ' -f 1-3
echo
ar rcs libtwice.a twice.o && ar t libtwice.a
gcc -o prog main.o -L. -ltwice
nm prog | grep -c ' T main'
cp prog "$VT_LOCAL/prog" && "$VT_LOCAL/prog"
gcc -shared -fPIC -o libtwice.so src/twice.c && readelf -h libtwice.so | grep -c DYN
gcc -O2 -Iinc src/main.c src/twice.c -o "$VT_LOCAL/direct" && "$VT_LOCAL/direct"
gcc -c src/none.c 2>&1 | head -n 1
echo 'int broken(' >src/broken.c && gcc -c src/broken.c 2>/dev/null || echo "status $?"
strip prog && objcopy main.o copy.o && cmp main.o copy.o && echo "equal"
ls
