# SPDX-License-Identifier: MIT
# shellcheck shell=bash
# shellcheck disable=SC2154 # repo, cache, here and work are others'
# Static checks, each a function that prints what it found and fails.

# Parts that run in the kernel, and parts that do not.
lint_modules=(exporter importer compat igt-tests/modules tools/p2p-distance tools/debug-kernel tools/bench/module examples/importer examples/exporter)
lint_user=(igt-tests/*.c igt-tests/lib igt-tests/igt provider tools/demo tools/stress tools/movable tools/bench/*.c examples/test)

lint_prepare() {
	"$here/vm" build && "$here/vm" modules
}

lint_scripts() {
	need shellcheck shellcheck
	shellcheck -x -P "$here" "$here"/{vm,check,debug-check,lint,soak,movable-run,lib/analyze,lib/collect,lib/selftest} \
		"$here/p2p-distance/p2p-distance" "$here"/lib/*.sh \
		"$here"/guest/{igt,init,programs,run,seeded} "$repo/.ci/run" &&
		shellcheck -x -P "$here/demo" "$here/demo/run" "$here/bench/run" "$here/bench/guest"
}

# files PART...: C files, relative to the checkout
files() {
	(cd "$repo" && find "$@" -name '*.[ch]' | sort)
}

# checkpatch and the lists it reads, from the newest kernel source.
fetch_checkpatch() {
	local pkg dir=$cache/checkpatch

	pkg=$(newest_source)
	[ "$(cat "$dir/key" 2>/dev/null)" = "$pkg" ] && return
	rm -rf "$dir"
	mkdir -p "$dir"
	source_tar "$pkg" | tar -xJ -C "$dir" --strip-components=2 \
		"$pkg"/scripts/{checkpatch.pl,spelling.txt,const_structs.checkpatch} || return
	echo "$pkg" >"$dir/key"
}

# checkpatch IGNORE WIDTH FILE...
checkpatch() {
	local ignore=$1 width=$2 found

	shift 2
	# From outside of the checkout, where it would leave a file.
	found=$(cd "$cache/checkpatch" && perl ./checkpatch.pl --no-tree --strict --terse \
		--no-summary --show-types --max-line-length="$width" --ignore "$ignore" -f "${@/#/$repo/}" 2>/dev/null) || true
	[ -z "$found" ] || {
		echo "$found"
		return 1
	}
}

# Left out: kzalloc_obj() is younger than 6.12, and uapi headers do not have BIT().
lint_checkpatch_modules() {
	local list

	with_lock build fetch_checkpatch
	mapfile -t list < <(files "${lint_modules[@]}" uapi | grep -v _trace.h)
	checkpatch ALLOC_WITH_SIZEOF,ALLOC_SIZEOF_STRUCT,BIT_MACRO,MACRO_ARG_REUSE 100 "${list[@]}" || return
	# Trace events are laid out as the kernel's own are.
	mapfile -t list < <(files "${lint_modules[@]}" | grep _trace.h)
	checkpatch OPEN_ENDED_LINE,PARENTHESIS_ALIGNMENT 100 "${list[@]}"
}

# Left out: what only makes sense within the kernel.
lint_checkpatch_user() {
	local list

	mapfile -t list < <(files "${lint_user[@]}")
	checkpatch "PREFER_KERNEL_TYPES,PREFER_DEFINED_ATTRIBUTE_MACRO,VOLATILE,CAMELCASE,BIT_MACRO,\
MACRO_ARG_REUSE,COMPLEX_MACRO,EMBEDDED_FUNCTION_NAME,NAKED_SSCANF,FUNCTION_ARGUMENTS,\
USE_NEGATIVE_ERRNO,PREFER_FALLTHROUGH" 110 "${list[@]}"
}

# analyze TOOL: sparse or clang
analyze() {
	local dir

	dir=$cache/build/$(kernel_release default)
	cp "$here/lib/analyze" "$dir/"
	in_root "$dir" env -C /mnt ./analyze "$1"
}

lint_cppcheck() {
	local list

	mapfile -t list < <(files "${lint_user[@]}" | grep '\.c$')
	in_root "$repo" env -C /mnt cppcheck --quiet --error-exitcode=1 --inline-suppr \
		--enable=warning,performance,portability --std=c11 --library=gnu -D__linux__ \
		--suppress=normalCheckLevelMaxBranches --suppress="nullPointer*OutOfMemory" \
		-Iuapi -Iigt-tests/lib -Iigt-tests/igt -Itools/stress "${list[@]}"
}

run_lint() {
	step "shellcheck" lint_scripts
	step "checkpatch: modules" lint_checkpatch_modules
	step "checkpatch: programs" lint_checkpatch_user
	step "sparse" analyze sparse
	step "clang's analyzer" analyze clang
	step "cppcheck" lint_cppcheck
}
