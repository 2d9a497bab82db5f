package io.verdier.verticles.endtoend;

import static org.assertj.core.api.Assertions.assertThat;

import io.verdier.verticles.launch.InProcessServer;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Set;
import java.util.TreeSet;
import java.util.regex.Pattern;
import org.junit.jupiter.api.Test;

/** The page lists the facts of the cache that a server tells. Costs the start of one. */
class CacheFactsIT {
  private static final Path PAGE = Path.of("../docs/metrics.md");

  @Test
  void cacheConfig_labels_areThoseOfThePage() throws IOException {
    String row =
        Files.readAllLines(PAGE).stream()
            .filter(line -> line.startsWith("| `vllm:cache_config_info`"))
            .findFirst()
            .orElseThrow();
    String told = row.substring(row.indexOf(':', row.indexOf("Python")), row.indexOf(". vLLM"));
    Set<String> labels;
    try (InProcessServer server = InProcessServer.start()) {
      Scrape page = Scrape.of(server.baseUrl());
      labels = new TreeSet<>(page.one("vllm:cache_config_info").getLabels().keySet());
    }
    labels.removeAll(Set.of("model_name", "engine"));
    assertThat(Pattern.compile("`([a-z_]+)`").matcher(told).results().map(it -> it.group(1)))
        .containsExactlyElementsOf(labels);
  }
}
