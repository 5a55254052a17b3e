# SPDX-License-Identifier: MIT
# shellcheck shell=bash
# shellcheck disable=SC2154 # here, cache and guests are others'
# Runs the tests in guests and sums up their results.

passed=0 failed=0 skipped=0 failures=() deaths=()
start=$(date +%s)
# What each guest left is kept: that of the last ten runs.
kept=10
mkdir -p "$cache/logs"
find "$cache/logs" -mindepth 1 -maxdepth 1 -type d | sort | head -n "-$((kept - 1))" |
	xargs -rd '\n' rm -rf
work=$cache/logs/$(date +%Y%m%d-%H%M%S)-$$
mkdir "$work"
trap 'rm -rf "$work"/{,*/,*/again/}gcov; rmdir --ignore-fail-on-non-empty "$work"' EXIT

note() {
	say "[$(($(date +%s) - start)) s] $*"
}

fail() {
	failed=$((failed + 1))
	failures+=("$*")
}

# step NAME COMMAND...: something that must succeed, as one result
step() {
	local name=$1

	shift
	note "$name"
	if "$@"; then
		passed=$((passed + 1))
	else
		fail "$name"
	fi
}

# start_apart COMMAND: steps that run in the background, with what was counted until now;
# guests leave some of the CPUs' time. Nothing may have failed before.
start_apart() {
	apart_before=$passed
	(
		"$@"
		printf '%s\n' "$passed $failed" "${failures[@]}" >"$work/apart"
	) >"$work/apart.log" 2>&1 &
	apart=$!
}

# Counts what start_apart's steps have found.
finish_apart() {
	local its_passed=$apart_before its_failed=1 its_failures=("what ran beside the guests did not end")

	wait "$apart" || true
	cat "$work/apart.log"
	if [ -s "$work/apart" ]; then
		{ read -r its_passed its_failed && mapfile -t its_failures; } <"$work/apart"
	fi
	passed=$((passed + its_passed - apart_before))
	failed=$((failed + its_failed))
	[ "$its_failed" = 0 ] || failures+=("${its_failures[@]}")
}

# assertion FAILURES TEST: the first one of the test's that failed, in a few words
assertion() {
	awk -v head="---- $2: " '
		/^---- / { in_it = index($0, head) == 1 }
		in_it && sub(/.*Test assertion failure function /, "") { where = $0 }
		in_it && sub(/.*Failed assertion: /, "") { what = $0; next }
		in_it && what && sub(/.*(CRITICAL: |^)error: /, "") { value = " (" $0 ")" }
		in_it && what { printf " at %s %s%s", where, what, value; exit }' "$1" 2>/dev/null || true
}

