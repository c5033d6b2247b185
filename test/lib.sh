# SPDX-License-Identifier: MIT
# shellcheck shell=bash
# What the test stages share: results, the work directory, and processes that end with the run.
#
# Every process that is started in the background is registered by its id and ended by that id;
# nothing is ever ended by name.

passed=0 failed=0 skipped=0
failures=()
only=${only:-} except=
work=

die() {
	echo "$0: $*" >&2
	exit 1
}

# Results. A test is reported once; the files named after the message are shown on failure.
pass() {
	passed=$((passed + 1))
	printf 'ok   %s\n' "$1"
	[ -z "$(known_reason "$1")" ] || printf '     (strike %s off test/known-failures?)\n' "${1%% *}"
}

# What is known not to work yet stands in test/known-failures with its reason: it is tested and shown
# all the same, counts as skipped, and is to be struck off the list when it passes.
known_reason() {
	local name=${1%% *}
	local lists=("$top/test/known-failures")
	[ "${transport:-unix}" = unix ] || lists+=("$top/test/known-failures.$transport")
	awk -F '\t' -v name="${name%.lfs}" '$1 == name { print $2; exit }' "${lists[@]}"
}

fail() {
	local name=$1 why=$2 known
	shift 2
	known=$(known_reason "$name")
	if [ -n "$known" ]; then
		skipped=$((skipped + 1))
		printf 'KNOWN %s: %s (%s)\n' "$name" "$why" "$known"
		return
	fi
	failed=$((failed + 1))
	failures+=("$name: $why")
	printf 'FAIL %s: %s\n' "$name" "$why"
	local f
	for f in "$@"; do
		[ -s "$f" ] || continue
		printf '     --- %s\n' "${f##*/}"
		if [[ $f == *.where ]]; then
			head -n 600 "$f"
		else
			# what has passed inside a test that is a whole run says nothing
			grep -v '^ok   ' "$f" | tail -n "${VT_SHOW_LINES:-200}"
		fi | sed 's/^/     /'
	done
}

# A skip is a failure in CI unless the reason is listed in test/allowed-skips.
skip() {
	local name=$1 reason=$2
	if [ "${CI:-}" = true ] && ! grep -qxF -- "$reason" "$top/test/allowed-skips"; then
		fail "$name" "skipped in CI: $reason"
		return
	fi
	skipped=$((skipped + 1))
	printf 'skip %s: %s\n' "$name" "$reason"
}

summary() {
	local f
	if [ ${#failures[@]} -gt 0 ]; then
		echo
		echo "failed:"
		for f in "${failures[@]}"; do
			printf '  %s\n' "$f"
		done
	fi
	printf '%d passed, %d failed, %d skipped\n' "$passed" "$failed" "$skipped"
	[ "$failed" = 0 ]
}

# Prints nothing unless it fails.
quietly() {
	local log rc=0
	log=$(mktemp)
	"$@" >"$log" 2>&1 || rc=$?
	[ $rc = 0 ] || cat "$log"
	rm -f "$log"
	return $rc
}

# DIR as a build directory with the test programs: made, or one that is there changed.
with_tests() { # DIR OPTION-OF-MESON...
	local dir=$1
	shift
	if [ ! -e "$dir/build.ninja" ]; then
		quietly meson setup -Dtests=true "$@" "$dir" "$top"
		return
	fi
	# First what meson knows now: it may have been made from another state of the tree.
	quietly ninja -C "$dir" build.ninja || return
	has_tests "$dir" ||
		{ quietly meson configure -Dtests=true "$dir" && quietly ninja -C "$dir" build.ninja; }
}

has_tests() { # DIR
	grep -q '^build test/unit/' "$1/build.ninja"
}

# A build with SANITIZERS in DIR, of no more than TARGETs. What they find ends the process.
sanitized_build() { # DIR SANITIZERS TARGET...
	local dir=$1 options=(-Db_sanitize="$2" -Db_lundef=false -Dc_args=-fno-sanitize-recover=all)
	shift 2
	with_tests "$dir" "${options[@]}" || return
	# First what meson knows of the targets, in case it was made for another tree.
	quietly ninja -C "$dir" build.ninja && quietly meson compile -C "$dir" "$@"
}

wanted() {
	[ -z "$except" ] || [[ ! $1 =~ $except ]] || return 1
	[ -z "$only" ] || [[ $1 =~ $only ]]
}

# Background processes and mounts, undone in reverse order by finish().
undo=()

on_exit() {
	undo+=("$*")
}

finish() {
	local rc=$? i
	trap - EXIT
	# A signal that comes before a subshell has got rid of our traps is none of our end.
	[ "$BASHPID" = $$ ] || exit "$rc"
	set +e
	for ((i = ${#undo[@]} - 1; i >= 0; i--)); do
		eval "${undo[i]}"
	done
	exit "$rc"
}

# TERM, then KILL for what has not ended after two seconds; reaps it if it is ours.
end_process() {
	local pid=$1 i
	[ -n "$pid" ] && kill -TERM "$pid" 2>/dev/null || return 0
	for ((i = 0; i < 100; i++)); do
		kill -0 "$pid" 2>/dev/null || break
		sleep 0.02
	done
	kill -KILL "$pid" 2>/dev/null
	wait "$pid" 2>/dev/null
	return 0
}

# The directory for everything a run writes: on a disk file system, readable by every user.
make_work() {
	work=$(mktemp -d "${VT_TMPDIR:-/var/tmp}/virtuos-test.XXXXXX")
	chmod 755 "$work"
	on_exit "rm -rf --one-file-system '$work'"
	# Extended attributes, holes and nameless files are compared on ext4; elsewhere use an image.
	[ "$(stat -f -c %T "$work")" = ext2/ext3 ] && return
	truncate -s 6G "$work/image"
	if mkfs.ext4 -q -F "$work/image" 2>/dev/null && mkdir "$work/disk" &&
		mount -o loop "$work/image" "$work/disk" 2>/dev/null; then
		on_exit "umount '$work/disk'"
		work=$work/disk
		chmod 755 "$work"
	else
		echo "note: no ext4 for the test data, using $(stat -f -c %T "$work")"
	fi
}

# The packaged servers must not start by themselves: policy-rc.d says so while packages install.
install_missing() { # PACKAGE...
	local missing=() p policy=/usr/sbin/policy-rc.d
	for p in "$@"; do
		dpkg-query -W -f '${db:Status-Abbrev}' "$p" 2>/dev/null | grep -q '^ii' || missing+=("$p")
	done
	[ ${#missing[@]} -gt 0 ] || return 0
	echo "installing: ${missing[*]}"
	if [ ! -e $policy ]; then
		printf '#!/bin/sh\nexit 101\n' >$policy
		chmod 755 $policy
		on_exit "rm -f $policy"
	fi
	export DEBIAN_FRONTEND=noninteractive
	if ! { apt-get -qq update && apt-get -qq -y --no-install-recommends install "${missing[@]}"; } \
		>"$work/apt.log" 2>&1; then
		tail -n 30 "$work/apt.log"
		die "packages cannot be installed: ${missing[*]}"
	fi
}
