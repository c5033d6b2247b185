#!/bin/bash
# SPDX-License-Identifier: MIT
#
# VirtuOS on one machine: two service domains, and unmodified programs that use them.
#
#	this machine		curl and redis-benchmark, "the outside"
#	   | veth
#	net			svcd with the only network stack that the programs can reach
#	storage			svcd with the only view of a file system, an ext4 image
#	programs		nginx, redis-server and sqlite3; a network namespace with only a loopback
#
# Run it as root on Debian 12; it installs what is missing, builds into build/ (or $BUILD), and ends
# by stopping everything that it started. Exit status 0: everything worked and is where it should be.
set -eu

top=$(cd "$(dirname "$0")/.." && pwd)
build=${BUILD:-$top/build}
virtuos=$build/tools/virtuos
svcd=$build/svcd/svcd
disk=/virtuos-disk # where the programs see the storage domain's file system
work=
veth=

. "$top/examples/demo.sh"

packages=(
	gcc libc6-dev meson ninja-build pkg-config libinih-dev libaio-dev libcap-dev libseccomp-dev
	iproute2 util-linux mount procps e2fsprogs
	nginx-light redis-server redis-tools sqlite3 curl
)

# --- starting and stopping ---------------------------------------------------------------------------

# What a fault of its own, or the out-of-memory killer, would do to it.
crash() { # NAME
	kill -KILL "${pid[$1]}"
	wait "${pid[$1]}" 2>/dev/null || true
	ended "$1"
}

# Also after an error or Ctrl-C. The namespaces and the mount go with their last process.
finish() {
	local rc=$?
	trap - EXIT
	trap '' INT TERM HUP
	set +e
	[ "$rc" = 0 ] || [ "$rc" -gt 128 ] || show_logs
	stop_all
	[ -z "$veth" ] || ip link delete "$veth" 2>/dev/null
	[ -z "$work" ] || rm -rf --one-file-system "$work"
	exit "$rc"
}

# A line from a FIFO that a background process writes to when it is ready.
ready_line() { # NAME FIFO
	local fd i
	exec {fd}<>"$2" # at once, and kept: a FIFO forgets when nobody has it open
	for ((i = 0; i < 100; i++)); do
		if read -r -t 0.1 -u "$fd" _; then
			exec {fd}>&-
			return
		fi
		kill -0 "${pid[$1]}" 2>/dev/null || break
	done
	die "$1 does not become ready"
}

answers() { # NAME ADDRESS PORT
	local i
	for ((i = 0; i < 200; i++)); do
		(exec {fd}<>"/dev/tcp/$2/$3") 2>/dev/null && return
		kill -0 "${pid[$1]}" 2>/dev/null || break
		sleep 0.05
	done
	die "$1 does not answer at $2:$3"
}

# --- the build ---------------------------------------------------------------------------------------

build_all() {
	local rc=0
	{
		[ -e "$build/build.ninja" ] || meson setup "$build" "$top"
		ninja -C "$build" preload/libvirtuos.so svcd/svcd tools/virtuos
	} </dev/null >"$work/build.log" 2>&1 || rc=$?
	[ $rc = 0 ] || die "the build fails"
	rm "$work/build.log"
	say built "$build/preload/libvirtuos.so, svcd/svcd, tools/virtuos"
}

# --- the domains -------------------------------------------------------------------------------------

hold_namespace() { # NAME: an empty network namespace, kept by a process that does nothing else
	mkfifo "$work/$1.hold"
	start "$1" unshare --net sh -c 'ip link set lo up && echo >"$1"; exec sleep infinity' sh \
		"$work/$1.hold"
	ready_line "$1" "$work/$1.hold"
}

in_namespace() { # NAME COMMAND...
	local name=$1
	shift
	nsenter --net="/proc/${pid[$name]}/ns/net" "$@"
}

