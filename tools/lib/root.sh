# SPDX-License-Identifier: MIT
# shellcheck shell=bash
# shellcheck disable=SC2154 # repo and cache are common.sh's
# The guest root: Debian trixie with kernels, headers, compilers and IGT.

guest_packages=(gcc make libc6-dev libdrm-dev libdrm-tests pciutils busybox-static kmod
	strace iproute2 procps rdma-core jq
	flex bison bc libelf-dev libssl-dev xz-utils
	lz4 sparse cppcheck clang
	perftest gnuplot-nox python3-minimal
	libibverbs-dev librdmacm-dev ibverbs-utils rdmacm-utils python3-pyverbs
	ucx-utils libfabric-bin libfabric-dev openmpi-bin python3-mpi4py)
# What UCX takes to AMD's GPUs, 210 MB: its modules for that load it at the start of any program.
guest_leaves_out=('/usr/lib/*/libLLVM-17.so*' '/usr/lib/*/libamd*.so*')
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
		-o "Dir::State::status=$dir/status" -o APT::Sandbox::User=root \
		-o Acquire::Retries=5 "${@:2}"
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
	# Of the release that the guest's libibverbs is of.
	echo "deb-src $mirror trixie main" >>"$dir/sources.list"
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

# Releases of trixie and of its backports, oldest series first, the newest of each from
# 6.12 on, which is the oldest that the modules build for.
newest_of_each_series() {
	apt_guest apt-cache pkgnames linux-headers- |
		sed -nE 's/^linux-headers-(([0-9]+\.[0-9]+)\.[0-9]+\+deb13-amd64)$/\2 \1/p' |
		sort -k1,1V -k2,2V | awk '{ last[$1] = $2; if (!n[$1]++) order[++m] = $1 }
			END { for (i = 1; i <= m; i++) { split(order[i], v, ".")
				if (v[1] > 6 || (v[1] == 6 && v[2] >= 12)) print order[i], last[order[i]] } }'
}

# Prints "NAME RELEASE" for each kernel that the guest gets: by its series, and default
# for the one that Debian's backports take.
resolve_kernels() {
	echo "default $(kernel_of_suite backports)"
	newest_of_each_series
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
		"${guest_leaves_out[@]/#/--dpkgopt=path-exclude=}" \
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
	headers=$(awk '!seen[$2]++ { printf "%slinux-headers-%s", (NR > 1 ? "," : ""), $2 }' <<<"$kernels")
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
	while read -r release; do
		unpack_kernel "$root" "$release"
	done < <(awk '{ print $2 }' <<<"$kernels" | sort -u)
	echo "$kernels" >"$cache/kernels"
	echo "$key" >"$cache/root.key"
}

# Release of a kernel by name: default, a series, or a release's beginning.
kernel_release() {
	local release

	release=$(awk -v n="$1" '$1 == n { print $2; exit }' "$cache/kernels")
	[ -n "$release" ] ||
		release=$(awk -v n="$1" 'index($2, n) == 1 { print $2; exit }' "$cache/kernels")
	[ -n "$release" ] || misuse "no kernel '$1'; there are: $(kernel_names)"
	echo "$release"
}

# What --kernel takes, in words, as far as the guest root has been made.
kernel_names() {
	if [ -s "$cache/kernels" ]; then
		awk '$1 != "debug" { printf "%s%s (%s)", sep, $1, $2; sep = ", " }' "$cache/kernels"
	else
		echo "what Debian has: default, and by series"
	fi
}

# The series that there are, oldest first: no release is in it twice.
kernel_series() {
	awk '$1 !~ /^(default|debug)$/ { print $1 }' "$cache/kernels"
}
