# SPDX-License-Identifier: MIT
# shellcheck shell=bash
# shellcheck disable=SC2154 # cache is common.sh's
# The kernel's source: Debian's newest package of it.

newest_source() {
	apt_guest apt-cache pkgnames linux-source- | grep -E '^linux-source-[0-9]+\.[0-9]+$' |
		sort -V | tail -n 1
}

source_version() {
	apt_guest apt-cache show "$1" | awk '/^Version:/ { print $2; exit }'
}

# source_tar PACKAGE: the compressed archive in it, to standard output
source_tar() {
	local pkg=$1 dir deb

	need xz xz-utils
	dir=$(mktemp -d "$cache/source.XXXXXX")
	(cd "$dir" && apt_guest apt-get download -q "$pkg" >/dev/null) || die "can not download $pkg"
	deb=$(find "$dir" -name '*.deb')
	dpkg-deb --fsys-tarfile "$deb" | tar -xO "./usr/src/$pkg.tar.xz"
	rm -rf "$dir"
}
