package io.verdier.conf;

import static org.assertj.core.api.Assertions.assertThat;

import java.util.List;
import java.util.Map;
import org.junit.jupiter.api.Test;

class SecretsTest {
  private static final String SECRET = "s3cr3t-v4lue";

  @Test
  void loaded_withSecrets_showsNone() {
    LoadResult.Loaded loaded =
        Loading.loaded(
            Map.of("HF_TOKEN", SECRET, "VLLM_API_KEY", SECRET),
            List.of(
                "--api-key",
                SECRET,
                SECRET + "2",
                "--api-key=" + SECRET,
                "--hf-token=" + SECRET,
                "--hf-token=" + SECRET + "3",
                "--tokenizer=https://user:" + SECRET + "@host/t?sig=" + SECRET,
                "--model=https://storage.googleapis.com/b/o?X-Goog-Signature=" + SECRET));

    assertThat(loaded.config().http().apiKeys()).hasSize(3);
    assertThat(loaded.notices().toString()).doesNotContain(SECRET);
    assertThat(loaded.effective().toString())
        .doesNotContain(SECRET)
        .contains("--api-key=Effective[value=(secret)", "--hf-token=Effective[value=(secret)");
    assertThat(loaded.effective().get("--model"))
        .extracting(it -> it == null ? "" : it.value())
        .isEqualTo("https://storage.googleapis.com/b/o?...");
  }

  @Test
  void problems_aroundSecrets_showNone() {
    List<String> problems =
        Loading.problems(
            "--api-kee=" + SECRET,
            "--hf-tokn",
            SECRET,
            "--hf-token",
            SECRET,
            SECRET,
            SECRET,
            "--api-key=ü" + SECRET,
            "--api-key=[" + SECRET,
            "--port=https://h?x=" + SECRET);
    assertThat(problems).hasSizeGreaterThanOrEqualTo(5);
    assertThat(problems.toString())
        .doesNotContain(SECRET)
        .contains("did you mean --api-key?", "did you mean --hf-token?");
  }

  @Test
  void config_asText_showsNoSecrets() {
    ServerConfig config = Loading.config("--api-key=" + SECRET, "--hf-token=" + SECRET);
    assertThat(config.toString()).doesNotContain(SECRET);
  }

  @Test
  void apiKeys_emptyEntry_isRefused() {
    assertThat(Loading.problems("--api-key=").getFirst()).contains("--api-key: an entry is empty");
    assertThat(Loading.problems("--api-key", "[]").getFirst()).contains("an entry is empty");
  }
}
