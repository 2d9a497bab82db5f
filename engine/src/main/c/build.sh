#!/bin/sh
# Compiles the kernels, one shared library per instruction set level: build.sh OUTPUT-DIRECTORY
#
# The compiler is $CC, else gcc, clang or cc from the PATH. Without one, or where it does not know a
# level, the build says so and goes on: the server then computes in Java, or with the level below.
set -eu
here=$(dirname "$0")
out=$1
found=
for candidate in ${CC:-gcc clang cc}; do
  if command -v "$candidate" >/dev/null 2>&1; then
    found=$candidate
    break
  fi
done
if [ -z "$found" ]; then
  echo "CPU kernels: no C compiler (\$CC, gcc, clang, cc); the server will compute in Java."
  exit 0
fi

os=$(uname -s | tr '[:upper:]' '[:lower:]')
machine=$(uname -m)
case $machine in
  x86_64 | amd64) arch=x86_64 levels="avx2 avx512 amx" ;;
  aarch64 | arm64) arch=aarch64 levels="neon" ;;
  *)
    echo "CPU kernels: none for $machine; the server will compute in Java."
    exit 0
    ;;
esac

# -ffp-contract=off: a sum's operations must not depend on how a compiler likes to fuse them.
common="-std=gnu17 -O3 -fPIC -shared -fvisibility=hidden -ffp-contract=off -fno-math-errno -Wall -Wextra"
flags() {
  case $1 in
    avx2) echo "-mavx2 -mfma -mf16c" ;;
    avx512) echo "-mavx512f -mavx512bw -mavx512dq -mavx512vl -mavx512vnni -mavx512bf16 -mfma -mf16c" ;;
    amx) echo "$(flags avx512) -mamx-tile -mamx-bf16 -mamx-int8" ;;
    neon) echo "-march=armv8.2-a+dotprod" ;;
  esac
}

mkdir -p "$out/$os-$arch"
for level in $levels; do
  target=$out/$os-$arch/libverdier-$level.so
  newest=$(ls -t "$here"/* "$target" 2>/dev/null | head -1)
  [ "$newest" = "$target" ] && continue # nothing changed since
  # shellcheck disable=SC2046,SC2086  # flags are words
  if "$found" $common $(flags "$level") "$here"/*.c -o "$target.part" -lm 2>"$out/$level.log"; then
    mv "$target.part" "$target"
    rm -f "$out/$level.log"
    echo "CPU kernels: $level compiled by $found"
  else
    echo "CPU kernels: $found cannot compile $level, so it is left out:"
    head -5 "$out/$level.log"
    rm -f "$target" "$target.part" "$out/$level.log"
  fi
done
