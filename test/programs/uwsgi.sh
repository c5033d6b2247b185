#!/bin/bash
# SPDX-License-Identifier: MIT
# run-as: root
# timeout: 120
# nginx with worker processes in front of an application server with processes of its own (uwsgi and
# a python program), by a TCP connection: many requests at once, a reload of both, uploads, a worker
# that dies.
. "$(dirname "$0")/prog.sh"

plugins=/usr/lib/uwsgi/plugins
mkdir -p tmp www
seq 1 50000 >www/numbers
cat >app.py <<'END'
import hashlib, os, signal
def application(env, answer):
    path = env["PATH_INFO"]
    if path == "/app/die":
        os.kill(os.getpid(), signal.SIGKILL)
    body = env["wsgi.input"].read(int(env.get("CONTENT_LENGTH") or 0))
    with open("calls", "a") as f:
        f.write(path + "\n")
    answer("200 OK", [("Content-Type", "text/plain")])
    if path == "/app/file":
        return env["wsgi.file_wrapper"](open("www/numbers", "rb"), 32768)
    return [b"%s %s %d\n" % (path.encode(), hashlib.md5(body).hexdigest().encode(), len(body))]
END
cat >nginx.conf <<END
worker_processes 3;
pid $VT_LOCAL/nginx.pid;
error_log stderr notice;
user root;
events { worker_connections 256; }
http {
	access_log off;
	client_body_temp_path tmp/body;
	proxy_temp_path tmp/proxy;
	fastcgi_temp_path tmp/fastcgi;
	uwsgi_temp_path tmp/uwsgi;
	scgi_temp_path tmp/scgi;
	client_max_body_size 20m;
	server {
		listen 127.0.0.1:8070 backlog=512;
		root $VT_DIR/www;
		location /app/ { include /etc/nginx/uwsgi_params; uwsgi_pass 127.0.0.1:8071; }
	}
}
END
start_server "WSGI app 0" uwsgi --plugins-dir "$plugins" --plugin python3 --master --processes 4 \
	--socket 127.0.0.1:8071 --wsgi-file app.py --die-on-term --chdir "$VT_DIR" --listen 64 --disable-logging \
	--worker-reload-mercy 5
app=$server
exec 7<&8
start_server "start worker process " nginx -p "$VT_DIR" -c "$VT_DIR/nginx.conf" -g "daemon off;" \
	-e stderr
url=http://127.0.0.1:8070
many() {
	seq 1 96 | xargs -P 12 -n 8 sh -c '
		for i; do curl -s '$url'/app/file | md5sum; curl -s '$url'/app/x; done' x |
		sort | uniq -c | tr -s ' '
}
curl -s $url/app/one
curl -s $url/numbers | cmp - www/numbers && echo equal
head -c 3000000 /dev/zero | curl -s -T - $url/app/put
many
(many) >during &
load=$!
kill -HUP $server
wait $load
cat during
curl -s -o /dev/null -w '%{http_code}\n' $url/app/die
curl -s --retry 5 --retry-all-errors $url/app/after
many
stop_server
server=$app
stop_server
sort calls | uniq -c | tr -s ' '
