# SPDX-License-Identifier: MIT
# shellcheck shell=bash disable=SC2034,SC2154
# For a test of test/tool/ that wants the two domains of three-way.sh, started: sourced with the build
# directory as argument, and $top set; $transport if it is not to be unix. Skips the test where that
# cannot be.

build=$(realpath "$1")
preload=$build/preload/libvirtuos.so
case ${transport:=unix} in
vchan) preload=$build/test/fakexen/libfakexen_program.so ;;
ext) preload=$build/test/fakexen/libfakexen_ext.so ;;
esac
for f in "$preload" "$build/svcd/svcd"; do
	[ -r "$f" ] || { echo "skip: $f is not built" && exit 77; }
done
[ "$(id -u)" = 0 ] || { echo "skip: needs root" && exit 77; }
. "$top/test/lib.sh"
. "$top/test/three-way.sh"
trap finish EXIT
trap 'exit 130' INT TERM
modes="native local forwarded"
svcd=${SVCD:-$build/svcd/svcd}
make_work
three_way_setup

client() { # COMMAND...: preloaded, with both domains
	in_namespace void env "LD_PRELOAD=$work/bin/libvirtuos.so" \
		"VIRTUOS_CONFIG=$work/forwarded.conf" VT_DIR="$work/fwd/data" timeout -k 2 30 "$@"
}
