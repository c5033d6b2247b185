#!/bin/bash
# SPDX-License-Identifier: MIT
# What an installation consists of, as a package would be made of it; and that it works from there.
# Usage: install.sh BUILD
set -eu

build=$(realpath "${1:?usage: install.sh BUILD}")
command -v meson >/dev/null || { echo "skip: no meson" && exit 77; }
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
failed=0

wrong() {
	echo "WRONG $*"
	failed=1
}

DESTDIR="$work" meson install -C "$build" --no-rebuild >"$work.log" 2>&1 || {
	cat "$work.log" && rm -f "$work.log"
	exit 1
}
rm -f "$work.log"
root=$(dirname "$(dirname "$(find "$work" -name virtuos -type f -perm -u+x)")")
cat >"$work/expected" <<'END'
bin/virtuos
lib/libvirtuos.so
lib/systemd/system/svcd@.service
lib/systemd/system/virtuos-introduce@.service
sbin/svcd
share/doc/virtuos/examples/virtuos.conf
share/man/man1/virtuos.1
share/man/man5/virtuos.conf.5
share/man/man7/libvirtuos.7
share/man/man8/svcd.8
share/virtuos/xen/60-virtuos.rules
share/virtuos/xen/README
share/virtuos/xen/application.cfg
share/virtuos/xen/dhcp
share/virtuos/xen/init
share/virtuos/xen/introduce
share/virtuos/xen/mkdomain
share/virtuos/xen/network.cfg
share/virtuos/xen/serve
share/virtuos/xen/storage.cfg
share/virtuos/xen/virtuos-modprobe.conf
END
# The library's directory has the name of the architecture on some systems.
(cd "$root" && find . -type f -printf '%P\n' | sed 's#^lib[^/]*/\([^/]*/\)*libvirtuos#lib/libvirtuos#' |
	LC_ALL=C sort) >"$work/found"
diff "$work/expected" "$work/found" || wrong "not what should be installed"

prefix=${root#"$work"}
grep -q "^ExecStart=$prefix/sbin/svcd " "$root/lib/systemd/system/svcd@.service" ||
	wrong "the unit starts $(grep ^ExecStart "$root/lib/systemd/system/svcd@.service")"
starts=$(sed -n 's/^ExecStart=\([^ ]*\).*/\1/p' "$root/lib/systemd/system/virtuos-introduce@.service")
[ -x "$work$starts" ] || wrong "no $starts, which virtuos-introduce@.service starts"
"$root/bin/virtuos" check --no-connect "$root/share/doc/virtuos/examples/virtuos.conf" ||
	wrong "the example configuration"
"$root/sbin/svcd" --version | grep -q '^svcd ' || wrong "svcd does not start"
exit $failed
