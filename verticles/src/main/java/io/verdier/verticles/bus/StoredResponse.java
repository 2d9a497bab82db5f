package io.verdier.verticles.bus;

import java.util.List;
import java.util.Map;
import org.jspecify.annotations.Nullable;

/**
 * A response that may be asked for, or gone on from, later. Immutable (decoded JSON inside must not
 * be changed).
 *
 * @param json the response as it is told
 * @param messages the conversation up to its end, as messages of a chat, without instructions;
 *     empty where nothing can go on from it
 */
public record StoredResponse(
    String id, Stage stage, byte[] json, List<Map<String, @Nullable Object>> messages) {

  /** How far it has come. */
  public enum Stage {
    /** It is being made in the background. */
    UNDER_WAY,
    /** It has ended, by itself or because somebody wanted it. */
    ENDED,
    /** It came to nothing. */
    FAILED
  }

  /**
   * Asks for one; answered with it, or {@link Refused}. Immutable.
   *
   * @param parameter field of the request that names it, null: its path does
   */
  public record Query(String id, @Nullable String parameter) {}
}
