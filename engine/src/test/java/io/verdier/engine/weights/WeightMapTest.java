package io.verdier.engine.weights;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

class WeightMapTest {
  @TempDir Path directory;

  @BeforeEach
  void writeShards() throws IOException {
    shard("one.safetensors", "a");
    shard("two.safetensors", "b");
  }

  @Test
  void open_shards_givesAllTensorsAndTheirUse() throws IOException {
    index("{\"weight_map\":{\"a\":\"one.safetensors\",\"b\":\"two.safetensors\"}}");
    try (WeightMap map = WeightMap.open(directory)) {
      assertThat(map.tensor("b", 2).columns()).isEqualTo(2);
      assertThat(map.contains("a")).isTrue();
      assertThat(map.unused()).containsExactly("a");
      assertThatThrownBy(() -> map.tensor("c", 2)).hasMessageContaining("no tensor c");
      assertThatThrownBy(() -> map.tensor("a", 3))
          .hasMessageContaining("has shape [2]; config.json asks for [3]");
    }
  }

  @Test
  void open_emptyDirectory_isRefused(@TempDir Path empty) {
    assertThatThrownBy(() -> WeightMap.open(empty))
        .isInstanceOf(WeightsException.class)
        .hasMessageContaining("neither model.safetensors nor");
  }

  @ParameterizedTest
  @CsvSource(
      delimiter = '|',
      quoteCharacter = '`',
      textBlock =
          """
          {                                              | not a valid JSON object
          []                                             | not a valid JSON object
          {}                                             | needs an object weight_map
          {"weight_map":[]}                              | needs an object weight_map
          {"weight_map":{}}                              | needs an object weight_map
          {"weight_map":{"a":1}}                         | plain file name
          {"weight_map":{"a":null}}                      | plain file name
          {"weight_map":{"a":"one.bin"}}                 | plain file name
          {"weight_map":{"a":"../one.safetensors"}}      | plain file name
          {"weight_map":{"a":"/etc/one.safetensors"}}    | plain file name
          {"weight_map":{"a":"x\\\\one.safetensors"}}    | plain file name
          {"weight_map":{"a":".one.safetensors"}}        | plain file name
          {"weight_map":{"a":"absent.safetensors"}}      | absent.safetensors: no such file
          {"weight_map":{"a":"two.safetensors"}}         | should be in two.safetensors but is not
          {"weight_map":{"a":"one.safetensors","a":"two.safetensors"}} | Duplicate
          """)
  void open_brokenIndex_isRefusedWithReason(String json, String reason) throws IOException {
    index(json);
    assertThatThrownBy(() -> WeightMap.open(directory))
        .isInstanceOf(WeightsException.class)
        .hasMessageContaining(reason);
  }

  private void shard(String name, String tensor) throws IOException {
    byte[] bytes = new SafetensorsWriter().add(tensor, DType.F32, new float[] {1, 2}, 2).bytes();
    Files.write(directory.resolve(name), bytes);
  }

  private void index(String json) throws IOException {
    Files.writeString(directory.resolve("model.safetensors.index.json"), json);
  }
}
