package io.verdier.engine.backend.cpu;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.verdier.conf.ServerConfig;
import io.verdier.conf.ServerConfig.CpuKernels;
import io.verdier.conf.ServerConfig.KvFormat;
import io.verdier.conf.ServerConfig.Quantization;
import io.verdier.engine.backend.Backend;
import io.verdier.engine.backend.Rank;
import io.verdier.engine.weights.DType;
import java.time.Duration;
import java.util.List;
import java.util.OptionalInt;
import java.util.Set;
import org.junit.jupiter.api.Assumptions;
import org.junit.jupiter.api.Test;

class KernelChoiceTest {

  @Test
  void problem_byProcessor_namesWhatIsMissing() {
    Set<String> old = Set.of("avx2", "fma");
    assertThat(KernelChoice.problem(KernelLevel.AVX2, "x86_64", old))
        .isEqualTo("the processor lacks f16c");
    assertThat(KernelChoice.problem(KernelLevel.AVX2, "x86_64", KernelLevel.AVX2.flags()))
        .isEmpty();
    assertThat(KernelChoice.problem(KernelLevel.NEON, "x86_64", old))
        .isEqualTo("for another kind of processor");
  }

  @Test
  void cpuFlags_linesOfLinux_findsThem() {
    assertThat(KernelChoice.cpuFlags(List.of("processor\t: 0", "flags\t\t: fpu avx2", "flags: x")))
        .containsExactlyInAnyOrder("fpu", "avx2");
    assertThat(KernelChoice.cpuFlags(List.of("Features\t: fp asimddp"))).contains("asimddp");
    assertThat(KernelChoice.cpuFlags(List.of())).isEmpty();
  }

  @Test
  void open_typesAndFlags_chooseWhatTheyNeed() {
    Assumptions.assumeFalse(NativeLevels.available().isEmpty(), "no kernels in C here");
    KernelLevel best = NativeLevels.available().getFirst();
    assertThat(description(CpuKernels.AUTO, Quantization.NONE, DType.BF16))
        .startsWith(best.word() + " kernels, bfloat16 weights");
    assertThat(description(CpuKernels.AUTO, Quantization.INT4, DType.F16))
        .startsWith(best.word() + " kernels, int4 weights");
    assertThat(description(CpuKernels.AUTO, Quantization.NONE, DType.F16))
        .startsWith("Java kernels, float32 (weights are F16");
    assertThat(description(CpuKernels.JAVA, Quantization.NONE, DType.BF16))
        .isEqualTo("Java kernels, float32 (asked for by --cpu-kernels)");
  }

  @Test
  void open_quantizedInJava_isRefused() {
    assertThatThrownBy(() -> description(CpuKernels.JAVA, Quantization.INT8, DType.BF16))
        .hasMessage(
            "--quantization needs the kernels in C (--cpu-kernels is java). Leave the flag out.");
  }

  @Test
  void open_cacheOfEightBits_isRefused() {
    assertThatThrownBy(
            () -> description(CpuKernels.AUTO, Quantization.NONE, DType.BF16, KvFormat.FP8))
        .hasMessageStartingWith("--kv-cache-dtype fp8 is for GPUs");
  }

  private static String description(CpuKernels kernels, Quantization quantization, DType type) {
    return description(kernels, quantization, type, KvFormat.OWN);
  }

  private static String description(
      CpuKernels kernels, Quantization quantization, DType type, KvFormat kvFormat) {
    ServerConfig.Backend config =
        new ServerConfig.Backend(
            ServerConfig.BackendKind.CPU,
            OptionalInt.of(1),
            kernels,
            quantization,
            kvFormat,
            new ServerConfig.Gpu(0.92, false, List.of()),
            1,
            1,
            Duration.ZERO);
    try (Backend backend =
        CpuBackends.open(config, type, CpuBackend.KernelForm.SCALAR, Rank.ALONE)) {
      return backend.description();
    }
  }
}
