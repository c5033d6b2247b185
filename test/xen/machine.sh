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
lab_ports=8
lab_nic=0000:00:04.0
lab_disk=0000:00:05.0
lab_host=10.77.0.1
lab_net=10.77.0.2
lab_host6=fd77::1
lab_net6=fd77::2

dom0_modules=(
	virtio_pci virtio_blk virtio_console squashfs overlay 9p 9pnet_virtio
	xenfs xen-privcmd xen-pciback
)
app_modules=(loop squashfs overlay)

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

service_ramdisk() { # OUTPUT ROLE
	ramdisk "$1" --role "$2" --svcd "$build/svcd/svcd" --service "/lab/agent watch" \
		--program ip --program ss --program lspci --program strace
}

# A file as the root of a RAM disk: one more archive behind the first.
append_file() { # ARCHIVE FILE NAME
	mkdir "$lab/tmp"
	ln -s "$2" "$lab/tmp/$3"
	(cd "$lab/tmp" && echo "$3" |
		cpio --quiet --create --dereference --format=newc --owner=0:0) >>"$1"
	rm -r "$lab/tmp"
}

make_share() {
	local share=$lab/share
	mkdir -p "$share/log" "$share/configs"
	rm -f "$share"/*.img
	cp "$top"/configs/xen/*.cfg "$share/configs/"
	cp "$top/test/xen/dom0/"* "$top/configs/xen/introduce" "$share/"
	ln -f "$images/vmlinuz" "$share/vmlinuz" 2>/dev/null || cp "$images/vmlinuz" "$share/vmlinuz"
	service_ramdisk "$share/net.img" network
	service_ramdisk "$share/storage.img" storage
	debian_ramdisk "$share/app.img" app "${app_modules[@]}"
	append_file "$share/app.img" "$images/app.squashfs" root.squashfs
	debian_ramdisk "$lab/dom0.img" dom0 "${dom0_modules[@]}"
	cat >"$share/lab.conf" <<-END
		nic=$lab_nic
		disk=$lab_disk
		extra='console=hvc0 panic=1'
		net_extra='svcd.domain=net svcd.listen=vchan:app svcd.options=--trust-vchan svcd.address=$lab_net/24 svcd.gateway=$lab_host svcd.address6=$lab_net6/64'
		storage_extra='svcd.domain=storage svcd.listen=vchan:app svcd.options=--trust-vchan svcd.device=/dev/nvme0n1'
	END
}

start_qemu() {
	local args accel n
	accel=${LAB_ACCEL:-$(choose_accel)}
	read -ra args < <(accel_args "$accel")
	args+=(
		-smp 2 -m 4G -display none -nodefaults -no-reboot
		-daemonize -pidfile qemu.pid -D qemu.log
		-kernel "$images/xen"
		-append "dom0_mem=1024M,max:1024M com1=115200 console=com1 loglvl=all guest_loglvl=all gnttab_max_frames=256"
		-initrd "$images/vmlinuz console=hvc0 panic=1,dom0.img"
		-serial file:share/log/dom0.log
		-device intel-iommu,intremap=on
		-drive "id=root,if=none,file=$images/dom0.squashfs,format=raw,readonly=on"
		-device virtio-blk-pci,drive=root,addr=2
		-fsdev local,id=share,path=share,security_model=none
		-device virtio-9p-pci,fsdev=share,mount_tag=share,addr=3
		-netdev tap,id=wire,ifname=wire,script=no,downscript=no
		-device "e1000e,netdev=wire,addr=${lab_nic#*:*:}"
		-drive id=disk,if=none,file=disk.img,format=raw,cache=unsafe
		-device "nvme,serial=virtuos,drive=disk,addr=${lab_disk#*:*:}"
		-device virtio-serial-pci,addr=6
	)
	for ((n = 0; n < lab_ports; n++)); do
		args+=(
			-chardev "socket,id=port$n,path=port$n,server=on,wait=off"
			-device "virtserialport,chardev=port$n,name=lab.$n"
		)
	done
	(
		cd "$lab"
		exec unshare --net bash -euc '
			ip link set lo up
			ip tuntap add dev wire mode tap
			ip address add '$lab_host/24' dev wire
			ip address add '$lab_host6/64' dev wire nodad
			ip link set wire up
			exec qemu-system-x86_64 "$@"' qemu "${args[@]}"
	) >"$lab/qemu.out" 2>&1 {images_lock}<&-
}

lab_pid() {
	local pid
	pid=$(cat "$lab/qemu.pid" 2>/dev/null) && [ "$(cat "/proc/$pid/comm" 2>/dev/null)" = \
		qemu-system-x86 ] && echo "$pid"
}

# Runs a command in a domain, or on the host's end of the wire.
lab_exec() { # [-t] host|dom0|net|storage|app COMMAND...
	local tty=()
	[ "$1" != -t ] || { tty=(-t) && shift; }
	case $1 in
	host) shift && nsenter --net="/proc/$(lab_pid)/ns/net" "$@" ;;
	dom0) shift && "$agent" exec "${tty[@]}" "ports:$lab" "$@" ;;
	*) "$agent" exec "${tty[@]}" "ports:$lab" /lab/agent exec "${tty[@]}" "xen:$1" "${@:2}" ;;
	esac
}

# Domains that are not there, from what has been built last.
lab_start() { # [NAME...]
	timeout "${LAB_BOOT_TIMEOUT:-300}" "$agent" exec "ports:$lab" /share/start "$@" </dev/null
}

lab_up() {
	[ -x "$agent" ] || die "$agent is not built (is libxen-dev installed?)"
	[ -z "$(lab_pid)" ] || die "the lab in $lab is up (lab.sh down)"
	rm -rf "$lab"
	mkdir -p "$lab"
	make_share
	truncate -s 1G "$lab/disk.img"
	mkfs.ext4 -q -F "$lab/disk.img"
	start_qemu || die "QEMU does not start: $(cat "$lab/qemu.out")"
	lab_start "$@" ||
		{ lab_down && die "the domains are not up; see $lab/share/log"; }
}

lab_down() {
	local pid
	pid=$(lab_pid) || return 0
	kill -TERM "$pid"
	timeout 5 tail --pid="$pid" -f /dev/null || kill -KILL "$pid"
	rm -f "$lab/qemu.pid"
}
