# SPDX-License-Identifier: MIT
# shellcheck shell=bash disable=SC2154
# Runs a list of tests in the lab. A line of a list: NAME SECONDS DOMAIN COMMAND. The command is for
# a shell of that domain; for the domain "-" it is a script of this directory, which runs on this
# machine and does what it does with $LAB exec.
# A test passes with status 0; 77 is a skip, whose reason is its last line "skip: ...".
#
# All times, of tests and of all together, are for a machine with two processors to itself; on a busy
# one VT_PATIENCE says how many times as long they may take.

lab_patience=${VT_PATIENCE:-1}
lab_run_limit=900 # seconds for the tests of a list

lab_test() { # NAME SECONDS DOMAIN COMMAND
	local name=xen/$1 limit=$(($2 * lab_patience)) domain=$3 command=$4 rc=0 out=$lab/out/$1 bad
	wanted "$name" || return 0
	if ((SECONDS > lab_until)); then
		fail "$name" "not run: the tests in the lab have taken more than \
$((lab_run_limit * lab_patience)) s"
		return
	fi
	mkdir -p "$lab/out"
	if [ "$domain" = - ]; then
		set -- bash -c "$command"
	else
		set -- "$top/test/xen/lab.sh" exec "$domain" sh -c "$command"
	fi
	(cd "$top/test/xen" && LAB="$top/test/xen/lab.sh" BUILD="$build" LAB_DIR="$lab" \
		timeout -k 5 "$limit" "$@") </dev/null >"$out" 2>&1 || rc=$?
	bad=$(new_splats)
	if [ -n "$bad" ]; then
		printf '%s\n' "$bad" >>"$out"
		fail "$name" "kernel messages" "$out"
		return
	fi
	case $rc in
	0) pass "$name" ;;
	77) skip "$name" "$(sed -n 's/^skip: //p' "$out" | tail -n 1)" ;;
	124 | 137) fail "$name" "timeout or killed ($rc)" "$out" ;;
	*) fail "$name" "exit status $rc" "$out" ;;
	esac
}

lab_kernel_logs() {
	local bad
	wanted xen/kernel-logs || return 0
	bad=$(bad_messages) || bad="dom0 does not answer"
	if [ -z "$bad" ]; then
		pass xen/kernel-logs
	else
		printf '%s\n' "$bad" >"$lab/out/kernel-logs"
		fail xen/kernel-logs "messages of level warning or above" "$lab/out/kernel-logs"
	fi
}

# All tests of a list, in a lab that is up.
lab_run_list() { # FILE
	local name limit domain command
	declare -gA log_seen=()
	lab_until=$((SECONDS + lab_run_limit * lab_patience))
	mkdir -p "$lab/out"
	while read -r name limit domain command <&9; do
		case $name in
		"" | "#"*) ;;
		*) lab_test "$name" "$limit" "$domain" "$command" ;;
		esac
	done 9<"$1"
	lab_kernel_logs
}

# Whether anything of a list is wanted.
lab_list_wanted() { # FILE
	local name
	while read -r name _; do
		case $name in
		"" | "#"*) ;;
		*) wanted "xen/$name" && return 0 ;;
		esac
	done <"$1"
	return 1
}

# The stage of test/run.sh.
stage_xen() {
	local reason list=$top/test/xen/list lab_log=$work/xen-lab.log
	lab_list_wanted "$list" || return 0
	if reason=$(lab_impossible); then
		skip xen "$reason"
		return
	fi
	lab=$build/xen-stage
	agent=$build/test/xen/labagent
	on_exit lab_down
	if ! LAB_DIR=$lab BUILD=$build timeout -k 10 $((1500 * ${VT_PATIENCE:-1})) \
		"$top/test/xen/lab.sh" up >"$lab_log" 2>&1; then
		lab_down
		fail xen/boot "the lab does not come up" "$lab_log" "$lab"/share/log/*.log
		return
	fi
	pass "xen/boot ($(tail -n 1 "$lab_log"))"
	lab_run_list "$list"
	lab_down
}
