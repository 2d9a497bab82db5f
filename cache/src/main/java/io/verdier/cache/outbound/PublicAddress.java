package io.verdier.cache.outbound;

import java.net.Inet4Address;
import java.net.Inet6Address;
import java.net.InetAddress;
import java.net.UnknownHostException;
import java.util.Arrays;
import java.util.List;

/**
 * Tells addresses of the public internet from all others: loopback, private, link-local (where
 * clouds keep their metadata servers), multicast, reserved, and IPv6 forms that carry one of those.
 * No state.
 *
 * <p>By the special-purpose registries of IANA (RFC 6890 and what updates it).
 */
final class PublicAddress {
  /** Network and length of its prefix. */
  private record Net(int address, int bits) {
    static Net of(String text, int bits) {
      int address = 0;
      for (String part : text.split("\\.")) {
        address = (address << 8) | Integer.parseInt(part);
      }
      return new Net(address, bits);
    }

    boolean holds(int other) {
      return (address ^ other) >>> (32 - bits) == 0;
    }
  }

  private static final List<Net> SPECIAL =
      List.of(
          Net.of("0.0.0.0", 8),
          Net.of("10.0.0.0", 8),
          Net.of("100.64.0.0", 10),
          Net.of("127.0.0.0", 8),
          Net.of("168.63.129.16", 32), // Azure's host agent; nothing else in that range is special
          Net.of("169.254.0.0", 16),
          Net.of("172.16.0.0", 12),
          Net.of("192.0.0.0", 24),
          Net.of("192.0.2.0", 24),
          Net.of("192.88.99.0", 24),
          Net.of("192.168.0.0", 16),
          Net.of("198.18.0.0", 15),
          Net.of("198.51.100.0", 24),
          Net.of("203.0.113.0", 24),
          Net.of("224.0.0.0", 3)); // multicast, reserved, broadcast

  private PublicAddress() {}

  static boolean is(InetAddress address) {
    return switch (address) {
      case Inet4Address v4 -> isPublic(v4.getAddress());
      case Inet6Address v6 -> isPublicV6(v6.getAddress());
      default -> false;
    };
  }

  private static boolean isPublic(byte[] v4) {
    int address = 0;
    for (byte part : v4) {
      address = (address << 8) | (part & 0xff);
    }
    int found = address;
    return SPECIAL.stream().noneMatch(net -> net.holds(found));
  }

  /** Only 2000::/3 is given out to hosts; within it, and in 64:ff9b::/96, IPv4 may be hidden. */
  private static boolean isPublicV6(byte[] v6) {
    int first = ((v6[0] & 0xff) << 8) | (v6[1] & 0xff);
    int second = ((v6[2] & 0xff) << 8) | (v6[3] & 0xff);
    if (first == 0x64 && second == 0xff9b) { // NAT64
      boolean wellKnown = isZero(v6, 4, 12);
      return wellKnown && isPublic(Arrays.copyOfRange(v6, 12, 16));
    }
    if (first == 0x2002) { // 6to4
      return isPublic(Arrays.copyOfRange(v6, 2, 6));
    }
    boolean protocol = first == 0x2001 && second < 0x200; // Teredo, benchmarks, ORCHID, ...
    boolean documentation =
        (first == 0x2001 && second == 0xdb8) || (first == 0x3fff && second < 0x1000);
    return (v6[0] & 0xe0) == 0x20 && !protocol && !documentation;
  }

  private static boolean isZero(byte[] bytes, int from, int to) {
    for (int i = from; i < to; i++) {
      if (bytes[i] != 0) {
        return false;
      }
    }
    return true;
  }

  /** The same question for a literal; for tests and messages. */
  static boolean is(String literal) throws UnknownHostException {
    return is(InetAddress.getByName(literal));
  }
}
