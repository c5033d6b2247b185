# SPDX-License-Identifier: MIT
# shellcheck shell=bash disable=SC2154
# What the fuzzers share; after test/lib.sh. Given: $top, $build, $sanitize.

fuzz_build() { # BUILD TARGET...
	local dir=$1
	shift
	[ "$(id -u)" = 0 ] || die "must be run as root: several users, name spaces of its own"
	sanitized_build "$dir" "$sanitize" "$@" || die "the build fails"
}

fuzz_work() {
	trap finish EXIT
	trap 'exit 130' INT TERM
	ulimit -c 0
	work=$(mktemp -d)
	chmod 755 "$work"
	on_exit "rm -rf '$work'"
}

fuzz_options() {
	export VT_SHOW_LINES=60
	export ASAN_OPTIONS=abort_on_error=1:detect_leaks=1:handle_abort=0
	ASAN_OPTIONS+=:allocator_may_return_null=1
	# It would call the library's setrlimit() before the memory is there that tells what is poisoned.
	ASAN_OPTIONS+=:disable_coredump=0
	export UBSAN_OPTIONS=halt_on_error=1:abort_on_error=1:print_stacktrace=1
	export TSAN_OPTIONS=exitcode=66:report_thread_leaks=0
}
