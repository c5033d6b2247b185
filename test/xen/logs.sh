# SPDX-License-Identifier: MIT
# shellcheck shell=bash disable=SC2154
# The domains' logs, the hypervisor's included. Consoles grow in $lab/share/log by themselves, and
# still tell how a domain ended that is gone. They do not have the levels of messages: these are asked
# for, in the domains that live, at the end.

splats='BUG:|WARNING:|Oops|[Gg]eneral protection|Kernel panic|Call Trace|INFO: (possible|suspicious|task)'
splats+='|detected stall|self-detected|soft lockup|UBSAN|KASAN|KCSAN|DEBUG_LOCKS|[Bb]ad page|Unable to handle'
splats+='|paging request|NULL pointer|double fault|stack-protector|refcount_t|svcd.*segfault|traps: svcd'
xen_splats='WARN|BUG|FATAL|Assertion|[Pp]anic|[^e][Ff]ault|Error|[Cc]rash|Bad |bad |leak'

allowed_messages() {
	sed '/^#/d; s/\t.*//' "$top/test/xen/allowed-kernel-messages" | paste -sd '|'
}

# Prints the splats that have come since the last call. Of one that is allowed the first line says so;
# its trace is skipped.
new_splats() {
	local log name from size allowed
	allowed=$(allowed_messages)
	for log in "$lab"/share/log/*.log; do
		name=${log##*/}
		from=${log_seen[$name]:-0}
		size=$(stat -c %s "$log")
		[ "$size" -ge "$from" ] || from=0
		log_seen[$name]=$size
		tail -c "+$((from + 1))" "$log" | head -c $((size - from)) | tr -d '\r' |
			ALLOWED=$allowed SPLATS=$splats XEN=$xen_splats awk -v name="${name%.log}" '
				/^\(XEN\)/ {
					if ($0 ~ ENVIRON["XEN"])
						print name ": " $0
					next
				}
				/WARNING:/ && $0 ~ ENVIRON["ALLOWED"] { skipping = 1 }
				!skipping && $0 ~ ENVIRON["SPLATS"] { print name ": " $0 }
				/end trace|Linux version/ { skipping = 0 }'
	done
	return 0
}

in_lab() { # SECONDS DOMAIN COMMAND...
	local limit=$(($1 * ${VT_PATIENCE:-1}))
	shift
	BUILD="$build" LAB_DIR="$lab" timeout "$limit" "$top/test/xen/lab.sh" exec "$@" </dev/null
}

# Brings the kernels' logs with levels to $lab/kernel, and prints what is not allowed of them.
bad_messages() {
	local domain domains log allowed
	mkdir -p "$lab/kernel"
	allowed=$(allowed_messages)
	domains=$(in_lab 30 dom0 xl list | awk 'NR > 1 { print $1 }') && [ -n "$domains" ] || return
	for domain in $domains; do
		[ "$domain" != Domain-0 ] || domain=dom0
		log=$lab/kernel/$domain
		if ! in_lab 60 "$domain" dmesg -r >"$log"; then
			echo "$domain: does not tell its log"
			continue
		fi
		sed -n 's/^<[0-4]>\[[^]]*\] *//p' "$log" | grep -vE -- "$allowed" |
			sed "s/^/$domain: /"
	done
	return 0
}
