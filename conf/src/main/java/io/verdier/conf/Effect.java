package io.verdier.conf;

/**
 * What a flag does in this server. Immutable.
 *
 * @param reason for a flag without effect: why, in a few words; empty otherwise
 */
public record Effect(Kind kind, String reason) {

  /** Whether a flag changes anything, and if not, whether it ever will. */
  public enum Kind {
    /** Its value ends up in {@link ServerConfig}. */
    HAS_EFFECT("effect", ""),
    /** Accepted; a later version will honour it. */
    NOT_YET("later", "has no effect yet"),
    /** Accepted for compatibility: what it asks for is so anyway, or has no meaning here. */
    NO_OP("no-op", "has no effect"),
    /** Accepted although newer vLLM refuses it, because deployed command lines still carry it. */
    REMOVED_UPSTREAM("removed", "is gone from vLLM and has no effect");

    private final String keyword;
    private final String phrase;

    Kind(String keyword, String phrase) {
      this.keyword = keyword;
      this.phrase = phrase;
    }

    /** How the kind is said after a flag's name. */
    public String phrase() {
      return phrase;
    }
  }

  public Effect {
    if (kind == Kind.HAS_EFFECT != reason.isEmpty()) {
      throw new IllegalArgumentException(kind + " with reason '" + reason + "'");
    }
  }

  /** Reads the table's notation, {@code effect} or {@code keyword: reason}. */
  static Effect of(String notation) {
    int colon = notation.indexOf(':');
    String keyword = colon < 0 ? notation : notation.substring(0, colon);
    String reason = colon < 0 ? "" : notation.substring(colon + 1).strip();
    for (Kind kind : Kind.values()) {
      if (kind.keyword.equals(keyword)) {
        return new Effect(kind, reason);
      }
    }
    throw new IllegalArgumentException("unknown effect '" + notation + "'");
  }

  /** Whether the flag's value is used. */
  public boolean exists() {
    return kind == Kind.HAS_EFFECT;
  }
}
