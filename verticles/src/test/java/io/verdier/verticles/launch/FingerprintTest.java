package io.verdier.verticles.launch;

import static org.assertj.core.api.Assertions.assertThat;

import io.verdier.engine.weights.CheckpointFiles;
import io.verdier.verticles.bus.ResolveModel;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Optional;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** Nodes whose engines answer otherwise have other words for it. */
class FingerprintTest {
  private static final Path DEMO = Path.of("../engine/src/main/resources/demo-model");
  @TempDir Path elsewhere;

  private static String print(CheckpointFiles files, String... flags) throws IOException {
    return Fingerprint.of(
        InProcessServer.config(flags), new ResolveModel.Reply(files), Optional.empty());
  }

  private static String print(String... flags) throws IOException {
    return print(CheckpointFiles.in(DEMO), flags);
  }

  @Test
  void of_changesToTheConfiguration_isAnother() throws IOException {
    String yarn = "{\"rope_type\": \"yarn\", \"factor\": 2.0}";
    String changed = print("--hf-overrides={\"rope_scaling\": " + yarn + ", \"rope_theta\": 5.0}");
    assertThat(List.of(print(), changed, print("--rope-theta=5"))).doesNotHaveDuplicates();
    assertThat(print()).isEqualTo(print("--hf-overrides={}"));
    assertThat(changed)
        .isEqualTo(print("--hf-overrides={\"rope_theta\": 5.0, \"rope_scaling\": " + yarn + "}"))
        .isEqualTo(print("--rope-theta=5", "--rope-scaling=" + yarn));
  }

  /** Its begin and end tokens decide answers, wherever its files lie. */
  @Test
  void of_anotherTokenizersConfiguration_isAnother() throws IOException {
    for (String name : List.of("tokenizer.json", "tokenizer_config.json")) {
      Files.copy(DEMO.resolve(name), elsewhere.resolve(name));
    }
    Files.copy(
        DEMO.resolve("special_tokens_map.json"), elsewhere.resolve("special_tokens_map.json"));
    CheckpointFiles files = CheckpointFiles.in(DEMO).withTokenizer(elsewhere);
    assertThat(print(files)).isEqualTo(print());
    Path config = elsewhere.resolve("tokenizer_config.json");
    Files.writeString(
        config, Files.readString(config).replace("\"<|eot_id|>\"", "\"<|end_of_text|>\""));
    assertThat(print(files)).isNotEqualTo(print());
  }

  /** How chats become prompts. */
  @Test
  void of_otherPromptsOfChats_isAnother() throws IOException {
    String kwargs = "--default-chat-template-kwargs=";
    assertThat(
            List.of(
                print(),
                print("--chat-template={{ messages }}"),
                print("--chat-template-content-format=string"),
                print("--chat-template-content-format=openai"),
                print(kwargs + "{\"enable_thinking\":false}"),
                print(kwargs + "{\"enable_thinking\":true}"),
                print(kwargs + "{\"enable_thinking\":\"true\"}"),
                print(kwargs + "{\"enable_thinking\":null}")))
        .doesNotHaveDuplicates();
    assertThat(print(kwargs + "{}")).isEqualTo(print());
    assertThat(print("--port=9")).isEqualTo(print());
  }
}
