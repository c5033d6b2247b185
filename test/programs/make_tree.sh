#!/bin/bash
# SPDX-License-Identifier: MIT
# run-as: user
# timeout: 240
# make with four jobs at a time: two hundred files whose tree, objects and tools' temporary files are
# all in it, from nothing, with nothing to do, after one header has changed, and interrupted.
. "$(dirname "$0")/prog.sh"

mkdir -p src tmp
export TMPDIR=$VT_DIR/tmp
echo '#define BASE 1' >src/base.h
for i in $(seq 200); do
	echo "#include \"base.h\"
int f$i(void) { return BASE * $i; }" >src/f$i.c
done
{
	seq 200 | sed 's/.*/int f&(void);/'
	echo '#include <stdio.h>
int main(void) { int n = 0;'
	seq 200 | sed 's/.*/n += f&();/'
	echo 'printf("%d\n", n); return 0; }'
} >src/main.c
cat >Makefile <<'END'
objects := $(patsubst src/%.c,obj/%.o,$(wildcard src/*.c))
prog: $(objects)
	$(CC) -o $@ $^
obj/%.o: src/%.c | obj
	$(CC) -O0 -MMD -c -o $@ $<
obj:
	mkdir $@
.DELETE_ON_ERROR:
-include $(objects:.o=.d)
END
run() {
	cp prog "$VT_LOCAL/prog"
	"$VT_LOCAL/prog"
}

make -s -j 4 && run
make -j 4
touch src/f7.c && make -j 4 | sort
sed -i s/1/2/ src/base.h
make -s -j 4 && run
# Interrupted when there is something, but not all: no half of an object is left.
rm -rf obj prog
make -s -j 4 2>/dev/null &
job=$!
until [ "$(ls obj 2>/dev/null | wc -l)" -gt 40 ]; do :; done
kill -TERM $job
wait $job || echo "status $?"
make -s -j 4 && run
