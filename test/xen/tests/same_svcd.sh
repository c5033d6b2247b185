#!/bin/bash
# SPDX-License-Identifier: MIT
# The service domains run the svcd of the build directory, and it is ready.
set -eu
sum=$(sha256sum <"$BUILD/svcd/svcd")
for domain in net storage; do
	[ "$("$LAB" exec $domain sha256sum <"$BUILD/svcd/svcd")" = "$sum" ] # the way is clean
	"$LAB" exec $domain sh -c '
		pid=$(pidof svcd) && sha256sum </proc/$pid/exe
		tr "\0" " " </proc/$pid/cmdline >&2' </dev/null | grep -qxF "$sum"
	grep -aq "svcd: domain $domain ready" "$LAB_DIR/share/log/guest-$domain.log"
done
