# SPDX-License-Identifier: MIT
# shellcheck shell=bash disable=SC2154
# Runs one program three ways and compares: native, preloaded with everything local, forwarded.
#
# Two service domains serve the whole run, each svcd in a network namespace of its own:
#   net      has a loopback interface that is up
#   void     has none; svcd for storage lives here, and so do forwarded programs, so that a socket
#            call that is not forwarded fails instead of passing unnoticed
#   plain    loopback for the native and local runs
#
# Layout below $work, alike for the three modes (nat, loc, fwd: paths are equally long):
#   nat/side/note        local in every mode
#   nat/data/CASE        VT_DIR; for "forwarded" fwd/data does not exist here, it is $work/root
#   VT_LOCAL             on another file system (tmpfs), local in every mode
#   VT_FAR               a second tree; when forwarded, at /vt/data where not even the parent exists

: "${transport:=unix}"
pool_threads=${VT_POOL_THREADS:-16} # threads that an idle svcd may keep beyond its first ones

hold_namespace() { # NAME: a network namespace, kept by a process of ours
	local name=$1
	mkfifo "$work/hold.$name"
	unshare --net sh -c 'echo >"$1"; exec sleep infinity' sh "$work/hold.$name" &
	netns_pid[$name]=$!
	on_exit "end_process ${netns_pid[$name]}"
	read -r _ <"$work/hold.$name"
}

in_namespace() { # NAME COMMAND...
	local name=$1
	shift
	nsenter --net="/proc/${netns_pid[$name]}/ns/net" "$@"
}

# Replaces a background subshell by COMMAND, which starts with descriptors 0 to 2 and no others.
clean_exec() {
	local fd
	for fd in /proc/"$BASHPID"/fd/*; do
		fd=${fd##*/}
		[ "$fd" -le 2 ] || exec {fd}<&-
	done
	exec "$@"
}

declare -A trust=([vchan]=--trust-vchan [ext]=--trust-kernel)

start_domain() { # NAME NAMESPACE ARG...: waits for the ready line
	local name=$1 ns=$2 line fd
	shift 2
	local env=() listen=(--listen "unix:$work/$name.sock")
	rm -f "$work/$name.sock" "$work/$name.ready"
	mkfifo "$work/$name.ready"
	if [ "$transport" != unix ]; then
		env=(env "LD_PRELOAD=$build/test/fakexen/libfakexen_service.so" "FAKEXEN_DIR=$fakexen"
			"FAKEXEN_DOMID=${fake_domid[$name]}")
		# By number, and by name.
		listen=(--listen "vchan:$([ "$name" = net ] && echo "${vchan_from:-5}" || echo app)"
			${vchan_user:-${trust[$transport]}})
	fi
	clean_exec nsenter --net="/proc/${netns_pid[$ns]}/ns/net" "${env[@]}" "$svcd" \
		--domain "$name" "${listen[@]}" "$@" >"$work/$name.ready" 2>>"$work/$name.log" &
	svcd_pid[$name]=$!
	exec {fd}<"$work/$name.ready"
	svcd_out[$name]=$fd
	if ! read -r -t 10 -u "$fd" line || [[ $line != *ready* ]]; then
		die "svcd for $name is not ready: $(tail -n 5 "$work/$name.log")"
	fi
}

# Where programs find a domain; see test/fakexen for what the second form means.
address() { # NAME
	case $transport in
	unix) echo "unix:$work/$1.sock" ;;
	*) echo "vchan:${fakexen##*/}-$1" ;;
	esac
}

make_fake_xen() {
	local name
	declare -gA fake_domid=([net]=3 [storage]=4)
	fakexen=$(mktemp -d /dev/shm/vtXXXXXX)
	on_exit "rm -rf '$fakexen'"
	mkdir "$fakexen/store"
	chmod 777 "$fakexen" "$fakexen/store"
	touch "$fakexen/evtchn"
	echo -n 5 >"$fakexen/store/~local~domain~5~domid"
	for name in "${!fake_domid[@]}"; do
		echo -n "${fake_domid[$name]}" \
			>"$fakexen/store/~local~domain~5~data~virtuos~domid~${fakexen##*/}-$name"
	done
	echo -n 5 >"$fakexen/store/~local~domain~4~data~virtuos~domid~app"
}

start_domains() {
	start_domain net net
	start_domain storage void --root "$work/root"
}

# A domain that a test has ended is a failure of that test; the next one gets a new one.
domains_alive() {
	local name fd alive=0
	for name in net storage; do
		kill -0 "${svcd_pid[$name]}" 2>/dev/null && continue
		alive=1
		fd=${svcd_out[$name]}
		exec {fd}<&-
		if [ "$name" = net ]; then
			start_domain net net
		else
			start_domain storage void --root "$work/root"
		fi
		count_domain "$name" >"$work/$name.base"
	done
	return $alive
}

