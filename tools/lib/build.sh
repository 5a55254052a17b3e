# SPDX-License-Identifier: MIT
# shellcheck shell=bash
# shellcheck disable=SC2154 # repo and cache are common.sh's
# Building in the guest root: its compiler fits the kernels' headers.

# in_root DIR COMMAND...: run in the guest root with DIR at /mnt, and the debug kernel,
# if there is one, at /usr/src/debug; no mount outlives it
in_root() {
	local dir=$1 root=$cache/root

	shift
	# shellcheck disable=SC2016 # for the inner shell
	as_root unshare --mount --fork bash -c '
		root=$1 dir=$2 debug=$3
		shift 3
		mount -t proc proc "$root/proc"
		mount -t tmpfs tmpfs "$root/mnt"
		mount --bind "$dir" "$root/mnt"
		if [ -d "$debug" ]; then
			mkdir -p "$root/usr/src/debug"
			mount --bind "$debug" "$root/usr/src/debug"
		fi
		exec chroot "$root" env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/root LC_ALL=C "$@"
	' in_root "$root" "$dir" "$cache/debug" "$@"
}

# By what is in the files: what has not changed is not built again, and what has is newer than
# what was made of it, also when an older tree follows a newer one in a cache.
sync=(rsync -a --no-times --checksum)

# Copies what the modules are made of; objects of the last build stay beside it, sources
# that are no more do not.
stage_sources() {
	local dir=$1

	need rsync rsync
	mkdir -p "$dir"
	"${sync[@]}" --delete --exclude='*.mod.c' --include='*.[ch]' --include='Kbuild*' \
		--include='*/' --exclude='*' \
		"$repo/exporter" "$repo/importer" "$repo/compat" "$repo/uapi" "$repo/Kbuild" "$dir/"
	mkdir -p "$dir/igt-tests" "$dir/tools/debug-kernel" "$dir/tools/bench"
	"${sync[@]}" "$repo/igt-tests/modules" "$dir/igt-tests/"
	"${sync[@]}" "$repo/tools/p2p-distance" "$dir/tools/"
	"${sync[@]}" "$repo/tools/bench/module" "$dir/tools/bench/"
	"${sync[@]}" "$repo/tools/debug-kernel/seeded" "$dir/tools/debug-kernel/"
}

# build_modules RELEASE: any warning is an error
build_modules() {
	local release=$1 dir log status=0

	dir=$cache/build/$release
	log=$dir.log
	stage_sources "$dir"
	in_root "$dir" make -C "/lib/modules/$release/build" M=/mnt TEST_MODULES=1 W=1 -j"$(nproc)" \
		>"$log" 2>&1 || status=$?
	if [ "$status" != 0 ] || grep -Eq '(warning|WARNING|error):' "$log"; then
		grep -vE '^(make|  (CC|LD|MODPOST|BTF))' "$log" >&2
		find "$dir" -name '*.ko' -delete
		die "the modules do not build cleanly for $release, see $log"
	fi
}

# build_theirs RELEASE DIR: the modules that DIR's Kbuild names; says where they are
build_theirs() {
	local release=$1 from=$2 dir

	dir=$cache/kbuild/$release/$(basename "$from")
	need rsync rsync
	mkdir -p "$dir"
	"${sync[@]}" --delete --exclude='*.mod.c' --include='*.[chS]' --include='Kbuild*' --include='Makefile*' \
		--include='*/' --exclude='*' "$from/" "$dir/"
	in_root "$dir" make -s -C "/lib/modules/$release/build" M=/mnt W=1 -j"$(nproc)" >&2 ||
		die "$from does not build for $release"
	find "$dir" -name '*.ko'
}

# build_user: the provider, the tests, the demo, churn, fuzzer, benchmark and what programs preload
build_user() {
	local dir=$cache/build/user

	need rsync rsync
	mkdir -p "$dir"
	"${sync[@]}" --delete --exclude=/out "$repo/igt-tests" "$repo/uapi" "$repo/provider" "$repo/tools" "$repo/examples" "$dir/"
	[ -n "${IGT_SRC:-}" ] && rsync -a --delete "$IGT_SRC/" "$dir/igt-src/"
	build_rdma_headers
	"${sync[@]}" "$rdma_dir/include" "$dir/rdma-core/"
	mkdir -p "$dir/out"
	in_root "$dir" make -s -C /mnt/provider OUT=/mnt/out RDMA_CORE=/mnt/rdma-core >&2 ||
		die "the provider does not build"
	in_root "$dir" make -s -C /mnt/igt-tests OUT=/mnt/out ${IGT_SRC:+IGT_SRC=/mnt/igt-src} >&2 ||
		die "the tests do not build"
	in_root "$dir" make -s -C /mnt/tools/demo OUT=/mnt/out >&2 ||
		die "the demo does not build"
	in_root "$dir" make -s -C /mnt/examples/test OUT=/mnt/out >&2 ||
		die "the example of a test does not build"
	in_root "$dir" make -s -C /mnt/tools/stress OUT=/mnt/out >&2 ||
		die "churn and fuzzer do not build"
	in_root "$dir" make -s -C /mnt/tools/bench OUT=/mnt/out >&2 ||
		die "the benchmark does not build"
	in_root "$dir" make -s -C /mnt/tools/movable OUT=/mnt/out >&2 ||
		die "what tools/movable-run preloads does not build"
}
