package io.verdier.engine.weights;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.ValueLayout;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.Objects;
import java.util.Random;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

class SafetensorsFileTest {
  private static final long SEED = Long.getLong("seed", 4242);
  @TempDir Path directory;

  @Test
  void open_wellFormedFile_givesTensors() throws IOException {
    Path path = write(sample());
    try (Arena arena = Arena.ofConfined()) {
      SafetensorsFile file = SafetensorsFile.open(path, arena);
      assertThat(file.tensors()).containsOnlyKeys("a", "b", "c");
      StoredTensor a = Objects.requireNonNull(file.tensors().get("a"), "a");
      assertThat(a.shape()).containsExactly(2, 3);
      assertThat(a.rows()).isEqualTo(2);
      assertThat(a.columns()).isEqualTo(3);
      assertThat(a.data().get(ValueLayout.JAVA_FLOAT_UNALIGNED, 20)).isEqualTo(6f);
    }
  }

  @ParameterizedTest
  @CsvSource(
      delimiter = '|',
      quoteCharacter = '`',
      textBlock =
          """
          not JSON                     | not valid JSON
          []                           | should be START_OBJECT
          {"a":1}                      | should be START_OBJECT
          {"a":{}} | needs dtype, shape and two data_offsets
          {"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]},"a":{"dtype":"F32","shape":[0],"data_offsets":[8,8]}} | Duplicate
          {"a":{"dtype":"F32","shape":[2],"shape":[2],"data_offsets":[0,8]}} | Duplicate
          {"a":{"dtype":"F33","shape":[2],"data_offsets":[0,8]}} | unknown dtype F33
          {"a":{"dtype":"F32","shape":[3],"data_offsets":[0,8]}} | do not span the 12 bytes
          {"a":{"dtype":"F32","shape":[2],"data_offsets":[8,0]}} | do not span
          {"a":{"dtype":"F32","shape":[-2],"data_offsets":[0,8]}} | must be ≥ 0
          {"a":{"dtype":"F32","shape":[2],"data_offsets":[-8,0]}} | must be ≥ 0
          {"a":{"dtype":"F32","shape":[2],"data_offsets":[4,12]}} | neither overlap nor leave gaps
          {"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]},"b":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}} | neither overlap
          {"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}} | its tensors end at 4
          {"a":{"dtype":"F32","shape":[4],"data_offsets":[0,16]}} | is the file truncated
          {"a":{"dtype":"F32","shape":[4294967296,4294967296],"data_offsets":[0,8]}} | overflows
          {"a":{"dtype":"F32","shape":[0,4294967296],"data_offsets":[0,0]}} | overflows
          {"a":{"dtype":"F32","shape":[99999999999999999999],"data_offsets":[0,8]}} | not valid JSON
          {"a":{"dtype":"F32","shape":[2.0],"data_offsets":[0,8]}} | should be END_ARRAY
          {"a":{"dtype":"F32","shape":[1,1,1,1,1,1,1,1,2],"data_offsets":[0,8]}} | more than 8 values
          {"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8],"x":1}} | unknown key x
          {"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}} {} | something follows
          {"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]} | not valid JSON
          """)
  void open_brokenHeader_isRefusedWithReason(String header, String reason) throws IOException {
    Path path = write(SafetensorsWriter.file(header, new byte[8]));
    assertRefused(path, reason);
  }

  @ParameterizedTest
  @CsvSource({"0", "1", "7", "8", "9"})
  void open_tooShortFile_isRefused(int length) throws IOException {
    assertRefused(write(Arrays.copyOf(sample(), length)), "model.safetensors");
  }

  @ParameterizedTest
  @CsvSource({"-1", "0", "1", "9223372036854775807", "104857601", "100000"})
  void open_wrongHeaderLength_isRefused(long length) throws IOException {
    byte[] bytes = sample();
    ByteBuffer.wrap(bytes).order(ByteOrder.LITTLE_ENDIAN).putLong(length);
    assertRefused(write(bytes), "the header claims");
  }

  @Test
  void open_missingFile_isRefused() {
    assertRefused(directory.resolve("absent.safetensors"), "no such file");
  }

  /** Only a clear refusal, or a file whose tensors can all be read. */
  @Test
  void open_mutatedFiles_neverFailsOtherwise() throws IOException {
    System.out.println("SafetensorsFileTest seed " + SEED);
    Random random = new Random(SEED);
    byte[] valid = sample();
    int refused = 0;
    for (int i = 0; i < 4000; i++) {
      byte[] bytes = mutated(valid, random);
      try (Arena arena = Arena.ofConfined()) {
        SafetensorsFile file = SafetensorsFile.open(write(bytes), arena);
        file.tensors()
            .values()
            .forEach(t -> assertThat(t.data().toArray(ValueLayout.JAVA_BYTE)).isNotNull());
      } catch (WeightsException e) {
        refused++;
        assertThat(e.getMessage()).startsWith("model.safetensors: ").hasSizeLessThan(2000);
      }
    }
    assertThat(refused).isGreaterThan(2000);
  }

  private static byte[] mutated(byte[] valid, Random random) {
    byte[] bytes = valid.clone();
    for (int edits = 1 + random.nextInt(3); edits > 0; edits--) {
      int at = random.nextInt(bytes.length);
      switch (random.nextInt(5)) {
        case 0 -> bytes[at] = (byte) random.nextInt(256);
        case 1 -> bytes[at] = (byte) "0123456789[]{},:\"-.eE".charAt(random.nextInt(21));
        case 2 -> bytes = Arrays.copyOf(bytes, Math.max(1, at));
        case 3 -> {
          int from = random.nextInt(bytes.length);
          int count = Math.min(random.nextInt(20), bytes.length - Math.max(from, at));
          System.arraycopy(valid, Math.min(from, valid.length - count), bytes, at, count);
        }
        default ->
            bytes[random.nextInt(Math.min(8, bytes.length))] ^= (byte) (1 << random.nextInt(8));
      }
    }
    return bytes;
  }

  private static byte[] sample() {
    return new SafetensorsWriter()
        .add("a", DType.F32, new float[] {1, 2, 3, 4, 5, 6}, 2, 3)
        .add("b", DType.BF16, new float[] {1, 2}, 2)
        .add("c", DType.F16, new float[] {1, 2, 3, 4}, 1, 4)
        .bytes();
  }

  private Path write(byte[] bytes) throws IOException {
    return Files.write(directory.resolve("model.safetensors"), bytes);
  }

  private static void assertRefused(Path path, String reason) {
    try (Arena arena = Arena.ofConfined()) {
      assertThatThrownBy(() -> SafetensorsFile.open(path, arena))
          .isInstanceOf(WeightsException.class)
          .hasMessageContaining(reason);
    }
  }
}
