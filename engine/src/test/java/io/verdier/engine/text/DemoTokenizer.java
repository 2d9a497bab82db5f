package io.verdier.engine.text;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import java.io.IOException;
import java.io.InputStream;
import java.io.UncheckedIOException;
import java.net.URISyntaxException;
import java.net.URL;
import java.nio.file.Path;
import java.util.Objects;

/** The demo model's tokenizer and the golden data, loaded once for all tests. Immutable. */
public final class DemoTokenizer {
  static final Path NATIVE_CACHE = Path.of("target", "native");
  public static final Tokenizer TOKENIZER = load();

  private DemoTokenizer() {}

  static Path directory() {
    URL url = Objects.requireNonNull(Tokenizer.class.getResource("/demo-model/tokenizer.json"));
    try {
      return Objects.requireNonNull(Path.of(url.toURI()).getParent());
    } catch (URISyntaxException e) {
      throw new IllegalStateException(e);
    }
  }

  static JsonNode golden(String name) {
    try (InputStream in = DemoTokenizer.class.getResourceAsStream("/golden/" + name)) {
      return new ObjectMapper().readTree(in);
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }

  static int[] ids(JsonNode array) {
    int[] ids = new int[array.size()];
    for (int i = 0; i < ids.length; i++) {
      ids[i] = array.get(i).intValue();
    }
    return ids;
  }

  private static Tokenizer load() {
    try {
      return Tokenizer.load(directory(), NATIVE_CACHE);
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }
}
