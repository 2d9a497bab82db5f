package io.verdier.conf;

import static org.assertj.core.api.Assertions.assertThat;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import org.junit.jupiter.api.Test;

class FlagDocsTest {
  private static final Path PAGE = Path.of("..", "docs", "flags.md");

  @Test
  void page_comparedToTheTable_isEqual() throws IOException {
    if (Boolean.getBoolean("verdier.regenerate")) {
      Files.createDirectories(PAGE.getParent());
      Files.writeString(PAGE, FlagDocs.markdown());
    }
    assertThat(Files.readString(PAGE))
        .as("docs/flags.md; run this test with -Dverdier.regenerate=true")
        .isEqualTo(FlagDocs.markdown());
  }

  @Test
  void help_everyLine_fits() {
    assertThat(FlagDocs.help().lines()).allMatch(line -> line.length() <= 100);
  }

  @Test
  void help_everyFlag_isThere() {
    Flags.all().forEach(flag -> assertThat(FlagDocs.help()).contains(flag.name()));
    assertThat(FlagDocs.help().replaceAll("\\s+", " "))
        .contains("0..65535; default 8000; AIP_HTTP_PORT");
  }

  @Test
  void help_asked_winsOverEverything() {
    LoadResult result = ConfigLoader.load(List.of("serve", "--help", "--nonsense"), Map.of());
    assertThat(result).isEqualTo(new LoadResult.HelpAsked(FlagDocs.help()));
  }
}
