package io.verdier.engine.sample;

import static org.assertj.core.api.Assertions.assertThat;

import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.util.concurrent.TimeUnit;
import org.junit.jupiter.api.Test;

/** The promise of bit-equality holds from the first token of a cold server to the last. */
class SamplerJitTest {

  @Test
  void sample_interpretedAndCompiled_giveTheSameBits() throws Exception {
    long first = SamplerBits.digest();
    for (int warmUp = 0; warmUp < 40; warmUp++) {
      assertThat(SamplerBits.digest()).isEqualTo(first);
    }
    Process interpreted =
        new ProcessBuilder(
                Path.of(System.getProperty("java.home"), "bin", "java").toString(),
                "-Xint",
                "-cp",
                System.getProperty("java.class.path"),
                SamplerBits.class.getName())
            .redirectErrorStream(true)
            .start();
    String output = new String(interpreted.getInputStream().readAllBytes(), StandardCharsets.UTF_8);
    assertThat(interpreted.waitFor(30, TimeUnit.SECONDS)).isTrue();
    assertThat(output.strip()).isEqualTo(Long.toString(first));
  }
}
