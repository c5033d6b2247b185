# SPDX-License-Identifier: MIT
# shellcheck shell=bash disable=SC2154
# A test that does not end in time says where it is before it is ended: where each thread of its
# processes and of the services waits, and what is in the channels between them.

evidence_s=120 # that gathering it may take

# Beside a test whose session (and timeout(1)) is SESSION.
watch_time() { # SESSION SECONDS FILE
	[ -p "$work/never" ] || mkfifo "$work/never"
	# Nobody writes there: a sleep without a process of its own.
	read -r -t "$2" _ <>"$work/never" || true
	set +e
	evidence "$1" >"$3" 2>&1
	kill -ALRM "$1" # as if its own time were over
}

end_watch() { # PID FILE
	[ -e "$2" ] || kill "$1" || true
	wait "$1" 2>/dev/null || true
}

# Every process of the session, and the services that the run has started.
evidence() { # SESSION
	local pid pids
	mapfile -t pids < <(ps -o pid= -s "$1" | head -n 40)
	for pid in ${pids[@]+"${pids[@]}"} ${svcd_pid[@]+"${svcd_pid[@]}"}; do
		[ -e "/proc/${pid// /}/task" ] && where_is "${pid// /}"
	done
	for pid in ${pids[@]+"${pids[@]}"}; do
		python3 "$top/test/lanes.py" "${pid// /}" 2>&1
	done
}

# The first number of "syscall" is that of the system call, and the last two are stack and place.
where_is() { # PID
	local task
	printf '=== %d %s\n' "$1" "$(tr '\0' ' ' <"/proc/$1/cmdline" | head -c 300)"
	for task in /proc/"$1"/task/*; do
		printf -- '--- %s %s, %s, in %s, %s\n' "${task##*/}" "$(cat "$task/comm")" \
			"$(sed -n 's/^State:\t//p' "$task/status")" "$(cat "$task/wchan")" \
			"$(cat "$task/syscall")"
		head -n 4 "$task/stack" 2>/dev/null
	done
	stacks "$1"
}

stacks() { # PID
	case $(readlink "/proc/$1/exe") in
	*/bash | */timeout | */sleep | */tail) return ;;
	esac
	if command -v gdb >/dev/null; then
		timeout -s KILL 40 gdb -batch -nx -p "$1" -ex "thread apply all bt" 2>&1 |
			grep -v '^\[New LWP'
	elif command -v eu-stack >/dev/null; then
		timeout -s KILL 20 eu-stack -p "$1" 2>&1
	fi | head -n 200
}
