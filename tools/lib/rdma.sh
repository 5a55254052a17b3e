# SPDX-License-Identifier: MIT
# shellcheck shell=bash
# shellcheck disable=SC2154 # repo and cache are common.sh's
# The headers that a provider of libibverbs is built with: no package has them, so they
# come from the source of the release that the guest has.

rdma_dir=$cache/rdma-core

# Version of the libibverbs in the guest.
rdma_version() {
	awk '/^Package: / { ours = $2 == "libibverbs-dev" } ours && /^Version:/ { print $2 }' \
		"$cache/root/var/lib/dpkg/status"
}

unpack_rdma() {
	local version=$1 dir

	need xz xz-utils
	dir=$(mktemp -d "$cache/rdma.XXXXXX")
	(cd "$dir" && apt_guest apt-get source -q --download-only --tar-only "rdma-core=$version" >/dev/null) ||
		die "can not download the source of rdma-core $version"
	rm -rf "$rdma_dir"
	mkdir -p "$rdma_dir"
	tar -xf "$(find "$dir" -name '*.orig.tar.*' ! -name '*.asc')" -C "$rdma_dir" --strip-components=1 \
		--wildcards '*/libibverbs/*.h' '*/util/*.h' '*/ccan/*.h' '*/kernel-headers/rdma/*' \
		'*/buildlib/make_abi_structs.py' '*/CMakeLists.txt'
	rm -rf "$dir"
}

# What its headers ask of a configuration: any compiler that builds this has all of it. The
# number of the private interface is a part of the name of a provider's file.
rdma_config() {
	local pabi

	pabi=$(sed -n 's/^set(IBVERBS_PABI_VERSION "\([0-9]*\)")$/\1/p' "$rdma_dir/CMakeLists.txt")
	printf '#define %s 1\n' HAVE_STATEMENT_EXPR HAVE_TYPEOF HAVE_BUILTIN_TYPES_COMPATIBLE_P \
		HAVE_ISBLANK
	printf '#define IBVERBS_PABI_VERSION %s\n' "${pabi:?}"
}

# Headers as the library's own build arranges them, in $rdma_dir/include.
build_rdma_headers() {
	local version include=$rdma_dir/include

	version=$(rdma_version)
	[ "$(cat "$rdma_dir/key" 2>/dev/null)" = "$version" ] && return
	say "headers of rdma-core $version"
	unpack_rdma "$version"
	mkdir -p "$include"/{infiniband,kernel-abi}
	cp "$rdma_dir"/libibverbs/*.h "$include/infiniband/"
	cp -r "$rdma_dir"/{util,ccan} "$rdma_dir/kernel-headers/rdma" "$include/"
	in_root "$rdma_dir" python3 /mnt/buildlib/make_abi_structs.py \
		/mnt/kernel-headers/rdma/ib_user_verbs.h /mnt/include/kernel-abi/ib_user_verbs.h ||
		die "the headers of rdma-core can not be made"
	rdma_config >"$include/config.h"
	echo "$version" >"$rdma_dir/key"
}
