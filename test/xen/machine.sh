# SPDX-License-Identifier: MIT
# shellcheck shell=bash disable=SC2154
# The machine: a QEMU that has an IOMMU, a network card and a disk to pass through, and for dom0 a
# disk, a directory shared with the host and some serial ports. It runs in a network namespace of
# its own, in which "wire" is the other end of the card's cable.
#
# Everything of a run is in $lab:
#   share/        seen by dom0 as /share
#   share/log/    what the domains' consoles say; dom0.log has the hypervisor's as well
#   port0 ...     each serves one session with dom0 at a time (see agent/)
#   qemu.pid      while it is up

lab=${LAB_DIR:-$build/xen}
lab_modules=$build/xen-modules # not "kernel-ext": the compiler would find its headers there
lab_ports=8
lab_nic=0000:00:04.0
lab_disk=0000:00:05.0
lab_host=10.77.0.1
lab_net=10.77.0.2
lab_host6=fd77::1
lab_net6=fd77::2

# An emulated processor that the machine has no time for is not stuck.
lab_slow="watchdog_thresh=60 rcupdate.rcu_cpu_stall_timeout=120"

dom0_modules=(
	virtio_pci virtio_blk virtio_console squashfs overlay 9p 9pnet_virtio
	xenfs xen-privcmd xen-pciback
)
app_modules=(loop squashfs overlay)
app_modules+=(xen-netfront xen-blkfront crc32c_generic ext4) # for dom0/baseline

# QEMU's arguments for the processor. KVM is taken only where it really starts Xen: there are
# virtual machines whose KVM is made of software and does not.
accel_args() { # tcg|kvm
	if [ "$1" = kvm ]; then
		echo -accel kvm -machine q35,kernel-irqchip=split -cpu host
	else
		echo -accel tcg,thread=multi -machine q35,kernel-irqchip=off \
			-cpu qemu64,+fsgsbase,+rdrand
	fi
}

kvm_starts_xen() {
	local pid fd line rc=1 args
	[ -w /dev/kvm ] || return 1
	read -ra args < <(accel_args kvm)
	exec {fd}< <(exec qemu-system-x86_64 "${args[@]}" -smp 2 -m 1G -display none -nodefaults \
		-no-reboot -kernel "$images/xen" -append "com1=115200 console=com1 dom0_mem=256M" \
		-initrd "$images/vmlinuz console=hvc0 panic=1" -serial stdio </dev/null 2>&1)
	pid=$!
	SECONDS=0
	while ((SECONDS < 20)) && read -r -t 20 -u $fd line; do
		[[ $line != *"Linux version"* ]] || { rc=0 && break; }
	done
	kill -KILL "$pid" 2>/dev/null # it may be deaf to anything else
	exec {fd}<&-
	return $rc
}

# What has been found out holds for a kernel, a QEMU and a hypervisor.
choose_accel() {
	local verdict
	verdict=$lab_cache/kvm-$(cat /proc/version "$images/kernel" <(qemu-system-x86_64 --version) |
		sha256sum | cut -c1-16)
	if [ ! -e "$verdict" ]; then
		if kvm_starts_xen; then
			echo kvm >"$verdict"
		else
			echo tcg >"$verdict"
		fi
	fi
	cat "$verdict"
}

ramdisk() { # OUTPUT OPTION...
	local out=$1
	shift
	"$top/configs/xen/mkdomain" --kernel "$(cat "$images/kernel")" --modules "$images/modules" \
		--compress cat --program "$agent=/lab/agent" "$@" "$out"
}

debian_ramdisk() { # OUTPUT NAME MODULE...
	local out=$1 name=$2 module options=()
	shift 2
	for module in "$@"; do
		options+=(--module "$module")
	done
	ramdisk "$out" --svcd none --file "$top/test/xen/root-init=/init" "${options[@]}" \
		--file "$top/test/xen/common-init=/lab/common-init" \
		--file "$top/configs/xen/60-virtuos.rules=/lab/60-virtuos.rules" \
		--file "$top/configs/xen/virtuos-modprobe.conf=/etc/modprobe.d/virtuos.conf" \
		--file "$top/test/xen/$name/init=/lab/init"
}

