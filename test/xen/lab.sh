#!/bin/bash
# SPDX-License-Identifier: MIT
# The project on a real Xen, in a machine made by QEMU; see README and --help.
set -eu

top=$(cd "$(dirname "$0")/../.." && pwd)
build=${BUILD:-$top/build}
. "$top/test/lib.sh"
. "$top/test/xen/images.sh"
. "$top/test/xen/machine.sh"
. "$top/test/xen/logs.sh"
. "$top/test/xen/tests.sh"

usage() {
	cat <<-END
		usage: test/xen/lab.sh COMMAND
		  up [DOMAIN ...]    start the machine and its domains: net, storage, app (default: all)
		  exec [-t] DOMAIN COMMAND ...
		                     run a command in net, storage, app, dom0, or on the host's end of
		                     the wire (host), with our input, output and status; -t: a terminal
		  shell [DOMAIN]     a shell there (default app)
		  start [DOMAIN ...] domains that have been destroyed, from what is built now
		  count              grants, event channels and xenstore nodes of each domain
		  log                kernel messages so far that a test run would not allow
		  down               stop the machine
		  run [LIST]         the tests of a list (default test/xen/list, see tests.sh), in a machine
		                     of its own if none is up; ONLY=REGEX selects
		  build              make the images, if there are none for this state of the tree
		  module [DIR]       build kernel-ext, or DIR, for the domains' kernel; "up" and "start"
		                     build kernel-ext, too. Modules are in /lab of app
		environment: LAB_NET, LAB_STORAGE ("svcd.*" options of these domains), BUILD (build
		directory), LAB_DIR (of the run; default BUILD/xen), VIRTUOS_LAB_CACHE (of the images),
		LAB_ACCEL (tcg or kvm), VT_PATIENCE (factor for all time limits, on a busy machine)
	END
}

prepare() {
	local reason
	if reason=$(lab_impossible); then
		die "$reason"
	fi
	install_missing "${lab_packages[@]}" >&2
	build_images
}

run() { # [LIST]
	only=${ONLY:-}
	if [ -z "$(lab_pid)" ]; then
		prepare
		on_exit lab_down
		lab_up
		echo "up after $lab_boot_time s, $lab_accel"
	fi
	lab_run_list "${1:-$top/test/xen/list}"
	summary
}

main() {
	local command=${1:-}
	agent=$build/test/xen/labagent
	[ $# = 0 ] || shift
	case $command in
	exec)
		[ $# -ge 2 ] || { usage >&2 && exit 2; }
		lab_replace="exec"
		lab_exec "$@"
		;;
	shell)
		# shellcheck disable=SC2016
		lab_exec -t "${1:-app}" sh -c 'exec $(command -v bash || echo sh)'
		return
		;;
	down) lab_down && return ;;
	esac
	trap finish EXIT
	trap 'exit 130' INT TERM
	work=$(mktemp -d)
	on_exit "rm -rf '$work'"
	case $command in
	up)
		prepare
		lab_up "$@"
		echo "$lab_boot_time s, $lab_accel"
		;;
	start)
		prepare
		make_share
		lab_start "$@"
		;;
	count) lab_exec dom0 /share/count </dev/null ;;
	log)
		declare -A log_seen=()
		new_splats
		bad_messages
		;;
	run) run "$@" ;;
	build)
		prepare
		echo "$images"
		;;
	module)
		prepare
		lab_build_module "$@"
		ls "$lab_modules"/*.ko
		;;
	-h | --help) usage ;;
	*) usage >&2 && exit 2 ;;
	esac
}

main "$@"
exit
