#!/bin/bash
# SPDX-License-Identifier: MIT
# run-as: root
# timeout: 600
# A large file copied into the tree and out of it, by sendfile, and through nginx; a smaller one in
# more ways. All with checksums.
. "$(dirname "$0")/prog.sh"

check() { # WHAT FILE: it is a copy of the one that $want is the sum of
	if [ "$(sum_of "$2")" = "$want" ]; then
		echo "$1: equal"
		rm "$2"
	else
		echo "$1: DIFFERENT, $(stat -c %s "$2") bytes"
		exit 1
	fi
}

fetch() { # WHAT PORT FILE
	curl -s -o fetched "http://127.0.0.1:$2/$3"
	check "$1" fetched
}

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

make_data $some_mib some "$VT_LOCAL/source"
want=$(sum_of "$VT_LOCAL/source")
cp "$VT_LOCAL/source" some
cp some inside
check "cp inside the tree" inside
dd if=some of=dd bs=1M 2>/dev/null
check "dd" dd
cat some | cat >piped
check "through a pipe" piped
fetch "nginx without sendfile" 8081 some
[ "$(curl -s http://127.0.0.1:8080/some | md5sum | cut -d ' ' -f 1)" = "$want" ] && echo "piped: equal"
rm some

make_data $big_mib big "$VT_LOCAL/source"
want=$(sum_of "$VT_LOCAL/source")
cp "$VT_LOCAL/source" big
rm "$VT_LOCAL/source"
cp big "$VT_LOCAL/out"
check "cp into the tree and out of it" "$VT_LOCAL/out"
python3 -S -c 'import shutil; shutil.copyfile("big", "python")'
check "python (sendfile)" python
fetch "nginx" 8080 big
stop_server
rm big
