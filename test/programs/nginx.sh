#!/bin/bash
# SPDX-License-Identifier: MIT
# run-as: root user
# nginx in one process: files of the tree by sendfile and without, ranges, keep-alive, logs, proxy.
. "$(dirname "$0")/prog.sh"

mkdir -p www/sub logs tmp
echo "front page" >www/index.html
seq 1 300000 >www/numbers
: >www/empty
for i in $(seq 1 50); do
	echo "page $i" >www/sub/$i.html
done
cat >nginx.conf <<END
worker_processes 1;
pid $VT_DIR/nginx.pid;
error_log stderr notice;
user root;
events { worker_connections 256; }
http {
	access_log $VT_DIR/logs/access.log;
	client_body_temp_path tmp/body;
	proxy_temp_path tmp/proxy;
	fastcgi_temp_path tmp/fastcgi;
	uwsgi_temp_path tmp/uwsgi;
	scgi_temp_path tmp/scgi;
	default_type text/plain;
	log_format short '\$request_method \$uri \$status \$body_bytes_sent';
	open_file_cache max=100;
	client_max_body_size 10m;
	server {
		listen 127.0.0.1:8080;
		access_log $VT_DIR/logs/short.log short;
		root $VT_DIR/www;
		sendfile on;
		tcp_nopush on;
		location /plain/ { alias $VT_DIR/www/; sendfile off; }
		location /list/ { alias $VT_DIR/www/sub/; autoindex on; }
		location /proxy/ { proxy_pass http://127.0.0.1:8081/; }
		location /put/ { proxy_pass http://127.0.0.1:8081/; }
	}
	server {
		listen 127.0.0.1:8081;
		root $VT_DIR/www;
		error_page 405 =200 \$uri;
	}
}
END
[ "$(id -u)" = 0 ] || sed -i '/^user/d' nginx.conf
start_server "event method" nginx -p "$VT_DIR" -c "$VT_DIR/nginx.conf" \
	-g "daemon off; master_process off;" -e stderr
url=http://127.0.0.1:8080
curl -s $url/
curl -s $url/numbers | cmp - www/numbers && echo "sendfile equal"
curl -s $url/plain/numbers | cmp - www/numbers && echo "read equal"
curl -s $url/proxy/numbers | cmp - www/numbers && echo "proxy equal"
curl -s -r 100000-100009 $url/numbers | od -c | head -n 1
curl -s -r 0-4,10-14 $url/numbers | wc -c
curl -s $url/empty | wc -c
curl -s -o /dev/null -w '%{http_code}\n' $url/none $url/sub $url/../etc/passwd
curl -s -I $url/numbers | grep -i -E '^(HTTP|Content-Length)' | tr -d '\r'
curl -s $url/list/ | grep -c 'href="[0-9]'
curl -s $(printf "$url/sub/%d.html " $(seq 1 50)) | sort | md5sum
curl -s --data-binary @www/numbers $url/put/empty | wc -c
wget -q -O - $url/sub/7.html
for i in $(seq 1 20); do
	curl -s $url/numbers | md5sum >sum$i &
	pids[i]=$!
done
for i in $(seq 1 20); do
	wait ${pids[i]}
done
cat sum* | sort | uniq -c | sed 's/^ *//'
echo "changed" >www/later
curl -s $url/later
rm www/later
test -s nginx.pid && echo "pid file"
stop_server
sort logs/short.log | uniq -c | sed 's/^ *//' | grep -v '/sub/' | head -n 20
test -e nginx.pid || echo "pid file is gone"
