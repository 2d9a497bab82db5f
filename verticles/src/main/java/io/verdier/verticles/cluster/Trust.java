package io.verdier.verticles.cluster;

import io.verdier.conf.ClusterConfig;
import io.verdier.conf.ClusterConfig.Tls;
import io.vertx.core.net.KeyCertOptions;
import io.vertx.core.net.PemKeyCertOptions;
import io.vertx.core.net.PemTrustOptions;
import io.vertx.core.net.TrustOptions;

/** What nodes know each other by: a secret, and certificates of one authority. Stateless. */
public final class Trust {
  private Trust() {}

  /**
   * What signs all that nodes tell each other. Without a secret it is made of the cluster's name:
   * that keeps accidents out, not attackers.
   */
  public static byte[] key(ClusterConfig cluster) {
    return Seal.key(cluster.secret().orElse("\n" + cluster.name()));
  }

  /** What this node shows. */
  public static KeyCertOptions own(Tls tls) {
    return new PemKeyCertOptions()
        .setCertPath(tls.certificate().toString())
        .setKeyPath(tls.key().toString());
  }

  /** What others must show. */
  public static TrustOptions others(Tls tls) {
    return new PemTrustOptions().addCertPath(tls.authority().toString());
  }
}
