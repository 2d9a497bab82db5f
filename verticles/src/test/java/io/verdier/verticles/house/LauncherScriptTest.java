package io.verdier.verticles.house;

import static org.assertj.core.api.Assertions.assertThat;

import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.attribute.FileTime;
import java.nio.file.attribute.PosixFilePermissions;
import java.time.Instant;
import java.util.List;
import java.util.Map;
import java.util.concurrent.TimeUnit;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** The script at the root, in a small tree of its own with a Maven that only counts its builds. */
class LauncherScriptTest {
  @TempDir Path tree;

  private record Run(int status, String output) {}

  @BeforeEach
  void plant() throws IOException {
    for (String file : List.of("verdier", "verticles/src/main/dist/bin/find-jdk.sh")) {
      Path copy = tree.resolve(file);
      Files.createDirectories(copy.resolveSibling(""));
      Files.copy(Checkout.root().resolve(file), copy);
    }
    for (String module : List.of("conf", "cache", "engine", "verticles")) {
      write(module + "/pom.xml", module);
      write(module + "/src/main/java/A.java", "class A {}");
    }
    write("pom.xml", "");
    write(".mvn/jvm.config", "");
    write(
        "mvnw",
        """
        #!/bin/sh
        echo build >>builds
        [ ! -f broken ] || { echo '[ERROR] it does not compile'; exit 1; }
        mkdir -p verticles/target/verdier/bin
        printf '#!/bin/sh\\necho "ran $*"\\n' >verticles/target/verdier/bin/verdier
        chmod +x verticles/target/verdier/bin/verdier
        """);
    for (String script : List.of("mvnw", "verdier")) {
      Files.setPosixFilePermissions(
          tree.resolve(script), PosixFilePermissions.fromString("rwxr-xr-x"));
    }
  }

  @Test
  void run_builtAndUnchanged_isNotBuiltAgain() throws Exception {
    assertThat(run(Map.of(), "serve", "--port=1").output())
        .contains("Building")
        .contains("ran serve --port=1");
    assertThat(run(Map.of(), "serve").output()).doesNotContain("Building");
    assertThat(builds()).isEqualTo(1);
  }

  @Test
  void run_sourceChangedAddedOrRemoved_isBuiltAgain() throws Exception {
    run(Map.of(), "serve");
    Path source = tree.resolve("engine/src/main/java/A.java");
    Files.setLastModifiedTime(source, FileTime.from(Instant.now().plusSeconds(5)));
    run(Map.of(), "serve");
    assertThat(builds()).as("changed").isEqualTo(2);
    Files.setLastModifiedTime(source, FileTime.from(Instant.now().minusSeconds(60)));
    write("conf/src/main/java/B.java", "class B {}");
    run(Map.of(), "serve");
    assertThat(builds()).as("added").isEqualTo(3);
    Files.delete(tree.resolve("conf/src/main/java/B.java"));
    run(Map.of(), "serve");
    assertThat(builds()).as("removed").isEqualTo(4);
  }

  @Test
  void run_buildFails_saysWhyAndTriesAgainNextTime() throws Exception {
    write("broken", "");
    Run failed = run(Map.of(), "serve");
    assertThat(failed.status()).isEqualTo(1);
    assertThat(failed.output())
        .contains("it does not compile")
        .contains("build.log")
        .doesNotContain("ran");
    Files.delete(tree.resolve("broken"));
    assertThat(run(Map.of(), "serve").output()).contains("ran serve");
  }

  @Test
  void run_noRecentJdk_isOneClearSentence() throws Exception {
    write("jdk17/release", "JAVA_VERSION=\"17.0.15\"\n");
    write("jdk17/bin/java", "#!/bin/sh\n");
    Files.setPosixFilePermissions(
        tree.resolve("jdk17/bin/java"), PosixFilePermissions.fromString("rwxr-xr-x"));
    Map<String, String> environment =
        Map.of(
            "JAVA_HOME", tree.resolve("jdk17").toString(),
            "VERDIER_JVM_ROOT", tree.resolve("none").toString(),
            "PATH", tree.resolve("jdk17/bin") + ":/usr/bin:/bin");
    Run refused = run(environment, "serve");
    assertThat(refused.status()).isEqualTo(1);
    assertThat(refused.output().strip().lines()).hasSize(1);
    assertThat(refused.output()).contains("Java 25").contains("JAVA_HOME");
  }

  private Run run(Map<String, String> environment, String... arguments) throws Exception {
    ProcessBuilder builder = new ProcessBuilder("./verdier").directory(tree.toFile());
    builder.command().addAll(List.of(arguments));
    builder.environment().put("JAVA_HOME", System.getProperty("java.home"));
    builder.environment().putAll(environment);
    Process process = builder.redirectErrorStream(true).start();
    String output = new String(process.getInputStream().readAllBytes(), StandardCharsets.UTF_8);
    assertThat(process.waitFor(20, TimeUnit.SECONDS)).isTrue();
    return new Run(process.exitValue(), output);
  }

  private long builds() throws IOException {
    return Files.readString(tree.resolve("builds")).lines().count();
  }

  private void write(String file, String text) throws IOException {
    Path path = tree.resolve(file);
    Files.createDirectories(path.resolveSibling(""));
    Files.writeString(path, text);
  }
}
