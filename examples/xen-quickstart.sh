#!/bin/bash
# SPDX-License-Identifier: MIT
#
# VirtuOS on Xen: two service domains with a device each, and unmodified programs in a domain that has
# none. The machine is the one of test/xen/, which QEMU makes: any machine will do, real Xen is in it.
#
#	this machine		curl and redis-benchmark, at the other end of the network card's cable
#	   | cable
#	net			Xen domain with the card, passed through, and svcd
#	storage			Xen domain with an NVMe disk, passed through, and svcd
#	app			Xen domain with neither: nginx, redis-server and sqlite3
#	dom0			starts the others; nothing of VirtuOS runs in it
#
# Run it as root on Debian 12 with 4.5 GiB of memory to spare. It installs what is missing, builds into
# build/ (or $BUILD), makes the machine's images (once, in /var/cache/virtuos-lab), and ends by stopping
# everything that it started. A machine that is up already (test/xen/lab.sh up) is used, and left as it
# was found. Exit status 0: everything worked and is where it should be.
#
# VT_PATIENCE=5 makes all time limits five times as long, for a busy machine.
set -eu

top=$(cd "$(dirname "$0")/.." && pwd)
export BUILD=${BUILD:-$top/build}
export LAB_DIR=${LAB_DIR:-$BUILD/xen}
lab=$top/test/xen/lab.sh
disk=/virtuos-disk        # where the programs see the storage domain's file system
there=/srv/quickstart     # where that is in the storage domain
home=/run/quickstart      # of the programs' configurations, in the application domain
conf=$home/virtuos.conf
inside=10.77.0.2          # the network domain's address
patience=${VT_PATIENCE:-1}
work=
lab_state=other           # ours: to be stopped

. "$top/examples/demo.sh"
. "$top/test/xen/images.sh"

packages=(
	gcc libc6-dev meson ninja-build pkg-config libinih-dev libaio-dev libcap-dev libseccomp-dev
	liburing-dev procps curl redis-tools
	"${lab_packages[@]}"
)

# --- the lab -----------------------------------------------------------------------------------------

in_lab() { # DOMAIN COMMAND...
	"$lab" exec "$@" </dev/null
}

# What COMMAND prints, in a file of a domain.
write_file() { # DOMAIN FILE
	# shellcheck disable=SC2016
	"$lab" exec "$1" sh -c 'mkdir -p "${0%/*}" && cat >"$0"' "$2"
}

lab_is_up() {
	[ -e "$LAB_DIR/qemu.pid" ] && in_lab dom0 true 2>/dev/null
}

# Commands that begin with this run in the application domain, over the library.
forwarded=("$lab" exec app virtuos run --config "$conf" --require --)

over() { # COMMAND...
	"${forwarded[@]}" "$@" </dev/null
}

finish() {
	local rc=$?
	trap - EXIT
	trap '' INT TERM HUP
	set +e
	[ "$rc" = 0 ] || [ "$rc" -gt 128 ] || show_logs
	stop_all
	case $lab_state in
	ours)
		printf 'Stopping: the machine\n'
		"$lab" down
		;;
	used)
		in_lab storage rm -rf "$there"
		in_lab app rm -rf "$home"
		;;
	esac
	[ -z "$work" ] || rm -rf --one-file-system "$work"
	exit "$rc"
}

# --- packages, build, machine ------------------------------------------------------------------------

quietly() { # WHAT COMMAND...: no output but, if it fails, in $work/WHAT.log
	local what=$1
	shift
	"$@" </dev/null >"$work/$what.log" 2>&1 && rm "$work/$what.log"
}

build_all() {
	local setup=(meson setup -Dtests=true "$BUILD" "$top")
	[ ! -e "$BUILD/build.ninja" ] || setup=(meson configure -Dtests=true "$BUILD")
	quietly build "${setup[@]}" || die "the build cannot be set up"
	quietly build ninja -C "$BUILD" || die "the build fails"
	say built "$BUILD"
}

boot() {
	local reason
	if reason=$(lab_impossible); then
		die "$reason"
	fi
	install_packages "${packages[@]}"
	build_all
	quietly images "$lab" build || die "the machine's images cannot be made"
	say images "in $lab_cache"
	lab_state=ours
	quietly machine "$lab" up || die "the machine does not come up"
}

machine() {
	if lab_is_up; then
		lab_state=used
		say lab "the one in $LAB_DIR, which is up; packages and build are as they are"
	else
		boot
	fi
}

