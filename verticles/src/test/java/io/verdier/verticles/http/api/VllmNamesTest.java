package io.verdier.verticles.http.api;

import static org.assertj.core.api.Assertions.assertThat;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.EnumSet;
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
  private static final String BAR = " | ";
  private static final Set<String> VERSIONS = Set.of("both", "v0.9", "v1");

  /** Whose names are all in the list: what is not there is nothing of vLLM's. */
  private static final Set<Body> LISTED = EnumSet.of(Body.CHAT, Body.TEXT);

  /**
   * @param knownTo the version that has it, or both; empty: that is not known for certain
   */
  private record Name(String text, String knownTo) {
    static Name of(String line) {
      int bar = line.indexOf(BAR);
      return bar < 0
          ? new Name(line, "")
          : new Name(line.substring(0, bar), line.substring(bar + BAR.length()));
    }

    /** What is wrong with what the row says of it; empty: nothing. */
    String fault(String said) {
      boolean right =
          knownTo.isEmpty()
              ? VERSIONS.contains(said)
              : VERSIONS.contains(knownTo) && said.equals(knownTo);
      return right ? "" : "%s is known to %s, not to %s".formatted(text, knownTo, said);
    }
  }

  /** By heading. */
  private static Map<String, List<Name>> names() throws IOException {
    Map<String, List<Name>> names = new LinkedHashMap<>();
    List<Name> current = List.of();
    for (String line : Files.readAllLines(NAMES)) {
      if (line.startsWith("## ")) {
        current = new ArrayList<>();
        names.put(line.substring(3), current);
      } else if (!line.isBlank() && !line.startsWith("#")) {
        current.add(Name.of(line));
      }
    }
    return names;
  }

  @Test
  void routes_ofVllm_areInTheTableAndOnThePage() throws IOException {
    List<Name> routes = Objects.requireNonNull(names().get(ROUTES));
    assertThat(routes).hasSizeGreaterThan(60).doesNotHaveDuplicates();
    String page = Files.readString(PAGE);
    for (Name name : routes) {
      String route = name.text();
      ApiRoute row =
          ApiTable.routes().stream().filter(it -> isOf(it, route)).findFirst().orElse(null);
      assertThat(row).as(route).isNotNull();
      assertThat(name.knownTo()).as(route).isNotEmpty();
      assertThat(name.fault(row.knownTo())).isEmpty();
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
    Map<String, List<Name>> names = names();
    List<String> lines = Files.readAllLines(PAGE);
    List<String> missing = new ArrayList<>();
    int fields = 0;
    for (Body body : Body.values()) {
      for (Name listed : names.getOrDefault(body.word(), List.of())) {
        String name = listed.text();
        ApiField row = row(body, name);
        String begin = row == null ? "" : "| `" + row.name() + "` | ";
        if (row == null || lines.stream().noneMatch(line -> line.startsWith(begin))) {
          missing.add(name + " of " + body.word());
        } else {
          assertThat(listed.fault(row.knownTo())).as(body.word()).isEmpty();
        }
        fields++;
      }
    }
    assertThat(missing).isEmpty();
    assertThat(fields).isGreaterThan(450);
  }

  /** A row may claim no version for a name that vLLM does not have. */
  @Test
  void rows_ofVllmsVersions_areNamesOfVllm() throws IOException {
    Map<String, List<Name>> names = names();
    for (Body body : LISTED) {
      Set<String> listed = new HashSet<>();
      names.getOrDefault(body.word(), List.of()).forEach(name -> listed.add(name.text()));
      for (ApiField row : ApiTable.of(body).values()) {
        if (row.isTopLevel() && VERSIONS.contains(row.knownTo())) {
          assertThat(listed).as(body.word()).contains(row.name());
        }
      }
    }
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
