#!/bin/bash
# SPDX-License-Identifier: MIT
# Builds the project and runs its tests. Needs root (namespaces, several users); see --help.
set -eu

top=$(cd "$(dirname "$0")/.." && pwd)
build=${BUILD:-$top/build}
size=normal
modes="native local forwarded"
stages=
usual_stages="format unit model behaviour vchan programs tools hostile sanitized bench"
install=yes
compile=yes
keep=
transport=unix

. "$top/test/lib.sh"
. "$top/test/three-way.sh"
. "$top/test/evidence.sh"
. "$top/test/xen/images.sh"
. "$top/test/xen/machine.sh"
. "$top/test/xen/logs.sh"
. "$top/test/xen/tests.sh"

usage() {
	cat <<-END
		usage: test/run.sh [OPTION...]
		  --only REGEX     run the tests whose name matches (stages without a match do nothing)
		  --except REGEX   not those
		  --stages LIST    some of: $usual_stages xen
		  --modes LIST     some of: $modes; native is always run, the others are compared to it
		  --transport T    unix, or over what looks like Xen (test/fakexen): vchan, or ext, with
		                   what looks like the kernel extension
		  --quick          small sizes, one user, one build of each program
		  --full           large sizes, ten times as long where chance decides, and the stage xen
		  --no-install     do not install missing packages
		  --no-build       use what is in the build directory
		  --keep           keep the work directory
		  --shell          start the two domains, then a shell to try things in
		environment: BUILD (build directory), SVCD and PRELOAD (another svcd, another
		libvirtuos.so), PRELOAD_FIRST (a library to be loaded before it), VT_TMPDIR (where to
		work), VT_SHOW_LINES (of a failing test's output), VT_TIMEOUT (seconds, for every
		test), VT_PATIENCE (factor for the time limits of the stage xen), CI=true (warnings
		and unexpected skips are failures)
	END
}

packages=(
	gcc libc6-dev binutils meson ninja-build pkg-config libinih-dev libaio-dev libcap-dev
	libseccomp-dev libsystemd-dev liburing-dev libxen-dev clang-format spin
	iproute2 procps util-linux e2fsprogs strace elfutils
	bash coreutils findutils grep tar gzip sqlite3 git python3 perl curl wget
	nginx-light redis-server redis-tools iperf3 fio openssh-client openssh-server
	apache2-bin mariadb-server-core mariadb-client-core sysbench postgresql make uwsgi-core
	uwsgi-plugin-python3
	"${lab_packages[@]}"
)

build_all() {
	local options=()
	[ "${CI:-}" = true ] && options+=(--werror)
	with_tests "$build" "${options[@]}" && quietly meson compile -C "$build"
}

stage_format() {
	local files
	wanted format || return 0
	mapfile -t files < <(find "$top" \( -name '.*' -o -name 'build*' \) -prune -o \
		-name '*.[ch]' -print | sort)
	if clang-format --dry-run -Werror "${files[@]}" 2>"$work/format"; then
		pass format
	else
		fail format "run clang-format -i on the files named" "$work/format"
	fi
}

# Many tests in one, which have limits of their own.
simple_stage() { # NAME TIMEOUT COMMAND...
	local own_limit=$2
	simple_test "$@"
}

# A test that reports by its exit status alone.
simple_test() { # NAME TIMEOUT COMMAND...
	local name=$1 limit=${own_limit:-${VT_TIMEOUT:-$2}} rc=0 sid watcher where=$work/simple.where
	shift 2
	wanted "$name" || return 0
	mkdir -p "$work/simple"
	clean_exec setsid timeout -k 2 $((limit + evidence_s)) env TMPDIR="$work/simple" \
		VT_SIZE="$size" "$@" </dev/null >"$work/simple.out" 2>&1 &
	sid=$!
	watch_time "$sid" "$limit" "$where" &
	watcher=$!
	wait "$sid" || rc=$?
	end_watch $watcher "$where"
	left_behind "$sid" >>"$work/simple.out" || rc=99
	case $rc in
	0) pass "$name$(sed -n 's/^note: \(.*\)/ (\1)/p' "$work/simple.out" | tail -n 1)" ;;
	77) skip "$name" "$(sed -n 's/^skip: //p' "$work/simple.out" | tail -n 1)" ;;
	*) fail "$name" "$(explain_status "$rc")" "$work/simple.out" "$where" ;;
	esac
	rm -rf "$work/simple" "$where"
}

