package io.verdier.verticles.house;

import static org.assertj.core.api.Assertions.assertThat;

import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.regex.MatchResult;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;

/** Pages point at files that exist, and no decision is missing from its index. */
final class DocsTest {
  private static final Pattern LINK = Pattern.compile("]\\(([^)#\\s]+)(#[^)\\s]*)?\\)");
  private static final Path ADRS = Checkout.root().resolve("docs/adr");

  @Test
  void links_relative_leadToFiles() {
    List<String> broken = new ArrayList<>();
    for (Path page : pages()) {
      for (String link : links(page)) {
        if (!link.contains(":") && !Files.exists(page.resolveSibling(link))) {
          broken.add(Checkout.root().relativize(page) + " -> " + link);
        }
      }
    }

    assertThat(pages()).hasSizeGreaterThan(3);
    assertThat(broken).isEmpty();
  }

  @Test
  void decisions_all_areInTheIndex() {
    List<String> decisions = new ArrayList<>();
    for (Path file : files(ADRS)) {
      String name = file.resolveSibling("").relativize(file).toString();
      if (name.matches("\\d{4}-.*\\.md")) {
        decisions.add(name);
      }
    }

    assertThat(decisions).isNotEmpty();
    assertThat(links(ADRS.resolve("README.md"))).containsAll(decisions);
  }

  /** The root's pages and those under docs. */
  private static List<Path> pages() {
    List<Path> pages = new ArrayList<>(files(Checkout.root().resolve("docs")));
    for (String name : List.of("README.md", "CHANGELOG.md", "CONTRIBUTING.md")) {
      pages.add(Checkout.root().resolve(name));
    }
    return pages.stream().filter(page -> page.toString().endsWith(".md")).toList();
  }

  private static List<Path> files(Path folder) {
    try (Stream<Path> files = Files.walk(folder)) {
      return files.filter(Files::isRegularFile).sorted().toList();
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }

  private static List<String> links(Path page) {
    try {
      Matcher matcher = LINK.matcher(Files.readString(page));
      return matcher.results().map(DocsTest::target).toList();
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }

  private static String target(MatchResult link) {
    return link.group(1);
  }
}
