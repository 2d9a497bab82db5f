package io.verdier.cache.artifact;

import static io.verdier.cache.artifact.RemoteFixture.GCS;
import static io.verdier.cache.artifact.RemoteFixture.HUB;
import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.verdier.cache.artifact.FakeCloud.Fault;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Optional;
import org.assertj.core.api.AbstractThrowableAssert;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** What the operator reads when a model cannot be had: one line, the reason, what to do. */
class RefusalsTest {
  private static final String SECRET = "s3cr3t";
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

  private AbstractThrowableAssert<?, ?> refused(ArtifactUri uri, String... flags) {
    return assertThatThrownBy(() -> fixture.store(flags).open(uri, FileChoice.MODEL))
        .isInstanceOf(ArtifactException.class)
        .hasMessageNotContaining(SECRET)
        .hasMessageNotContaining("Exception")
        .satisfies(thrown -> assertThat(thrown.toString().lines()).hasSize(1));
  }

  @Test
  void hub_gatedWithoutToken_saysWhichPage() {
    cloud.faults = request -> Fault.status(401, "X-Error-Code", "GatedRepo");
    refused(HUB)
        .hasMessageContaining("Cannot access gated repo for url " + cloud.endpoint())
        .hasMessageContaining("terms on " + cloud.endpoint() + "/org/demo")
        .hasMessageContaining("HF_TOKEN set to a token of that account; none is set");
  }

  @Test
  void hub_gatedWithoutAccess_saysWhichToken() {
    cloud.faults = request -> Fault.status(403, "X-Error-Code", "GatedRepo");
    refused(HUB, "--hf-token=" + SECRET)
        .hasMessageContaining("The account of the token in HF_TOKEN has no access yet");
  }

  /** "Which token" is for who forgot that there is a login as well. */
  @Test
  void hub_tokenOfAFile_isNamedByItsPlace() throws Exception {
    Path file = Files.writeString(directory.resolve("login"), SECRET + "\n");
    cloud.faults = request -> Fault.status(403, "X-Error-Code", "GatedRepo");
    refused(HUB, "--hf-token-path=" + file)
        .hasMessageContaining("The account of the token in the file " + file + " has no access yet")
        .hasMessageContaining("terms on " + cloud.endpoint() + "/org/demo");
    cloud.faults = request -> Fault.status(401);
    refused(HUB, "--hf-token-path=" + file)
        .hasMessageContaining("The token in the file " + file + " is not valid");
    assertThat(cloud.requests)
        .allMatch(it -> it.header("Authorization").equals(Optional.of("Bearer " + SECRET)));
  }

  @Test
  void hub_gatedFilesOnly_saysSoToo() {
    cloud.faults =
        request ->
            request.path().contains("/resolve/")
                ? Fault.status(401, "X-Error-Code", "GatedRepo")
                : Fault.NONE;
    refused(HUB).hasMessageContaining("Cannot access gated repo");
  }

  @Test
  void hub_noSuchRepository_saysSo() {
    cloud.faults = request -> Fault.status(401, "X-Error-Code", "RepoNotFound");
    refused(HUB)
        .hasMessageContaining("org/demo: no such model repository")
        .hasMessageContaining("none is set");
    cloud.faults = request -> Fault.status(404);
    refused(HUB, "--hf-token=" + SECRET).hasMessageContaining("may not see it");
    cloud.faults = request -> Fault.status(401);
    refused(HUB, "--hf-token=" + SECRET).hasMessageContaining("HF_TOKEN is not valid");
  }

  @Test
  void hub_noSuchRevision_namesIt() {
    cloud.faults = request -> Fault.status(404, "X-Error-Code", "RevisionNotFound");
    refused(ArtifactUri.parse("org/demo", Optional.of("v9")))
        .hasMessageContaining("no branch, tag or commit v9. Correct --revision");
  }

