package io.verdier.verticles.bench;

import io.vertx.core.json.JsonObject;

/** Reads the error texts of servers: flat as older ones send them, nested as OpenAI does. */
final class ServerError {
  private static final int CHARS_MAX = 200;

  private ServerError() {}

  static String text(JsonObject body) {
    JsonObject error = body.getValue("error") instanceof JsonObject nested ? nested : body;
    return shortened(String.valueOf(error.getValue("message", "no reason given")));
  }

  static String text(int status, String body) {
    String reason;
    try {
      reason = text(new JsonObject(body));
    } catch (RuntimeException notJson) {
      reason = shortened(body.strip());
    }
    return "HTTP " + status + (reason.isEmpty() ? "" : ": " + reason);
  }

  private static String shortened(String text) {
    return text.length() <= CHARS_MAX ? text : text.substring(0, CHARS_MAX) + "…";
  }
}