domains() {
	in_lab dom0 xl info >"$work/xen"
	say xen "$(awk '/^xen_version/ { print $3 }' "$work/xen"), in a machine that QEMU makes"
	check "the hypervisor has an IOMMU (virt_caps: pv_directio)" \
		grep -q '^virt_caps.*pv_directio' "$work/xen"
	in_lab dom0 xl list | indent
}

write_config() {
	in_lab storage sh -c "rm -rf $there && mkdir $there"
	cat >"$work/virtuos.conf" <<-END
		[domain net]
		address = vchan:net

		[domain storage]
		address = vchan:storage

		[default]
		inet = net
		dns = net
		hostname = net
		file $disk = storage:${there#/srv}
	END
	write_file app $conf <"$work/virtuos.conf"
	in_lab app virtuos check $conf
	sed -n '/default/,$p' "$work/virtuos.conf" | indent
}

# --- the programs ------------------------------------------------------------------------------------

write_nginx_conf() {
	write_file app $home/nginx.conf <<-END
		daemon off;
		master_process off;
		pid $home/pid;
		events { worker_connections 256; }
		http {
			access_log off;
			client_body_temp_path $home/body;
			proxy_temp_path $home/proxy;
			fastcgi_temp_path $home/fastcgi;
			uwsgi_temp_path $home/uwsgi;
			scgi_temp_path $home/scgi;
			sendfile on;
			server {
				listen $inside:80;
				root $disk/www;
			}
		}
	END
}

answers() { # NAME PORT
	# shellcheck disable=SC2016
	in_lab host timeout $((60 * patience)) bash -c '
		until (exec {fd}<>"/dev/tcp/$0/$1") 2>/dev/null; do
			kill -0 "$2" && sleep 0.1 || exit
		done' $inside "$2" "${pid[$1]}" || die "$1 does not answer at $inside:$2"
}

fetch() { # CURL-OPTION...: on this machine, through the cable
	in_lab host curl -sS --fail --max-time $((60 * patience)) "$@"
}

web_server() {
	local url=http://$inside sums=()
	# shellcheck disable=SC2016
	over sh -euc 'mkdir "$1" && cd "$1"
		echo "Hello from the storage domain" >index.html
		dd status=none if=/dev/urandom of=2M.bin bs=256k count=8
		sync -f .' sh $disk/www
	say files "written by an unmodified sh and dd to $disk/www"
	write_nginx_conf
	start nginx "${forwarded[@]}" nginx -e stderr -c $home/nginx.conf -p $home >"$work/nginx.log" 2>&1
	answers nginx 80
	say nginx "runs in app, answers at $inside:80"
	say curl "from this machine, through the cable: $(fetch "$url/")"
	say curl "in app, over the library: $(over curl -sS --fail --max-time $((60 * patience)) "$url/")"
	check "without the library curl has no way to it from there" \
		fails in_lab app curl -s --max-time $((60 * patience)) "$url/"
	fetch -o "$work/fetched" -w '%{size_download} %{speed_download}\n' "$url/2M.bin" >"$work/speed"
	awk '{ printf "   %-10s %d bytes at %.1f MB/s (all of it emulated)\n", "curl", $1, $2 / 1000000 }' \
		"$work/speed"
	sums[0]=$(sha256sum <"$work/fetched")
	sums[1]=$(in_lab storage sha256sum $there/www/2M.bin)
	sums[2]=$(over sha256sum $disk/www/2M.bin)
	sums=("${sums[@]%% *}")
	say sha256 "${sums[0]:0:40}... fetched with curl"
	say "" "${sums[1]:0:40}... read in the storage domain, without the library"
	say "" "${sums[2]:0:40}... read by sha256sum in app, over the library"
	check "all three are equal" [ "${sums[0]} ${sums[0]}" = "${sums[1]} ${sums[2]}" ]
}

redis() {
	over mkdir $disk/redis
	start redis "${forwarded[@]}" redis-server --bind $inside --port 6379 \
		--protected-mode no --save "" --dir $disk/redis >"$work/redis.log" 2>&1
	answers redis 6379
	say redis "runs in app, answers at $inside:6379"
	in_lab host timeout $((120 * patience)) redis-benchmark -h $inside -n 500 -c 20 \
		-t ping_inline,set,get --csv >"$work/benchmark" 2>"$work/benchmark.log"
	tr -d '"' <"$work/benchmark" |
		awk -F, '$2 + 0 { printf "   %-10s %-12s %8d requests/s, half of them within %s ms\n",
			"benchmark", $1, $2, $5 }'
	in_lab host redis-cli -h $inside set greeting "from outside" >"$work/redis.out"
	in_lab host redis-cli -h $inside save >>"$work/redis.out"
	check "SET and SAVE: $(xargs <"$work/redis.out")" grep -q OK "$work/redis.out"
	check "the storage domain holds the dump" in_lab storage grep -q greeting $there/redis/dump.rdb
}

