#!/bin/bash
# SPDX-License-Identifier: MIT
# run-as: root
# timeout: 180
# Apache as processes, as threads and as both: children that drop root, files, logs, a script, many
# requests at once, a reload in the middle of them, a child that is killed.
. "$(dirname "$0")/prog.sh"

mkdir -p www/cgi log
chmod 777 log
echo "front page" >www/index.html
seq 1 50000 >www/numbers
echo "for root only" >www/secret && chmod 600 www/secret
printf '#!/bin/sh\necho "Content-Type: text/plain"; echo; echo "$QUERY_STRING"; id -u; wc -c\n' \
	>www/cgi/say
chmod 755 www/cgi/say
modules=/usr/lib/apache2/modules
url=http://127.0.0.1:8090

configure() { # MODEL CGI-MODULE
	cat >"$1.conf" <<-END
		ServerRoot $VT_DIR
		PidFile $VT_LOCAL/$1.pid
		Mutex file:$VT_LOCAL
		LoadModule mpm_$1_module $modules/mod_mpm_$1.so
		LoadModule authz_core_module $modules/mod_authz_core.so
		LoadModule dir_module $modules/mod_dir.so
		LoadModule alias_module $modules/mod_alias.so
		LoadModule $2_module $modules/mod_$2.so
		$([ "$2" = cgi ] || echo "ScriptSock $VT_LOCAL/cgi.sock")
		User nobody
		Group nogroup
		ServerName localhost
		Listen 127.0.0.1:8090
		DocumentRoot $VT_DIR/www
		ScriptAlias /cgi/ $VT_DIR/www/cgi/
		ErrorLog /dev/stderr
		LogFormat "%m %U %>s %B" short
		CustomLog $VT_DIR/log/$1 short
		EnableSendfile on
		MaxRequestWorkers 50
		<Directory />
			Require all granted
		</Directory>
	END
}

many() {
	seq 1 96 | xargs -P 12 -n 8 sh -c '
		for i; do curl -s '$url'/numbers | md5sum; done' x | sort | uniq -c | tr -s ' '
}

for model in prefork worker event; do
	echo "--- $model"
	cgi=cgid
	[ $model != prefork ] || cgi=cgi
	configure $model $cgi
	# In a process group of its own, all of which it ends with itself.
	start_server "resuming normal operations" perl -e 'setpgrp; exec @ARGV' apache2 -D FOREGROUND -f "$VT_DIR/$model.conf"
	curl -s $url/
	curl -s $url/numbers | cmp - www/numbers && echo "equal"
	curl -s -r 1000-1009 $url/numbers | od -c | head -n 1
	for page in none secret cgi/; do
		curl -s -o /dev/null -w '%{http_code}\n' $url/$page
	done
	printf 'some text' | curl -s --data-binary @- "$url/cgi/say?query=1" | tr '\n' ' '
	echo
	many
	(many) >during &
	load=$!
	kill -USR1 $server
	until read -r -t 30 line <&8 && [[ $line == *"resuming normal operations"* ]]; do :; done
	wait $load
	cat during
	# One that serves dies; others go on, and a new one comes.
	kill -KILL "$(pgrep -P $server -u nobody | head -n 1)" || echo "no child of nobody's"
	curl -s --retry 5 --retry-all-errors $url/
	many
	stop_server
	grep -v "^OPTIONS" log/$model | sort | uniq -c | tr -s ' '
done
