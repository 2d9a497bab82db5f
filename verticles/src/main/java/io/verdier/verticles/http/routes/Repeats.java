package io.verdier.verticles.http.routes;

import io.verdier.engine.RejectedException;
import io.verdier.verticles.http.Ingress;
import java.util.Collection;
import java.util.List;
import java.util.Map;
import org.jspecify.annotations.Nullable;

/**
 * Bounds what a small body makes large: fields that stand there once for many prompts, and prompts
 * that every choice repeats. Stateless.
 *
 * <p>The limits of a body say what it may cost to read it. Shared fields are read for each prompt
 * (it may overrule any of them, and a template or a schema is made of them), so they count once for
 * each; answers may repeat no more text than a body may bring.
 */
final class Repeats {
  /** Values of shared fields that a request may have, in those of a body. */
  private static final int BODIES_OF_VALUES = 4;

  private Repeats() {}

  /**
   * @param name of what has the fields, for the refusal
   * @param shared by all prompts
   * @throws RejectedException if they are too much for so many prompts
   */
  static void checkShared(
      Ingress ingress, String name, Map<String, @Nullable Object> shared, int prompts) {
    long values = prompts * values(shared);
    long valuesMax = (long) BODIES_OF_VALUES * ingress.limits().jsonNodesMax();
    if (values > valuesMax) {
      throw tooMuch(name, prompts, values + " values", valuesMax, "--max-json-nodes");
    }
    long chars = prompts * chars(shared);
    long charsMax = ingress.limits().bodyBytesMax();
    if (chars > charsMax) {
      throw tooMuch(name, prompts, chars + " characters", charsMax, "--max-body-bytes");
    }
  }

  private static RejectedException tooMuch(
      String name, int prompts, String size, long max, String flag) {
    return RejectedException.invalid(
        name,
        "%s counts once for each of %d prompts, which makes %s; the limit is %d. Send fewer prompts in a request, or start with a larger %s."
            .formatted(name, prompts, size, max, flag));
  }

  /** As a body's are counted. */
  private static long values(@Nullable Object value) {
    long count = 1;
    for (Object inside : inside(value)) {
      count += values(inside);
    }
    return count;
  }

  private static long chars(@Nullable Object value) {
    long count = value instanceof String text ? text.length() : 0;
    if (value instanceof Map<?, ?> map) {
      for (Object name : map.keySet()) {
        count += chars(name);
      }
    }
    for (Object inside : inside(value)) {
      count += chars(inside);
    }
    return count;
  }

  private static Collection<?> inside(@Nullable Object value) {
    return switch (value) {
      case Map<?, ?> map -> map.values();
      case List<?> list -> list;
      case null, default -> List.of();
    };
  }

  /**
   * @param text that a model reads with each of them
   * @throws RejectedException if it is too long for so many
   */
  static void checkPairs(Ingress ingress, String text, int others) {
    long chars = (long) text.length() * others;
    long charsMax = ingress.limits().bodyBytesMax();
    if (chars > charsMax) {
      throw RejectedException.invalid(
          "documents",
          "The model reads the query with each of %d documents, which makes %d characters of it; the limit is %d. Send fewer documents in a request, or start with a larger --max-body-bytes."
              .formatted(others, chars, charsMax));
    }
  }

  /**
   * @param parameter that makes choices repeat their prompt, or many of them
   * @param chars that all choices repeat
   * @throws RejectedException if the answer would be too large
   */
  static void checkEchoes(Ingress ingress, String parameter, long chars) {
    long charsMax = ingress.limits().bodyBytesMax();
    if (chars > charsMax) {
      throw RejectedException.invalid(
          parameter,
          "The answer would repeat %d characters of prompts, once for each choice; the limit is %d. Ask for fewer choices or none that repeat their prompt, or start with a larger --max-body-bytes."
              .formatted(chars, charsMax));
    }
  }
}
