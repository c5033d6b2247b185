#!/bin/bash
# SPDX-License-Identifier: MIT
# configs/xen/introduce, with a xenstore and an xl made up: who is told what, once and with --watch.
set -eu

top=$(cd "$(dirname "$0")/../.." && pwd)
work=$(mktemp -d)
pid=
trap '[ -z "$pid" ] || kill -- "-$pid"; rm -rf "$work"' EXIT
mkdir "$work/bin" "$work/store" "$work/domains"
mkfifo "$work/events" "$work/written"

fake() { # NAME: a program, from here
	{
		echo '#!/bin/sh'
		echo "cd '$work'"
		cat
	} >"$work/bin/$1"
	chmod +x "$work/bin/$1"
}

fake xl <<'END'
cat "domains/$2" 2>/dev/null || { echo "$2 is an invalid domain identifier" >&2 && exit 1; }
END
fake xenstore-read <<'END'
cat "store/$(echo "$1" | tr / '~')" 2>/dev/null
END
fake xenstore-write <<'END'
[ "$2" ] || exit 0 # a directory
echo "$2" >"store/$(echo "$1" | tr / '~')"
echo "$1 $2" >written
END
fake xenstore-exists <<'END'
false
END
fake xenstore-chmod <<'END'
echo "$@" >>chmod
END
fake xenstore-watch <<'END'
echo "@introduceDomain"
exec cat events
END
introduce=(env "PATH=$work/bin:$PATH" "$top/configs/xen/introduce")

bad=0
next() { # EXPECTED: what is written next
	local line
	read -r -t 20 -u 5 line || line=nothing
	echo "written: $line"
	[ "$line" = "$1" ] || { echo "   expected: $1" && bad=1; }
}

exec 5<>"$work/written" 6<>"$work/events"
rc=0
"${introduce[@]}" app 2>"$work/err" || rc=$?
[ $rc = 2 ] || bad=1

echo 1 >"$work/domains/app"
echo 2 >"$work/domains/net"
rc=0
"${introduce[@]}" app net storage 2>"$work/err" || rc=$?
cat "$work/err"
[ $rc = 1 ] && grep -q "no domain storage" "$work/err" || bad=1
next "/local/domain/1/data/virtuos/domid/net 2"
next "/local/domain/2/data/virtuos/domid/app 1"

setsid "${introduce[@]}" --watch app net storage &
pid=$!
echo 3 >"$work/domains/storage"
echo "@introduceDomain" >&6
next "/local/domain/1/data/virtuos/domid/storage 3"
next "/local/domain/3/data/virtuos/domid/app 1"
echo 4 >"$work/domains/net"
echo "@introduceDomain" >&6
next "/local/domain/1/data/virtuos/domid/net 4"
next "/local/domain/4/data/virtuos/domid/app 1"
rm "$work/domains/app"
echo "@introduceDomain" >&6
echo 5 >"$work/domains/app"
echo "@introduceDomain" >&6
next "/local/domain/5/data/virtuos/domid/net 4"
next "/local/domain/4/data/virtuos/domid/app 5"
next "/local/domain/5/data/virtuos/domid/storage 3"
next "/local/domain/3/data/virtuos/domid/app 5"
for line in "1/data/virtuos/offer/net n1 b2" "1/data/virtuos/offer/storage n1 b3" \
	"5/data/virtuos/offer/net n5 b4"; do
	grep -qx "/local/domain/$line" "$work/chmod" || { echo "not done: chmod $line" && bad=1; }
done
exit $bad
