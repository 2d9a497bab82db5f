package io.verdier.engine.backend.cpu;

import io.verdier.conf.ServerConfig;
import io.verdier.conf.ServerConfig.CpuKernels;
import io.verdier.conf.ServerConfig.KvFormat;
import io.verdier.conf.ServerConfig.Quantization;
import io.verdier.engine.backend.Backend;
import io.verdier.engine.backend.Rank;
import io.verdier.engine.weights.DType;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import java.util.OptionalInt;

/**
 * Chooses how the processor computes. Stateless.
 *
 * <pre>
 *   weights                  C kernels of the best level          in Java
 *   bfloat16                 bfloat16 inputs, bfloat16 cache      float32
 *   quantized at load        bytes, bfloat16 cache                refused
 *   float16, float32         (more bits than bfloat16 has)        float32
 * </pre>
 */
public final class CpuBackends {
  private CpuBackends() {}

  /**
   * The backend that the configuration asks for.
   *
   * @param weights type of the checkpoint's matrices
   * @param form kernels to begin with where Java computes
   * @param rank whose share of the threads it gets, at least one
   * @throws IllegalArgumentException if it cannot be had on this machine, in words for the operator
   */
  public static Backend open(
      ServerConfig.Backend config, DType weights, CpuBackend.KernelForm form, Rank rank) {
    int threads = Math.max(1, rank.share(config.threads().orElseGet(CpuTopology::cores)));
    Quantization quantization = config.quantization();
    if (config.kvFormat() == KvFormat.FP8) {
      throw new IllegalArgumentException(
          "--kv-cache-dtype fp8 is for GPUs; the CPU's cache is bfloat16 or float32. Leave the flag"
              + " out.");
    }
    if (config.kernels() == CpuKernels.JAVA) {
      requireNone(quantization, "--cpu-kernels is java");
      return new CpuBackend(OptionalInt.of(threads), form).because("asked for by --cpu-kernels");
    }
    if (quantization == Quantization.NONE && weights != DType.BF16) {
      return new CpuBackend(OptionalInt.of(threads), form)
          .because("weights are " + weights + ", of which bfloat16 would lose bits");
    }
    List<String> missing = new ArrayList<>();
    Optional<KernelLibrary> library = library(config.kernels(), missing);
    if (library.isEmpty()) {
      String why = String.join("; ", missing);
      requireNone(quantization, why);
      return new CpuBackend(OptionalInt.of(threads), form).because(why);
    }
    String reason =
        config.kernels() == CpuKernels.AUTO
            ? missing.isEmpty() ? "best for this processor" : String.join("; ", missing)
            : "asked for by --cpu-kernels";
    return new NativeBackend(library.get(), format(quantization), threads, reason);
  }

  /** The level asked for, or else the best one that can be had. */
  static Optional<KernelLibrary> library(CpuKernels asked, List<String> missing) {
    for (KernelLevel level : KernelLevel.values()) {
      boolean tried = asked == CpuKernels.AUTO && KernelChoice.isForThisMachine(level);
      if (tried || level.name().equals(asked.name())) {
        KernelChoice.Found found = KernelChoice.find(level);
        if (found.library().isPresent()) {
          return found.library();
        }
        if (asked != CpuKernels.AUTO) {
          throw new IllegalArgumentException(
              "--cpu-kernels " + level.word() + ": " + found.reason() + ". Leave the flag out.");
        }
        missing.add("no " + level.word() + ": " + found.reason());
      }
    }
    return Optional.empty();
  }

  private static WeightFormat format(Quantization quantization) {
    return switch (quantization) {
      case NONE -> WeightFormat.BF16;
      case FP8 ->
          throw new IllegalArgumentException(
              "--quantization fp8 is for GPUs. On the CPU, int8 has as many bits.");
      case INT8 -> WeightFormat.INT8;
      case INT4 -> WeightFormat.INT4;
    };
  }

  private static void requireNone(Quantization quantization, String why) {
    if (quantization != Quantization.NONE) {
      throw new IllegalArgumentException(
          "--quantization needs the kernels in C (" + why + "). Leave the flag out.");
    }
  }
}
