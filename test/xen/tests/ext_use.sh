#!/bin/bash
# SPDX-License-Identifier: MIT
# Programs over the kernel extension: a file of the storage domain, and which way it has come; and that a
# thread that sleeps is woken once, when its call is done, and for nothing else.
set -eu
"$LAB" exec app sh -c '[ -c /dev/virtuos ] || insmod /lab/virtuos.ko' </dev/null

"$LAB" exec storage sh -c 'echo "from the other side" >/srv/ext_use' </dev/null
"$LAB" exec app sh -eu -c '
	ldconfig
	mkdir -p /run/virtuos
	cat >/run/virtuos/ext.conf
	export VIRTUOS_CONFIG=/run/virtuos/ext.conf
	virtuos check | tee /tmp/check
	[ "$(grep -c "by /dev/virtuos" /tmp/check)" = 2 ]
	export LD_PRELOAD=libvirtuos.so
	[ "$(cat /far/ext_use)" = "from the other side" ]
	sha256sum /usr/bin/python3 >/tmp/sum
	cp /usr/bin/python3 /far/ext_copy && cmp /far/ext_copy /usr/bin/python3
	rm /far/ext_copy /far/ext_use
	/lab/wakes 40
' <<-END
	[domain net]
	address = vchan:net
	[domain storage]
	address = vchan:storage
	[default]
	inet = net
	file /far = storage:/
END
