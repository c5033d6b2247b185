# SPDX-License-Identifier: MIT
# shellcheck shell=bash disable=SC2034
# For tests that measure: labworker in the application domain, labpeer on the host's end of the wire,
# and an svcd that is awake.

exits=()
trap 'for ((e = ${#exits[@]} - 1; e >= 0; e--)); do ${exits[e]} || true; done' EXIT

in_domain() { # DOMAIN SCRIPT [ARGUMENT...]
	"$LAB" exec "$1" sh -ec "$2" sh "${@:3}" </dev/null
}

start_peer() {
	local line
	exec 5< <("$LAB" exec host "$BUILD/test/xen/labpeer" 10.77.0.1 </dev/null)
	exits+=("kill $!")
	read -r -u 5 line && [ "$line" = ready ]
}

# Where files and sockets of programs with $forwarding go.
forwarding=(env LD_PRELOAD=libvirtuos.so VIRTUOS_CONFIG=/run/figures.conf)
write_config() {
	"$LAB" exec app sh -c 'cat >/run/figures.conf' <<-END
		[domain net]
		address = vchan:net
		[domain storage]
		address = vchan:storage
		[default]
		inet = net
		file /remote = storage:/
	END
}

# svcd polls for 50 us after the last call, which is plenty on a processor. An emulated one may need
# longer for what a program does between two calls, so that svcd would sleep again and again.
stay_awake() { # DOMAIN [MICROSECONDS]
	restart_svcd "$1" "options=\"\$options --spin ${2:-5000}\""
	exits+=("restart_svcd $1")
}

restart_svcd() { # DOMAIN [LINE OF ITS CONFIGURATION]
	in_domain "$1" '
		conf=/run/virtuos/serve.conf
		sed -i "/ --spin /d" $conf
		[ -z "$1" ] || echo "$1" >>$conf
		pid=$(pidof svcd)
		kill $pid
		while [ -e /proc/$pid ]; do sleep 0.1; done' "${2:-}"
	in_domain app 'until virtuos check /run/figures.conf | grep "^$1: ok"; do sleep 0.1; done' "$1"
}
