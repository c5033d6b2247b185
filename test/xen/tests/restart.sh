#!/bin/bash
# SPDX-License-Identifier: MIT
# A service domain that is destroyed comes back with its device: the disk has what it had, and the
# network domain gets its address by DHCP for once.
set -eu
cat >"$LAB_DIR/udhcpd.conf" <<END
interface wire
start 10.77.0.2
end 10.77.0.2
option subnet 255.255.255.0
option router 10.77.0.1
lease_file $LAB_DIR/udhcpd.leases
pidfile $LAB_DIR/udhcpd.pid
END
: >"$LAB_DIR/udhcpd.leases"
"$LAB" exec host busybox udhcpd -f "$LAB_DIR/udhcpd.conf" &
trap 'kill $(cat "$LAB_DIR/udhcpd.pid")' EXIT

"$LAB" exec storage sh -c 'echo kept >/srv/kept && sync' </dev/null
for domain in net storage; do
	"$LAB" exec dom0 xl destroy $domain </dev/null
done
LAB_NET="svcd.domain=net svcd.address=dhcp" "$LAB" start net storage
[ "$("$LAB" exec storage cat /srv/kept </dev/null)" = kept ]
"$LAB" exec net ip route | tee "$LAB_DIR/routes"
grep -q '^default via 10.77.0.1 dev eth0' "$LAB_DIR/routes"
"$LAB" exec net ip address show eth0 | grep -q 'inet 10.77.0.2/24'
"$LAB" exec net ping -c 1 -W 10 10.77.0.1
