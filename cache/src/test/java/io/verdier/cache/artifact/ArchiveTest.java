package io.verdier.cache.artifact;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.verdier.cache.artifact.FakeCloud.Fault;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.Optional;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.zip.GZIPOutputStream;
import java.util.zip.ZipEntry;
import java.util.zip.ZipOutputStream;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

/** Archives behind signed addresses, honest and hostile. */
class ArchiveTest {
  @TempDir Path directory;
  private RemoteFixture fixture;
  private FakeCloud cloud;

  @BeforeEach
  void start() {
    fixture = new RemoteFixture(directory);
    cloud = fixture.cloud;
  }

  @AfterEach
  void stop() {
    fixture.close();
  }

  private Path open(String name, String... flags) {
    return openQuery(name, "X-Goog-Signature=secret", flags);
  }

  private Path openQuery(String name, String query, String... flags) {
    String signed = "http://" + cloud.cdnAuthority() + "/file/" + name + "?" + query;
    ArtifactUri uri = ArtifactUri.parse(signed, Optional.empty());
    try (Artifact adapter = fixture.store(flags).open(uri, FileChoice.ADAPTER)) {
      return adapter.directory();
    }
  }

  private static Map<String, byte[]> adapter(String prefix) {
    Map<String, byte[]> files = new LinkedHashMap<>();
    files.put(prefix + "adapter_config.json", "{\"r\": 8}".getBytes(StandardCharsets.UTF_8));
    files.put(prefix + "adapter_model.safetensors", RemoteFixture.bytes(5, 70_000));
    files.put(prefix + "run.py", "import os".getBytes(StandardCharsets.UTF_8));
    return files;
  }

  static byte[] zip(Map<String, byte[]> files) throws IOException {
    ByteArrayOutputStream bytes = new ByteArrayOutputStream();
    try (ZipOutputStream zip = new ZipOutputStream(bytes)) {
      for (Map.Entry<String, byte[]> file : files.entrySet()) {
        zip.putNextEntry(new ZipEntry(file.getKey()));
        zip.write(file.getValue());
      }
    }
    return bytes.toByteArray();
  }

  private static byte[] tar(Map<String, byte[]> files, char type) throws IOException {
    ByteArrayOutputStream bytes = new ByteArrayOutputStream();
    for (Map.Entry<String, byte[]> file : files.entrySet()) {
      byte[] name = file.getKey().getBytes(StandardCharsets.UTF_8);
      byte[] content = file.getValue();
      if (name.length > 100) {
        entry(bytes, "././@LongLink", name, 'L');
      }
      entry(bytes, file.getKey().substring(0, Math.min(100, name.length)), content, type);
    }
    bytes.write(new byte[1024]);
    return bytes.toByteArray();
  }

  private static void entry(ByteArrayOutputStream to, String name, byte[] content, char type)
      throws IOException {
    byte[] head = new byte[512];
    byte[] text = name.getBytes(StandardCharsets.UTF_8);
    System.arraycopy(text, 0, head, 0, text.length);
    byte[] size = "%011o".formatted(content.length).getBytes(StandardCharsets.US_ASCII);
    System.arraycopy(size, 0, head, 124, 11);
    head[156] = (byte) type;
    System.arraycopy("ustar\0".getBytes(StandardCharsets.US_ASCII), 0, head, 257, 6);
    to.write(head);
    to.write(content);
    to.write(new byte[(512 - content.length % 512) % 512]);
  }

  private static byte[] gzip(byte[] bytes) throws IOException {
    ByteArrayOutputStream out = new ByteArrayOutputStream();
    try (GZIPOutputStream gzip = new GZIPOutputStream(out)) {
      gzip.write(bytes);
    }
    return out.toByteArray();
  }

  @ParameterizedTest
  @ValueSource(strings = {"a.zip", "a.tar", "a.tar.gz", "a.tgz"})
  void open_archive_unpacksWhatIsReadOnce(String name) throws IOException {
    Map<String, byte[]> files = adapter(name.equals("a.tar") ? "checkpoint-final/" : "");
    byte[] packed =
        switch (name) {
          case "a.zip" -> zip(files);
          case "a.tar" -> tar(files, '0');
          default -> gzip(tar(files, '0'));
        };
    cloud.files.put(name, packed);
    Path opened = open(name);
    assertThat(RemoteFixture.tree(opened).keySet())
        .containsExactly("adapter_config.json", "adapter_model.safetensors");
    assertThat(opened.resolve("adapter_model.safetensors"))
        .hasBinaryContent(RemoteFixture.bytes(5, 70_000));
    long sent = cloud.bytesSent.get();
    assertThat(open(name)).isEqualTo(opened);
    assertThat(cloud.bytesSent.get() - sent).as("one byte, to ask for the version").isEqualTo(1);
    assertThat(cloud.requests).allMatch(request -> request.method().equals("GET"));
  }

