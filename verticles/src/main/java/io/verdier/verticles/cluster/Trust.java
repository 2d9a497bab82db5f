package io.verdier.verticles.cluster;

import io.verdier.conf.ClusterConfig;
import io.verdier.conf.ClusterConfig.Tls;
import io.vertx.core.http.ClientAuth;
import io.vertx.core.net.KeyCertOptions;
import io.vertx.core.net.NetClientOptions;
import io.vertx.core.net.NetServerOptions;
import io.vertx.core.net.PemKeyCertOptions;
import io.vertx.core.net.PemTrustOptions;
import io.vertx.core.net.TrustOptions;

/** What nodes know each other by: a secret, and certificates of one authority. Stateless. */
public final class Trust {
  private static final int CONNECT_MILLIS = 5_000;

  private Trust() {}

  /**
   * What signs all that nodes tell each other. Without a secret it is made of the cluster's name:
   * that keeps accidents out, not attackers.
   */
  public static byte[] key(ClusterConfig cluster) {
    return Seal.key(cluster.secret().orElse("\n" + cluster.name()));
  }

  /** How this node asks others for a direct connection. */
  public static NetClientOptions asking(ClusterConfig cluster) {
    NetClientOptions options =
        new NetClientOptions().setTcpNoDelay(true).setConnectTimeout(CONNECT_MILLIS);
    cluster
        .tls()
        .ifPresent(
            tls ->
                options
                    .setSsl(true)
                    .setHostnameVerificationAlgorithm("") // as the bus: the authority is the nodes'
                    .setKeyCertOptions(own(tls))
                    .setTrustOptions(others(tls)));
    return options;
  }

  /** How this node listens for them. */
  public static NetServerOptions listening(ClusterConfig cluster) {
    NetServerOptions options = new NetServerOptions().setTcpNoDelay(true);
    cluster
        .tls()
        .ifPresent(
            tls ->
                options
                    .setSsl(true)
                    .setClientAuth(ClientAuth.REQUIRED)
                    .setKeyCertOptions(own(tls))
                    .setTrustOptions(others(tls)));
    return options;
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
