#!/bin/sh
# Everything that only a machine with an NVIDIA GPU can tell, with one command and in some minutes: docs/gpu-check.md.
# Needs nvcc and a JDK 25. Prints a table, leaves the details below engine/target/gpu-check, ends with 1 if something failed.
set -u
cd "$(dirname "$0")/../../../.."
out=engine/target/gpu-check
mkdir -p "$out"
failed=0

check() {
  name=$1
  shift
  if "$@" >"$out/$name.txt" 2>&1; then echo "ok      $name"; else echo "FAILED  $name (see $out/$name.txt)"; failed=1; fi
}

offline() {
  name=$1
  shift
  check "$name" ./verdier bench offline --model-config llama-3.1-8b --load-format dummy --backend cuda --repeat 3 \
    --json "$out/$name.json" "$@"
  grep -E 'Prefill \(|Decode \(|of probe|median|own work|idle|First token' "$out/$name.txt" | sed 's/^/          /'
}

compile() {
  nvcc -std=c++17 -O3 -arch=native -I engine/src/main/cuda "engine/src/test/cuda/$1.cu" -o "$out/$1"
}

nvidia-smi --query-gpu=name,driver_version,memory.total --format=csv,noheader
check build ./verdier build
check compile-matmul compile matmul_bench
check compile-attention compile attention_bench
check matmul "$out/matmul_bench"
check cublas python3 engine/src/test/cuda/cublas_rate.py
sed 's/^/          /' "$out/cublas.txt" | tail -1
check attention "$out/attention_bench"
check tests ./verdier test --gpu -pl engine -am -Dsurefire.failIfNoSpecifiedTests=false \
  -Dtest='CudaBackendTest*,CudaModelTest*,CudaSamplingTest,CudaSamplerTest*,CudaQuantizedTest*,CudaCacheFormatTest,CudaLoraTest,CudaBlockCopyTest,LoraModelTest,PlanAheadTest,PrefixTierTest,GuidedRunTest,ForcedRunTest,ThinkingRunTest,ComingModelTest,PipelineGoldenTest,PoolingTest,RankGoldenTest'
grep -hE '^blocks of|adapters of rank' "$out/tests.txt" | sed 's/^/          /'
if command -v compute-sanitizer >/dev/null; then
  check memcheck compute-sanitizer --error-exitcode 1 --tool memcheck --target-processes all \
    ./verdier test --gpu -pl engine -am -Dtest='CudaBackendTest*,CudaBlockCopyTest,LoraModelTest,PrefixTierTest' -Dsurefire.failIfNoSpecifiedTests=false
fi
offline decode-1 --batch 1 --context 128 --output-len 64
offline decode-64 --batch 64 --context 1024 --output-len 32
offline decode-256 --batch 256 --context 1024 --output-len 16
offline prefill-4k --batch 1 --input-len 4096 --output-len 2 --max-num-batched-tokens 4096
offline decode-1-8k --batch 1 --context 8192 --output-len 64
for format in fp8 int8 int4; do
  offline decode-1-$format --batch 1 --context 128 --output-len 64 --quantization $format
done
for rows in 64 0; do
  offline decode-64-adapters-$rows --batch 64 --context 1024 --output-len 32 --enable-lora --max-loras 8 --max-lora-rank 16 --lora-rows $rows
done
offline decode-64-not-ahead --batch 64 --context 1024 --output-len 32 --no-async-scheduling
offline prefix-tiers --prefix-tiers --kv-offloading-size 8 --input-len 4096 --output-len 4 --max-num-batched-tokens 4096
offline decode-64-fp8-cache --batch 64 --context 1024 --output-len 32 --kv-cache-dtype fp8
exit $failed
