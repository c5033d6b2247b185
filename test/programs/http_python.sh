#!/bin/bash
# SPDX-License-Identifier: MIT
# run-as: root user
# python's http.server on files of the tree, fetched by urllib, curl and wget.
. "$(dirname "$0")/prog.sh"

mkdir -p site/sub
echo "<p>hello</p>" >site/index.html
seq 1 200000 >site/numbers
echo "below" >site/sub/file
start_server "Serving HTTP" python3 -u -m http.server 8000 --bind 127.0.0.1 --directory site
url=http://127.0.0.1:8000
curl -s $url/
curl -s $url/numbers | cmp - site/numbers && echo "equal"
curl -s -o /dev/null -w '%{http_code} %{size_download}\n' $url/none
curl -s $url/sub/ | grep -c 'href="file"'
curl -s -o fetched $url/sub/file && cat fetched
curl -s $url/sub/file $url/index.html
curl -s --max-time 5 http://127.0.0.1:1/ || echo "curl status $?"
curl -s file://"$VT_DIR"/fetched
wget -q $url/numbers && cmp numbers site/numbers && echo "wget equal"
wget -q -O - $url/index.html
wget -q -r -nH -P mirror $url/sub/ && cat mirror/sub/file
wget -q $url/none || echo "wget status $?"
python3 - <<END
import concurrent.futures, urllib.request, urllib.error
print(urllib.request.urlopen("$url/").read())
try:
    urllib.request.urlopen("$url/none")
except urllib.error.HTTPError as e:
    print(e.code)
with concurrent.futures.ThreadPoolExecutor(8) as ex:
    print(sum(ex.map(lambda i: len(urllib.request.urlopen("$url/numbers").read()), range(16))))
END
for i in 1 2 3 4 5 6; do
	curl -s $url/numbers | md5sum &
done
wait $(jobs -p | grep -v "^$server\$")
stop_server
