#!/bin/bash
# SPDX-License-Identifier: MIT
# Programs that are started in a local directory below a prefix: relative paths belong to the domain,
# which is met only when there is one. Usage: cwd.sh BUILD
set -eu

top=$(cd "$(dirname "$0")/../.." && pwd)
. "$top/test/domains.sh" "${1:?usage: cwd.sh BUILD}"
PATH=/usr/sbin:/usr/bin:/sbin:/bin # no wrappers around interpreters, which run shells

bad=0
tree=$work/here # a prefix that exists here as well
mkdir -p "$tree/d/e" "$tree/here-only" "$tree/denied/d" "$tree/own" "$work/root/c/d/e" "$work/root/c/own"
for at in "$tree" "$work/root/c"; do
	where=local
	[ "$at" = "$tree" ] || where=domain
	for f in f d/f d/e/f own/f; do
		echo "$where $f" >"$at/$f"
	done
	printf '#!/bin/sh\necho "%s prog"\n' $where >"$at/d/prog"
	chmod +x "$at/d/prog"
done
echo "local denied" >"$tree/denied/d/f"
ln -s /etc/hostname "$tree/d/l-local"
cat >"$work/cwd.conf" <<-END
	[domain storage]
	address = unix:$work/storage.sock
	[domain none]
	address = unix:$work/none.sock
	[default]
	file $tree = storage:/c
	file $tree/denied = deny
	file $tree/none = none:/
	file $tree/own = local
END
mkdir -p "$tree/none/d"
echo "local none" >"$tree/none/d/f"
chmod -R a+rX "$work"

# in DIR EXPECTED COMMAND...: started there; its output, with both streams as one.
in_dir() {
	local dir=$1 expected=$2 got
	shift 2
	got=$(cd "$dir" && env LD_PRELOAD="$work/bin/libvirtuos.so" VIRTUOS_CONFIG="$work/cwd.conf" \
		$setting timeout -k 2 30 "$@" 2>&1) || true
	[ "$got" = "$expected" ] && return
	printf 'FAIL: in %s: %s\nexpected:\n%s\ngot:\n%s\n' "${dir#"$work"}" "$*" "$expected" "$got"
	bad=1
}

sh=/bin/sh setting=
in_dir "$tree/d" "domain d/f" cat f
in_dir "$tree/d" "domain f" cat ../f
in_dir "$tree/d" "domain d/e/f" cat ./e/f
in_dir "$tree/d" "domain d/f" cat /proc/self/cwd/f
in_dir "$tree/d" $'e\nf\nprog' ls
in_dir "$tree" "domain d/f" cat d/f
in_dir "$tree/d" "domain prog" ./prog
in_dir "$tree/d" "domain prog" env PATH=.:/bin:/usr/bin prog
in_dir "$tree/d" "domain prog" python3 -c 'import os
os.waitpid(os.posix_spawn("./prog", ["prog"], {}), 0)'
in_dir "$tree/d" "domain prog" python3 -c 'import os
os.environ["PATH"] = "."
os.waitpid(os.posix_spawnp("prog", ["prog"], os.environ), 0)'
in_dir "$tree/d" "domain d/f" perl -e 'system("cat f")'
in_dir "$tree/d" "$tree/d" $sh -c 'pwd -P'
in_dir "$tree/d" "domain d/e/f" $sh -c 'cd e && cat f'
in_dir "$tree/d" "domain f" $sh -c 'cd .. && cat f'
in_dir "$tree/d" "domain d/f" $sh -c '(cat f)'
in_dir "$tree/d" "made" $sh -c 'echo made >new && cat new'
[ -e "$work/root/c/d/new" ] && [ ! -e "$tree/d/new" ] || { echo "FAIL: new" && bad=1; }
rm -f "$work/root/c/d/new"
# Out of it and back.
in_dir "$tree/d" $'local\ndomain d/f' $sh -c "cd '$work/root' && ls -d none 2>&- || echo local
	cd '$tree/d' && cat f"
in_dir "$work" "domain d/f" cat here/d/f
# A descriptor of a local directory that is a name, too.
in_dir "$work" "domain d/f" python3 -c 'import os
os.fchdir(3); print(open("f").read(), end="")' 3<"$tree/d"
# What one thread does first, or several at once.
in_dir "$tree/d" "16" python3 -c 'import threading
got = []
b = threading.Barrier(16)
def one():
    b.wait()
    got.append(open("f").read() == "domain d/f\n")
t = [threading.Thread(target=one) for i in range(16)]
[x.start() for x in t]; [x.join() for x in t]
print(sum(got))'
# Prefixes in the prefix.
in_dir "$tree/own" "local own/f" cat f
in_dir "$tree/denied/d" "cat: f: Permission denied" cat f
in_dir "$tree/denied/d" "$tree/denied/d" $sh -c 'pwd -P'

# Not there: ENOENT, as in a directory that has been removed, and one warning.
warning="virtuos: the working directory, $tree/here-only, is not there in its domain: relative paths"
warning="$warning lead nowhere"
in_dir "$tree/here-only" "$warning
cat: f: No such file or directory
cat: ../f: No such file or directory" cat f ../f
in_dir "$tree/here-only" "domain f" cat "$tree/f"
in_dir "$tree/here-only" "$warning
[Errno 2] No such file or directory: 'new'
made" python3 -c "import os
try: open('new', 'w')
except OSError as e: print(e, flush=True)
os.mkdir('$tree/here-only')
open('new', 'w').write('made')
print(open('$tree/here-only/new').read())"
rm -r "$work/root/c/here-only"

# A domain that does not answer, and is not asked by those who do not need it.
in_dir "$tree/none/d" "cat: f: Input/output error" cat f
in_dir "$tree/none/d" "domain f" cat "$tree/f"
in_dir "$tree/none/d" "$tree/none/d" $sh -c 'pwd -P'
setting=VIRTUOS_UNAVAILABLE=local
in_dir "$tree/none/d" "local none" cat f
in_dir "$tree/none/d" "local none" $sh -c 'cat f'
setting=
attached() { # COMMAND...: does the domain hear of it?
	strace -f -qq -e trace=connect -o "$work/trace" \
		env -C "$tree/d" LD_PRELOAD="$work/bin/libvirtuos.so" VIRTUOS_CONFIG="$work/cwd.conf" \
		"$@" >/dev/null
	grep -q storage.sock "$work/trace"
}
if command -v strace >/dev/null; then
	attached cat f || { echo "FAIL: cat f is not attached" && bad=1; }
	! attached cat /etc/hostname || { echo "FAIL: cat /etc/hostname attaches" && bad=1; }
	! attached python3 -c 'import os; os.getcwd()' || { echo "FAIL: getcwd attaches" && bad=1; }
fi
exit $bad
