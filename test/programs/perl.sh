#!/bin/bash
# SPDX-License-Identifier: MIT
# run-as: root user
# perl: files, directories, in-place editing, sockets, pipes.
. "$(dirname "$0")/prog.sh"

perl -e '
	use strict; use warnings;
	open(my $f, ">", "p") or die "open: $!"; printf $f "%d\n", $_ for 1 .. 1000; close $f;
	open($f, "<", "p") or die; my $s = 0; $s += $_ while <$f>; print "sum $s\n";
	seek($f, 0, 0); my $l = <$f>; print "first $l"; print "size ", -s $f, "\n"; close $f;
	open($f, "+<", "p") or die; seek($f, 2, 0); print $f "XX"; close $f;
	open($f, ">>", "p") or die; print $f "end\n"; print "at ", tell($f), "\n"; close $f;
	print "missing: ", (open($f, "<", "none") ? "?" : $! + 0), "\n";
	mkdir "d" or die; opendir(my $d, ".") or die; print join(" ", sort readdir $d), "\n";
	rename "p", "d/q" or die; print join(" ", glob("d/*")), "\n";
	print((-f "d/q" ? "file" : "no"), " ", (-d "d" ? "dir" : "no"), "\n");
	utime(1000, 2000, "d/q"); my @s = stat "d/q"; print "$s[7] $s[8] $s[9]\n";
	chmod 0600, "d/q"; printf "%o\n", (stat "d/q")[2] & 07777;
	symlink "q", "d/s"; print readlink("d/s"), "\n"; link "d/q", "d/h"; print((stat "d/h")[3], "\n");
	sysopen($f, "d/q", 0) or die; sysread($f, my $b, 5); print length $b, "\n"; close $f;
	unlink "d/s", "d/h"; print scalar(@{[glob("d/*")]}), "\n";
'
perl -pi -e 's/^(\d)$/<$1>/' d/q && head -n 1 d/q && tail -n 2 d/q
perl -MFile::Find -e 'find({ wanted => sub { push @l, $File::Find::name }, no_chdir => 0 }, "."); print join(" ", sort @l), "\n"'
perl -MFile::Copy -MFile::Temp=tempfile -e '
	copy("d/q", "copied") or die; move("copied", "moved") or die; print -s "moved", "\n";
	my ($fh, $name) = tempfile(DIR => "."); print $fh "temp"; close $fh; print -s $name, "\n";'
perl -MFcntl=:flock -e '
	open(my $f, ">", "lock"); flock($f, LOCK_EX) or die;
	my $pid = fork; if (!$pid) { open(my $g, ">", "lock"); exit(flock($g, LOCK_EX | LOCK_NB) ? 1 : 0) }
	waitpid($pid, 0); print "child ", $? >> 8, "\n";'
perl -e 'open(my $p, "-|", "cat", "moved") or die; my @l = <$p>; close $p; print scalar(@l), " $?\n";
	open($p, "|-", "cat >piped") or die; print $p "through a pipe\n"; close $p;'
cat piped
perl -MIO::Socket::INET -MIO::Select -e '
	my $l = IO::Socket::INET->new(Listen => 5, LocalAddr => "127.0.0.1", ReuseAddr => 1) or die "$!";
	my $port = $l->sockport;
	my $pid = fork;
	if (!$pid) {
		for (1 .. 3) { my $c = $l->accept; while (my $line = <$c>) { print $c uc $line } close $c }
		exit 0;
	}
	for my $i (1 .. 3) {
		my $s = IO::Socket::INET->new(PeerAddr => "127.0.0.1", PeerPort => $port) or die "$!";
		print $s "hello $i\n"; $s->shutdown(1);
		my $sel = IO::Select->new($s); die unless $sel->can_read(10);
		print while <$s>;
	}
	waitpid($pid, 0); print "server ", $? >> 8, "\n";
	print "refused ", (IO::Socket::INET->new(PeerAddr => "127.0.0.1", PeerPort => 1) ? "?" : $!{ECONNREFUSED} ? 1 : 0), "\n";'