sqlite() {
	local answer
	over sqlite3 $disk/shop.db 'create table item (name text, price integer);
		with recursive n(i) as (select 1 union all select i + 1 from n where i < 10000)
		insert into item select "item " || i, i % 100 from n;
		create index by_price on item (price);'
	say sqlite3 "made $disk/shop.db with 10000 rows and an index"
	answer=$(shop)
	say sqlite3 "another process: rows and sum of price >= 50, integrity: $(xargs <<<"$answer")"
	check "the answer is right" [ "$answer" = "5000|372500"$'\n'ok ]
}

shop() {
	over sqlite3 $disk/shop.db \
		'select count(*), sum(price) from item where price >= 50; pragma integrity_check;'
}

# --- the proof ---------------------------------------------------------------------------------------

# Asked in the domain itself, of its own kernel: lines "lspci: ...".
write_questions() {
	cat >"$work/questions" <<-'END'
		list() { # NAME
			awk -v name="$1" '{ all = all (n++ ? ", " : "") $0 } END { print name ": " (n ? all : "none") }'
		}
		lspci -k 2>/dev/null | awk '/^[0-9a-f]/ { at = $0 } /in use:/ { print at " (" $NF ")" }' |
			grep -e 'Class 0[12]0[08]' -e Ethernet -e Non-Volatile | grep -v virtio | list lspci
		ip -o link | awk '{ sub(":", "", $2); print $2 }' | list "ip link"
		awk '$1 ~ "^/dev/" && $1 !~ "loop" { print $1 " on " $2 " (" $3 ")" }' /proc/mounts | list mount
		ss -Hltnp | awk '{ split($6, who, "\""); print $4 " " who[2] }' | list ss
	END
}

ask() { # DOMAIN
	in_lab "$1" sh -c "$(cat "$work/questions")" >"$work/is.$1"
	awk -v domain="$1" '{
		split($0, line, ": "); sub("^[^:]*: ", "")
		printf "   %-10s %-8s %s\n", domain, line[1], $0; domain = ""
	}' "$work/is.$1"
}

has() { # DOMAIN REGEX
	grep -qE "^$2\$" "$work/is.$1"
}

# Lines on domains on $work/is.*
proof() {
	local name
	write_questions
	for name in net storage app dom0; do
		ask $name
	done
	check "the card is net's, and its driver" has net 'lspci: [^,]*\(e1000e\)'
	check "the disk is storage's, and its driver" has storage 'lspci: [^,]*\(nvme\)'
	check "dom0 has given both away" has dom0 'lspci: .*\(pciback\), .*\(pciback\)'
	check "net has no file system" has net 'mount: none'
	check "storage has no network" has storage 'ip link: lo'
	check "app has no device, network or disk" grep -q . <(has app 'lspci: none' &&
		has app 'ip link: lo' && has app 'mount: none' && echo yes)
	check "app's kernel has no TCP socket at all" [ -z "$(in_lab app ss -Htan)" ]
	check "both ports are svcd's, in net" has net "ss: .*$inside:(80|6379) svcd.*$inside:(80|6379) svcd.*"
	say hostname "in app: $(in_lab app hostname); over the library: $(over hostname)"
	file_proof
}

file_proof() {
	local name
	check "no $disk in app without the library" fails in_lab app test -e $disk
	say files "$(over ls -m $disk), in app, over the library"
	say "" "$(in_lab storage ls $there | xargs | sed 's/ /, /g'), in storage"
	for name in www/2M.bin redis/dump.rdb shop.db; do
		check "$name is on storage's disk" in_lab storage test -s $there/$name
	done
}

# --- the end of a domain -----------------------------------------------------------------------------

