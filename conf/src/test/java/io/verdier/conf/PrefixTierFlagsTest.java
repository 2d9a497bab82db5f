package io.verdier.conf;

import static org.assertj.core.api.Assertions.assertThat;

import io.verdier.conf.ServerConfig.PrefixTiers;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import java.util.OptionalLong;
import org.junit.jupiter.api.Test;

/** What keeps prefixes behind the KV cache: vLLM's flag, Vertex AI's and ours. */
class PrefixTierFlagsTest {

  @Test
  void tiers_nothingAsked_areNone() {
    assertThat(tiers()).isEqualTo(PrefixTiers.NONE);
    assertThat(tiers().isWanted()).isFalse();
    assertThat(tiers("--host-prefix-kv-cache-utilization-target=0").isWanted()).isFalse();
    assertThat(tiers("--kv-offloading-size=0").isWanted()).isFalse();
  }

  @Test
  void tiers_vertexFlags_keepLongPrefixesOnly() {
    PrefixTiers tiers = tiers("--host-prefix-kv-cache-utilization-target=0.75");

    assertThat(tiers.hostShare()).isEqualTo(0.75);
    assertThat(tiers.hostBytes()).isEmpty();
    assertThat(tiers.minTokens()).isEqualTo(1024);
    assertThat(tiers.isWanted()).isTrue();
  }

  @Test
  void tiers_vllmsFlag_keepsAllPrefixes() {
    PrefixTiers tiers = tiers("--kv-offloading-size=1.5");

    assertThat(tiers.hostBytes()).isEqualTo(OptionalLong.of(3L << 29));
    assertThat(tiers.minTokens()).isZero();
    assertThat(tiers("--kv-offloading-size=1.5", "--host-prefix-kv-cache-min-len=1024").minTokens())
        .isEqualTo(1024);
  }

  @Test
  void tiers_disk_hasItsBound() {
    PrefixTiers tiers = tiers("--prefix-cache-dir=/ssd/prefixes", "--prefix-cache-size=200G");

    assertThat(tiers.directory()).contains(Path.of("/ssd/prefixes"));
    assertThat(tiers.diskBytes()).isEqualTo(200L << 30);
    assertThat(tiers.isWanted()).isTrue();
  }

  @Test
  void notices_flagsInVain_sayWhy() {
    assertThat(notices("--kv-offloading-size=1", "--no-enable-prefix-caching"))
        .contains("--kv-offloading-size has no effect with --no-enable-prefix-caching");
    assertThat(notices("--kv-offloading-size=1", "--backend=null"))
        .contains("--kv-offloading-size has no effect with the null backend");
    assertThat(notices("--prefix-cache-dir=/p", "--pipeline-parallel-size=2"))
        .anyMatch(
            it -> it.startsWith("--prefix-cache-dir has no effect with --pipeline-parallel-size"));
    assertThat(notices("--prefix-cache-dir=/p", "--tensor-parallel-size=2"))
        .noneMatch(it -> it.contains("--prefix-cache-dir"));
    assertThat(notices("--prefix-cache-size=1G"))
        .contains("--prefix-cache-size has no effect without --prefix-cache-dir");
    assertThat(notices("--kv-offloading-size=1", "--host-prefix-kv-cache-utilization-target=0.5"))
        .contains(
            "--host-prefix-kv-cache-utilization-target has no effect: --kv-offloading-size wins");
    assertThat(notices("--kv-offloading-size=1")).noneMatch(it -> it.contains("offloading"));
  }

  private static PrefixTiers tiers(String... argv) {
    return load(argv).config().cache().tiers();
  }

  private static List<String> notices(String... argv) {
    return load(argv).notices();
  }

  private static LoadResult.Loaded load(String... argv) {
    return Loading.loaded(Map.of(), List.of(argv));
  }
}
