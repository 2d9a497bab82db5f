package io.verdier.verticles.house;

import static org.assertj.core.api.Assertions.assertThat;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.TreeSet;
import java.util.regex.Pattern;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;

/** The house style's countable rules, over every Java source of all modules. */
final class TidyTest {
  /** Names that say nothing about what lives there. */
  private static final Pattern NAMELESS = Pattern.compile("(util|common|helper)s?|impl|v\\d+");

  /**
   * What is longer than the rule for a reason. Unrolled vector kernels: splitting one makes the
   * compiler allocate every vector (docs/adr/0004), which VectorKernelsTest would show.
   */
  private static final Pattern EXCEPTED =
      Pattern.compile(".*/backend/cpu/PanelKernel\\.java:\\d+: rows12 has 95 lines, at most 60");

  @Test
  void sources_all_areShortAndKeepTheirPromises() throws IOException {
    List<Path> sources =
        Stream.of("main", "test").flatMap(kind -> Checkout.javaFiles(kind).stream()).toList();
    Map<String, String> texts = new LinkedHashMap<>();
    for (Path file : sources) {
      texts.put(shown(file), Files.readString(file));
    }
    List<String> violations = SourceScan.violations(texts);

    assertThat(sources).as("files found").hasSizeGreaterThan(10);
    assertThat(violations).filteredOn(line -> !EXCEPTED.matcher(line).matches()).isEmpty();
  }

  @Test
  void packages_ofMain_sayWhatLivesThere() {
    Set<String> missing = new TreeSet<>();
    for (Path file : Checkout.javaFiles("main")) {
      Path folder = file.resolveSibling("");
      if (!Files.exists(folder.resolve("package-info.java"))) {
        missing.add(shown(folder) + ":1: package without package-info.java");
      }
    }

    assertThat(missing).isEmpty();
  }

  @Test
  void packages_all_haveNamesThatMeanSomething() {
    Set<String> nameless = new TreeSet<>();
    for (String kind : List.of("main", "test")) {
      for (Path file : Checkout.javaFiles(kind)) {
        nameless(Checkout.root().relativize(file.resolveSibling("")))
            .ifPresent(name -> nameless.add(shown(file) + ":1: package named " + name));
      }
    }

    assertThat(nameless).isEmpty();
  }

  @Test
  void packageNames_nameless_areSeen() {
    assertThat(nameless(Path.of("io/verdier/engine/util"))).hasValue("util");
    assertThat(nameless(Path.of("io/verdier/helpers/x"))).hasValue("helpers");
    assertThat(nameless(Path.of("io/verdier/v2"))).hasValue("v2");
    assertThat(nameless(Path.of("io/verdier/cache/kv"))).isEmpty();
    assertThat(nameless(Path.of("io/verdier/implicit"))).isEmpty();
  }

  @Test
  void method_of60Lines_isTidyAndOf61IsNot() {
    assertThat(scan(method(60))).isEmpty();
    assertThat(scan(method(61))).containsExactly("A.java:2: longer has 61 lines, at most 60");
  }

  @Test
  void method_withBracesInText_isMeasuredRight() {
    String body =
        """
        class A {
          String text() {
            // }}}
            /* { */
            return "{{{" + '{' + \"""
                }
                \""";
          }
          void next() {}
        }
        """;

    assertThat(scan(body)).isEmpty();
    assertThat(scan("class A {\n  {\n" + "    int x;\n".repeat(60) + "  }\n}\n"))
        .containsExactly("A.java:2: initializer has 62 lines, at most 60");
  }

  @Test
  void method_ofRecord_isMeasuredToo() {
    String body = "      assert x > 0;\n".repeat(59);

    assertThat(scan("class A {\n  record B(int x) {\n    B {\n" + body + "    }\n  }\n}\n"))
        .containsExactly("A.java:3: <init> has 61 lines, at most 60");
    assertThat(scan("record A(int x) {}\nenum B { C, D }\n")).isEmpty();
  }

  @Test
  void file_of500Lines_isTidyAndOf501IsNot() {
    assertThat(scan("class A {\n" + "\n".repeat(498) + "}\n")).isEmpty();
    assertThat(scan("class A {\n" + "\n".repeat(499) + "}\n"))
        .containsExactly("A.java:501: file has 501 lines, at most 500");
  }

  @Test
  void promise_withoutIssue_isSeen() {
    String promise = "TO" + "DO"; // in two parts, or this very file would be untidy

    assertThat(scan("class A {\n  // " + promise + " later\n}\n"))
        .containsExactly("A.java:2: promise without an issue number such as #12");
    assertThat(scan("// " + promise + " #12: later\nclass A {}\n")).isEmpty();
    assertThat(scan("class A { String mastodon = \"" + promise + "S\"; }\n")).isEmpty();
  }

  @Test
  void source_thatCannotBeParsed_isSeen() {
    assertThat(scan("class A {")).anyMatch(it -> it.contains("cannot be parsed"));
  }

  private static List<String> scan(String text) {
    return SourceScan.violations(Map.of("A.java", text));
  }

  private static String method(int lines) {
    return "class A {\n  void longer() {\n" + "    int x;\n".repeat(lines - 2) + "  }\n}\n";
  }

  private static Optional<String> nameless(Path folder) {
    for (Path name : folder) {
      if (NAMELESS.matcher(name.toString()).matches()) {
        return Optional.of(name.toString());
      }
    }
    return Optional.empty();
  }

  /** Relative to the root and with slashes, as an editor can open it. */
  private static String shown(Path file) {
    return Checkout.root().relativize(file).toString().replace('\\', '/');
  }
}
