# SPDX-License-Identifier: MIT
# shellcheck shell=bash
# shellcheck disable=SC2154 # repo and cache are common.sh's
# A small initramfs: busybox, and the modules that reach the root over 9p.

initramfs_modules=(virtio_pci virtio_console 9p 9pnet_virtio overlay)
# Where the kernel has it: an IOMMU must be there before the devices behind it are used.
initramfs_first=(virtio_iommu)

# Prints the module files in the order in which they must be loaded.
module_files() {
	local release=$1 m

	{
		for m in "${initramfs_first[@]}"; do
			modprobe -d "$cache/root" -S "$release" --show-depends "$m" 2>/dev/null || true
		done
		for m in "${initramfs_modules[@]}"; do
			modprobe -d "$cache/root" -S "$release" --show-depends "$m"
		done
	} | awk '$1 == "insmod" && !seen[$2]++ { print $2 }'
}

build_initramfs() {
	local release=$1 out=$cache/initramfs-$1 dir file

	need cpio cpio
	need modprobe kmod
	need xz xz-utils
	[ "$out" -nt "$cache/root.key" ] && [ "$out" -nt "$repo/tools/guest/init" ] &&
		[ "$out" -nt "$repo/tools/lib/initramfs.sh" ] && return

	dir=$(mktemp -d)
	mkdir -p "$dir"/{bin,proc,sys,dev,modules,root}
	cp "$cache/root/usr/bin/busybox" "$dir/bin/busybox"
	cp "$repo/tools/guest/init" "$dir/init"
	module_files "$release" | while read -r file; do
		case $file in
		*.xz) xz -dc "$file" >"$dir/modules/$(basename "$file" .xz)" ;;
		*.zst) zstd -qdc "$file" >"$dir/modules/$(basename "$file" .zst)" ;;
		*) cp "$file" "$dir/modules/" ;;
		esac
		basename "$file" | sed 's/\.xz$//; s/\.zst$//' >>"$dir/modules/order"
	done
	(cd "$dir" && find . | cpio -o -H newc --quiet) >"$out.new"
	mv "$out.new" "$out"
	rm -rf "$dir"
}
