#!/bin/bash
# SPDX-License-Identifier: MIT
# Processes forked while other threads start commands start some themselves. Usage: fork_popen.sh BUILD
set -eu

top=$(cd "$(dirname "$0")/../.." && pwd)
. "$top/test/domains.sh" "${1:?usage: fork_popen.sh BUILD}"

echo abc >"$work/root/f"
in_namespace void env "LD_PRELOAD=$work/bin/libvirtuos.so" "VIRTUOS_CONFIG=$work/forwarded.conf" \
	timeout -k 2 100 "$build/test/tool/fork_popen" "$work/fwd/data/f"
