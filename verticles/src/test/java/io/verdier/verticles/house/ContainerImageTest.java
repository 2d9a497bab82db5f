package io.verdier.verticles.house;

import static java.nio.charset.StandardCharsets.UTF_8;
import static org.assertj.core.api.Assertions.assertThat;

import io.vertx.core.json.JsonArray;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.attribute.PosixFilePermissions;
import java.util.ArrayList;
import java.util.List;
import java.util.stream.Collectors;
import java.util.stream.Stream;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** What of the Dockerfile can be checked without a container engine, and its shims, run. */
final class ContainerImageTest {
  private static final Path SHIMS = Checkout.root().resolve("conf/src/main/container");

  /** Of the last stage, which is the image. */
  private static List<Instruction> image;

  private static List<Instruction> all;

  @TempDir private Path home;

  /** One instruction of a Dockerfile, its continuation lines joined. */
  private record Instruction(String name, String arguments) {
    /** The arguments behind the options that start with two dashes. */
    String operands() {
      return arguments.replaceAll("--[a-z-]+=\\S+\\s*", "").trim();
    }
  }

  @BeforeAll
  static void parse() throws IOException {
    String text = Files.readString(Checkout.root().resolve("Dockerfile"));
    all =
        text.lines()
            .filter(line -> !line.startsWith("#") && !line.isBlank())
            .reduce((a, b) -> a.endsWith("\\") ? a.substring(0, a.length() - 1) + b : a + "\n" + b)
            .orElseThrow()
            .lines()
            .map(line -> line.split("\\s+", 2))
            .map(parts -> new Instruction(parts[0], parts[1].trim()))
            .toList();
    int last = 0;
    for (int i = 0; i < all.size(); i++) {
      last = all.get(i).name().equals("FROM") ? i : last;
    }
    image = all.subList(last, all.size());
  }

  @Test
  void image_user_isAnUnprivilegedNumber() {
    assertThat(only("USER")).matches("[1-9]\\d*:\\d+");
  }

  @Test
  void image_entryPoint_isInExecFormAndTakesFlags() {
    assertThat(array(only("ENTRYPOINT"))).containsExactly("/opt/verdier/bin/verdier", "serve");
    assertThat(array(only("CMD"))).isEmpty();
  }

  @Test
  void image_healthCheck_needsNoOtherProgram() {
    String check = only("HEALTHCHECK");

    assertThat(check).contains("--start-period=").contains("--timeout=");
    assertThat(array(check.substring(check.indexOf("CMD") + 3)))
        .containsExactly("/opt/verdier/bin/verdier", "health");
  }

  @Test
  void image_variables_leaveVertexItsOwn() {
    assertThat(all)
        .filteredOn(it -> it.name().equals("ENV") || it.name().equals("ARG"))
        .noneMatch(it -> it.arguments().contains("AIP_"));
    assertThat(only("EXPOSE")).contains("8080");
  }

  @Test
  void image_cacheDirectories_areInsideTheWritableOne() {
    assertThat(only("ENV"))
        .contains("VERDIER_CACHE_DIR=/var/cache/verdier ")
        .contains("HF_HOME=/var/cache/verdier/");
    assertThat(only("RUN")).contains("install -d -o 10001 -g 0 -m 0775 /var/cache/verdier");
  }

  /** No driver brings it, and no loader finds it elsewhere without being told. */
  @Test
  void image_severalGpus_hasNcclWithItsLicenceWhereTheLoaderLooks() {
    String stage = "--from=kernels ";
    String brought =
        all.stream()
            .filter(it -> it.name().equals("RUN") && it.arguments().contains("libnccl.so.2"))
            .map(Instruction::arguments)
            .collect(Collectors.joining("\n"));

    assertThat(brought).contains("\"$NCCL\" = true").contains("cp -L");
    assertThat(brought).contains("/usr/share/doc/libnccl2/copyright");
    assertThat(all).contains(new Instruction("ARG", "NCCL=true"));
    assertThat(image)
        .contains(
            new Instruction("COPY", stage + "/nccl/lib/ /usr/lib/"),
            new Instruction("COPY", stage + "/nccl/licenses/ /opt/verdier/licenses/"));
  }

  @Test
  void copiedFiles_all_exist() {
    List<String> sources =
        all.stream()
            .filter(it -> it.name().equals("COPY") && !it.arguments().startsWith("--from="))
            .map(it -> it.operands().split("\\s+"))
            .flatMap(words -> Stream.of(words).limit(words.length - 1L))
            .toList();

    assertThat(sources).hasSizeGreaterThan(3);
    assertThat(sources).allSatisfy(it -> assertThat(Checkout.root().resolve(it)).exists());
    assertThat(all).noneMatch(it -> it.name().equals("ADD"));
  }

  @Test
  void buildContext_leavesOutBuildOutputs() throws IOException {
    assertThat(Files.readAllLines(Checkout.root().resolve(".dockerignore")))
        .contains(".git", "**/target");
  }

  @Test
  void python_startingVllm_startsTheServerWithTheSameArguments() throws Exception {
    Path launcher = Files.createDirectories(home.resolve("bin")).resolve("verdier");
    Files.writeString(launcher, "#!/bin/sh\nprintf '<%s>' \"$@\"\n");
    Files.setPosixFilePermissions(launcher, PosixFilePermissions.fromString("rwxr-xr-x"));

    String module = "vllm.entrypoints.openai.api_server";
    assertThat(run("python", "-m", module, "--host 0.0.0.0", "--limit='a b'"))
        .isEqualTo("0<serve><-m><" + module + "><--host 0.0.0.0><--limit='a b'>");
    assertThat(run("ray_launcher.sh", SHIMS.resolve("python").toString(), "-m", module))
        .isEqualTo("0<serve><-m><" + module + ">");
  }

  @Test
  void python_otherwise_saysThatThereIsNone() throws Exception {
    assertThat(run("python", "-c", "import vllm")).startsWith("2There is no Python in this image.");
    assertThat(run("python")).startsWith("2There is no Python in this image.");
  }

  /** Exit status and what was printed, in one. */
  private String run(String shim, String... arguments) throws Exception {
    List<String> command = new ArrayList<>();
    command.add(SHIMS.resolve(shim).toString());
    command.addAll(List.of(arguments));
    ProcessBuilder builder = new ProcessBuilder(command).redirectErrorStream(true);
    builder.environment().put("VERDIER_HOME", home.toString());
    Process process = builder.start();
    String printed = new String(process.getInputStream().readAllBytes(), UTF_8);
    return process.waitFor() + printed;
  }

  private static String only(String name) {
    List<Instruction> found = image.stream().filter(it -> it.name().equals(name)).toList();
    assertThat(found).as(name).hasSize(1);
    return found.getFirst().arguments();
  }

  private static List<String> array(String json) {
    return new JsonArray(json.trim()).stream().map(Object::toString).toList();
  }
}
