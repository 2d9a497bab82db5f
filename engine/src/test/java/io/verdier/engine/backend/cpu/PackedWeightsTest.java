package io.verdier.engine.backend.cpu;

import static org.assertj.core.api.Assertions.assertThat;

import io.verdier.engine.backend.PackedPlace;
import io.verdier.engine.backend.Rank;
import io.verdier.engine.weights.Checkpoint;
import io.verdier.engine.weights.DType;
import io.verdier.engine.weights.DummyWeights;
import io.verdier.engine.weights.SafetensorsWriter;
import io.verdier.engine.weights.WeightMap;
import java.io.IOException;
import java.lang.foreign.ValueLayout;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.attribute.FileTime;
import java.time.Instant;
import java.util.ArrayList;
import java.util.Collections;
import java.util.HexFormat;
import java.util.List;
import java.util.Optional;
import java.util.stream.Stream;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** When weights come from a file, and when they are packed. */
class PackedWeightsTest {
  @TempDir Path directory;
  @TempDir Path packed;
  private KernelLevel level = KernelLevel.AVX2;

  @BeforeEach
  void checkpoint() throws IOException {
    level = NativeLevels.available().stream().findFirst().orElse(KernelLevel.AVX2);
    NativeLevels.require(level);
    write(1);
  }

  @Test
  void takeOver_sameMatrices_comeFromTheFile() {
    List<String> first = take(false, "a", "b");

    assertThat(take(true, "b", "a")).containsExactly(first.get(1), first.get(0));
    assertThat(take(true, "b")).containsExactly(first.get(1));
  }

  @Test
  void takeOver_oneMatrixMore_isPackedAndKeptWithTheOthers() {
    List<String> first = take(false, "a", "b");

    assertThat(take(false, "a", "b", "c").subList(0, 2)).isEqualTo(first);
    assertThat(take(true, "a", "b", "c").subList(0, 2)).isEqualTo(first);
  }

  /** As with tools that give all files one time, and models of one shape. */
  @Test
  void takeOver_otherWeightsOfSameSizeAndTime_arePacked() throws IOException {
    List<String> first = take(false, "a");
    write(2);

    assertThat(take(false, "a")).isNotEqualTo(first);
  }

  @Test
  void takeOver_checkpointMoved_isPackedOnceMore() throws IOException {
    take(false, "a");
    Path moved = Files.createDirectory(directory.resolve("moved"));
    Files.move(directory.resolve(WeightMap.SINGLE_FILE), moved.resolve(WeightMap.SINGLE_FILE));
    directory = moved;

    take(false, "a");
    take(true, "a");
    assertThat(packed).isDirectoryNotContaining("glob:**.part");
    try (Stream<Path> files = Files.list(packed)) {
      assertThat(files).hasSize(1);
    }
  }

  private void write(float first) throws IOException {
    SafetensorsWriter file = new SafetensorsWriter();
    for (String name : List.of("a", "b", "c")) {
      float[] values = new float[33 * 5];
      for (int i = 0; i < values.length; i++) {
        values[i] = first + i;
      }
      file.add(name, DType.BF16, values, 33, 5);
    }
    Path path = Files.write(directory.resolve(WeightMap.SINGLE_FILE), file.bytes());
    Files.setLastModifiedTime(path, FileTime.from(Instant.ofEpochSecond(99)));
  }

  private List<String> take(boolean fromFile, String... names) {
    try (WeightMap weights = WeightMap.open(directory);
        NativeBackend backend =
            new NativeBackend(NativeLevels.require(level), WeightFormat.INT8, 2, "test", 0)) {
      Checkpoint checkpoint = weights.checkpoint().orElseThrow();
      PackedPlace place = new PackedPlace(packed, checkpoint, Rank.ALONE);
      List<String> taken =
          backend.takeOver(
              Optional.of(place),
              () -> {
                List<String> matrices = new ArrayList<>();
                for (String name : names) {
                  NativeMatrix matrix =
                      backend.matrix(
                          List.of(weights.tensor(name, 33, 5)), Collections.singletonList(null));
                  matrices.add(
                      HexFormat.of().formatHex(matrix.data().toArray(ValueLayout.JAVA_BYTE)));
                }
                return matrices;
              });
      backend.kept().awaitWriter();
      assertThat(backend.kept().isFromFile()).isEqualTo(fromFile);
      return taken;
    }
  }

  @Test
  void checkpoint_dummyWeights_isNone() {
    try (DummyWeights weights = new DummyWeights(DType.BF16)) {
      assertThat(weights.checkpoint()).isEmpty();
    }
  }
}
