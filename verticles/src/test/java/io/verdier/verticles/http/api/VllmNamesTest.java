package io.verdier.verticles.http.api;

import static org.assertj.core.api.Assertions.assertThat;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.HashSet;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.Set;
import org.jspecify.annotations.Nullable;
import org.junit.jupiter.api.Test;

/** Whatever vLLM's clients can name has a row, and so a line in docs/compatibility.md. */
class VllmNamesTest {
  private static final Path NAMES = Path.of("src/test/resources/vllm/names.txt");
  private static final Path PAGE = Path.of("../docs/compatibility.md");
  private static final String ROUTES = "routes";

  /** By heading. */
  private static Map<String, List<String>> names() throws IOException {
    Map<String, List<String>> names = new LinkedHashMap<>();
    List<String> current = List.of();
    for (String line : Files.readAllLines(NAMES)) {
      if (line.startsWith("## ")) {
        current = new ArrayList<>();
        names.put(line.substring(3), current);
      } else if (!line.isBlank() && !line.startsWith("#")) {
        current.add(line);
      }
    }
    return names;
  }

  @Test
  void routes_ofVllm_areInTheTableAndOnThePage() throws IOException {
    List<String> routes = Objects.requireNonNull(names().get(ROUTES));
    assertThat(routes).hasSizeGreaterThan(60).doesNotHaveDuplicates();
    String page = Files.readString(PAGE);
    for (String route : routes) {
      ApiRoute row =
          ApiTable.routes().stream().filter(it -> isOf(it, route)).findFirst().orElse(null);
      assertThat(row).as(route).isNotNull();
      assertThat(row.knownTo()).as(route).isNotEqualTo("ours");
      boolean plain = row.status().kind() == Status.Kind.SUPPORTED;
      assertThat(row.status().why().isEmpty()).as(route).isEqualTo(plain);
      assertThat(page).contains("| `" + row.method() + " " + row.path() + "` |");
    }
  }

  private static boolean isOf(ApiRoute row, String route) {
    String known = row.method() + " " + row.path();
    return known.equals(route)
        || (known.matches(".+/.+/\\*") && route.startsWith(known.substring(0, known.length() - 1)));
  }

  @Test
  void fields_ofVllm_areInTheTableAndOnThePage() throws IOException {
    Map<String, List<String>> names = names();
    List<String> lines = Files.readAllLines(PAGE);
    List<String> missing = new ArrayList<>();
    int fields = 0;
    for (Body body : Body.values()) {
      for (String name : names.getOrDefault(body.word(), List.of())) {
        ApiField row = row(body, name);
        String begin = row == null ? "" : "| `" + row.name() + "` | ";
        if (row == null || lines.stream().noneMatch(line -> line.startsWith(begin))) {
          missing.add(name + " of " + body.word());
        } else {
          assertThat(row.knownTo()).as(name + " of " + body.word()).isIn("both", "v0.9", "v1");
        }
        fields++;
      }
    }
    assertThat(missing).isEmpty();
    assertThat(fields).isGreaterThan(450);
  }

  private static @Nullable ApiField row(Body body, String name) {
    ApiField own = ApiTable.field(body, name);
    int dot = name.lastIndexOf('.');
    return own != null || dot < 0
        ? own
        : ApiTable.field(body, name.substring(0, dot) + "." + ApiField.ANY);
  }

  @Test
  void headings_all_areBodies() throws IOException {
    Set<String> known = new HashSet<>(Set.of(ROUTES));
    for (Body body : Body.values()) {
      known.add(body.word());
    }
    assertThat(known).containsAll(names().keySet());
  }
}
