package io.verdier.engine.backend.cuda;

import java.util.Map;
import java.util.Optional;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * Marks what the host is doing on a profiler's time line, above the kernels that it launches. Owned
 * by the executor thread; ranges lie within each other.
 *
 * <p>A step that was captured is one launch: of it there is the range of the whole step, and no
 * other. {@code --enforce-eager} shows the kinds in it.
 */
interface Ranges {
  /** Set by Nsight Systems and Nsight Compute for the program that they start. */
  String LIBRARY_VARIABLE = "NVTX_INJECTION64_PATH";

  /** Where nobody looks. */
  Ranges NONE = kind -> () -> {};

  /** What a range stands for. */
  enum Kind {
    STEP,
    EMBEDDING,
    NORM,
    PRODUCT,
    ADAPTERS,
    ATTENTION,
    LOGITS,
    SAMPLING
  }

  /** A range that lasts until it is closed. */
  interface Range extends AutoCloseable {
    @Override
    void close();
  }

  Range open(Kind kind);

  /** What the profiler that has started this process asks for, if there is one. */
  static Ranges of(Map<String, String> environment) {
    Logger log = LoggerFactory.getLogger(Ranges.class);
    String library = environment.get(LIBRARY_VARIABLE);
    if (library == null || library.isEmpty()) {
      return NONE;
    }
    Optional<Ranges> attached = NvtxRanges.attach(library);
    if (attached.isEmpty()) {
      log.warn("{} names no library that takes ranges: none are marked", LIBRARY_VARIABLE);
    } else {
      log.info("Steps are marked on the profiler's time line");
    }
    return attached.orElse(NONE);
  }
}