# count RESULTS NAME: what a guest told, a line "RESULT TEST" for each
count() {
	local result name

	while read -r result name; do
		case $result in
		pass) passed=$((passed + 1)) ;;
		skip | notrun) skipped=$((skipped + 1)) ;;
		*) fail "$2: $name: $result$(assertion "${1%/*}/failures" "$name")" ;;
		esac
	done <"$1"
}

# The kernels of the matrix: one of each series, the newest first.
pick_kernels() {
	local name

	mapfile -t series < <(kernel_series | tac)
	if [ "${#series[@]}" -lt 3 ]; then
		say "the matrix wants three kernel series, but Debian has only: ${series[*]:-none}"
		return 1
	fi
	for name in "${series[@]}"; do
		say "kernel $name: $(kernel_release "$name")"
	done
}

# The matrix: guests by number, and what is special about them.
entries=0
declare -A entry_of

# entry KERNEL MACHINE [KEY=VALUE]...: one more guest. Keys:
#   tests=A,B       these programs of ours, rather than all
#   without=A,B     all of ours but these
#   third=1         IGT's own tests that fit, too
#   stock=KIND      no tests, but programs that people have: tools/guest/programs KIND
#   vvram=PARAMS, vrnic=PARAMS, cmdline=WORDS, mem=SIZE, peer=COMMAND   as tools/vm has them
entry() {
	local i=$entries word special

	entry_of[$i,kernel]=$1 entry_of[$i,machine]=$2
	shift 2
	for word; do
		case $word in
		tests=* | without=* | third=* | stock=* | vvram=* | vrnic=* | cmdline=* | mem=* | peer=*) entry_of[$i,${word%%=*}]=${word#*=} ;;
		*) die "the matrix has '$word', which nothing knows" ;;
		esac
	done
	special=$(xargs <<<"${entry_of[$i,stock]-} ${entry_of[$i,vvram]-} ${entry_of[$i,vrnic]-} ${entry_of[$i,cmdline]-} ${entry_of[$i,peer]+a peer}")
	entry_of[$i,name]="${entry_of[$i,kernel]} on ${entry_of[$i,machine]}${special:+ with $special}"
	entry_of[$i,dir]=$work/$(printf '%02d' $((i + 1)))-$(tr -c '[:alnum:].\n' - <<<"${entry_of[$i,name]}")
	entries=$((entries + 1))
}

# Programs of ours that a guest shall run. The last ones are those which change the machine
# while it runs: an emulator that does not survive it has done the others.
own_programs() {
	local tests=${entry_of[$1,tests]-}

	[ -z "${entry_of[$1,stock]-}" ] || return 0
	if [ -n "$tests" ]; then
		tr , '\n' <<<"$tests"
	else
		sed '1d; $d' "$cache/build/user/out/test-list.txt" | tr ' ' '\n' |
			grep -vxFf <(tr , '\n' <<<"${entry_of[$1,without]-}" | sed '/^$/d')
	fi | awk '$1 ~ /^vrnic_(verbs_hostile|replug)$/ { last = $1 "\n" last; next }
		{ print } END { printf "%s", last }'
}

# Programs of IGT's, those left out that are meant for other machines.
third_programs() {
	[ -z "${entry_of[$1,third]-}" ] || awk -v m="[${entry_of[$1,machine]}]" '
		/^[a-z]/ && (NF == 1 || $2 == m) { print $1 }' "$cache/build/user/out/third-party.txt"
}

# A test that is not there is no test that passes.
missing_programs() {
	own_programs "$1" | while read -r name; do
		[ -x "$cache/build/user/out/$name" ] || echo "$name"
	done | xargs
}

# left KIND DIR: of the programs that are read, those that DIR has no results of
left() {
	local name

	while read -r name; do
		[ -s "$2/$1/$name/results.json" ] || echo "$name"
	done
}

# run_guest I DIR BEFORE: all that BEFORE, another run's folder, has no results of
run_guest() {
	local i=$1 dir=$2 before=$3 status=0 own third began=$SECONDS script=(igt) theirs=()

	own=$(own_programs "$i" | left own "$before" | xargs)
	third=$(third_programs "$i" | left igt "$before" | xargs)
	mkdir -p "$dir"
	echo "$own $third" >"$dir/programs"
	: >"$dir/results"
	[ -z "${entry_of[$i,stock]-}" ] || script=(programs "${entry_of[$i,stock]}")
	[ "${entry_of[$i,stock]-}" != examples ] ||
		theirs=(--add "$cache/kbuild/$(kernel_release "${entry_of[$i,kernel]}")")
	"$here/vm" run --built --kernel "${entry_of[$i,kernel]}" --machine "${entry_of[$i,machine]}" \
		--vvram "${entry_of[$i,vvram]-}" --vrnic "${entry_of[$i,vrnic]-}" \
		--cmdline "${entry_of[$i,cmdline]-}" --mem "${entry_of[$i,mem]-2G}" \
		--peer "${entry_of[$i,peer]-}" --out "$dir" --timeout "${limit:-1500}" \
		--add "$cache/build/user/out" --add "$here/guest/igt" --add "$here/guest/programs" \
		--add "$here/guest/pyverbs" --add "$here/guest/pyverbs-skips" --add "$here/guest/mpi-exchange" \
		"${theirs[@]}" \
		-- env OWN="$own" THIRD="$third" TIMEOUT="${test_timeout:-300}" \
		REPLUG_ROUNDS="${replug_rounds:-10}" ${long:+LONG=1} bash "${script[@]}" \
		>"$dir/log" 2>&1 || status=$?
	echo "$status" >"$dir/status"
	echo $((SECONDS - began)) >"$dir/seconds"
	in_root "$dir" bash -s <"$here/lib/collect" || true
}

# Results of two runs as one: of a test that was in both, what failed by itself stays
# failed; what was only cut short by the emulator's death has the second one's result.
merge_results() {
	awk 'FNR < NR { split($2, part, "@"); again[part[1] "@" part[2]] = 1 }
		!($2 in result) { order[++n] = $2 }
		!($2 in result) || result[$2] ~ /^(pass|skip|notrun|incomplete)$/ { result[$2] = $1 }
		END { for (i = 1; i <= n; i++) {
			program = order[i]
			# All of it may have been cut short: then the second one says what is in it.
			if (!sub(/:/, ":igt@", program) || program ~ /@.*@/ || !(program in again))
				print result[order[i]], order[i]
		} }' "$@"
}

# In the background. An emulator that dies is no test's fault: once, but not more often,
# what it had not done is run again.
run_entry() {
	local i=$1 dir=${entry_of[$1,dir]}

	run_guest "$i" "$dir" "$dir"
	[ -s "$dir/died" ] || return 0
	run_guest "$i" "$dir/again" "$dir"
	mv "$dir/results" "$dir/results.first"
	merge_results "$dir/results.first" "$dir/again/results" >"$dir/results"
	cat "$dir/again/durations" >>"$dir/durations"
	cat "$dir/again/failures" >>"$dir/failures"
}

# The first in full, as it is mostly the cause of the others; these shortened.
print_failures() {
	[ -s "$1" ] || return 0
	awk -v all="$1" '
		/^---- (own|igt|programs|movable):/ { n++; lines = 0 }
		n < 2 || ++lines <= 15
		n > 1 && lines == 16 { print "[...]" }
		END { if (n > 1) print "in full: " all }' "$1"
}

# last_words DIR: where the kernel was by its console, in a few words: logs may be lost
last_words() {
	grep -aoE '(Kernel panic|BUG:|Oops:) [[:print:]]*|RIP: 0010:[^ ]*' "$1/console" 2>/dev/null |
		awk '!seen[$0]++ && ++n <= 6 { printf "%s%s", (n > 1 ? "; " : ": "), $0 }' || true
}

# complaint DIR: what the kernel complained of first, and where it was, in a few words
complaint() {
	local first

	first=$(sed -n '/^guest: the kernel complained:/ { n; s/^\[[^]]*\] *//p; q }' "$1/log")
	[ -n "$first" ] || return 0
	printf ': %s' "$first"
	awk -v first="$first" '
		!found { found = index($0, first); next }
		match($0, /[a-zA-Z_][a-zA-Z0-9_.]*\+0x/) {
			printf "%s%s", n++ ? " " : "; ", substr($0, RSTART, RLENGTH - 3)
			if (n == 12)
				exit
		}' "$1/dmesg" 2>/dev/null || true
}

