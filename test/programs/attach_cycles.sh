#!/bin/bash
# SPDX-License-Identifier: MIT
# run-as: root user
# timeout: 300
# Ten thousand processes, one after the other, each of which uses both domains and goes.
. "$(dirname "$0")/prog.sh"

rounds=10000
[ "$VT_SIZE" != quick ] || rounds=500
echo text >f
perl -e '
	use Socket;
	my $good = 0;
	for (1 .. shift) {
		my $pid = fork;
		if (!$pid) {
			open(my $f, "<", "f") or die "open: $!";
			socket(my $s, PF_INET, SOCK_DGRAM, 0) or die "socket: $!";
			bind($s, pack_sockaddr_in(0, INADDR_LOOPBACK)) or die "bind: $!";
			my $text = <$f> // die "read: $!";
			$text eq "text\n" or die "other text: $text";
			exit(0);
		}
		waitpid($pid, 0);
		$? == 0 ? $good++ : warn "process $_: status $?";
	}
	print "$good processes ended well\n";
' $rounds
