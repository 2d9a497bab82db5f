package io.verdier.engine.backend.cpu;

import java.util.Locale;
import java.util.Set;

/**
 * An instruction set that the C kernels were compiled for, best first. Immutable.
 *
 * <p>Answers are the same to the bit for everything but the level: bfloat16 products round
 * differently in tiles, in {@code vdpbf16ps} and in fused multiply-adds.
 */
public enum KernelLevel {
  /** Tiles of 16 by 16 products besides all of AVX-512. */
  AMX(
      "x86_64",
      "avx512f avx512bw avx512dq avx512vl avx512_vnni avx512_bf16 amx_tile amx_bf16 amx_int8"),
  /** With dot products of bytes and of bfloat16. */
  AVX512("x86_64", "avx512f avx512bw avx512dq avx512vl avx512_vnni avx512_bf16"),
  /** With fused multiply-add; bfloat16 is widened, bytes multiplied as 16-bit numbers. */
  AVX2("x86_64", "avx2 fma f16c"),
  /** 64-bit ARM with dot products of bytes. */
  NEON("aarch64", "asimddp");

  private final String machine;
  private final String flags;

  KernelLevel(String machine, String flags) {
    this.machine = machine;
    this.flags = flags;
  }

  String machine() {
    return machine;
  }

  /** What {@code /proc/cpuinfo} calls the instructions that are needed. */
  Set<String> flags() {
    return Set.of(flags.split(" "));
  }

  /** As the operator writes it. */
  public String word() {
    return name().toLowerCase(Locale.ROOT);
  }
}
