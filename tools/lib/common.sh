# SPDX-License-Identifier: MIT
# shellcheck shell=bash
# Shared by all tools: where things are, and how to fail.

# shellcheck disable=SC2034 # used by those who source this
repo=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
cache=${MOVABLE_DMABUF_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/movable-dmabuf}

die() {
	echo "${0##*/}: $*" >&2
	exit 1
}

# What was asked for is not there: nothing was begun.
misuse() {
	echo "${0##*/}: $*" >&2
	exit 2
}

say() {
	echo "== $*" >&2
}

# need COMMAND PACKAGE...: install the packages unless the command is there
need() {
	command -v "$1" >/dev/null || with_lock packages install_for "$@" || exit 1
}

# Guests that start together need the same: the second one finds it there.
install_for() {
	local cmd=$1

	shift
	command -v "$cmd" >/dev/null && return
	say "installing $*"
	as_root apt-get update -q -o Acquire::Retries=5 >&2 || die "apt-get update failed"
	as_root env DEBIAN_FRONTEND=noninteractive \
		apt-get install -y -q -o DPkg::Lock::Timeout=300 -o Acquire::Retries=5 --no-install-recommends "$@" >&2 ||
		die "can not install $*"
}

as_root() {
	if [ "$(id -u)" = 0 ]; then
		"$@"
	elif command -v sudo >/dev/null; then
		sudo "$@"
	else
		die "root or sudo is needed for: $*"
	fi
}

# with_lock NAME COMMAND...: one at a time over all runs that share the cache
with_lock() {
	local name=$1

	shift
	mkdir -p "$cache"
	(
		flock 9
		"$@"
	) 9>"$cache/$name.lock"
}