# Two addresses that nobody here uses: for this machine, and for the net domain.
find_addresses() {
	local i
	for ((i = 0; i < 256; i++)); do
		! ip -4 route show table all to root "10.99.$i.0/30" | grep -q . || continue
		! ip -4 route show table all to match "10.99.$i.0/30" | grep -qv '^default' || continue
		outside=10.99.$i.1 inside=10.99.$i.2
		return
	done
	die "all of 10.99.0.0/16 is in use"
}

make_network() {
	find_addresses
	hold_namespace wire
	veth=vos$$
	ip link add "$veth" type veth peer name eth0 netns "${pid[wire]}" ||
		die "no veth devices in this kernel"
	ip address add "$outside/30" dev "$veth"
	ip link set "$veth" up
	in_namespace wire ip address add "$inside/30" dev eth0
	in_namespace wire ip link set eth0 up
}

start_svcd() { # NAME NAMESPACE-OPTIONS SCRIPT ARG...: SCRIPT prepares the mount namespace
	local name=$1 spaces=$2 prepare=$3
	shift 3
	rm -f "$work/$name.ready"
	mkfifo "$work/$name.ready"
	# shellcheck disable=SC2086 # they are several
	start "$name" nsenter $spaces unshare --mount --propagation private \
		sh -euc "$prepare"'; exec "$@"' sh "$svcd" --domain "$name" \
		--listen "unix:$work/$name.sock" "$@" 1<>"$work/$name.ready" 2>>"$work/$name.log"
	ready_line "$name" "$work/$name.ready"
}

start_net() {
	mkdir "$work/nothing"
	make_network
	start_svcd net --net="/proc/${pid[wire]}/ns/net" : --root "$work/nothing"
	say net "svcd $(version_of net): network namespace with $inside, the other end of $veth;"
	say "" "its root is an empty directory"
}

# The mount is made inside the namespace, so nobody else has it.
start_storage() {
	local how="mount -o loop,nodev,nosuid '$work/image' '$work/disk'" what="ext4 image on a loop device"
	mkdir "$work/disk" "$work/directory"
	truncate -s 256M "$work/image"
	mkfs.ext4 -q -F -E root_owner=0:0 "$work/image"
	if ! unshare --mount --propagation private sh -c "$how" 2>"$work/mount.log"; then
		say note "no loop device can be mounted here ($(head -n 1 "$work/mount.log"));"
		say "" "the storage domain has a plain directory instead"
		how="mount --bind '$work/directory' '$work/disk'" what="directory $work/directory"
	fi
	hold_namespace void
	start_svcd storage --net="/proc/${pid[void]}/ns/net" "$how" --root "$work/disk"
	say storage "svcd $(version_of storage): mount namespace with the $what"
	say "" "on $work/disk; no network"
}

version_of() { # NAME: pid of a domain, as text
	printf '(pid %d)' "${pid[$1]}"
}

write_config() {
	[ ! -e $disk ] || die "$disk exists here; the demonstration needs a name that does not"
	cat >"$work/virtuos.conf" <<-END
		[domain net]
		address = unix:$work/net.sock

		[domain storage]
		address = unix:$work/storage.sock

		[default]
		inet = net
		dns = net
		file $disk = storage:/
	END
	"$virtuos" check "$work/virtuos.conf"
	sed -n '/default/,$p' "$work/virtuos.conf" | indent
}

# Commands that begin with one of these run ...
make_prefixes() {
	# ... as a user would start them, without a network, over the library
	forwarded=(nsenter --net="/proc/${pid[programs]}/ns/net"
		"$virtuos" run --config "$work/virtuos.conf" --require --)
	# ... with what the storage domain's kernel sees
	on_storage=(nsenter --mount="/proc/${pid[storage]}/ns/mnt" --)
}

# --- the programs ------------------------------------------------------------------------------------

