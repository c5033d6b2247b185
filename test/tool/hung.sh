#!/bin/bash
# SPDX-License-Identifier: MIT
# A service domain that hangs while programs attach: signals end the wait as they end others, nobody
# waits because others have waited, and it is used again once it goes on. Usage: hung.sh BUILD
set -eu

top=$(cd "$(dirname "$0")/../.." && pwd)
. "$top/test/domains.sh" "${1:?usage: hung.sh BUILD}"

cat >"$work/bin/client.py" <<'END'
import errno, os, signal, sys, threading, time

path = os.environ["VT_DIR"] + "/f"
role = sys.argv[1]

def look():
    try:
        os.stat(path)
        return "no error"
    except OSError as e:
        return errno.errorcode[e.errno]

def say(what, good, detail=""):
    print("ok" if good else "WRONG", what, detail, flush=True)

if role == "handler":
    signal.signal(signal.SIGUSR1, lambda *_: None)
    what = look()
    say("a handler", what == "EINTR", what)
elif role == "default":
    say("a signal that kills", False, look())
elif role == "many":
    answers = []
    start = time.monotonic()
    threads = [threading.Thread(target=lambda: answers.append(look())) for i in range(6)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    took = time.monotonic() - start
    say("threads wait together", answers == ["EIO"] * 6 and took < 19, "%s %.1f s" % (answers, took))
    start = time.monotonic()
    what = look()
    took = time.monotonic() - start
    say("the next does not wait", what == "EIO" and took < 5, "%s %.1f s" % (what, took))
    print("waiting", flush=True)
    sys.stdin.readline()
    for i in range(200):
        what = look()
        if what == "no error":
            break
        time.sleep(0.1)
    say("used again", what == "no error", what)
END

ends_by() { # SIGNAL ROLE STATUS: a client that waits for the service ends when it gets the signal
	local pid start rc=0
	clean_exec nsenter --net="/proc/${netns_pid[void]}/ns/net" env "LD_PRELOAD=$work/bin/libvirtuos.so" \
		"VIRTUOS_CONFIG=$work/forwarded.conf" VT_DIR="$work/fwd/data" \
		python3 "$work/bin/client.py" "$2" &
	pid=$!
	# 271: ppoll, which python itself does not call.
	until grep -q '^271 ' "/proc/$pid/syscall"; do
		kill -0 $pid || break
		sleep 0.01
	done
	start=$SECONDS
	kill -"$1" $pid
	wait $pid || rc=$?
	if [ $rc != "$3" ] || [ $((SECONDS - start)) -gt 5 ]; then
		echo "WRONG $2: status $rc after $((SECONDS - start)) s"
		bad=1
	fi
}

bad=0
echo abc >"$work/root/f"
kill -STOP "${svcd_pid[storage]}"
ends_by TERM default 143
ends_by USR1 handler 0
mkfifo "$work/to" "$work/from"
client python3 "$work/bin/client.py" many <"$work/to" >"$work/from" &
client_pid=$!
exec 7>"$work/to" 6<"$work/from"
while read -r line <&6; do
	echo "$line"
	[[ $line != WRONG* ]] || bad=1
	[ "$line" = waiting ] || continue
	kill -CONT "${svcd_pid[storage]}"
	echo go >&7
done
exec 7>&- 6<&-
wait $client_pid || { bad=1 && echo "client: status $?"; }
exit $bad
