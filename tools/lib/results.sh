# SPDX-License-Identifier: MIT
# shellcheck shell=bash
# shellcheck disable=SC2154 # here, cache, matrix and guests are others'
# Runs the tests in guests and sums up their results.

passed=0 failed=0 skipped=0 failures=()
start=$(date +%s)
work=$(mktemp -d "${TMPDIR:-/tmp}/movable-dmabuf-check.XXXXXX")
trap 'rm -rf "$work"' EXIT

note() {
	say "[$(($(date +%s) - start)) s] $*"
}

# step NAME COMMAND...: something that must succeed, as one result
step() {
	local name=$1

	shift
	note "$name"
	if "$@"; then
		passed=$((passed + 1))
	else
		failed=$((failed + 1))
		failures+=("$name")
	fi
}

count() {
	local result name

	while read -r result name; do
		case $result in
		pass) passed=$((passed + 1)) ;;
		skip | notrun) skipped=$((skipped + 1)) ;;
		*)
			failed=$((failed + 1))
			failures+=("$2: $name: $result")
			;;
		esac
	done <"$1"
}

# In the background: leaves its output, results and status below $work.
start_one() {
	local kernel=$1 machine=$2 third=$3 tests=$4 params=$5 out=$work/$1-$2 status=0

	"$here/vm" run --kernel "$kernel" --machine "$machine" --vvram "$params" \
		--out "$out" --timeout "${limit:-1500}" \
		--add "$cache/build/user/out" --add "$here/guest/igt" \
		-- env THIRD_PARTY="$third" TESTS="$tests" TIMEOUT="${test_timeout:-300}" bash igt >"$out.log" 2>&1 || status=$?
	echo "$status" >"$out.status"
}

finish_one() {
	local name="$1 on $2" out=$work/$1-$2

	note "tests: $name"
	cat "$out.log"
	if [ ! -s "$out/results" ]; then
		failed=$((failed + 1))
		failures+=("$name: no results")
		return
	fi
	count "$out/results" "$name"
	# A test may skip what a machine does not have; most of them skipping is a defect.
	if [ "$(grep -c '^pass own:' "$out/results")" -lt "$(grep -c '^skip own:' "$out/results")" ]; then
		failed=$((failed + 1))
		failures+=("$name: most tests were skipped")
	fi
	awk -v n="$name" '{ c[$1]++ } END { printf "%s:", n; for (r in c) printf " %d %s", c[r], r; print "" }' \
		"$out/results"
	grep '^skip' "$out/results" | sed "s/^/    /" || true
	# Tests that passed while the kernel complained have not passed.
	if [ "$(cat "$out.status")" != 0 ] && ! grep -qvE '^(pass|skip|notrun) ' "$out/results"; then
		failed=$((failed + 1))
		failures+=("$name: the kernel complained, see above")
	fi
}

run_matrix() {
	local line kernel machine third tests params pids=() i

	for line in "${matrix[@]}"; do
		read -r kernel machine third tests params <<<"$line"
		while [ "$(jobs -rp | wc -l)" -ge "$guests" ]; do
			wait -n || true
		done
		note "starting: $kernel on $machine"
		start_one "$kernel" "$machine" "$third" "$tests" "$params" &
		pids+=($!)
	done
	for i in "${!matrix[@]}"; do
		read -r kernel machine _ <<<"${matrix[$i]}"
		wait "${pids[$i]}" || true
		finish_one "$kernel" "$machine"
	done
}

# Prints the sum as the last line; the status is that of all.
finish() {
	note "done"
	if [ "${#failures[@]}" -gt 0 ]; then
		echo "failed:"
		printf '  %s\n' "${failures[@]}"
	fi
	echo "$passed passed, $failed failed, $skipped skipped"
	[ "$failed" = 0 ]
}
