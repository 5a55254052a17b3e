# SPDX-License-Identifier: MIT
# shellcheck shell=bash
# shellcheck disable=SC2154 # repo and cache are common.sh's
# The guest root: Debian trixie with kernels, headers, compilers and IGT.

guest_packages=(gcc make libc6-dev libdrm-dev libdrm-tests pciutils busybox-static kmod
	strace iproute2 procps rdma-core jq
	flex bison bc libelf-dev libssl-dev xz-utils
	lz4 sparse cppcheck clang
	perftest gnuplot-nox python3-minimal)
igt_packages=(igt-gpu-tools igt-gpu-tools-tests)

# The mirror that this machine's apt uses, security left out.
apt_mirror() {
	# shellcheck disable=SC2016 # apt expands it
	apt-get indextargets --format '$(REPO_URI)' 'Created-By: Packages' |
		grep -v -- '-security/*$' | head -n 1
}

# An apt of our own, which knows the suites that the guest is made of.
apt_guest() {
	local dir=$cache/apt

	"$1" -o "Dir::Etc::SourceList=$dir/sources.list" -o Dir::Etc::SourceParts=/dev/null \
		-o "Dir::State::Lists=$dir/lists" -o "Dir::Cache=$dir/cache" \
		-o "Dir::State::status=$dir/status" -o APT::Sandbox::User=root "${@:2}"
}

apt_guest_update() {
	local dir=$cache/apt mirror suite

	mirror=$(apt_mirror)
	[ -n "$mirror" ] || die "apt on this machine knows no mirror; is 'apt-get update' run?"
	mkdir -p "$dir/lists/partial" "$dir/cache/archives/partial"
	: >"$dir/status"
	for suite in trixie trixie-updates trixie-backports sid; do
		echo "deb $mirror $suite main"
	done >"$dir/sources.list"
	apt_guest apt-get update -q >"$dir/update.log" 2>&1 || {
		cat "$dir/update.log" >&2
		die "the mirror $mirror does not have all suites of the guest"
	}
}

# Version part of the image package that a suite's linux-image-amd64 stands for.
kernel_of_suite() {
	apt_guest apt-cache show linux-image-amd64 | awk -v suite="$1" '
		/^Version:/ { bpo = /bpo/ }
		/^Depends:/ && match($0, /linux-image-[0-9][^ ,]*-amd64/) {
			if ((suite == "backports") == bpo && !seen) {
				print substr($0, RSTART + 12, RLENGTH - 12)
				seen = 1
			}
		}'
}

newest_of_series() {
	apt_guest apt-cache pkgnames "linux-headers-$1." | sed -n 's/^linux-headers-//p' |
		grep -E '^[0-9.]+\+deb13-amd64$' | sort -V | tail -n 1
}

# Prints "NAME RELEASE" for each kernel that the guest gets.
resolve_kernels() {
	echo "default $(kernel_of_suite backports)"
	echo "6.12 $(newest_of_series 6.12)"
	echo "7.3 $(newest_of_series 7.3)"
}

# Packages that hold a kernel's image and modules: since 7.x two, before one. A kernel
# that is new in backports may be there unsigned only.
kernel_packages() {
	local p modules=

	if apt_guest apt-cache show "linux-modules-$1" >/dev/null 2>&1; then
		modules=linux-modules-$1
	fi
	for p in "linux-binary-$1" "linux-binary-unsigned-$1" "linux-image-$1" "linux-image-$1-unsigned"; do
		if apt_guest apt-cache show "$p" >/dev/null 2>&1; then
			echo "$p" "$modules"
			return
		fi
	done
	die "Debian has no image of kernel $1"
}

# Unpacked rather than installed: no boot loader or initramfs of Debian's is wanted.
unpack_kernel() {
	local root=$1 release=$2 debs=$cache/debs pkg

	mkdir -p "$debs"
	for pkg in $(kernel_packages "$release"); do
		(cd "$debs" && apt_guest apt-get download -q "$pkg" >/dev/null)
		dpkg-deb -x "$(find "$debs" -name "${pkg}_*.deb" | sort -V | tail -n 1)" "$root"
	done
	depmod -b "$root" "$release"
}

make_root() {
	local root=$1 headers=$2 extra=$3
	local conf=$cache/apt/acquire.conf pins=$cache/apt/pins mirror suite sources=()

	mirror=$(apt_mirror)
	apt-config dump Acquire >"$conf"
	cat >"$pins" <<-EOF
		Package: *
		Pin: release n=sid
		Pin-Priority: 50

		Package: igt-gpu-tools igt-gpu-tools-tests intel-gpu-tools libdrm* libxv1
		Pin: release n=sid
		Pin-Priority: $([ -n "$extra" ] && echo 600 || echo 50)
	EOF
	for suite in trixie trixie-updates trixie-backports sid; do
		sources+=("deb $mirror $suite main")
	done
	rm -rf --one-file-system "$root"
	# shellcheck disable=SC2016 # mmdebstrap's own shell expands $1
	mmdebstrap --variant=apt --aptopt="$conf" --aptopt='APT::Install-Recommends "false"' \
		--setup-hook='mkdir -p "$1/etc/apt/preferences.d"' \
		--setup-hook="copy-in $pins /etc/apt/preferences.d" \
		--include="$(IFS=,; echo "${guest_packages[*]}"),$headers${extra:+,$extra}" \
		trixie "$root" "${sources[@]}" >"$cache/root.log" 2>&1
}

# IGT's own tests come from sid, which moves: without them our own still run.
make_root_with_igt() {
	local root=$1 headers=$2

	make_root "$root" "$headers" "$(IFS=,; echo "${igt_packages[*]}")" && return
	tail -n 20 "$cache/root.log" >&2
	say "sid's IGT does not install today: going on without IGT's own tests and runner"
	make_root "$root" "$headers,intel-gpu-tools" ''
}

build_root() {
	local kernels headers key root

	need mmdebstrap mmdebstrap
	need depmod kmod
	apt_guest_update
	kernels=$(resolve_kernels)
	headers=$(awk '{ printf "%slinux-headers-%s", (NR > 1 ? "," : ""), $2 }' <<<"$kernels")
	key=$(echo "$kernels ${guest_packages[*]} ${igt_packages[*]}" |
		cat - "$repo/tools/lib/root.sh" | sha256sum | cut -c1-16)
	root=$cache/root
	[ "$(cat "$cache/root.key" 2>/dev/null)" = "$key" ] && return

	say "making the guest root (a minute or two)"
	rm -f "$cache/root.key"
	make_root_with_igt "$root" "$headers" || {
		tail -n 30 "$cache/root.log" >&2
		die "mmdebstrap failed, see $cache/root.log"
	}
	while read -r _ release; do
		unpack_kernel "$root" "$release"
	done <<<"$kernels"
	echo "$kernels" >"$cache/kernels"
	echo "$key" >"$cache/root.key"
}

# Release of a kernel by name: default, a series, or a release's beginning.
kernel_release() {
	local release

	release=$(awk -v n="$1" '$1 == n { print $2; exit }' "$cache/kernels")
	[ -n "$release" ] ||
		release=$(awk -v n="$1" 'index($2, n) == 1 { print $2; exit }' "$cache/kernels")
	[ -n "$release" ] || die "no kernel '$1'; there are: $(awk '{ print $1 }' "$cache/kernels" | xargs)"
	echo "$release"
}
