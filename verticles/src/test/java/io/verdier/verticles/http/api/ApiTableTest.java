package io.verdier.verticles.http.api;

import static org.assertj.core.api.Assertions.assertThat;

import io.verdier.engine.sample.SamplingField;
import io.verdier.verticles.http.Route;
import io.verdier.verticles.http.routes.Routes;
import io.verdier.verticles.launch.InProcessServer;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.List;
import java.util.Set;
import java.util.function.Supplier;
import java.util.stream.Collectors;
import org.junit.jupiter.api.Test;

class ApiTableTest {
  private static final Path DOCS = Path.of("..", "docs");

  @Test
  void apiPage_comparedToTheTables_isEqual() throws IOException {
    check(DOCS.resolve("api.md"), ApiPages::api);
  }

  @Test
  void compatibilityPage_comparedToTheTables_isEqual() throws IOException {
    check(DOCS.resolve("compatibility.md"), ApiPages::compatibility);
  }

  private static void check(Path page, Supplier<String> text) throws IOException {
    if (Boolean.getBoolean("verdier.regenerate")) {
      Files.writeString(page, text.get());
    }
    assertThat(Files.readString(page))
        .as(page + "; run this test with -Dverdier.regenerate=true")
        .isEqualTo(text.get());
  }

  @Test
  void routes_ofTheTable_areThoseOfTheRouter() {
    List<Route> router =
        Routes.table(
            InProcessServer.config(
                "--admin-api-key=key",
                "--enable-lora",
                "--allow-runtime-lora-updating",
                "--cluster"));
    Set<String> answered =
        router.stream().map(it -> it.method() + " " + it.path()).collect(Collectors.toSet());
    Set<String> promised =
        ApiTable.routes().stream()
            .filter(ApiRoute::exists)
            .map(it -> it.method() + " " + it.path())
            .collect(Collectors.toSet());
    assertThat(promised).isEqualTo(answered);
    assertThat(ApiTable.routes().stream().filter(it -> !it.exists()).map(ApiRoute::path))
        .doesNotContainAnyElementsOf(router.stream().map(Route::path).toList());
  }

  @Test
  void samplingFields_all_haveARow() {
    assertThat(ApiTable.fields().stream().map(ApiField::name))
        .containsAll(Arrays.stream(SamplingField.values()).map(SamplingField::apiName).toList());
  }

  @Test
  void rows_all_sayWhatTheyAreAbout() {
    for (ApiField field : ApiTable.fields()) {
      assertThat(field.help()).as(field.name()).isNotBlank().doesNotEndWith(".");
      assertThat(field.knownTo())
          .as(field.name())
          .isIn("both", "v0.9", "v1", "openai", "anthropic", "vertex", "ours");
      boolean plain = field.status().kind() == Status.Kind.SUPPORTED;
      assertThat(field.status().why().isEmpty()).as(field.name()).isEqualTo(plain);
      if (field.status().kind() == Status.Kind.REFUSED) {
        assertThat(field.status().why()).as(field.name()).endsWith(".");
      }
    }
  }
}