end_domains() {
	local name
	for name in "${!svcd_pid[@]}"; do
		end_process "${svcd_pid[$name]}"
	done
}

cpu_ticks() { # NAME: user and system time of a domain so far
	local fields
	read -ra fields <"/proc/${svcd_pid[$1]}/stat"
	echo $((fields[13] + fields[14]))
}

count_domain() { # NAME: descriptors, shared mappings of clients, threads
	local pid=${svcd_pid[$1]} n
	set -- /proc/"$pid"/fd/*
	n=$#
	printf '%d %d ' "$n" "$(grep -c 'memfd:\|/grant\.' "/proc/$pid/maps" 2>/dev/null)"
	set -- /proc/"$pid"/task/*
	printf '%d\n' $#
}

count_domains() {
	local name
	for name in net storage; do
		count_domain $name >"$work/$name.base"
	done
}

# Offers that nobody has taken away, grants that nobody has mapped, in what looks like Xen.
left_in_xen() {
	[ "$transport" != unix ] || return 0
	find "$fakexen" -name '*~data~virtuos~offer~*' -o -name 'grant.*'
}

# What a program held in svcd is gone soon after it has ended.
leaks() {
	local name i base now left
	for ((i = 0; i < 100; i++)); do
		left=$(left_in_xen)
		[ -n "$left" ] || break
		sleep 0.02
	done
	if [ -n "$left" ]; then
		printf 'left behind: %s\n' "$left"
		rm -f "$fakexen"/grant.*
		return 1
	fi
	for name in net storage; do
		read -ra base <"$work/$name.base"
		for ((i = 0; i < 100; i++)); do
			read -ra now <<<"$(count_domain "$name")"
			((now[0] <= base[0] && now[1] <= base[1] &&
				now[2] <= base[2] + pool_threads)) && break
			sleep 0.02
		done
		((i < 100)) && continue
		printf 'svcd %s holds %s descriptors, %s mappings, %s threads; before: %s %s %s\n' \
			"$name" "${now[@]}" "${base[@]}"
		# Which ones, and where its threads are: the number of the system call comes first.
		find "/proc/${svcd_pid[$name]}/fd" -mindepth 1 -printf '%f %l\n' | sort -n
		grep -H . "/proc/${svcd_pid[$name]}"/task/*/syscall
		return 1
	done
}

three_way_setup() {
	declare -gA netns_pid svcd_pid svcd_out
	local mode
	hold_namespace plain
	in_namespace plain ip link set lo up
	mkdir -p "$work/out" "$work/root" "$work/bin"
	for mode in nat loc fwd; do
		mkdir -p "$work/$mode/side"
		echo "beside the tree" >"$work/$mode/side/note"
	done
	mkdir "$work"/{nat,loc}/{data,far} "$work/root/vt"
	shm=$(mktemp -d /dev/shm/virtuos-test.XXXXXX)
	chmod 755 "$shm"
	on_exit "rm -rf '$shm'"

	[[ $modes == native ]] && return
	# Where an unprivileged user can read it, whatever the build directory's mode is.
	cp "$preload" "$work/bin/libvirtuos.so"
	cat >"$work/local.conf" <<-END
		[default]
		inet = local
		dns = local
	END
	[[ $modes != *forwarded* ]] && return
	[ "$transport" = unix ] || make_fake_xen
	cat >"$work/forwarded.conf" <<-END
		[domain net]
		address = $(address net)

		[domain storage]
		address = $(address storage)

		[default]
		inet = net
		dns = net
		file $work/fwd/data = storage:/
		file /vt/data = storage:/vt
	END
	hold_namespace net
	in_namespace net ip link set lo up
	hold_namespace void
	on_exit end_domains
	start_domains
	count_domains
}