write_nginx_conf() {
	mkdir "$work/nginx"
	cat >"$work/nginx.conf" <<-END
		daemon off;
		master_process off;
		pid $work/nginx/pid;
		events { worker_connections 256; }
		http {
			access_log off;
			client_body_temp_path $work/nginx/body;
			proxy_temp_path $work/nginx/proxy;
			fastcgi_temp_path $work/nginx/fastcgi;
			uwsgi_temp_path $work/nginx/uwsgi;
			scgi_temp_path $work/nginx/scgi;
			sendfile on;
			server {
				listen $inside:80;
				root $disk/www;
			}
		}
	END
}

web_server() {
	local url=http://$inside sums=()
	# shellcheck disable=SC2016
	"${forwarded[@]}" sh -euc 'mkdir "$1" && cd "$1"
		echo "Hello from the storage domain" >index.html
		head -c 16777216 /dev/urandom >16M.bin' sh $disk/www
	say files "written by an unmodified sh and head to $disk/www"
	write_nginx_conf
	start nginx "${forwarded[@]}" nginx -e stderr -c "$work/nginx.conf" -p "$work/nginx" \
		>"$work/nginx.log" 2>&1
	answers nginx "$inside" 80
	say nginx "(pid ${pid[nginx]}) answers at $inside:80"
	say curl "from this machine: $(curl -sS --fail --max-time 10 "$url/")"
	say curl "from the programs' namespace, over the library: $("${forwarded[@]}" \
		curl -sS --fail --max-time 10 "$url/")"
	check "without the library curl has no way to it from there" \
		fails in_namespace programs curl -s --max-time 10 "$url/"
	curl -sS --fail --max-time 60 -o "$work/fetched" \
		-w '%{size_download} %{speed_download}\n' "$url/16M.bin" >"$work/speed"
	awk '{ printf "   %-10s %d bytes at %d MB/s\n", "curl", $1, $2 / 1000000 }' "$work/speed"
	sums[0]=$(sha256sum <"$work/fetched")
	sums[1]=$("${on_storage[@]}" sha256sum "$work/disk/www/16M.bin")
	sums[2]=$("${forwarded[@]}" sha256sum $disk/www/16M.bin)
	sums=("${sums[@]%% *}")
	say sha256 "${sums[0]:0:40}... fetched with curl"
	say "" "${sums[1]:0:40}... read in the storage domain, without the library"
	say "" "${sums[2]:0:40}... read by sha256sum over the library"
	check "all three are equal" [ "${sums[0]} ${sums[0]}" = "${sums[1]} ${sums[2]}" ]
}

redis() {
	"${forwarded[@]}" mkdir $disk/redis
	start redis "${forwarded[@]}" redis-server --bind "$inside" --port 6379 \
		--protected-mode no --save "" --dir $disk/redis >"$work/redis.log" 2>&1
	answers redis "$inside" 6379
	say redis "(pid ${pid[redis]}) answers at $inside:6379"
	timeout 60 redis-benchmark -h "$inside" -n 20000 -c 20 -t ping_inline,set,get --csv \
		>"$work/benchmark" 2>"$work/benchmark.log"
	tr -d '"' <"$work/benchmark" |
		awk -F, '$2 + 0 { printf "   %-10s %-12s %8d requests/s, half of them within %s ms\n",
			"benchmark", $1, $2, $5 }'
	redis-cli -h "$inside" set greeting "from outside" >"$work/redis.out"
	redis-cli -h "$inside" save >>"$work/redis.out"
	check "SET and SAVE: $(xargs <"$work/redis.out")" grep -q OK "$work/redis.out"
	check "the storage domain holds the dump" \
		"${on_storage[@]}" grep -qa greeting "$work/disk/redis/dump.rdb"
}

