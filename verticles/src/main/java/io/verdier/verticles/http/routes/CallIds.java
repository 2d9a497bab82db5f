package io.verdier.verticles.http.routes;

import java.util.UUID;
import java.util.concurrent.ThreadLocalRandom;

/** Makes names for calls of tools. Stateless. */
final class CallIds {
  private static final String SHORT_ID_CHARS =
      "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789";
  private static final int SHORT_ID_LENGTH = 9;

  private CallIds() {}

  /** Templates of some models refuse the long form, whatever its prefix. */
  static String next(ChatParsing parsing, String prefix) {
    if (!parsing.shortIds()) {
      return prefix + random();
    }
    StringBuilder id = new StringBuilder(SHORT_ID_LENGTH);
    for (int i = 0; i < SHORT_ID_LENGTH; i++) {
      int at = ThreadLocalRandom.current().nextInt(SHORT_ID_CHARS.length());
      id.append(SHORT_ID_CHARS.charAt(at));
    }
    return id.toString();
  }

  /** 32 hexadecimal digits that nobody can guess. */
  static String random() {
    return UUID.randomUUID().toString().replace("-", "");
  }
}
