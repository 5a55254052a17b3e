# SPDX-License-Identifier: MIT
# shellcheck shell=bash
# shellcheck disable=SC2154 # cache and work are others'
# Line coverage of the modules, summed up over guests.

least_coverage=90

# coverage RELEASE DIR...: each DIR is what a guest left of gcov's data
coverage() {
	local release=$1 all=$work/gcov dir

	shift
	mkdir -p "$all/run0"
	for dir in "$@"; do
		cp -a "$dir" "$all/run$(find "$all" -mindepth 1 -maxdepth 1 | wc -l)"
	done
	# shellcheck disable=SC2016 # for the inner shell
	in_root "$all" bash -ec '
		cd /mnt
		rmdir run0
		set -- run*
		cp -a "$1" sum
		shift
		for run; do
			gcov-tool merge -o next sum "$run"
			rm -rf sum
			mv next sum
		done
	' >&2
	(cd "$cache/build/$release" && find exporter importer -name '*.gcno' -print0 |
		rsync -a --from0 --files-from=- ./ "$all/sum/")
	rsync -a "$cache/build/$release/exporter" "$cache/build/$release/importer" "$all/src/"
	# shellcheck disable=SC2016 # for the inner shell
	in_root "$all" bash -c '
		# Where it finds the sources.
		cd /mnt/src
		for d in exporter importer importer/ioctl importer/verbs; do
			gcov -o "/mnt/sum/$d" /mnt/sum/"$d"/*.gcda 2>/dev/null
		done
	' >"$all/report"
	echo "never reached:"
	print_uncovered "$all/src"
	print_coverage "$all/report"
}

# Per file and in sum; fails below the least that is wanted.
print_coverage() {
	awk -v least="$least_coverage" '
		/^File / { file = ""; if (match($0, /(exporter|importer|ioctl|verbs)\/v[a-z_]*\.c/))
			file = substr($0, RSTART, RLENGTH) }
		/^Lines executed:/ && file != "" {
			split($2, part, /[:%]/)
			n = $NF
			printf "%6.1f %% of %4d  %s\n", part[2], n, file
			done += part[2] * n / 100
			lines += n
			file = ""
		}
		END {
			printf "%6.1f %% of %4d  all modules\n", lines ? 100 * done / lines : 0, lines
			exit !lines || 100 * done / lines < least
		}
	' "$1"
}

# Lines that nobody reached, as FILE: FIRST-LAST...
print_uncovered() {
	local file

	for file in "$1"/*.c.gcov; do
		awk -F: -v name="$(basename "$file" .gcov)" '
			function end() { if (first) out = out " " first (last > first ? "-" last : "") }
			$1 ~ /#####/ { n = $2 + 0; if (n != last + 1 || !first) { end(); first = n } last = n }
			$1 !~ /#####|-$/ { end(); first = 0 }
			END { end(); if (out && name ~ /^v(vram|rnic)_/) print "    " name ":" out }
		' "$file"
	done
}
