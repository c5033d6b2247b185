# SPDX-License-Identifier: MIT
# shellcheck shell=bash disable=SC2154
# The cache of images: a directory for each state of what they are made from.

lab_cache=${VIRTUOS_LAB_CACHE:-${XDG_CACHE_HOME:-/var/cache}/virtuos-lab}

image_key() {
	cat "$top"/test/xen/{make-images.sh,packages} | sha256sum | cut -c1-16
}

# Sets $images. Images in use are locked; older ones are removed when new ones are made.
build_images() {
	local old lock
	images=$lab_cache/$(image_key)
	mkdir -p "$lab_cache"
	exec {lock}>"$lab_cache/lock"
	flock $lock
	if [ ! -e "$images/complete" ]; then
		for old in "$lab_cache"/*/; do
			[ ! -d "$old" ] || flock -n "$old" rm -rf "$old" || true
		done
		mkdir "$images"
		echo "xen lab: making images in $images" >&2
		if ! "$top/test/xen/make-images.sh" "$images" >"$lab_cache/log" 2>&1; then
			tail -n 30 "$lab_cache/log" >&2
			rm -rf "$images"
			return 1
		fi
		touch "$images/complete"
	fi
	exec {images_lock}<"$images"
	flock -s "$images_lock"
	exec {lock}>&-
}
