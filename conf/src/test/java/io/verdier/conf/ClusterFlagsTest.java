package io.verdier.conf;

import static org.assertj.core.api.Assertions.assertThat;

import io.verdier.conf.ClusterConfig.Role;
import io.verdier.conf.ClusterConfig.Routing;
import java.util.Locale;
import org.junit.jupiter.api.Test;

class ClusterFlagsTest {
  private static final String SECRET = "--cluster-secret=0123456789abcdef";

  @Test
  void roles_anySpelling_areUnderstood() {
    ClusterConfig cluster = Loading.config("--cluster", "--roles=HTTP, engine").cluster();
    assertThat(cluster.roles()).containsExactlyInAnyOrder(Role.HTTP, Role.ENGINE);
    assertThat(cluster.serves()).isTrue();
    cluster = Loading.config("--cluster", "--roles", "engine", "cache").cluster();
    assertThat(cluster.serves()).isFalse();
    assertThat(cluster.generates()).isTrue();
  }

  @Test
  void roles_withoutCluster_changeNothing() {
    ClusterConfig cluster = Loading.config("--roles=http").cluster();
    assertThat(cluster.generates()).isTrue();
    assertThat(Loading.loaded("--roles=http").notices().toString())
        .contains("--roles has no effect without --cluster");
  }

  @Test
  void roles_unknownOrNone_areRefused() {
    assertThat(Loading.problems("--cluster", "--roles=http,router").toString()).contains("router");
    assertThat(Loading.problems("--cluster", "--roles=,").toString()).contains("does nothing");
  }

  @Test
  void roles_cacheAlone_needsASize() {
    ClusterConfig alone =
        Loading.config("--cluster", "--roles=cache", "--kv-offloading-size=1").cluster();
    assertThat(alone.keepsBlocks()).isTrue();
    assertThat(alone.serves()).isFalse();
    assertThat(alone.generates()).isFalse();
    assertThat(Loading.problems("--cluster", "--roles=cache").toString())
        .contains("--kv-offloading-size");
    ClusterConfig beside = Loading.config("--cluster", "--roles=engine,cache").cluster();
    assertThat(beside.keepsBlocks()).isFalse();
    ClusterConfig none = Loading.config("--roles=cache").cluster();
    assertThat(none.keepsBlocks()).isFalse();
  }

  @Test
  void cacheNodes_given_areRead() {
    ClusterConfig cluster =
        Loading.config("--cluster", "--cluster-cache-port=5710", "--cluster-cache-timeout=2")
            .cluster();
    assertThat(cluster.cacheNodes())
        .isEqualTo(new ClusterConfig.CacheNodes(5710, java.time.Duration.ofSeconds(2)));
  }

  @Test
  void openPort_withoutSecretOrTls_isRefusedUnlessSaid() {
    for (String host : new String[] {"0.0.0.0", "::", "10.0.0.1", "node-1"}) {
      String flag = "--cluster-host=" + host;
      assertThat(Loading.problems("--cluster", flag).toString()).contains("--cluster-secret");
      assertThat(Loading.problems("--cluster", flag, SECRET).toString()).contains("tls-cert");
      assertThat(Loading.config("--cluster", flag, "--insecure-cluster").cluster().host())
          .isEqualTo(host);
    }
    for (String host : new String[] {"127.0.0.1", "localhost", "::1"}) {
      assertThat(Loading.config("--cluster", "--cluster-host=" + host).cluster().host())
          .isEqualTo(host);
    }
  }

  @Test
  void secret_short_isRefusedAndNotShown() {
    String problems = Loading.problems("--cluster", "--cluster-secret=s3cr3t").toString();
    assertThat(problems).contains("6 characters").doesNotContain("s3cr3t");
    assertThat(Loading.config("--cluster", SECRET).toString()).doesNotContain("0123456789abcdef");
  }

  @Test
  void files_missing_areRefused() {
    assertThat(Loading.problems("--cluster", "--cluster-tls-cert=/none").toString())
        .contains("needs all of", "cannot be read");
    assertThat(Loading.problems("--cluster", "--cluster-config=/none").toString())
        .contains("cannot be read");
  }

  @Test
  void routing_eachPolicy_isUnderstoodAndOthersAreNot() {
    assertThat(Loading.config("--cluster").cluster().routing()).isEqualTo(Routing.PREFIX);
    for (Routing routing : Routing.values()) {
      String word = routing.name().toLowerCase(Locale.ROOT).replace('_', '-');
      assertThat(
              Loading.config("--cluster", "--cluster-routing-policy=" + word).cluster().routing())
          .isEqualTo(routing);
    }
    assertThat(Loading.problems("--cluster", "--cluster-routing-policy=random").toString())
        .contains("round-robin");
  }

  @Test
  void members_lists_areJoined() {
    assertThat(Loading.config("--cluster", "--cluster-members=a:1,b:2", "--cluster-members=c:3"))
        .extracting(config -> config.cluster().members().toString())
        .isEqualTo("[a:1, b:2, c:3]");
    assertThat(Loading.problems("--cluster", "--cluster-members=a b").toString()).contains("a b");
  }
}