  @Test
  void hub_offlineAndNotCached_saysSo() {
    refused(HUB, "--hf-hub-offline").hasMessageContaining("HF_HUB_OFFLINE");
    assertThat(cloud.requests).isEmpty();
  }

  @Test
  void gcs_forbidden_saysWhoAndWhichRole() {
    String said =
        "{\"error\": {\"code\": 403, \"message\": \"a@b.iam does not have storage.objects.list\"}}";
    cloud.faults = request -> Fault.status(403).withBody(said);
    refused(GCS)
        .hasMessageContaining("roles/storage.objectViewer")
        .hasMessageContaining("a@b.iam does not have storage.objects.list");
  }

  @Test
  void gcs_nothingThere_saysSo() {
    cloud.faults = request -> Fault.status(404);
    refused(GCS).hasMessageContaining("there is no such bucket");
    cloud.faults = request -> Fault.NONE;
    cloud.files.clear();
    refused(GCS).hasMessageContaining("no objects under this name");
  }

  @Test
  void gcs_noModelThere_saysWhatIsMissing() {
    byte[] config = cloud.files.remove("config.json");
    refused(GCS).hasMessageContaining("there is no config.json");
    cloud.files.put("checkpoint-final/config.json", config);
    refused(GCS).hasMessageContaining("It lies deeper, as checkpoint-final/config.json");
    cloud.files.put("config.json", config);
    cloud.files.remove("model-00002-of-00002.safetensors");
    refused(GCS).hasMessageContaining("names the shard model-00002-of-00002.safetensors");
    cloud.files.remove("model.safetensors.index.json");
    refused(GCS).hasMessageContaining("only pickled ones, which are never opened");
  }

  @ParameterizedTest
  @ValueSource(strings = {"../evil.json", "a/../../evil.json", "..\\evil.json", "/etc/evil.json"})
  void gcs_nameOutsideTheDirectory_isRefused(String name) {
    cloud.files.put(name, new byte[10]);
    refused(GCS).hasMessageContaining("outside");
    assertThat(directory.resolveSibling("evil.json")).doesNotExist();
  }

  @Test
  void gcs_downloadDirectoryIsAFile_saysWhatToName() throws Exception {
    Files.createDirectories(directory);
    Files.writeString(directory.resolve("downloads"), "");
    refused(GCS).hasMessageContaining("--download-dir");
  }

  @Test
  void gcs_largerThanTheDisk_isRefusedBeforeItBegins() {
    cloud.faults = request -> Fault.NONE;
    assertThatThrownBy(() -> DiskFailure.requireSpace("gs://b/m", directory, Long.MAX_VALUE / 2))
        .hasMessageContaining("gs://b/m: ")
        .hasMessageContaining("more are needed in " + directory)
        .hasMessageContaining("--download-dir");
  }

  @Test
  void gcs_largerThanTheQuota_isRefused() {
    cloud.files.put("model-00001-of-00002.safetensors", new byte[2 << 20]);
    refused(GCS, "--download-quota=1M")
        .hasMessageContaining("do not fit into --download-quota 1.0 MiB");
  }

  @Test
  void url_expiredSignature_saysSoWithoutIt() {
    ArtifactUri signed =
        ArtifactUri.parse(
            "http://" + cloud.cdnAuthority() + "/file/m.zip?X-Goog-Signature=" + SECRET,
            Optional.empty());
    cloud.files.put("m.zip", "x".getBytes(StandardCharsets.UTF_8));
    cloud.faults = request -> Fault.status(403).withBody("<Error>" + SECRET + "</Error>");
    refused(signed).hasMessageContaining("/file/m.zip: the server refuses it (status 403)");
    cloud.faults = request -> Fault.NONE;
    refused(signed).hasMessageContaining("the archive lacks config.json");
    refused(signed, "--allowed-outbound-hosts=127.0.0.1:1")
        .hasMessageContaining("only https addresses are fetched");
  }
}
