package io.verdier.verticles.http.routes;

import io.verdier.verticles.http.JsonWriter;

/**
 * Server-sent events that carry their type twice, as the event's name and in its data. Stateless.
 */
final class NamedEvents {
  private static final byte[] NAME = EventHead.ascii("event: ");
  private static final byte[] DATA = EventHead.ascii("\ndata: ");
  private static final byte[] END = EventHead.ascii("\n\n");

  private NamedEvents() {}

  /** Opens the event and its object. */
  static void begin(JsonWriter out, String type) {
    before(out, type);
    out.object().field("type", type);
  }

  /** Closes both. */
  static void end(JsonWriter out) {
    out.end();
    after(out);
  }

  /** Opens an event whose object says its type itself. */
  static void before(JsonWriter out, String type) {
    out.raw(NAME).raw(EventHead.ascii(type)).raw(DATA);
  }

  static void after(JsonWriter out) {
    out.raw(END);
  }
}
