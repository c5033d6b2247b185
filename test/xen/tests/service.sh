# SPDX-License-Identifier: MIT
# shellcheck shell=bash
# For tests, sourced: one more service in the storage domain, for the application domain.

service_name= service_pid=

start_service() { # NAME OPTION...
	local line ids
	service_name=$1
	shift
	ids=$("$LAB" exec dom0 sh -c 'app=$(xl domid app) service=$(xl domid storage)
		dir=/local/domain/$app/data/virtuos/offer/'$service_name'
		xenstore-write $dir "" && xenstore-chmod $dir n$app b$service && echo $app' </dev/null)
	exec 5< <(exec "$LAB" exec storage svcd --domain "$service_name" --listen "vchan:$ids" \
		--root /srv "$@" </dev/null)
	service_pid=$!
	read -r -u 5 line
	[[ $line == *ready* ]]
}

end_service() {
	[ -n "$service_pid" ] || return 0
	kill $service_pid || true
	wait $service_pid || true
	"$LAB" exec dom0 sh -c 'xenstore-rm "/local/domain/$(xl domid app)/data/virtuos/offer/$1" \
		"/local/domain/$(xl domid storage)/data/virtuos/service/$1"' sh "$service_name" </dev/null
}
