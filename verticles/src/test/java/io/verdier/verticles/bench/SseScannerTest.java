package io.verdier.verticles.bench;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import org.junit.jupiter.api.Test;

class SseScannerTest {
  private static final String STREAM =
      """
      data: {"a":1}

      : ping

      data:{"b":"é"}\r
      \r
      event: x
      data:  two
      data:

      datum: no

      data: [DONE]

      """;
  private static final List<String> PAYLOADS =
      List.of("{\"a\":1}", "{\"b\":\"é\"}", " two", "", "[DONE]");

  @Test
  void feed_everySplitInTwo_givesTheSame() {
    byte[] all = STREAM.getBytes(StandardCharsets.UTF_8);
    for (int split = 0; split <= all.length; split++) {
      assertThat(scanned(Arrays.copyOf(all, split), Arrays.copyOfRange(all, split, all.length)))
          .as("split at %s", split)
          .isEqualTo(PAYLOADS);
    }
  }

  @Test
  void feed_everySplitInThree_givesTheSame() {
    byte[] all = STREAM.getBytes(StandardCharsets.UTF_8);
    for (int first = 0; first <= all.length; first++) {
      for (int second = first; second <= all.length; second++) {
        assertThat(
                scanned(
                    Arrays.copyOf(all, first),
                    Arrays.copyOfRange(all, first, second),
                    Arrays.copyOfRange(all, second, all.length)))
            .isEqualTo(PAYLOADS);
      }
    }
  }

  @Test
  void feed_byteByByte_givesTheSame() {
    byte[] all = STREAM.getBytes(StandardCharsets.UTF_8);
    byte[][] pieces = new byte[all.length][];
    for (int i = 0; i < all.length; i++) {
      pieces[i] = new byte[] {all[i]};
    }
    assertThat(scanned(pieces)).isEqualTo(PAYLOADS);
  }

  @Test
  void feed_moreBytesThanLength_ignoresTheRest() {
    List<String> found = new ArrayList<>();
    SseScanner scanner = new SseScanner((bytes, start, end) -> found.add(text(bytes, start, end)));
    scanner.feed("data: x\n\ndata: stale\n\n".getBytes(StandardCharsets.UTF_8), 9);
    assertThat(found).containsExactly("x");
  }

  @Test
  void feed_longLine_isKeptWhole() {
    String payload = "y".repeat(100_000);
    assertThat(
            scanned(
                "data: ".getBytes(StandardCharsets.UTF_8),
                payload.getBytes(StandardCharsets.UTF_8),
                "\n".getBytes(StandardCharsets.UTF_8)))
        .containsExactly(payload);
  }

  @Test
  void feed_lineWithoutEnd_isRefused() {
    SseScanner scanner = new SseScanner((bytes, start, end) -> {});
    byte[] piece = new byte[1 << 20];
    assertThatThrownBy(
            () -> {
              for (int i = 0; i <= 16; i++) {
                scanner.feed(piece, piece.length);
              }
            })
        .isInstanceOf(IllegalStateException.class)
        .hasMessageContaining("longer than");
  }

  private static List<String> scanned(byte[]... pieces) {
    List<String> found = new ArrayList<>();
    SseScanner scanner = new SseScanner((bytes, start, end) -> found.add(text(bytes, start, end)));
    for (byte[] piece : pieces) {
      scanner.feed(piece, piece.length);
    }
    return found;
  }

  private static String text(byte[] bytes, int start, int end) {
    return new String(bytes, start, end - start, StandardCharsets.UTF_8);
  }
}
