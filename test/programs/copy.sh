#!/bin/bash
# SPDX-License-Identifier: MIT
# run-as: root
# timeout: 600
# A large file copied into the tree, inside it, out of it and through nginx, with checksums.
. "$(dirname "$0")/prog.sh"

make_data $big_mib seed "$VT_LOCAL/source"
want=$(sum_of "$VT_LOCAL/source")
check() {
	if [ "$(sum_of "$2")" = "$want" ]; then
		echo "$1: equal"
	else
		echo "$1: DIFFERENT, $(stat -c %s "$2") bytes"
		exit 1
	fi
}
cp "$VT_LOCAL/source" in
check "cp into the tree" in
rm "$VT_LOCAL/source"
cp in inside
check "cp inside the tree" inside
rm inside
cp in "$VT_LOCAL/out"
check "cp out of the tree" "$VT_LOCAL/out"
rm "$VT_LOCAL/out"
dd if=in of=dd bs=1M 2>/dev/null
check "dd" dd
rm dd
cat in | cat >piped
check "through a pipe" piped
rm piped
python3 -S -c 'import shutil; shutil.copyfile("in", "python")'
check "python (sendfile)" python
rm python
cat >nginx.conf <<END
user root;
pid $VT_DIR/nginx.pid;
error_log stderr notice;
events { }
http {
	access_log off;
	client_body_temp_path tmp; proxy_temp_path tmp; fastcgi_temp_path tmp;
	uwsgi_temp_path tmp; scgi_temp_path tmp;
	server { listen 127.0.0.1:8080; root $VT_DIR; sendfile on; }
	server { listen 127.0.0.1:8081; root $VT_DIR; sendfile off; }
}
END
start_server "event method" nginx -p "$VT_DIR" -c "$VT_DIR/nginx.conf" \
	-g "daemon off; master_process off;" -e stderr
for port in 8080 8081; do
	curl -s -o fetched http://127.0.0.1:$port/in
	check "nginx on $port" fetched
	rm fetched
done
[ "$(curl -s http://127.0.0.1:8080/in | md5sum | cut -d ' ' -f 1)" = "$want" ] && echo "piped: equal"
stop_server
rm in