  /** Archives of equal size. */
  private static byte[] tarOf(long seed) throws IOException {
    Map<String, byte[]> files = adapter("");
    files.put("adapter_model.safetensors", RemoteFixture.bytes(seed, 70_000));
    return tar(files, '0');
  }

  private static void requireWeights(Path opened, long seed) {
    assertThat(opened.resolve("adapter_model.safetensors"))
        .hasBinaryContent(RemoteFixture.bytes(seed, 70_000));
  }

  /** The connection breaks after 20 kB, and by then another archive lies there. */
  private void replaceAtBreak(byte[] other) {
    AtomicInteger requests = new AtomicInteger();
    cloud.faults =
        request ->
            switch (requests.getAndIncrement()) {
              case 1 -> Fault.cut(20_000); // the first but for the question
              case 2 -> {
                cloud.files.put("a.tar", other);
                yield Fault.NONE;
              }
              default -> Fault.NONE;
            };
  }

  @Test
  void open_replacedWhileItIsFetched_isNeverMixed() throws IOException {
    cloud.files.put("a.tar", tarOf(1));
    replaceAtBreak(tarOf(2));
    assertThatThrownBy(() -> open("a.tar"))
        .hasMessageContaining("the file changed at its source while it was fetched");
    requireWeights(open("a.tar"), 2);
  }

  @Test
  void open_replacedWithoutEntityTags_isFetchedFromEndToEnd() throws IOException {
    cloud.entityTag = content -> Optional.empty();
    cloud.files.put("a.tar", tarOf(1));
    replaceAtBreak(tarOf(2));
    requireWeights(open("a.tar"), 2);
  }

  @Test
  void open_againWithoutEntityTags_fetchesWhatIsThereNow() throws IOException {
    cloud.entityTag = content -> Optional.empty();
    cloud.files.put("a.tar", tarOf(1));
    requireWeights(open("a.tar"), 1);
    cloud.files.put("a.tar", tarOf(2));
    Path opened = open("a.tar");
    requireWeights(opened, 2);
    assertThat(RemoteFixture.bytesBelow(directory.resolve("downloads/artifacts")))
        .as("the one before goes")
        .isLessThan(100_000);
  }

  /** A server that tells tenants apart by a query, and whose entity tags are the address's. */
  @Test
  void open_anotherQuery_isAnotherArchive() throws IOException {
    cloud.entityTag = content -> Optional.of("\"a.tar\"");
    byte[] one = tarOf(1);
    byte[] other = tarOf(2);
    cloud.faults =
        request -> {
          cloud.files.put("a.tar", request.query().contains("id=one") ? one : other);
          return Fault.NONE;
        };
    Path first = openQuery("a.tar", "id=one&X-Goog-Signature=a");
    requireWeights(first, 1);
    requireWeights(openQuery("a.tar", "id=other&X-Goog-Signature=b"), 2);
    requireWeights(first, 1);
  }

  @ParameterizedTest
  @CsvSource({
    "'', ''",
    "X-Goog-Signature=a&X-Goog-Expires=9&generation=4, ?generation=4",
    "versionId=3&X-Amz-Signature=a&x-amz-date=1, ?versionId=3",
    "Expires=1&GoogleAccessId=x&Signature=b, ''",
    "id=7&Policy=p&Signature=s&Key-Pair-Id=k, ?id=7",
    "sv=2024&sr=b&sp=r&se=9&sig=c, ''",
    "sp=a&st=b, ?sp=a&st=b",
    "policy=open, ?policy=open",
  })
  void identity_ofAnAddress_leavesOutSignaturesAlone(String query, String left) {
    String address = "https://h/a.zip";
    ArtifactUri uri =
        ArtifactUri.parse(query.isEmpty() ? address : address + "?" + query, Optional.empty());
    assertThat(uri.identity()).isEqualTo(address + left);
    assertThat(uri.shown()).isEqualTo(address);
  }

