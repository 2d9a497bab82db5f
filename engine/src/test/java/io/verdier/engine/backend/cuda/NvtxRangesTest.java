package io.verdier.engine.backend.cuda;

import static java.lang.foreign.ValueLayout.ADDRESS;
import static org.assertj.core.api.Assertions.assertThat;

import io.verdier.engine.backend.AttentionBatch;
import io.verdier.engine.backend.Backend.KvShape;
import io.verdier.engine.backend.KvStorage;
import io.verdier.engine.backend.cuda.Ranges.Kind;
import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.FunctionDescriptor;
import java.lang.foreign.Linker;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.SymbolLookup;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import org.junit.jupiter.api.Assumptions;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.CleanupMode;
import org.junit.jupiter.api.io.TempDir;

/** What a profiler sees: here it is a library that writes down which ranges begin and end. */
class NvtxRangesTest {
  /** As a profiler attaches: it asks for the tables, checks them, and sets two functions. */
  private static final String PROFILER =
      """
      #include <stddef.h>
      #include <string.h>
      typedef void (*function)(void);
      struct callbacks { size_t size; int (*table)(int, function***, unsigned*); };
      struct version { size_t size; unsigned version, reserved; void (*set)(unsigned); };
      static char seen[4096];
      const char *recorded(void) { return seen; }
      static int push(const char *name) { strcat(strcat(seen, name), "("); return 0; }
      static int pop(void) { strcat(seen, ")"); return 0; }
      int InitializeInjectionNvtx2(const void *(*get)(unsigned)) {
        const struct version *version = get(3);
        const struct callbacks *callbacks = get(1);
        if (get(7) || !version || version->size != 24 || version->version != 3) return 0;
        if (!callbacks || callbacks->size != 16) return 0;
        version->set(3);
        function **table = 0;
        unsigned count = 0;
        unsigned counts[] = {0, 16, 9, 15, 7, 16, 7};
        if (callbacks->table(0, &table, &count) || callbacks->table(7, &table, &count)) return 0;
        for (int module = 6; module > 0; module--) {
          if (!callbacks->table(module, &table, &count) || count != counts[module]) return 0;
          for (unsigned i = 1; i < count; i++) *table[i] = 0;
          if (table[0] || table[count]) return 0;
        }
        *table[9] = (function) push;
        *table[11] = (function) pop;
        return 1;
      }
      """;

  // A loaded library stays, and so must its file.
  @TempDir(cleanup = CleanupMode.NEVER)
  static Path directory;

  @Test
  void open_profilerAttached_isToldOfEveryRange() throws Throwable {
    Path library = compiled("profiler", PROFILER);
    Ranges ranges = NvtxRanges.attach(library.toString()).orElseThrow();
    try (Ranges.Range step = ranges.open(Kind.STEP);
        Ranges.Range product = ranges.open(Kind.PRODUCT)) {
      assertThat(step).isSameAs(product);
    }
    assertThat(recorded(library)).isEqualTo("verdier step(verdier product())");
  }

  @Test
  void attach_whatIsNoProfiler_marksNothing() throws Exception {
    Path refusing =
        compiled("refusing", "int InitializeInjectionNvtx2(void *get) { return get == 0; }");
    Path other = compiled("other", "int something(void) { return 1; }");
    for (String library : List.of(refusing.toString(), other.toString(), "/no/such/library.so")) {
      assertThat(NvtxRanges.attach(library)).isEqualTo(Optional.empty());
      assertThat(Ranges.of(Map.of(Ranges.LIBRARY_VARIABLE, library))).isSameAs(Ranges.NONE);
    }
    assertThat(Ranges.of(Map.of())).isSameAs(Ranges.NONE);
  }

  @Test
  void step_capturedAndNot_isMarkedAsAWholeAndInKinds() {
    List<String> seen = new ArrayList<>();
    Ranges noting =
        kind -> {
          seen.add(kind.name());
          return () -> seen.add("end");
        };
    for (boolean eager : new boolean[] {true, false}) {
      seen.clear();
      try (CudaBackend backend =
          new CudaBackend(
              TestCuda.emulation(),
              new CudaBackend.Options(eager, WeightFormat.BF16, CacheFormat.BF16, 0.9),
              noting)) {
        KvStorage storage = backend.kvStorage(new KvShape(1, 1, 1, 32, 16, 1));
        AttentionBatch batch = new AttentionBatch(4, 4);
        batch.add(position -> 0, 0, 1, new int[] {0});
        CudaTensor tensor = backend.tensor(4, 64);
        CudaOperand operand = backend.operand(4, 64);
        CudaGain gain = new CudaGain(64, backend.tensor(1, 64).address());
        tensor.select(0, 1);
        operand.select(0, 1);
        for (int i = 0; i < 2; i++) {
          backend.step(batch, storage, () -> backend.rmsNorm(operand, tensor, gain, 1e-5f));
        }
      }
      List<String> kinds = List.of("STEP", "NORM", "end", "end");
      List<String> again = eager ? kinds : List.of("STEP", "end");
      List<String> all = new ArrayList<>(kinds);
      all.addAll(again);
      assertThat(seen).isEqualTo(all);
    }
  }

  private static String recorded(Path library) throws Throwable {
    MemorySegment function =
        SymbolLookup.libraryLookup(library, Arena.global()).find("recorded").orElseThrow();
    MemorySegment text =
        (MemorySegment)
            Linker.nativeLinker()
                .downcallHandle(function, FunctionDescriptor.of(ADDRESS))
                .invokeExact();
    return text.reinterpret(4096).getString(0);
  }

  private static Path compiled(String name, String source)
      throws IOException, InterruptedException {
    Path file = directory.resolve(name + ".c");
    Path library = directory.resolve("lib" + name + ".so");
    Files.writeString(file, source);
    try {
      Process compiler =
          new ProcessBuilder("cc", "-shared", "-fPIC", "-o", library.toString(), file.toString())
              .inheritIO()
              .start();
      assertThat(compiler.waitFor()).isZero();
    } catch (IOException none) {
      Assumptions.abort("no C compiler");
    }
    return library;
  }
}
