#!/bin/bash
# SPDX-License-Identifier: MIT
# The cable: a server whose sockets are in the network domain is reached from this machine by IPv4
# and IPv6, and reaches this machine.
set -eu
mkdir -p "$LAB_DIR/wire"
cd "$LAB_DIR/wire"
head -c 3000000 /dev/urandom >sent

"$LAB" exec net sh -c 'mkdir -p /tmp/www && cat >/tmp/www/file' <sent
"$LAB" exec net sh -c 'httpd -p 80 -h /tmp/www'
trap '"$LAB" exec net sh -c "kill \$(pidof httpd); rm -r /tmp/www"' EXIT
"$LAB" exec host curl -sS --max-time 20 -o got http://10.77.0.2/file
cmp sent got
"$LAB" exec host curl -sS --max-time 20 -o got6 'http://[fd77::2]/file'
cmp sent got6
"$LAB" exec net ping -c 1 -W 10 10.77.0.1
