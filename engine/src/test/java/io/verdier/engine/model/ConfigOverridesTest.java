package io.verdier.engine.model;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.verdier.engine.run.TestConfig;
import io.verdier.engine.weights.JsonFile;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Map;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/** What the flags make of the file, and of the model that it describes. */
class ConfigOverridesTest {
  private static final String YARN =
      "{'rope_type': 'yarn', 'factor': 4.0, 'original_max_position_embeddings': 32768}";

  @TempDir Path directory;

  private static Map<String, Object> json(String text) throws IOException {
    return JsonFile.object(text.replace('\'', '"').getBytes(StandardCharsets.UTF_8));
  }

  @ParameterizedTest
  @CsvSource(
      delimiter = '|',
      quoteCharacter = '`',
      textBlock =
          """
          {'a': 1, 'b': {'c': 2, 'd': 3}} | {'b': {'d': {'e': 4}}, 'f': [5]} | {'a': 1, 'b': {'c': 2, 'd': {'e': 4}}, 'f': [5]}
          {'a': [1, 2], 'b': {'c': 2}}    | {'a': [3], 'b': null}         | {'a': [3], 'b': null}
          {'a': null, 'b': 7}             | {'a': {'c': 1}, 'b': {}}      | {'a': {'c': 1}, 'b': {}}
          {'rope_theta': 5, 'rope_scaling': null}                | {'rope_parameters': {'rope_type': 'yarn', 'factor': 4}} | {'rope_theta': 5, 'rope_parameters': {'rope_type': 'yarn', 'factor': 4}}
          {'rope_parameters': {'rope_theta': 5, 'mscale': 2}}    | {'rope_parameters': {'rope_type': 'yarn', 'factor': 4}} | {'rope_parameters': {'rope_theta': 5, 'rope_type': 'yarn', 'factor': 4}}
          {'rope_parameters': {'rope_theta': 5, 'mscale': 2}}    | {'rope_scaling': {'type': 'linear', 'factor': 4}}       | {'rope_parameters': {'rope_theta': 5, 'type': 'linear', 'factor': 4}}
          {'rope_scaling': {'type': 'yarn', 'factor': 2}}        | {'rope_scaling': {'factor': 4}}                         | {'rope_parameters': {'type': 'yarn', 'factor': 4}}
          {'rope_scaling': {'type': 'yarn', 'factor': 2}}        | {'rope_scaling': null}                                  | {'rope_parameters': {}}
          {'rope_theta': 5, 'rope_scaling': {'type': 'yarn'}}    | {'rope_theta': 6}                                       | {'rope_theta': 6, 'rope_scaling': {'type': 'yarn'}}
          {'rope_parameters': {'rope_theta': 5, 'factor': 2}}    | {'rope_theta': 6}                                       | {'rope_parameters': {'factor': 2}, 'rope_theta': 6}
          {'rope_parameters': {'rope_theta': 5}}                 | {'rope_scaling': {'type': 'linear'}, 'rope_theta': 6}   | {'rope_parameters': {'type': 'linear'}, 'rope_theta': 6}
          {'rope_theta': 5, 'text_config': {'hidden_size': 2}}   | {'rope_theta': 6, 'text_config': {'hidden_size': 4}}    | {'rope_theta': 5, 'text_config': {'hidden_size': 4, 'rope_theta': 6}}
          {'text_config': {'rope_parameters': {'rope_theta': 5}}}| {'rope_parameters': {'type': 'linear', 'factor': 2}}    | {'text_config': {'rope_parameters': {'rope_theta': 5, 'type': 'linear', 'factor': 2}}}
          {'architectures': ['A'], 'text_config': {'architectures': ['B']}} | {'architectures': ['C']}                     | {'architectures': ['C'], 'text_config': {'architectures': ['B']}}
          """)
  void applied_changes_areMerged(String file, String changes, String expected) throws IOException {
    assertThat(ConfigOverrides.applied(json(file), changes.replace('\'', '"')))
        .isEqualTo(json(expected));
  }

  /** Of a larger model, one that is beside the text model's own would do nothing. */
  @ParameterizedTest
  @CsvSource({"max_position_embeddings", "hidden_size"})
  void applied_changeThatIsHidden_isRefused(String key) throws IOException {
    Map<String, Object> file =
        json("{'text_config': {'hidden_size': 4, 'max_position_embeddings': 64}}");
    assertThatThrownBy(() -> ConfigOverrides.applied(file, "{\"%s\": 8}".formatted(key)))
        .isInstanceOf(ModelException.class)
        .hasMessageStartingWith(
            "--hf-overrides: %s of this model is in its text_config; write {\"text_config\":"
                .formatted(key));
  }

  /** As Qwen3's page says to start it for long prompts. */
  @ParameterizedTest
  @CsvSource(
      delimiter = '|',
      quoteCharacter = '`',
      textBlock =
          """
          'rope_theta': 1000000, 'rope_scaling': null | --hf-overrides={'rope_parameters': %s}
          'rope_parameters': {'rope_type': 'default', 'rope_theta': 1000000} | --hf-overrides={'rope_parameters': %s}
          'rope_parameters': {'rope_type': 'default', 'rope_theta': 1000000} | --hf-overrides={'rope_scaling': %s}
          'rope_theta': 1000000 | --rope-scaling=%s
          'rope_theta': 5 | --rope-theta=1000000 --rope-scaling=%s
          'rope_parameters': {'rope_theta': 5} | --rope-theta=1000000 --rope-scaling=%s
          """)
  void describe_yarnByFlag_isThatOfTheFile(String positions, String flags) throws IOException {
    write("'rope_theta': 1000000, 'rope_scaling': " + YARN);
    ModelSpec written =
        ModelLoader.describe(directory, TestConfig.of("--load-format=dummy")).spec();
    write(positions);
    assertThatThrownBy(() -> ModelLoader.describe(directory, TestConfig.of(argv("", ""))))
        .hasMessageContaining("is greater than the derived max_model_len");
    ModelLoader.Description changed =
        ModelLoader.describe(directory, TestConfig.of(argv(flags, YARN.replace(" ", ""))));
    assertThat(changed.lengthMax()).isEqualTo(131_072);
    RopeSpec rope = changed.spec().rope();
    assertThat(rope.inverseFrequencies()).containsExactly(written.rope().inverseFrequencies());
    assertThat(rope.amplitude()).isEqualTo(written.rope().amplitude()).isGreaterThan(1.1);
  }

  private static String[] argv(String flags, String yarn) {
    String all = "--load-format=dummy --max-model-len=131072 " + flags.formatted(yarn);
    return all.replace(": ", ":").replace('\'', '"').strip().split(" ");
  }

  /** Qwen3 8B, in whichever way its rotary positions are written down. */
  private void write(String positions) throws IOException {
    String text =
        """
        {'architectures': ['Qwen3ForCausalLM'], 'hidden_size': 4096, 'intermediate_size': 12288,
         'num_hidden_layers': 36, 'num_attention_heads': 32, 'num_key_value_heads': 8,
         'head_dim': 128, 'vocab_size': 151936, 'max_position_embeddings': 40960, %s}"""
            .formatted(positions)
            .replace('\'', '"');
    Files.writeString(directory.resolve("config.json"), text);
  }
}
