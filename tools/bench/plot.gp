# SPDX-License-Identifier: MIT
# gnuplot: from the folder with report's data.
set terminal svg size 720,440 font "sans,12"
set grid
set logscale x 2
set xlabel "bytes"
set ylabel "bytes a second (of the emulated machine)"
set key left top
set output "migrate-to-vram.svg"
set title "Moves to VRAM"
plot "migrate-to-vram.dat" using 1:($1*1e9/$2) with linespoints title "vvram", \
     "" using 1:($1*1e9/$3) with linespoints title "memcpy", \
     "" using 1:($1*1e9/$4) with linespoints title "TTM's copy"
set output "migrate-from-vram.svg"
set title "Moves from VRAM"
plot "migrate-from-vram.dat" using 1:($1*1e9/$2) with linespoints title "vvram", \
     "" using 1:($1*1e9/$3) with linespoints title "memcpy", \
     "" using 1:($1*1e9/$4) with linespoints title "TTM's copy"
unset logscale
set output "notify.svg"
set title "A move of 4 KiB under idle attachments"
set xlabel "attachments"
set ylabel "nanoseconds (of the emulated machine)"
plot "notify.dat" using 1:2 with linespoints notitle
