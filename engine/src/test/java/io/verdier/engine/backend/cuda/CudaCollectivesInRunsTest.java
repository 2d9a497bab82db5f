package io.verdier.engine.backend.cuda;

import io.verdier.engine.backend.Backend;
import io.verdier.engine.backend.Collectives;
import io.verdier.engine.backend.Meeting;
import io.verdier.engine.backend.Rank;
import java.lang.foreign.Arena;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.condition.DisabledIfSystemProperty;

/** The same where a run is of a row or a few, as it is of many where rows are wide. */
@DisabledIfSystemProperty(named = "verdier.gpu", matches = "true")
class CudaCollectivesInRunsTest extends CudaCollectivesTest {
  private static final Arena ARENA = Arena.ofShared();
  private static final long BYTES = 1600; // two rows of 100 columns of each of two ranks

  @AfterAll
  static void freeArena() {
    ARENA.close();
  }

  @Override
  protected Collectives collectives(Backend backend, Rank rank, Meeting meeting) {
    CudaDriver driver = ((CudaBackend) backend).driver();
    return new CudaCollectives(driver, new Launch(ARENA), rank, meeting, BYTES);
  }
}
