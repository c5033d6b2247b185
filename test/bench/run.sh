#!/bin/bash
# SPDX-License-Identifier: MIT
# Measures what forwarding costs on this machine; see bench.c. Needs root (namespaces) and two CPUs.
# The figures mean something only when nothing else runs.
set -eu

top=$(cd "$(dirname "$0")/../.." && pwd)
. "$top/test/lib.sh"
. "$top/test/three-way.sh"

usage() {
	cat <<-END
		usage: test/bench/run.sh [OPTION...] BUILD
		  --quick       few rounds: only whether it works
		  --rounds N    1 to 101
		  --cpus A,B    of the program, of the service (0,1)
		  --tsv FILE    the figures, to be read by programs
		  --under CMD   run the program under CMD, such as "strace -c"
		environment: SVCD (another svcd), VT_TMPDIR (where to work)
		exit status: 0 measured (goals met or not), 1 malfunction, 77 cannot be measured here
	END
}

cpus=0,1 args=() build= under=()
while [ $# -gt 0 ]; do
	case $1 in
	--quick) args+=("$1") ;;
	--rounds) args+=("$1" "$2") && shift ;;
	--cpus) cpus=$2 && shift ;;
	--tsv) args+=("$1" "$(realpath "$2")") && shift ;;
	--under) read -ra under <<<"$2" && shift ;;
	-h | --help) usage && exit ;;
	-*) usage >&2 && exit 2 ;;
	*) build=$(realpath "$1") ;;
	esac
	shift
done
[ -n "$build" ] || { usage >&2 && exit 2; }
[ -x "$build/test/bench/bench" ] || die "not built: meson configure -Dtests=true $build, and ninja"
[ "$(id -u)" = 0 ] || die "must be run as root: it makes network namespaces"
for cpu in ${cpus/,/ }; do
	taskset -c "$cpu" true 2>/dev/null || { echo "skip: no CPU $cpu" && exit 77; }
done

trap finish EXIT
trap 'exit 130' INT TERM
make_work
svcd=${SVCD:-$build/svcd/svcd}
declare -A netns_pid svcd_pid svcd_out
for ns in net plain; do
	hold_namespace $ns
	in_namespace $ns ip link set lo up
done
mkdir "$work/root"
head -c 65536 /dev/urandom >"$work/root/file"
on_exit end_domains
start_domain net net --cpu "${cpus#*,}"
start_domain storage net --root "$work/root" --cpu "${cpus#*,}"
cat >"$work/bench.conf" <<-END
	[domain net]
	address = unix:$work/net.sock

	[domain storage]
	address = unix:$work/storage.sock

	[default]
	inet = net
	dns = net
	libc_patch = off
	file /bench = storage:/
END
rc=0
in_namespace plain env LD_PRELOAD="$build/preload/libvirtuos.so" \
	VIRTUOS_CONFIG="$work/bench.conf" timeout -k 2 "${VT_TIMEOUT:-120}" "${under[@]}" \
	"$build/test/bench/bench" "${args[@]}" --cpus "$cpus" \
	/bench/file "$work/root/file" "$work/net.sock" || rc=$?
[ $rc = 0 ] || tail -n 5 "$work"/*.log >&2
exit $rc
