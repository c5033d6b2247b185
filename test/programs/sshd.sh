#!/bin/bash
# SPDX-License-Identifier: MIT
# run-as: root
# timeout: 180
# sshd and its clients, with PAM and without: who is not yet logged in is served by a process that
# confines itself to next to nothing, and the socket is handed through several processes and users.
. "$(dirname "$0")/prog.sh"

sshd=$(command -v sshd) || skip "no sshd"
sftp_server=/usr/lib/openssh/sftp-server
[ -x $sftp_server ] || skip "no sftp-server"
port=2222
# Where it confines itself, as installed.
[ -d /run/sshd ] || {
	mkdir /run/sshd
	trap 'rmdir /run/sshd' EXIT
}

ssh-keygen -q -t ed25519 -N "" -C test -f "$VT_LOCAL/key"
ssh-keygen -q -t ed25519 -N "" -C test -f "$VT_LOCAL/other"
ssh-keygen -q -t ed25519 -N "" -C test -f "$VT_LOCAL/host_key"
cp "$VT_LOCAL/key.pub" allowed
make_data 4 ssh data
options=(-q -F none -o BatchMode=yes -o IdentitiesOnly=yes -o IdentityAgent=none
	-o StrictHostKeyChecking=accept-new -o "UserKnownHostsFile=$VT_LOCAL/known"
	-o ConnectTimeout=20)

login() { # ARG...
	ssh "${options[@]}" -i "$VT_LOCAL/key" -p $port "$@" </dev/null || echo "status $?"
}

transfer() { # COMMAND ARG...
	local command=$1
	shift
	"$command" "${options[@]}" -i "$VT_LOCAL/key" -P $port "$@"
}

# Its log is long, and of this machine: shown when something goes wrong.
serve() { # OPTION...
	"$sshd" -D -E "$VT_LOCAL/log" -f "$VT_LOCAL/config" "$@" &
	server=$!
	for _ in $(seq 1 400); do
		! grep -q "Server listening" "$VT_LOCAL/log" 2>/dev/null || return 0
		sleep 0.05
	done
	cat "$VT_LOCAL/log"
	exit 1
}

for pam in no yes; do
	cat >"$VT_LOCAL/config" <<-END
		ListenAddress 127.0.0.1:$port
		HostKey $VT_LOCAL/host_key
		AuthorizedKeysFile $VT_DIR/allowed
		StrictModes no
		PermitRootLogin prohibit-password
		PasswordAuthentication no
		KbdInteractiveAuthentication no
		UsePAM $pam
		PrintMotd no
		PrintLastLog no
		PidFile none
		UseDNS no
		LogLevel VERBOSE
		AcceptEnv VT_WORD
		Subsystem sftp $sftp_server
		Match User nobody
			ForceCommand internal-sftp
	END
	echo "-- UsePAM $pam"
	rm -f "$VT_LOCAL/log"
	serve
	login root@127.0.0.1 "echo as \$(id -un); md5sum <$VT_DIR/data"
	VT_WORD=word login -o SendEnv=VT_WORD root@127.0.0.1 'echo "$VT_WORD"; exit 7'
	login -tt root@127.0.0.1 "test -t 0 && echo a terminal" | tr -d '\r'
	echo "from here" | ssh "${options[@]}" -i "$VT_LOCAL/key" -p $port root@127.0.0.1 \
		"cat >$VT_DIR/written"
	cat written
	ssh "${options[@]}" -i "$VT_LOCAL/other" -p $port root@127.0.0.1 echo in </dev/null ||
		echo "the wrong key: status $?"

	transfer scp "root@127.0.0.1:$VT_DIR/data" "$VT_LOCAL/got"
	cmp data "$VT_LOCAL/got" && echo "scp from there"
	transfer scp -O data "root@127.0.0.1:$VT_DIR/copy"
	cmp data copy && echo "scp by its old protocol, to there"
	mkdir -m 777 drop
	printf '%s\n' "put $VT_LOCAL/got drop/up" "get drop/up $VT_LOCAL/down" "ls drop" \
		"rename drop/up drop/moved" "ls drop" |
		sed "s#drop#$VT_DIR/drop#g" >"$VT_LOCAL/batch"
	for user in root nobody; do
		transfer sftp -b "$VT_LOCAL/batch" $user@127.0.0.1 | grep -v '^sftp>'
		cmp data "$VT_LOCAL/down" && cmp data drop/moved && echo "sftp as $user"
		stat -c '%U %a' drop/moved
		rm "$VT_LOCAL/down" drop/moved
	done

	# Several at a time, and one through another.
	for i in 1 2 3 4; do
		login root@127.0.0.1 "head -c ${i}00000 $VT_DIR/data | md5sum" >"sum$i" &
		pids[i]=$!
	done
	for i in 1 2 3 4; do
		wait ${pids[i]}
	done
	cat sum?
	login -W 127.0.0.1:$port root@127.0.0.1 | head -c 7
	echo
	stop_server 2>/dev/null
	grep -c "Accepted publickey" "$VT_LOCAL/log"
	rm -r copy written drop "$VT_LOCAL/got"
done
