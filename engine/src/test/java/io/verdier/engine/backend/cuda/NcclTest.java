package io.verdier.engine.backend.cuda;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.lang.foreign.Arena;
import java.lang.foreign.SymbolLookup;
import org.junit.jupiter.api.Assumptions;
import org.junit.jupiter.api.Test;

/** The library's symbols and what they answer without a group of GPUs. */
class NcclTest {

  @Test
  void load_libraryThere_bindsEverySymbol() {
    Assumptions.assumeTrue(isThere(), "no " + Nccl.LIBRARY + ": its symbols are not tested");
    Nccl nccl = Nccl.load();

    assertThat(nccl.version()).isGreaterThan(2400);
    assertThat(nccl.errorString(0)).isEqualTo("no error");
    assertThat(nccl.errorString(4)).isNotBlank();
  }

  @Test
  void load_libraryAbsent_saysWhichAndWhatToDo() {
    Assumptions.assumeFalse(isThere(), Nccl.LIBRARY + " is there");

    assertThatThrownBy(Nccl::load)
        .isInstanceOf(CudaException.class)
        .hasMessageContaining("libnccl.so.2 was not found")
        .hasMessageContaining("--tensor-parallel-size 1");
  }

  private static boolean isThere() {
    try (Arena arena = Arena.ofConfined()) {
      SymbolLookup.libraryLookup(Nccl.LIBRARY, arena);
      return true;
    } catch (IllegalArgumentException absent) {
      return false;
    }
  }
}
