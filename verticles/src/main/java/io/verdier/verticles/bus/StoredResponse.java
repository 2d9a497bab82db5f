package io.verdier.verticles.bus;

import java.util.List;
import java.util.Map;
import org.jspecify.annotations.Nullable;

/**
 * A complete response that may be asked for, or gone on from, later. Immutable (decoded JSON inside
 * must not be changed).
 *
 * @param json the response as it was told
 * @param messages the conversation up to its end, as messages of a chat, without instructions
 */
public record StoredResponse(String id, byte[] json, List<Map<String, @Nullable Object>> messages) {

  /**
   * Asks for one; answered with it, or {@link Refused}. Immutable.
   *
   * @param parameter field of the request that names it, null: its path does
   */
  public record Query(String id, @Nullable String parameter) {}
}
