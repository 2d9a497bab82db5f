package io.verdier.cache.outbound;

import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.net.URI;
import java.net.UnknownHostException;
import java.util.Arrays;
import java.util.HashSet;
import java.util.List;
import java.util.Locale;
import java.util.Set;

/**
 * Which addresses may be asked. Immutable.
 *
 * <p>Everybody else's word (a model's address, a redirect, what a name resolves to) leads to https
 * on a public address, or nowhere. Names are resolved here, once for each connection, and the
 * client connects to the very addresses that were found good: a name that means something else a
 * moment later gains nothing. A name with one forbidden address among its good ones is refused as a
 * whole.
 *
 * @param allowed where the operator lets requests go in any case, also by plain http and to a
 *     private address
 */
public record OutboundPolicy(Set<Authority> allowed, Names names) {

  /** Addresses of a host. */
  @FunctionalInterface
  public interface Names {
    InetAddress[] of(String host) throws UnknownHostException;
  }

  public OutboundPolicy {
    allowed = Set.copyOf(allowed);
  }

  public OutboundPolicy(Set<Authority> allowed) {
    this(allowed, InetAddress::getAllByName);
  }

  /** The same, and one more place that the operator named. */
  public OutboundPolicy with(URI endpoint) {
    Set<Authority> more = new HashSet<>(allowed);
    more.add(Authority.of(endpoint));
    return new OutboundPolicy(more, names);
  }

  /**
   * Checks what can be seen without resolving a name.
   *
   * @throws OutboundException if this may not be asked
   */
  public void check(URI uri) throws OutboundException {
    String scheme = uri.getScheme() == null ? "" : uri.getScheme().toLowerCase(Locale.ROOT);
    if (uri.getHost() == null || !(scheme.equals("https") || scheme.equals("http"))) {
      throw new OutboundException("only https addresses are fetched");
    }
    if (uri.getRawUserInfo() != null) {
      throw new OutboundException("an address must not carry a user name or password");
    }
    if (scheme.equals("http") && !allowed.contains(Authority.of(uri))) {
      throw new OutboundException(
          "only https addresses are fetched; for a server of your own start with"
              + " --allowed-outbound-hosts host:port");
    }
  }

  /**
   * The addresses that a connection may be made to.
   *
   * @throws OutboundException if one of them is not public and the operator does not allow the host
   * @throws UnknownHostException if there is none
   */
  List<InetSocketAddress> resolve(String host, int port)
      throws UnknownHostException, OutboundException {
    InetAddress[] found = names.of(Authority.bare(host));
    if (!allowed.contains(new Authority(host, port))
        && !Arrays.stream(found).allMatch(PublicAddress::is)) {
      throw new OutboundException(
          "the host is not on the public internet; for a server of your own start with"
              + " --allowed-outbound-hosts host:port");
    }
    return Arrays.stream(found).map(address -> new InetSocketAddress(address, port)).toList();
  }
}
