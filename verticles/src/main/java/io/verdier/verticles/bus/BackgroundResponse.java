package io.verdier.verticles.bus;

import org.jspecify.annotations.Nullable;

/**
 * What is told and asked of a response that is made while nobody waits for it. It ends with a
 * {@link StoredResponse} of the same id. Immutable.
 */
public sealed interface BackgroundResponse {
  String id();

  /**
   * It is about to be made; answered with {@link Begun}, or {@link Refused} where no more are kept.
   *
   * @param json the response as it is told meanwhile
   * @param keepsEvents whether its events may be asked for
   */
  record Begin(String id, byte[] json, boolean keepsEvents) implements BackgroundResponse {}

  /** Answer to {@link Begin}. */
  record Begun() {}

  /**
   * It has come further.
   *
   * @param json the response as it is told from now on; null: as before
   * @param events whole server-sent events, in their order; empty where they are not kept
   */
  record News(String id, byte @Nullable [] json, byte[] events) implements BackgroundResponse {}

  /** It is not made after all. */
  record Drop(String id) implements BackgroundResponse {}

  /**
   * It shall end. Answered with the {@link StoredResponse} when it has, or {@link Refused} where it
   * was never made in the background.
   *
   * @param waiter a name that nobody else has who waits
   */
  record Cancel(String id, String waiter) implements BackgroundResponse {}

  /**
   * Asks for events. Answered with a {@link Page} once there are any, or {@link Refused}.
   *
   * @param after number of the last event that is known; -1: none is
   * @param waiter a name that nobody else has who waits
   */
  record Follow(String id, int after, String waiter) implements BackgroundResponse {}

  /** Whoever has that name waits for an answer no more; it gets {@link Refused} if it still did. */
  record Leave(String id, String waiter) implements BackgroundResponse {}

  /**
   * Some events in their order.
   *
   * @param last number of the last of them, or what was asked for where there are none
   * @param isEnd whether no others will come
   */
  record Page(byte[] events, int last, boolean isEnd) {}
}
