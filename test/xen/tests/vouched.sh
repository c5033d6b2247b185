#!/bin/bash
# SPDX-License-Identifier: MIT
# svcd --trust-kernel in the storage domain: programs of the application domain are whom their kernel says
# they are, when they attach and when they change it; those that do without it are --vchan-user. Only root
# has the xenstore there.
set -eu
. ./tests/service.sh
trap end_service EXIT
"$LAB" exec app sh -c '[ -c /dev/virtuos ] || insmod /lab/virtuos.ko' </dev/null
"$LAB" exec storage sh -c 'rm -rf /srv/v; mkdir -m 777 /srv/v; mkdir -m 770 /srv/v/group; chown 0:4711 /srv/v/group
	mkdir -m 700 /srv/v/roots' </dev/null
start_service vouched --trust-kernel

"$LAB" exec app sh -eu -c '
	ldconfig
	mkdir -p /run/virtuos
	cat >/run/virtuos/vouched.conf
	modprobe -a xen-gntalloc xen-evtchn
	chmod 600 /dev/xen/xenbus /dev/xen/gntalloc /dev/xen/evtchn
	chgrp virtuos /dev/virtuos && chmod 660 /dev/virtuos
	group=$(getent group virtuos | cut -d: -f3)
	export VIRTUOS_CONFIG=/run/virtuos/vouched.conf
	as() { # USER GROUPS COMMAND...
		user=$1 groups=$2
		shift 2
		setpriv --reuid="$user" --regid=33 --groups="$groups" env LD_PRELOAD=libvirtuos.so "$@"
	}
	fails() {
		if "$@"; then
			echo "succeeds: $*"
			exit 1
		fi
	}
	as 0 0 touch /v/root /v/roots/f
	as 33 "$group" touch /v/www
	fails as 33 "$group" touch /v/group/no
	fails as 33 "$group" ls /v/roots
	as 33 "$group,4711" touch /v/group/yes
	# Not in the group of the device: not at all.
	fails as 33 33 touch /v/no
	# Who changes it, for good and for a while.
	LD_PRELOAD=libvirtuos.so perl -e "
		sub make { open(my \$f, q(>), \$_[0]) ? 1 : 0 }
		make(q(/v/before)) or die;
		\$> = 34; make(q(/v/while)) or die; make(q(/v/roots/no)) and die;
		\$> = 0; make(q(/v/roots/again)) or die;
		\$) = qq(33 33 4711); make(q(/v/group/too)) or die;
		\$< = \$> = 33; make(q(/v/after)) or die; make(q(/v/roots/no)) and die"
	# The kernel says nothing: nobody.
	mv /dev/virtuos /dev/virtuos-not
	as 0 0 touch /v/unknown
	fails as 0 0 touch /v/roots/no
	mv /dev/virtuos-not /dev/virtuos
	chmod 660 /dev/xen/xenbus /dev/xen/gntalloc /dev/xen/evtchn
' <<-END
	[domain vouched]
	address = vchan:storage
	[default]
	file /v = vouched:/v
END
"$LAB" exec storage sh -c 'cd /srv/v && stat -c "%n %u:%g" * */* | sort' </dev/null >"$LAB_DIR/vouched"
diff - "$LAB_DIR/vouched" <<-END
	after 33:33
	before 0:0
	group 0:4711
	group/too 0:33
	group/yes 33:33
	root 0:33
	roots 0:0
	roots/again 0:0
	roots/f 0:33
	unknown 65534:65534
	while 34:0
	www 33:33
END