# What the thread sanitizer is to see of the rings: 10^8 calls, or as many as go into eight minutes.
ring_stress() {
	local limit=(--seconds 480)
	[ $size != quick ] && [ -x "$build/test/unit/ring_stress_tsan_test" ] || return 0
	[ $size = normal ] || limit=()
	simple_test unit/ring_stress 7200 "$build/test/unit/ring_stress_tsan_test" \
		--calls 100000000 --rare 64 "${limit[@]}"
}

stage_unit() {
	local t
	for t in "$build"/test/unit/*_test; do
		[ -x "$t" ] && simple_test "unit/${t##*/}" 120 "$t"
	done
	ring_stress
	simple_test unit/coverage 120 python3 "$top/test/coverage/coverage.py" "$preload" \
		"$top/ring/calls.def" "$top/test/coverage/local.list"
}

stage_model() {
	local t
	for t in "$top"/test/model/*.sh; do
		[ -e "$t" ] && simple_test "model/$(basename "$t" .sh)" 900 bash "$t"
	done
	return 0
}

stage_tools() {
	local t
	for t in "$top"/test/tool/*.sh; do
		[ -e "$t" ] && simple_test "tool/$(basename "$t" .sh)" 120 bash "$t" "$build"
	done
	return 0
}

# Each side of a channel, hostile, against the other one built with sanitizers.
stage_hostile() {
	local seconds=24 wait=yes
	wanted hostile/clients || wanted hostile/service || return 0
	[ $size = full ] && seconds=200
	[ $size = quick ] && seconds=4 wait=no
	if ! sanitized_build "$build/asan" address,undefined svcd:executable virtuos:shared_library \
		svcd_honest svcd_hostile service_hostile program; then
		fail hostile "the build with sanitizers fails"
		return
	fi
	simple_test hostile/clients $((seconds + 180)) \
		bash "$top/test/fuzz/clients.sh" "$build/asan" $seconds
	simple_test hostile/service $((seconds + 60)) \
		env WAIT=$wait bash "$top/test/fuzz/service.sh" "$build/asan" $seconds
}

# The unit tests once more, with sanitizers in what they test.
sanitized_units() {
	local t targets=()
	for t in "$build"/test/unit/*_test; do
		t=${t##*/}
		[[ $t == *_tsan_test ]] || ! wanted "sanitized/$t" || targets+=("$t")
	done
	[ ${#targets[@]} -gt 0 ] || return 0
	if ! sanitized_build "$build/asan" address,undefined "${targets[@]}" svcd:executable; then
		fail sanitized/unit "the build with sanitizers fails"
		return
	fi
	for t in "${targets[@]}"; do
		simple_test "sanitized/$t" 240 env ASAN_OPTIONS=detect_leaks=0:disable_coredump=0 \
			VT_SIZE=quick "$build/asan/test/unit/$t"
	done
}

# The behaviour programs once more, with sanitizers in both sides. Not those with an allocator or an
# environment that leave no place for the sanitizer, nor cancelled threads and coroutines, whose moves it
# does not follow, nor small stacks, of which it takes much, nor bad pointers, which it reads before us.
# Leaks are looked for by the stage "hostile", where svcd can see /proc.
stage_sanitized() {
	local except='^(bad_values|cancel|emfile|exec_inherit|handler_stacks|own_malloc|small_stack)$'
	sanitized_units
	wanted sanitized/behaviour || return 0
	if ! sanitized_build "$build/asan" address,undefined svcd:executable virtuos:shared_library
	then
		fail sanitized "the build with sanitizers fails"
		return
	fi
	simple_stage sanitized/behaviour 900 env BUILD="$build" SVCD="$build/asan/svcd/svcd" \
		PRELOAD="$build/asan/preload/libvirtuos.so" \
		PRELOAD_FIRST="$(realpath "$(gcc -print-file-name=libasan.so)")" \
		ASAN_OPTIONS=abort_on_error=1:detect_leaks=0:handle_segv=0:verify_asan_link_order=0:disable_coredump=0 \
		bash "$top/test/run.sh" --no-install --no-build --quick --stages behaviour \
		--modes forwarded --except "$except"
}

# Only whether it works: figures mean something on a machine where nothing else runs.
stage_bench() {
	simple_test bench 180 bash "$top/test/bench/smoke.sh" "$build"
}

users_of() { # FILE
	local users
	users=$(header "$1" run-as "root user")
	[ $size = quick ] && users=${users%% *}
	echo "$users"
}

# Each program exists twice: with plain names, and as Debian builds its own (LFS names, fortified);
# the second is run as one user only.
stage_behaviour() {
	local source t flavour user users
	for source in "$top"/test/behaviour/*.c; do
		t=$(basename "$source" .c)
		for flavour in "" .lfs; do
			[ "$flavour$size" = .lfsquick ] && continue
			wanted "$t$flavour" || continue
			if ! cp "$build/test/behaviour/$t$flavour" "$work/bin/" 2>/dev/null; then
				fail "$t$flavour" "not built: is it in test/behaviour/meson.build?"
				continue
			fi
			users=$(users_of "$source")
			[ -z "$flavour" ] || users=${users##* }
			for user in $users; do
				three_way "$t$flavour" "$user" "$(header "$source" timeout 60)" \
					"$work/bin/$t$flavour"
			done
			rm -f "$work/bin/$t$flavour"
		done
	done
}

# The same over what looks like Xen, in short, and a domain that dies there; without and with what looks
# like the kernel extension.
stage_vchan() {
	local options=(--quick --no-install --no-build --stages behaviour --modes forwarded)
	if [ ! -e "$build/test/fakexen/libfakexen_service.so" ]; then
		skip vchan "built without libxen-dev"
		return
	fi
	simple_stage vchan/behaviour 900 env BUILD="$build" \
		bash "$top/test/run.sh" --transport vchan "${options[@]}"
	simple_test vchan/dead_domain 120 bash "$top/test/tool/dead_domain.sh" "$build" vchan
	simple_test ext/behaviour 900 env BUILD="$build" \
		bash "$top/test/run.sh" --transport ext "${options[@]}"
	simple_test ext/dead_domain 120 bash "$top/test/tool/dead_domain.sh" "$build" ext
	simple_test ext/identity 120 bash "$top/test/tool/vchan.sh" "$build" ext
}

stage_programs() {
	local source t user
	cp "$top/test/programs/prog.sh" "$work/bin/"
	for source in "$top"/test/programs/*.sh; do
		t=$(basename "$source" .sh)
		[ "$t" = prog ] && continue
		wanted "$t" || continue
		cp "$source" "$work/bin/"
		for user in $(users_of "$source"); do
			disk_local=yes three_way "$t" "$user" "$(header "$source" timeout 120)" \
				bash "$work/bin/$t.sh"
		done
		rm -f "$work/bin/$t.sh"
	done
}

stage_shell() {
	echo "LD_PRELOAD=$work/bin/libvirtuos.so VIRTUOS_CONFIG=$work/forwarded.conf"
	echo "tree: $work/fwd/data here is $work/root there"
	in_namespace void env VT_DIR="$work/fwd/data" VT_LOCAL="$shm" \
		VIRTUOS_CONFIG="$work/forwarded.conf" bash
}

# Without work svcd does not run: at most one tick (10 ms) of ten seconds.
domains_idle() {
	local name before seconds=10
	local -A ticks
	[[ $modes == *forwarded* ]] || return 0
	[ $size != quick ] || seconds=2
	wanted idle || return 0
	for name in net storage; do
		ticks[$name]=$(cpu_ticks "$name")
	done
	sleep $seconds
	for name in net storage; do
		before=${ticks[$name]}
		ticks[$name]=$(($(cpu_ticks "$name") - before))
		if [ "${ticks[$name]}" -le 1 ]; then
			pass "svcd $name is idle without work"
		else
			fail "svcd $name is idle without work" "${ticks[$name]} ticks in $seconds s"
		fi
	done
}

# svcd ends by itself when told to.
stop_domains() {
	local name rc
	[[ $modes == *forwarded* ]] || return 0
	for name in net storage; do
		rc=0
		kill -TERM "${svcd_pid[$name]}"
		timeout 5 tail --pid="${svcd_pid[$name]}" -f /dev/null || rc=$?
		[ $rc = 0 ] && { wait "${svcd_pid[$name]}" || rc=$?; }
		if [ $rc = 0 ]; then
			pass "svcd $name ends on SIGTERM"
		else
			fail "svcd $name ends on SIGTERM" "$(explain_status $rc)" "$work/$name.log"
		fi
	done
}

options() {
	while [ $# -gt 0 ]; do
		case $1 in
		--only) only=$2 && shift ;;
		--except) except=$2 && shift ;;
		--stages) stages=$2 && shift ;;
		--modes) modes=$(xargs <<<"native ${2//native/}") && shift ;;
		--transport) transport=$2 && shift ;;
		--quick) size=quick ;;
		--full) size=full ;;
		--no-install) install=no ;;
		--no-build) compile=no ;;
		--keep) keep=yes ;;
		--shell) stages=shell ;;
		-h | --help) usage && exit ;;
		*) usage >&2 && exit 2 ;;
		esac
		shift
	done
	if [ -z "$stages" ]; then
		stages=$usual_stages
		[ $size != full ] || stages+=" xen"
	fi
}

# All in a function, so that the script has been read when it begins to work.
main() {
	options "$@"
	[ "$(id -u)" = 0 ] || die "must be run as root: it makes network namespaces, changes users"
	trap finish EXIT
	trap 'exit 130' INT TERM
	umask 022
	ulimit -c 0
	# Ten thousand descriptors are opened by one test.
	[ "$(ulimit -Hn)" = unlimited ] || [ "$(ulimit -Hn)" -ge 20000 ] || ulimit -Hn 20000
	disk_local=no
	case $transport in
	unix) preload=${PRELOAD:-$build/preload/libvirtuos.so} ;;
	vchan) preload=${PRELOAD:-$build/test/fakexen/libfakexen_program.so} ;;
	ext) preload=${PRELOAD:-$build/test/fakexen/libfakexen_ext.so} ;;
	*) die "no such transport: $transport" ;;
	esac
	svcd=${SVCD:-$build/svcd/svcd}
	test_path=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
	export PATH=$test_path

	make_work
	[ $install = no ] || install_missing "${packages[@]}"
	[ $compile = no ] || build_all || die "the build fails"
	has_tests "$build" || die "no tests in $build: meson configure -Dtests=true $build && ninja -C $build"
	[ -z "$keep" ] || undo=()

	if [[ " $stages " =~ \ (behaviour|programs|shell)\  ]]; then
		three_way_setup
	fi
	for stage in $stages; do
		"stage_$stage"
	done
	if [[ " $stages " =~ \ (behaviour|programs)\  ]]; then
		domains_idle
		stop_domains
	fi
	[ "$stages" = shell ] || summary
}

main "$@"
exit