# An unmodified bash with a file open in the domain, from before its end to after its return. Each line
# that it gets, in a FIFO of this machine, names a file to be shown; none, the one that is open.
reader() {
	mkfifo "$work/told" "$work/found"
	exec {told}<>"$work/told" {found}<>"$work/found"
	# shellcheck disable=SC2016
	start_with "$work/told" reader "${forwarded[@]}" bash -c '
		exec 3<"$1"
		read -r line <&3 && echo "$line"
		while read -r path; do
			if [ -z "$path" ]; then
				read -r line <&3
			else
				cat "$path"
			fi 2>&1 | tail -n 1
		done' bash $disk/www/index.html >"$work/found" 2>"$work/reader.log"
	say reader "has a file open there: $(one_line)"
}

one_line() {
	local line
	read -r -t $((60 * patience)) -u "$found" line && echo "$line"
}

# An unmodified cat that waits in a call: what it reads is a FIFO, and who could write does not. Who
# opens that for writing, on the other side, gets it when cat has it open.
waiter() {
	local fd
	in_lab storage mkfifo $there/fifo
	start waiter "${forwarded[@]}" cat $disk/fifo 2>"$work/waiter"
	mkfifo "$work/opened"
	exec {fd}<>"$work/opened"
	start writer "$lab" exec storage sh -c "exec 3>$there/fifo && echo && exec sleep 10000" \
		>"$work/opened" 2>"$work/writer.log"
	read -r -t $((60 * patience)) -u "$fd" _ || die "cat does not come to wait"
	exec {fd}<&-
	say waiter "waits in a call: cat of a FIFO there into which nobody writes"
}

dies() {
	local began line
	in_lab dom0 xl destroy storage
	began=$(now_ms)
	say dom0 "xl destroy storage"
	timeout $((20 * patience)) tail --pid="${pid[waiter]}" -f /dev/null || true
	say waiter "within $(($(now_ms) - began)) ms of that: $(cat "$work/waiter")"
	check "the call that waited ended with an error" grep -q "Input/output error" "$work/waiter"
	stop waiter
	ended waiter
	stop writer
	ended writer
	rm -f "$work/writer.log"
	echo >&"$told"
	line=$(one_line)
	say reader "reads on: ${line#*read: }"
	check "what was open is an error" grep -q "Input/output error" <<<"$line"
	line=$(in_lab host redis-cli -h $inside ping)
	check "the network domain goes on: redis answers $line" [ "$line" = PONG ]
}

comes_back() {
	local line answer
	in_lab dom0 /share/start storage >"$work/start.log" 2>&1 || die "no new storage domain"
	rm "$work/start.log"
	say dom0 "xl create: storage is domain $(in_lab dom0 xl domid storage)"
	timeout $((60 * patience)) bash -c 'until "$@"; do :; done' bash "$lab" exec app virtuos check $conf \
		</dev/null >"$work/check" 2>&1 || die "the new domain does not serve: $(cat "$work/check")"
	echo $disk/www/index.html >&"$told"
	line=$(one_line)
	say reader "opens the file again: $line"
	check "the same program uses the new one" [ "$line" = "Hello from the storage domain" ]
	check "so does nginx, which opens its files for each request" \
		[ "$(fetch "http://$inside/")" = "Hello from the storage domain" ]
	answer=$(shop)
	check "the database is whole: $(xargs <<<"$answer")" [ "$answer" = "5000|372500"$'\n'ok ]
}

# --- all of it ---------------------------------------------------------------------------------------

[ "$(id -u)" = 0 ] || die "must be run as root: it makes a network name space and installs packages"
trap finish EXIT
trap 'exit 129' HUP
trap 'exit 130' INT
trap 'exit 143' TERM
umask 022
work=$(mktemp -d "${TMPDIR:-/var/tmp}/virtuos-quickstart.XXXXXX")

step "What it takes: packages, a build, images, and a minute or three for the machine to start"
machine

step "Domains: two of service, and one for programs"
domains

step "The configuration, in app: sockets to net, everything below $disk to storage"
write_config

step "A web server: files on storage's disk, sockets in net"
web_server

step "redis-server: sockets in net, its dump on storage's disk"
redis

step "sqlite3: a database on storage's disk"
sqlite

step "Who has what, as each domain's own kernel says"
proof

step "The storage domain is destroyed, and comes back"
reader
waiter
dies
comes_back

if [ $failed = 0 ]; then
	printf '\n%sAll of it worked.%s On a real Xen host: docs/xen.md.\n' "$bold" "$plain"
fi
exit $failed
