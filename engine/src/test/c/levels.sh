#!/bin/sh
# Compares the kernels of AVX2 with those of NEON, cross-compiled and emulated, bit by bit.
# Needs gcc, aarch64-linux-gnu-gcc and qemu-aarch64; by hand, since few machines have all three.
set -eu
cd "$(dirname "$0")"
flags="-std=gnu17 -O3 -ffp-contract=off -fno-math-errno -Wall -Wextra"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
# shellcheck disable=SC2086  # flags are words
gcc $flags -mavx2 -mfma -mf16c ../../main/c/*.c levels.c -o "$work/avx2" -lm
# shellcheck disable=SC2086
aarch64-linux-gnu-gcc $flags -static -march=armv8.2-a+dotprod ../../main/c/*.c levels.c -o "$work/neon" -lm
"$work/avx2" >"$work/avx2.txt"
qemu-aarch64 -cpu max "$work/neon" >"$work/neon.txt"
diff "$work/avx2.txt" "$work/neon.txt"
for format in 0 1 2; do
  for columns in 100 600 2400; do
    firsts=$(grep "^format $format columns $columns rows" "$work/neon.txt" | sed 's/.*first //' | sort -u | wc -l)
    [ "$firsts" -eq 1 ] || { echo "format $format: the first row depends on the others"; exit 1; }
  done
done
echo "AVX2 and NEON agree in $(wc -l <"$work/neon.txt") results."