# tell_end DIR NAME: what a guest's end means beyond what its tests say
tell_end() {
	local dir=$1 name=$2 status last

	status=$(cat "$dir/status")
	if [ -s "$dir/lost" ]; then
		last=$(tail -n 1 "$dir/order")
		fail "$name: after ${last#*/} a device is lost ($(xargs <"$dir/lost")): the run ends there," \
			"$(($(wc -w <"$dir/programs") - $(wc -l <"$dir/order"))) programs have not run"
	elif [ -s "$dir/died" ]; then
		fail "$name: $(cat "$dir/died") for the second time"
	elif [ -s "$dir/hung" ]; then
		fail "$name: $(cat "$dir/hung"), its console tells where$(last_words "$dir")"
	elif [ "$status" = 124 ]; then
		fail "$name: the guest did not end in time"
	elif [ ! -e "$dir/ended" ]; then
		fail "$name: the guest ended before its tests did, see above$(last_words "$dir")"
	elif [ "$status" != 0 ]; then
		fail "$name: the kernel complained, see above$(complaint "$dir")"
	fi
}

finish_entry() {
	local i=$1 dir=${entry_of[$1,dir]} name=${entry_of[$1,name]} last

	last=$dir
	note "tests: $name"
	cat "$dir/log"
	if [ -s "$dir/died" ]; then
		deaths+=("$(cat "$dir/died") (machine ${entry_of[$i,machine]}, kernel ${entry_of[$i,kernel]}):\
 what it had not done was run once more")
		last=$dir/again
		cat "$last/log"
	fi
	print_failures "$dir/failures"
	tell_end "$last" "$name"
	[ -s "$dir/results" ] || fail "$name: no results"
	count "$dir/results" "$name"
	# A test may skip what a machine does not have; most of them skipping is a defect.
	if [ "$(grep -c '^pass own:' "$dir/results")" -lt "$(grep -c '^skip own:' "$dir/results")" ]; then
		fail "$name: most tests were skipped"
	fi
	awk -v n="$name" '{ c[$1]++ } END { printf "%s:", n; for (r in c) printf " %d %s", c[r], r; print "" }' \
		"$dir/results"
	grep '^skip' "$dir/results" | sed "s/^/    /" || true
}

