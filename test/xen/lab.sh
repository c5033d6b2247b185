#!/bin/bash
# SPDX-License-Identifier: MIT
# The project on a real Xen, in a machine made by QEMU; see README and --help.
set -eu

top=$(cd "$(dirname "$0")/../.." && pwd)
build=${BUILD:-$top/build}
. "$top/test/lib.sh"
. "$top/test/xen/images.sh"
. "$top/test/xen/machine.sh"

usage() {
	cat <<-END
		usage: test/xen/lab.sh COMMAND
		  build              make the images, if there are none for this state of the tree
		  up [DOMAIN ...]    start the machine and its domains: net, storage, app (default: all)
		  start [DOMAIN ...] start domains that have been destroyed, from what is built now
		  exec [-t] DOMAIN COMMAND ...
		                     run a command in net, storage, app, dom0, or on the host's end of
		                     the wire (host), with our input, output and status; -t: a terminal
		  shell [DOMAIN]     bash or sh there (default app)
		  down               stop the machine
		environment: BUILD (build directory), LAB_DIR (of the run; default BUILD/xen),
		VIRTUOS_LAB_CACHE (of the images), LAB_ACCEL (tcg or kvm), LAB_BOOT_TIMEOUT (seconds)
	END
}

main() {
	local command=${1:-} domain
	agent=$build/test/xen/labagent
	[ $# = 0 ] || shift
	case $command in
	build)
		build_images
		echo "$images"
		;;
	up)
		build_images
		lab_up "$@"
		;;
	start)
		build_images
		make_share
		lab_start "$@"
		;;
	exec) [ $# -ge 2 ] && lab_exec "$@" ;;
	shell)
		domain=${1:-app}
		lab_exec -t "$domain" sh -c 'exec $(command -v bash || echo sh)' # shellcheck disable=SC2016
		;;
	down) lab_down ;;
	-h | --help) usage ;;
	*) usage >&2 && exit 2 ;;
	esac
}

main "$@"
exit
