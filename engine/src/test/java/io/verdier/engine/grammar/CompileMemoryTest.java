package io.verdier.engine.grammar;

import static org.assertj.core.api.Assertions.assertThat;

import com.fasterxml.jackson.annotation.JsonView;
import com.fasterxml.jackson.core.JsonFactory;
import com.fasterxml.jackson.databind.ObjectMapper;
import java.io.File;
import java.io.IOException;
import java.net.URI;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.TimeUnit;
import java.util.stream.Collectors;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;

/**
 * What the bombs hold at most, in a machine of their own whose heap has room for no more. One of 20
 * s, which most of them use up their time for.
 */
class CompileMemoryTest {
  private static final long ALLOWED = 64L << 20;
  private static final long MINUTES_MAX = 4;

  /** Compiling takes 2 s of a clock; a machine that is busy and just started gets a bit more. */
  private static final int MILLIS_MAX = 2500;

  @Test
  void bombs_inAHeapOf64MibMore_endWithinItAndInTime() throws Exception {
    long used = used(run(List.of("-Xmx1g"), "measure"));
    List<String> lines = run(List.of("-Xmx" + (used + ALLOWED)));
    assertThat(lines).endsWith("done").hasSizeGreaterThan(80);
    for (String line : lines) {
      assertThat(line)
          .doesNotContain("OUT OF MEMORY")
          .doesNotContain("STACK OVERFLOW")
          .doesNotContain("STUCK");
      if (line.contains(" ms, ")) {
        int millis = Integer.parseInt(line.substring(0, line.indexOf(" ms")).strip());
        assertThat(millis).as(line).isLessThan(MILLIS_MAX);
      }
    }
  }

  /** What is needed and no more: runners of tests have class paths of their own kinds. */
  private static String classPath() {
    return Stream.of(
            BombRunner.class, Grammar.class, ObjectMapper.class, JsonFactory.class, JsonView.class)
        .map(one -> one.getProtectionDomain().getCodeSource().getLocation())
        .map(location -> Path.of(URI.create(location.toString())).toString())
        .distinct()
        .collect(Collectors.joining(File.pathSeparator));
  }

  private static long used(List<String> lines) {
    for (String line : lines) {
      if (line.startsWith("used ")) {
        return Long.parseLong(line.substring("used ".length()));
      }
    }
    throw new AssertionError(String.join("\n", lines));
  }

  /** With the plainest collector: what it does not give back is held. */
  private static List<String> run(List<String> heap, String... arguments)
      throws IOException, InterruptedException {
    List<String> command = new ArrayList<>();
    command.add(Path.of(System.getProperty("java.home"), "bin", "java").toString());
    command.addAll(heap);
    command.add("-XX:+UseSerialGC");
    command.add("-cp");
    command.add(classPath());
    command.add(BombRunner.class.getName());
    command.addAll(List.of(arguments));
    Process process = new ProcessBuilder(command).redirectErrorStream(true).start();
    byte[] printed = process.getInputStream().readAllBytes();
    assertThat(process.waitFor(MINUTES_MAX, TimeUnit.MINUTES)).isTrue();
    String text = new String(printed, StandardCharsets.UTF_8);
    assertThat(process.exitValue()).as(text).isZero();
    return text.lines().toList();
  }
}
