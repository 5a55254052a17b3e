# SPDX-License-Identifier: MIT
# shellcheck shell=bash
# shellcheck disable=SC2154 # repo and cache are common.sh's
# A kernel that watches: built once from Debian's newest source package, with the
# configuration in tools/debug-kernel.

debug_dir=$cache/debug

unpack_source() {
	local pkg=$1

	rm -rf "$debug_dir"
	mkdir -p "$debug_dir/out"
	source_tar "$pkg" | tar -xJ -C "$debug_dir"
	mv "$debug_dir/$pkg" "$debug_dir/src"
}

# in_debug COMMAND...: in the guest root, which sees the kernel at /usr/src/debug
in_debug() {
	in_root "$repo/tools/debug-kernel" "$@"
}

compile_debug_kernel() {
	cat "$debug_dir/src/Kconfig" "$repo/tools/debug-kernel/Kconfig.helpers" \
		>"$debug_dir/src/Kconfig.debug"
	# shellcheck disable=SC2016 # for the inner shell
	in_debug bash -ec '
		cd /usr/src/debug/src
		export KBUILD_KCONFIG=Kconfig.debug ARCH=x86_64
		KCONFIG_CONFIG=/usr/src/debug/out/.config scripts/kconfig/merge_config.sh \
			-n -O /usr/src/debug/out /mnt/guest.config /mnt/debug.config
		make O=/usr/src/debug/out olddefconfig
		make O=/usr/src/debug/out -j"$(nproc)" bzImage modules
	' >"$debug_dir/log" 2>&1 || {
		tail -n 20 "$debug_dir/log" >&2
		die "the debug kernel does not build, see $debug_dir/log"
	}
}

debug_release() {
	cat "$debug_dir/out/include/config/kernel.release"
}

# Into the guest root, which may have been made anew since.
install_debug_kernel() {
	local release

	release=$(debug_release)
	if [ -e "$cache/root/usr/lib/modules/$release/modules.dep" ] &&
		[ -e "$cache/root/boot/vmlinuz-$release" ]; then
		grep -q "^debug $release$" "$cache/kernels" && return
	fi
	in_debug make -C /usr/src/debug/out INSTALL_MOD_PATH=/usr modules_install \
		>"$debug_dir/install.log" 2>&1 || die "see $debug_dir/install.log"
	cp "$debug_dir/out/arch/x86/boot/bzImage" "$cache/root/boot/vmlinuz-$release"
	sed -i '/^debug /d' "$cache/kernels"
	echo "debug $release" >>"$cache/kernels"
}

build_debug_kernel() {
	local pkg key start

	pkg=$(newest_source)
	key=$(cat "$repo"/tools/debug-kernel/*.config "$repo"/tools/debug-kernel/Kconfig.helpers \
		<(source_version "$pkg") | sha256sum | cut -c1-16)
	if [ "$(cat "$debug_dir/key" 2>/dev/null)" != "$key" ]; then
		start=$(date +%s)
		say "building the debug kernel from $pkg $(source_version "$pkg") (some 15 minutes)"
		unpack_source "$pkg"
		compile_debug_kernel
		echo "$key" >"$debug_dir/key"
		say "debug kernel: $(debug_release), $(($(date +%s) - start)) s"
	fi
	install_debug_kernel
}