# Waits for any guest to end.
reap_entry() {
	local pid i

	wait -n -p pid "${!running[@]}" || true
	i=${running[$pid]}
	unset "running[$pid]"
	finish_entry "$i"
}

run_matrix() {
	local i missing
	local -A running=()

	for ((i = 0; i < entries; i++)); do
		missing=$(missing_programs "$i")
		if [ -n "$missing" ]; then
			fail "${entry_of[$i,name]}: not run, there is no test $missing"
			continue
		fi
		while [ "${#running[@]}" -ge "$guests" ]; do
			reap_entry
		done
		note "starting: ${entry_of[$i,name]}"
		run_entry "$i" &
		running[$!]=$i
	done
	while [ "${#running[@]}" -gt 0 ]; do
		reap_entry
	done
	print_times
}

# Where the time went: of each guest the sum, and the slowest subtests.
print_times() {
	local i dir

	echo "seconds (all of it; booting; programs, and their subtests), and the slowest subtests:"
	for ((i = 0; i < entries; i++)); do
		dir=${entry_of[$i,dir]}
		[ -e "$dir/ended" ] || continue
		sort -rn "$dir/durations" | awk -v name="${entry_of[$i,name]}" -v all="$(cat "$dir/seconds")" \
			-v boot="$(cat "$dir/began")" -v ended="$(cat "$dir/ended")" '
			{ sum += $1; sub(/igt@/, "", $2); sub(/^own:/, "", $2) }
			NR <= 5 { slow = slow "\n    " $1 " " $2 }
			END { printf "  %s: %d; %d; %d, %d%s\n", name, all, boot, ended - boot, sum, slow }'
	done
}

# Prints the sum as the last line; the status is that of all.
finish() {
	note "done"
	if [ "${#deaths[@]}" -gt 0 ]; then
		echo "emulators that died:"
		printf '  %s\n' "${deaths[@]}"
	fi
	if [ "${#failures[@]}" -gt 0 ]; then
		echo "failed:"
		printf '  %s\n' "${failures[@]}"
	fi
	if [ -n "$(ls "$work")" ]; then
		echo "logs and consoles of all guests: $work"
	fi
	echo "$passed passed, $failed failed, $skipped skipped"
	[ "$failed" = 0 ]
}