sqlite() {
	local answer
	"${forwarded[@]}" sqlite3 $disk/shop.db 'create table item (name text, price integer);
		with recursive n(i) as (select 1 union all select i + 1 from n where i < 10000)
		insert into item select "item " || i, i % 100 from n;
		create index by_price on item (price);'
	say sqlite3 "made $disk/shop.db with 10000 rows and an index"
	answer=$("${forwarded[@]}" sqlite3 $disk/shop.db \
		'select count(*), sum(price) from item where price >= 50; pragma integrity_check;')
	say sqlite3 "another process: rows and sum of price >= 50, integrity: $(xargs <<<"$answer")"
	check "the answer is right" [ "$answer" = "5000|372500"$'\n'ok ]
}

# --- the proof ---------------------------------------------------------------------------------------

listeners() { # NAME WHAT
	say "" "$2"
	in_namespace "$1" ss -Hltnp |
		awk '{ printf "%-22s %s\n", $4, $6; n++ } END { if (!n) print "none" }' | indent
}

no_output() { # COMMAND...
	[ -z "$("$@")" ]
}

socket_proof() {
	say sockets "what each kernel network stack listens on (ss -ltnp)"
	listeners programs "namespace of the programs:"
	listeners wire "namespace of the net domain:"
	check "the programs' namespace has no TCP socket at all" no_output in_namespace programs ss -Htan
	check "both ports are svcd's (pid ${pid[net]}), in the net domain's namespace" [ \
		"$(in_namespace wire ss -Hltnp | grep -c "pid=${pid[net]},")" -ge 2 ]
}

file_proof() {
	local name
	say files "the same files from each side"
	{
		printf '%-34s %s\n' "ls $disk, this machine" "$(ls -m $disk 2>&1)"
		printf '%-34s %s\n' "ls $disk, over the library" \
			"$("${forwarded[@]}" ls -m $disk)"
		printf '%-34s %s\n' "ls <mount point>, this machine" "$(ls -m "$work/disk")"
		printf '%-34s %s\n' "ls <mount point>, storage domain" \
			"$("${on_storage[@]}" ls -m "$work/disk")"
		printf '%-34s %s\n' "df <mount point>, storage domain" \
			"$("${on_storage[@]}" df --output=source,fstype "$work/disk" | tail -n 1 | xargs)"
	} | indent
	check "nothing of it is here" [ ! -e $disk -a -z "$(ls "$work/disk")" ]
	for name in www/16M.bin redis/dump.rdb shop.db; do
		check "$name is in the storage domain" "${on_storage[@]}" test -s "$work/disk/$name"
	done
}

# Numbers of NAME that stand for something in a domain.
placeholders() { # NAME
	find "/proc/${pid[$1]}/fd" -lname '/memfd:virtuos-placeholder*' -printf '%f\n' | sort -n
}

# The library keeps descriptors of its own just below the limit of numbers, or 16384: they are
# counted only.
descriptor_proof() {
	local name limit
	say fds "descriptors of the programs (/proc/PID/fd)"
	for name in nginx redis; do
		limit=$(awk '/^Max open files/ { print $4 }' "/proc/${pid[$name]}/limits")
		find "/proc/${pid[$name]}/fd" -mindepth 1 -printf '%f %l\n' | sort -n |
			awk -v name="$name" -v limit="$limit" '
				BEGIN { top = limit + 0 < 16384 ? limit + 0 : 16384 }
				$1 >= top - 64 { own++; next }
				$1 > 2 { printf "%-6s %3d -> %s %s\n", name, $1, $2, $3 }
				END { printf "%-6s and %d of the library\n", name, own }' |
			indent
	done
	say "" "A placeholder keeps the number of what is in a domain: here the listening sockets."
	check "nginx has a placeholder" [ -n "$(placeholders nginx)" ]
	check "redis-server has a placeholder" [ -n "$(placeholders redis)" ]
}

# --- the end of a domain -------------------------------------------------------------------------------