  /** Text of 1.5 MB that packs into two thousand bytes: what it becomes counts, not what it was. */
  @ParameterizedTest
  @ValueSource(strings = {"a.zip", "a.tar.gz"})
  void open_archiveThatUnpacksToMoreThanTheQuota_isRefused(String name) throws IOException {
    Map<String, byte[]> files = adapter("");
    files.put("notes.txt", new byte[1_500_000]);
    cloud.files.put(name, name.equals("a.zip") ? zip(files) : gzip(tar(files, '0')));
    cloud.files.put("small.zip", zip(adapter("")));
    Path other = open("small.zip", "--download-quota=1M");

    assertThatThrownBy(() -> open(name, "--download-quota=1M"))
        .isInstanceOf(ArtifactException.class)
        .hasMessageContaining("do not fit into --download-quota 1.0 MiB");
    Path artifacts = directory.resolve("downloads/artifacts");
    assertThat(RemoteFixture.bytesBelow(artifacts)).isLessThan(1 << 20);
    assertThat(RemoteFixture.tree(artifacts).keySet())
        .noneMatch(file -> file.contains("notes") || file.contains("unpack-"));
    assertThat(other).as("went, for the room that was asked for").doesNotExist();
    assertThat(open(name, "--download-quota=2M").resolve("notes.txt")).hasSize(1_500_000);
    assertThat(RemoteFixture.bytesBelow(artifacts)).isLessThan(2 << 20);
  }

  @Test
  void open_afterKillWhileUnpacking_cleansUp() throws IOException {
    byte[] packed = zip(adapter("checkpoint-final/"));
    cloud.files.put("a.zip", packed);
    Path opened = open("a.zip");
    Path entry = PartialFile.parent(opened);
    Path half = entry.resolve("unpack-0000/checkpoint-final");
    Files.createDirectories(half);
    Files.writeString(half.resolve("adapter_config.json"), "{");
    Path archive = Files.write(entry.resolve("archive.zip"), packed);
    assertThat(open("a.zip")).isEqualTo(opened);
    assertThat(RemoteFixture.tree(entry).keySet())
        .containsExactly("files/adapter_config.json", "files/adapter_model.safetensors", "used");
    assertThat(archive).doesNotExist();

    Files.createDirectories(half); // killed before the end, too
    Files.delete(opened.resolve("adapter_model.safetensors"));
    assertThat(open("a.zip")).isEqualTo(opened);
    assertThat(RemoteFixture.tree(opened)).containsKey("adapter_model.safetensors");
    assertThat(half).doesNotExist();
  }

  @Test
  void open_tarWithLongName_isRead() throws IOException {
    String folder = "d".repeat(60) + "/" + "e".repeat(60) + "/";
    Map<String, byte[]> files = adapter("");
    files.put(folder + "x.json", new byte[] {'1'});
    cloud.files.put("a.tar", tar(files, '0'));
    assertThat(open("a.tar").resolve(folder + "x.json")).hasContent("1");
  }

  @ParameterizedTest
  @ValueSource(strings = {"../evil.json", "/tmp/evil.json", "a/../../evil.json", "..\\evil.json"})
  void open_nameOutside_isRefused(String name) throws IOException {
    Map<String, byte[]> files = adapter("");
    files.put(name, new byte[] {'1'});
    cloud.files.put("a.zip", zip(files));
    cloud.files.put("a.tar", tar(files, '0'));
    assertThatThrownBy(() -> open("a.zip")).hasMessageContaining("outside of itself");
    assertThatThrownBy(() -> open("a.tar")).hasMessageContaining("outside of itself");
    assertThat(RemoteFixture.tree(directory).keySet()).noneMatch(it -> it.contains("evil"));
  }

  @Test
  void open_oddNames_arePassedOver() throws IOException {
    Map<String, byte[]> files = adapter("");
    files.put("runs/10:00/e.json", new byte[] {'1'});
    files.put("a//b.json", new byte[] {'1'});
    cloud.files.put("a.zip", zip(files));
    assertThat(RemoteFixture.tree(open("a.zip")).keySet())
        .containsExactly("adapter_config.json", "adapter_model.safetensors");
  }

  @Test
  void open_links_arePassedOver() throws IOException {
    cloud.files.put("a.tar", tar(adapter(""), '2'));
    assertThatThrownBy(() -> open("a.tar")).hasMessageContaining("the archive lacks");
  }

  @Test
  void open_bomb_isCut() throws IOException {
    Map<String, byte[]> files = adapter("");
    for (int i = 0; i < 9; i++) {
      files.put(i + ".json", new byte[32 << 20]);
    }
    cloud.files.put("a.zip", zip(files));
    assertThatThrownBy(() -> open("a.zip")).hasMessageContaining("more than 8 times its size");
  }

  @Test
  void open_damaged_saysSo() throws IOException {
    byte[] good = gzip(tar(adapter(""), '0'));
    cloud.files.put("a.tar.gz", java.util.Arrays.copyOf(good, good.length / 2));
    assertThatThrownBy(() -> open("a.tar.gz")).hasMessageContaining("the archive is damaged");
    cloud.files.put("a.rar", good);
    assertThatThrownBy(() -> open("a.rar")).hasMessageContaining("must lead to an archive");
  }
}
