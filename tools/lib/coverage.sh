# SPDX-License-Identifier: MIT
# shellcheck shell=bash
# shellcheck disable=SC2154 # cache and work are others'
# Line coverage of the modules, summed up over guests.

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
		mkdir -p /mnt/text
		cd /mnt/text
		for d in exporter importer; do
			gcov -o "/mnt/sum/$d" /mnt/sum/"$d"/*.gcda 2>/dev/null
		done
	' >"$all/report"
	print_coverage "$all/report"
}

print_coverage() {
	awk '
		/^File / { file = ""; if (match($0, /(exporter|importer)\/[a-z_\/]*\.c/))
			file = substr($0, RSTART, RLENGTH) }
		/^Lines executed:/ && file != "" {
			split($2, part, /[:%]/)
			n = $NF
			printf "%6.1f %% of %4d  %s\n", part[2], n, file
			done += part[2] * n / 100
			lines += n
			file = ""
		}
		END { if (lines) printf "%6.1f %% of %4d  both modules\n", 100 * done / lines, lines }
	' "$1" | sort -u -k 5
}
