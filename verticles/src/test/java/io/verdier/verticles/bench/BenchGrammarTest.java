package io.verdier.verticles.bench;

import static org.assertj.core.api.Assertions.assertThat;

import io.vertx.core.json.JsonObject;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.io.PrintStream;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class BenchGrammarTest {
  private final ByteArrayOutputStream printed = new ByteArrayOutputStream();
  private final PrintStream out = new PrintStream(printed, true, StandardCharsets.UTF_8);

  private String text() {
    return printed.toString(StandardCharsets.UTF_8);
  }

  @Test
  void run_smallVocabulary_measuresEverySchema(@TempDir Path directory) throws Exception {
    Path file = directory.resolve("result.json");
    int status =
        BenchGrammar.run(
            List.of("--vocab-size", "3000", "--documents=1", "--json", file.toString()), out);
    assertThat(status).as(text()).isZero();
    assertThat(text()).contains("get_weather", "form_of_60", "all: compile median");
    JsonObject result = new JsonObject(Files.readString(file));
    assertThat(result.getInteger("vocabulary")).isEqualTo(3000);
    assertThat(result.getJsonArray("schemas")).hasSizeGreaterThan(20);
    assertThat(result.getJsonObject("all").getInteger("masks")).isPositive();
  }

  @Test
  void run_ofAModel_leavesNoFileBehind() throws Exception {
    List<Path> before = unpacked();
    int status =
        BenchGrammar.run(
            List.of("--model", "../engine/src/main/resources/demo-model", "--documents=1"), out);
    assertThat(status).as(text()).isZero();
    assertThat(unpacked()).isEqualTo(before);
  }

  private static List<Path> unpacked() throws IOException {
    try (Stream<Path> files = Files.list(Path.of(System.getProperty("java.io.tmpdir")))) {
      return files
          .filter(f -> f.getFileName().toString().startsWith("verdier-bench"))
          .sorted()
          .toList();
    }
  }

  @Test
  void run_wrongArguments_namesThemAll() {
    assertThat(BenchGrammar.run(List.of("--vocab-size", "3", "--what", "--seed"), out))
        .isEqualTo(2);
    assertThat(text()).contains("--vocab-size is 3", "unknown argument --what", "--seed needs");
  }

  @Test
  void run_help_listsFlags() {
    assertThat(BenchGrammar.run(List.of("--help"), out)).isZero();
    assertThat(text()).contains("--documents N", "(128000)");
  }
}