# Runs COMMAND as USER in MODE; its output goes to $work/out/NAME.MODE, its status to status[MODE].
run_mode() { # MODE NAME USER TIMEOUT COMMAND...
	local mode=$1 name=$2 user=$3 limit=$4 ns=plain uid=65534 sid watcher
	shift 4
	local out=$work/out/$name.$mode env=() as=()
	local tag local_dir=$shm/$name
	case $mode in
	native) tag=nat ;;
	local) tag=loc ;;
	forwarded) tag=fwd ;;
	esac
	local data=$work/$tag/data/$name real=$work/$tag/data/$name
	local far=$work/$tag/far/$name vt_far=$work/$tag/far/$name
	if [ "$mode" = forwarded ]; then
		ns=void
		real=$work/root/$name
		far=$work/root/vt/$name
		vt_far=/vt/data/$name
	fi
	[ "$user" = root ] && uid=0
	[ "$disk_local" = yes ] && local_dir=$work/$tag/side/$name
	rm -rf "$real" "$local_dir" "$far" "$out.where"
	mkdir "$real" "$local_dir" "$far"
	chown "$uid:$uid" "$real" "$local_dir" "$far"
	[ "$user" = root ] ||
		as=(setpriv --reuid=$uid --regid=$uid --clear-groups)
	[ "$mode" = native ] ||
		env=("LD_PRELOAD=${PRELOAD_FIRST:+$PRELOAD_FIRST:}$work/bin/libvirtuos.so"
			"VIRTUOS_CONFIG=$work/$mode.conf"
			${ASAN_OPTIONS:+"ASAN_OPTIONS=$ASAN_OPTIONS"})

	clean_exec setsid nsenter --net="/proc/${netns_pid[$ns]}/ns/net" "${as[@]}" \
		timeout -k 2 $((limit + evidence_s)) env -i PATH="$test_path" HOME="$local_dir" LC_ALL=C TZ=UTC \
		VT_DIR="$data" VT_LOCAL="$local_dir" VT_FAR="$vt_far" VT_SIZE="$size" \
		"${env[@]}" "$@" </dev/null >"$out" 2>"$out.err" &
	sid=$!
	watch_time "$sid" "$limit" "$out.where" &
	watcher=$!
	status[$mode]=0
	wait "$sid" || status[$mode]=$?
	end_watch $watcher "$out.where"
	left_behind "$sid" >>"$out.err" || status[$mode]=99
	sed -i "s#$data#TREE#g; s#$local_dir#LOCAL#g" "$out"
	rm -rf "$real" "$local_dir" "$far"
}

# Processes of a program's session that outlive it: named, ended by id, and a failure.
left_behind() { # SESSION
	local i pid left
	for ((i = 0; i < 25; i++)); do
		left=$(ps -o pid=,stat=,args= -s "$1" | awk '$2 !~ /^Z/')
		[ -n "$left" ] || return 0
		sleep 0.02
	done
	printf 'left running:\n%s\n' "$left"
	while read -r pid _; do
		kill -KILL "$pid" 2>/dev/null
	done <<<"$left"
	return 1
}

explain_status() {
	case $1 in
	99) echo "processes left running" ;;
	124 | 137) echo "timeout or killed ($1)" ;;
	*) echo "exit status $1" ;;
	esac
}

# COMMAND three ways as USER. The native run must pass by itself; the others must be equal to it.
three_way() { # NAME USER TIMEOUT COMMAND...
	local name=$1 user=$2 limit=${VT_TIMEOUT:-$3} mode out problem leak
	local label="$name ($user)"
	shift 3
	local -A status=()
	out=$work/out/$name
	if [[ $(known_reason "$label") == "not run: "* ]]; then
		skipped=$((skipped + 1))
		printf 'KNOWN %s: %s\n' "$label" "$(known_reason "$label")"
		return
	fi
	run_mode native "$name" "$user" "$limit" "$@"
	case ${status[native]} in
	0) ;;
	77)
		skip "$label" "$(sed -n 's/^skip: //p' "$out.native" | tail -n 1)"
		return
		;;
	*)
		fail "$label" "native: $(explain_status "${status[native]}")" "$out.native"{,.err,.where}
		return
		;;
	esac
	for mode in $modes; do
		[ "$mode" = native ] && continue
		run_mode "$mode" "$name" "$user" "$limit" "$@"
		problem=
		if ! cmp -s "$out.native" "$out.$mode"; then
			diff -a -U 2 "$out.native" "$out.$mode" >"$out.diff" || true
			problem="$mode: output differs"
		fi
		[ "${status[$mode]}" = 0 ] ||
			problem="$mode: $(explain_status "${status[$mode]}")${problem:+, output differs}"
		if [ "$mode" = forwarded ]; then
			if ! domains_alive; then
				problem="${problem:+$problem; }svcd ended"
			elif [ -z "$problem" ] && ! leaks >/dev/null; then
				# Made once and kept is no leak; growing again with the same program is.
				count_domains
				run_mode "$mode" "$name" "$user" "$limit" "$@"
				leak=$(leaks) || problem=$leak
				count_domains
			elif [ -n "$problem" ]; then
				leaks >/dev/null || count_domains
			fi
		fi
		if [ -n "$problem" ]; then
			fail "$label" "$problem" "$out.diff" "$out.$mode"{.err,.where}
			rm -f "$out.diff"
			return
		fi
	done
	pass "$label"
	rm -f "$out".*
}

# "KEY: value" in one of the first lines of a test's source.
header() { # FILE KEY DEFAULT
	local value
	value=$(head -n 8 "$1" | sed -n "s/^[/#* ]*$2: *\\([^*]*[^* ]\\).*/\\1/p" | head -n 1)
	echo "${value:-$3}"
}