# An unmodified bash with a file open in the domain, from before its end to after its return. What
# it is told to go on with comes, and what it finds goes, through FIFOs that are local.
reader() {
	mkfifo "$work/told" "$work/found"
	exec {told}<>"$work/told" {found}<>"$work/found"
	# shellcheck disable=SC2016
	start reader "${forwarded[@]}" bash -c '
		exec 3<"$1" 4<"$2" 5>"$3"
		read -r line <&3 && echo "$line" >&5
		while read -r path <&4; do
			if [ -z "$path" ]; then
				read -r line <&3
			else
				cat "$path"
			fi 2>&1 | tail -n 1 >&5
		done' bash "$disk/www/index.html" "$work/told" "$work/found"
	say reader "(pid ${pid[reader]}) has a file open there: $(one_line)"
}

one_line() {
	local line
	read -r -t 20 -u "$found" line && echo "$line"
}

death_and_return() {
	local mounts began line
	reader
	"${forwarded[@]}" mkfifo $disk/fifo
	start waiter "${forwarded[@]}" cat $disk/fifo 2>"$work/waiter"
	say waiter "(pid ${pid[waiter]}) waits in a call: cat of a FIFO there that nobody writes to"
	until grep -qs '^[^r]' "/proc/${pid[waiter]}/syscall" && [ "$(cat "/proc/${pid[waiter]}/comm")" = cat ]; do
		sleep 0.05
	done
	exec {mounts}<"/proc/${pid[storage]}/ns/mnt" # its file system stays mounted
	began=$(now_ms)
	crash storage
	wait "${pid[waiter]}" || true
	ended waiter
	say killed "svcd of the storage domain, with SIGKILL"
	say waiter "after $(($(now_ms) - began)) ms: $(cat "$work/waiter")"
	check "the call that waited ended with an error" grep -q "Input/output error" "$work/waiter"
	echo >&"$told"
	line=$(one_line)
	say reader "reads on: ${line#*read: }"
	check "what was open is an error" grep -q "Input/output error" <<<"$line"
	check "the network domain goes on: redis answers $(redis-cli -h "$inside" ping)" \
		[ "$(redis-cli -h "$inside" ping)" = PONG ]

	start_svcd storage "--net=/proc/${pid[void]}/ns/net --mount=/proc/$$/fd/$mounts" : --root "$work/disk"
	exec {mounts}<&-
	say storage "svcd $(version_of storage) is started again"
	echo "$disk/www/index.html" >&"$told"
	line=$(one_line)
	say reader "opens the file again: $line"
	check "the same program uses the new one" [ "$line" = "Hello from the storage domain" ]
	check "so does nginx, which opens its files for each request" \
		[ "$(curl -sS --max-time 10 "http://$inside/")" = "Hello from the storage domain" ]
}

# --- all of it ---------------------------------------------------------------------------------------

[ "$(id -u)" = 0 ] || die "must be run as root: it makes network and mount namespaces"
trap finish EXIT
trap 'exit 129' HUP
trap 'exit 130' INT
trap 'exit 143' TERM
umask 022
work=$(mktemp -d "${TMPDIR:-/var/tmp}/virtuos-quickstart.XXXXXX")
chmod 755 "$work"

step "What it takes"
install_packages "${packages[@]}"
build_all

step "Two service domains, and a place for programs"
start_net
start_storage
hold_namespace programs
make_prefixes
say programs "network namespace with only a loopback: $(in_namespace programs ip -br address | xargs)"

step "The configuration: sockets to net, everything below $disk to storage"
write_config

step "A web server: files from the storage domain, sockets in the network domain"
web_server

step "redis-server: sockets in the network domain, its dump in the storage domain"
redis

step "sqlite3: a database in the storage domain"
sqlite

step "Where everything is, as the kernels see it"
socket_proof
file_proof
descriptor_proof

step "The storage domain dies, and comes back"
death_and_return

if [ $failed = 0 ]; then
	printf '\n%sAll of it worked.%s To try it on a program of your own, see README.md.\n' \
		"$bold" "$plain"
fi
exit $failed
