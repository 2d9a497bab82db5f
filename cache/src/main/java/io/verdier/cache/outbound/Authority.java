package io.verdier.cache.outbound;

import java.net.URI;
import java.util.Locale;

/**
 * Host and port that a request goes to. Immutable.
 *
 * @param host in lower case; an IPv6 literal without its brackets
 */
public record Authority(String host, int port) {
  private static final int HTTP = 80;
  private static final int HTTPS = 443;

  public Authority {
    host = bare(host).toLowerCase(Locale.ROOT);
  }

  /** Of an absolute address that has a host. */
  public static Authority of(URI uri) {
    return new Authority(uri.getHost(), port(uri));
  }

  /**
   * Reads {@code host:port} or {@code [v6]:port}.
   *
   * @throws IllegalArgumentException where it is neither
   */
  public static Authority parse(String text) {
    int colon = text.lastIndexOf(':');
    String port = text.substring(colon + 1);
    String host = colon < 0 ? "" : text.substring(0, colon);
    boolean plain = host.matches("[A-Za-z0-9._-]+|\\[[0-9A-Fa-f:.]+]");
    if (!plain || !port.matches("[0-9]{1,5}") || Integer.parseInt(port) > 65535) {
      throw new IllegalArgumentException("'" + text + "' is not host:port");
    }
    return new Authority(host, Integer.parseInt(port));
  }

  static int port(URI uri) {
    int standard = "https".equalsIgnoreCase(uri.getScheme()) ? HTTPS : HTTP;
    return uri.getPort() < 0 ? standard : uri.getPort();
  }

  static String bare(String host) {
    return host.startsWith("[") && host.endsWith("]") ? host.substring(1, host.length() - 1) : host;
  }
}
