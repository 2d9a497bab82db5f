package io.verdier.cache.lora;

import java.util.regex.Matcher;
import java.util.regex.Pattern;

/**
 * Where an adapter comes from. Immutable. Two sources are the same only if every letter is, a
 * signature's too: who has none of their own must not find what another one's has opened.
 *
 * @param place {@code gs://} prefix, Hub id, address of an archive, or directory
 * @param namer who chose the place
 * @param identity what its content must be; empty: whatever it is
 */
public record AdapterSource(String place, Namer namer, String identity) {
  private static final Pattern HOST = Pattern.compile("(gs|https?)://[^/?#]*");

  /** Clients may name less than operators. */
  public enum Namer {
    OPERATOR,
    CLIENT
  }

  /** A place that a request names. */
  public static AdapterSource ofClient(String place) {
    return new AdapterSource(place, Namer.CLIENT, "");
  }

  /**
   * Whether its content must be looked at: an operator who names a place means what is there now.
   */
  boolean isReadAnew() {
    return namer == Namer.OPERATOR && identity.isEmpty();
  }

  /** Without what an address may hide. */
  public String shown() {
    return place.contains("://") ? place.replaceFirst("[?#].*", "") : place;
  }

  /** Who answers when the place is asked: if it is slow, all of its places are. */
  String origin() {
    Matcher host = HOST.matcher(place);
    return host.lookingAt() ? host.group() : place.startsWith("/") ? "/" : "hf://";
  }

  @Override
  public String toString() {
    return "AdapterSource[" + shown() + "]";
  }
}
