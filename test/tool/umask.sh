#!/bin/bash
# SPDX-License-Identifier: MIT
# umask() while another thread waits for a domain that does not answer yet. Usage: umask.sh BUILD
set -eu

top=$(cd "$(dirname "$0")/../.." && pwd)
. "$top/test/domains.sh" "${1:?usage: umask.sh BUILD}"

rc=0
client "$build/test/tool/umask" "${svcd_pid[storage]}" || rc=$?
kill -CONT "${svcd_pid[storage]}"
exit $rc