service_ramdisk() { # OUTPUT ROLE BACKEND
	ramdisk "$1" --role "$2" --module "$3" --svcd "$build/svcd/svcd" --service "/lab/agent watch" \
		--program "$build/test/xen/extpeer=/lab/extpeer" --program ip --program ss --program lspci --program strace
}

# The project as its users install it, and its tests.
make_payload() { # DIRECTORY
	local file
	DESTDIR=$1 meson install -C "$build" --no-rebuild --quiet
	mkdir -p "$1/lab/behaviour" "$1/lab/programs"
	for file in "$build"/test/behaviour/*; do
		[ ! -f "$file" ] || [ ! -x "$file" ] || cp "$file" "$1/lab/behaviour/"
	done
	cp "$top"/test/programs/*.sh "$1/lab/programs/"
	cp "$build"/test/xen/{extprogram,wakes,labworker} "$top"/test/xen/figures/*.py "$1/lab/"
	find "$lab_modules" -name '*.ko' -exec cp -t "$1/lab/" {} + 2>/dev/null || true
}

# A tree in the RAM disk: one more archive behind the first.
append_tree() { # ARCHIVE DIRECTORY
	(cd "$2" && find . -print0 | cpio --quiet --null --create --dereference --format=newc \
		--owner=0:0) >>"$1"
}

# root-init moves what is in payload/ to the new root.
app_ramdisk() { # OUTPUT
	local tree=$lab/tree
	debian_ramdisk "$1" app "${app_modules[@]}"
	rm -rf "$tree"
	mkdir -p "$tree/payload"
	make_payload "$tree/payload"
	ln -s "$images/app.squashfs" "$tree/root.squashfs"
	append_tree "$1" "$tree"
	rm -rf "$tree"
}

make_share() {
	local share=$lab/share
	local network="svcd.domain=net svcd.address=$lab_net/24 svcd.gateway=$lab_host"
	local listen="svcd.listen=vchan:app svcd.options=--trust-vchan"
	network+=" svcd.address6=$lab_net6/64"
	[ ! -e "$top/kernel-ext/Makefile" ] || lab_build_module
	mkdir -p "$share/log" "$share/configs"
	rm -f "$share"/*.img
	cp "$top"/configs/xen/*.cfg "$share/configs/"
	cp "$top/test/xen/dom0/"* "$top/configs/xen/introduce" "$share/"
	ln -f "$images/vmlinuz" "$share/vmlinuz" 2>/dev/null || cp "$images/vmlinuz" "$share/vmlinuz"
	service_ramdisk "$share/net.img" network xen-netback
	service_ramdisk "$share/storage.img" storage xen-blkback
	app_ramdisk "$share/app.img"
	debian_ramdisk "$lab/dom0.img" dom0 "${dom0_modules[@]}"
	cat >"$share/lab.conf" <<-END
		nic=$lab_nic
		disk=$lab_disk
		extra='console=hvc0 panic=1 $lab_slow'
		net_extra='${LAB_NET:-$network} $listen'
		storage_extra='${LAB_STORAGE:-svcd.domain=storage svcd.device=/dev/nvme0n1} $listen'
	END
}

# It inherits the lock on the images.
start_qemu() {
	local args n
	read -ra args < <(accel_args "$lab_accel")
	args+=(
		-smp 2 -m 4G -display none -nodefaults -no-reboot
		-daemonize -pidfile qemu.pid -D qemu.log
		-kernel "$images/xen"
		-append "dom0_mem=1024M,max:1024M com1=115200 console=com1 loglvl=all guest_loglvl=all \
			conring_size=1M gnttab_max_frames=256"
		-initrd "$images/vmlinuz console=hvc0 panic=1 $lab_slow,dom0.img"
		-serial file:share/log/dom0.log
		-device intel-iommu,intremap=on
		-drive "id=root,if=none,file=$images/dom0.squashfs,format=raw,readonly=on"
		-device virtio-blk-pci,drive=root,addr=2
		-fsdev local,id=share,path=share,security_model=none
		-device virtio-9p-pci,fsdev=share,mount_tag=share,addr=3
		-netdev tap,id=wire,ifname=wire,script=no,downscript=no
		-device "e1000e,netdev=wire,addr=${lab_nic#*:*:}"
		-drive id=disk,if=none,file=disk.img,format=raw,cache=unsafe
		-drive id=disk2,if=none,file=disk2.img,format=raw,cache=unsafe
		-device "nvme,serial=virtuos,id=nvme,addr=${lab_disk#*:*:}"
		-device nvme-ns,bus=nvme,drive=disk -device nvme-ns,bus=nvme,drive=disk2
		-device virtio-serial-pci,addr=6
	)
	for ((n = 0; n < lab_ports; n++)); do
		args+=(
			-chardev "socket,id=port$n,path=port$n,server=on,wait=off"
			-device "virtserialport,chardev=port$n,name=lab.$n"
		)
	done
	(
		cd "$lab" || exit
		exec unshare --net bash -euc '
			ip link set lo up
			ip tuntap add dev wire mode tap
			ip address add '$lab_host/24' dev wire
			ip address add '$lab_host6/64' dev wire nodad
			ip link set wire up
			exec qemu-system-x86_64 "$@"' qemu "${args[@]}"
	) >"$lab/qemu.out" 2>&1
}

# The kernel extension, or another module: a copy is built, for exactly the domains' kernel.
lab_build_module() { # [DIRECTORY]
	local from=${1:-$top/kernel-ext}
	rm -rf "$lab_modules"
	mkdir -p "$lab_modules"
	cp -a "$from/." "$lab_modules/"
	timeout 300 make -s -C "$images/headers/build" M="$lab_modules" ARCH=x86 SELFTEST=1 modules >&2
}

lab_pid() {
	local pid
	pid=$(cat "$lab/qemu.pid" 2>/dev/null) && [ "$(cat "/proc/$pid/comm" 2>/dev/null)" = \
		qemu-system-x86 ] && echo "$pid"
}

# Runs a command in a domain, or on the host's end of the wire; with $lab_replace=exec instead of us,
# so that it ends when we are killed.
lab_exec() { # [-t] host|dom0|net|storage|app COMMAND...
	local tty=()
	[ "$1" != -t ] || { tty=(-t) && shift; }
	case $1 in
	host) shift && ${lab_replace:-} nsenter --net="/proc/$(lab_pid)/ns/net" "$@" ;;
	dom0) shift && ${lab_replace:-} "$agent" exec "${tty[@]}" "ports:$lab" "$@" ;;
	*) ${lab_replace:-} "$agent" exec "${tty[@]}" "ports:$lab" /lab/agent exec "${tty[@]}" "xen:$1" "${@:2}" ;;
	esac
}

# Domains that are not there, from what has been built last.
lab_start() { # [NAME...]
	timeout "$((300 * ${VT_PATIENCE:-1}))" "$agent" exec "ports:$lab" /share/start "$@" </dev/null
}

# 1 and a message if that fails; then nothing is left running.
lab_up() { # [NAME...]
	local started=$SECONDS
	if ! [ -x "$agent" ]; then
		echo "$agent is not built (is libxen-dev installed?)" >&2
		return 1
	elif [ -n "$(lab_pid)" ]; then
		echo "the lab in $lab is up (lab.sh down)" >&2
		return 1
	fi
	rm -rf "$lab"
	mkdir -p "$lab"
	lab_accel=${LAB_ACCEL:-$(choose_accel)}
	make_share
	truncate -s 1G "$lab/disk.img" "$lab/disk2.img"
	mkfs.ext4 -q -F "$lab/disk.img"
	mkfs.ext4 -q -F "$lab/disk2.img"
	if ! start_qemu; then
		echo "QEMU does not start:" >&2
		cat "$lab/qemu.out" >&2
		return 1
	elif ! lab_start "$@"; then
		lab_down
		echo "the domains are not up after $((SECONDS - started)) s; see $lab/share/log" >&2
		return 1
	fi
	lab_boot_time=$((SECONDS - started))
}

lab_down() {
	local pid
	pid=$(lab_pid) || return 0
	kill -TERM "$pid"
	timeout 5 tail --pid="$pid" -f /dev/null || kill -KILL "$pid"
	rm -f "$lab/qemu.pid"
}
