package io.verdier.verticles.launch;

import io.verdier.conf.ServerConfig;
import io.verdier.conf.ServerConfig.BackendKind;
import io.verdier.conf.ServerConfig.DataType;
import io.verdier.engine.backend.Backend;
import io.verdier.engine.backend.Rank;
import io.verdier.engine.backend.cpu.CpuBackend;
import io.verdier.engine.backend.cpu.CpuBackends;
import io.verdier.engine.backend.cuda.Cuda;
import io.verdier.engine.backend.cuda.CudaBackend;
import io.verdier.engine.backend.cuda.CudaException;
import io.verdier.engine.model.ModelException;
import io.verdier.engine.weights.DType;
import java.nio.file.Path;
import java.util.List;
import java.util.Optional;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/** Chooses the device that computes, and says which it is. Stateless. */
final class BackendOpener {
  private static final Logger LOG = LoggerFactory.getLogger(BackendOpener.class);

  private BackendOpener() {}

  /**
   * The device that the configuration asks for; closed by whoever gets it.
   *
   * @param own what an engine gets of what was asked for
   * @param weights type of the checkpoint's matrices
   * @param form kernels of the CPU backend, if it computes in Java
   * @param rank which of several devices, or whose share of the CPU's threads
   */
  static Backend open(
      ServerConfig config,
      ServerConfig.Backend own,
      DType weights,
      CpuBackend.KernelForm form,
      Rank rank) {
    if (usesGpu(config)) {
      Optional<Backend> gpu = gpu(config, own, rank);
      if (gpu.isPresent()) {
        noticeRounding(config, weights);
        return gpu.get();
      }
    }
    noticeGpuFlags(config);
    try {
      Backend backend = CpuBackends.open(own, weights, form, rank);
      LOG.info("CPU backend: {} threads{}, {}", backend.threads(), of(rank), backend.description());
      return backend;
    } catch (IllegalArgumentException refused) {
      throw new ModelException(String.valueOf(refused.getMessage()), refused);
    }
  }

  /** Never silently: more bits were stored, or asked for, than a GPU computes with. */
  private static void noticeRounding(ServerConfig config, DType weights) {
    if (weights != DType.BF16) {
      LOG.warn(
          "{} {} on a GPU: it computes in bfloat16, with sums in float32. Weights with more bits"
              + " are rounded at load.",
          config.model().dtype() == DataType.AUTO ? "The checkpoint's" : "--dtype",
          weights.word());
    }
  }

  /** Where the configuration itself could not know that there is no GPU. */
  private static void noticeGpuFlags(ServerConfig config) {
    CudaBackend.Options usual = CudaBackend.Options.defaults();
    if (config.backend().kind() != BackendKind.AUTO) {
      return;
    }
    if (config.backend().gpu().memoryShare() != usual.memoryShare()) {
      LOG.info("--gpu-memory-utilization has no effect without a GPU");
    }
    if (config.backend().gpu().eager() != usual.eager()) {
      LOG.info("--enforce-eager has no effect without a GPU");
    }
  }

  private static String of(Rank rank) {
    return rank.isAlone() ? "" : " (%d of %d)".formatted(rank.index() + 1, rank.size());
  }

  private static boolean usesGpu(ServerConfig config) {
    if (config.backend().kind() == BackendKind.AUTO) {
      Optional<String> obstacle = Cuda.obstacle();
      obstacle.ifPresent(reason -> LOG.debug("No GPU is used: {}", reason));
      return obstacle.isEmpty();
    }
    return config.backend().kind() == BackendKind.CUDA;
  }

  /** Empty where none can be used and none was asked for by name. */
  private static Optional<Backend> gpu(ServerConfig config, ServerConfig.Backend own, Rank rank) {
    try {
      Path natives = config.cache().directory().resolve("native");
      CudaBackend.Options options = CudaBackend.Options.of(own);
      List<Integer> devices = own.gpu().devices();
      int device = devices.isEmpty() ? rank.index() : devices.get(rank.index());
      Backend backend = Cuda.open(device, natives, options);
      LOG.info("GPU backend{}: {}", of(rank), backend.description());
      return Optional.of(backend);
    } catch (CudaException refused) {
      // Who asks for several GPUs or a certain one would not call the CPU a way out.
      boolean asked = !rank.isAlone() || !own.gpu().devices().isEmpty();
      if (config.backend().kind() == BackendKind.AUTO && !asked) {
        LOG.warn("{} Computing on the CPU instead.", refused.getMessage());
        return Optional.empty();
      }
      throw new ModelException(
          refused.getMessage() + " Start with --backend cpu to do without.", refused);
    }
  }
}
