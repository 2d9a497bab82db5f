#!/bin/sh
# Compiles the kernels into one fat binary: build.sh OUTPUT "sm_90a sm_80 ..."
# An architecture is the machine code of one generation of GPUs (sm_90a), PTX for those to come (compute_90), or "native": this
# machine's GPU, and sm_90a where there is none.
# VERDIER_CUDA_KERNELS names a fat binary that was compiled before, as in the container image's build: it is taken as it is.
# Without nvcc, or for "none", there is no output, and the jar has no GPU code: it says so when somebody asks for a GPU.
set -eu
sources=$(cd "$(dirname "$0")" && pwd)
output=$1
architectures=$2

if [ -n "${VERDIER_CUDA_KERNELS:-}" ]; then
  mkdir -p "$(dirname "$output")"
  cp "$VERDIER_CUDA_KERNELS" "$output"
  exit 0
fi

nvcc=${NVCC:-$(command -v nvcc || ls /usr/local/cuda/bin/nvcc 2>/dev/null || true)}
if [ -z "$nvcc" ] || [ "$architectures" = none ]; then
  rm -f "$output" "$output.sum"
  echo "CUDA kernels: $([ -n "$nvcc" ] && echo not wanted || echo nvcc was not found); this build will have no GPU code."
  exit 0
fi

if [ "$architectures" = native ]; then
  capability=$(nvidia-smi --query-gpu=compute_cap --format=csv,noheader 2>/dev/null | head -1 | tr -d '. ' || true)
  case ${capability:-90} in
    90) architectures=sm_90a ;;
    *) architectures=sm_$capability ;;
  esac
fi

# Hopper's wgmma is in sm_90a only. (PTX for it would run nowhere else.)
architectures=$(printf '%s' "$architectures" | sed 's/sm_90\($\| \)/sm_90a\1/g')

# What was compiled from the same sources for the same architectures is not compiled again.
sum=$({ cat "$sources"/*.cu "$sources"/*.cuh "$sources"/*.h "$sources"/build.sh; echo "$architectures"; "$nvcc" --version; } | cksum)
if [ -f "$output" ] && [ "$(cat "$output.sum" 2>/dev/null)" = "$sum" ]; then
  exit 0
fi

targets=
for architecture in $architectures; do
  case $architecture in
    sm_*) targets="$targets -gencode arch=compute_${architecture#sm_},code=$architecture" ;;
    compute_*) targets="$targets -gencode arch=$architecture,code=$architecture" ;;
    *) echo "CUDA kernels: $architecture is neither sm_NN nor compute_NN" >&2; exit 1 ;;
  esac
done
mkdir -p "$(dirname "$output")"
echo "CUDA kernels: compiling for $architectures"
# shellcheck disable=SC2086 # the targets are words of their own
"$nvcc" -std=c++17 -O3 --fatbin --threads 2 $targets -o "$output.part" "$sources/kernels.cu"
mv "$output.part" "$output"
echo "$sum" >"$output.sum"
