package io.verdier.verticles.http.routes;

import io.verdier.verticles.http.Exchange;
import io.verdier.verticles.http.api.ApiField;
import io.verdier.verticles.http.api.ApiTable;
import io.verdier.verticles.http.api.Body;
import java.util.EnumSet;
import java.util.Map;
import java.util.Set;
import org.jspecify.annotations.Nullable;

/**
 * What the table of fields decides before anything is read: what it refuses is refused, what has no
 * effect, or is in no row, is told in a header of the answer. Stateless.
 *
 * <p>vLLM drops unknown fields without a word, so that a misspelled one is never found; refusing
 * them would break clients that send what only OpenAI knows.
 */
final class FieldGate {
  /** Whose readers look at some fields only where others are not there. */
  private static final Set<Body> CONDITIONAL =
      EnumSet.of(
          Body.TOKENIZE,
          Body.EMBED,
          Body.POOLING,
          Body.CLASSIFY,
          Body.SCORE,
          Body.MESSAGES,
          Body.COUNT,
          Body.RESPONSES);

  private FieldGate() {}

  /**
   * @throws io.verdier.engine.RejectedException if a field is refused, or one that nobody may read
   *     has a wrong type
   */
  static void check(Exchange exchange, Fields fields, Body body) {
    for (Map.Entry<String, @Nullable Object> entry : fields.map().entrySet()) {
      Object value = entry.getValue();
      if (value == null) {
        continue;
      }
      String name = entry.getKey();
      ApiField field = ApiTable.field(body, name);
      if (field == null) {
        exchange.ignored(name, false);
        continue;
      }
      switch (field.status().kind()) {
        case REFUSED -> {
          if (!field.status().isHarmless(value)) {
            throw fields.unsupported(name, field.status().why());
          }
        }
        case IGNORED -> {
          if (!field.type().fits(value)) {
            throw fields.wrong(name, field.type().text());
          }
          exchange.ignored(name, true);
        }
        case SUPPORTED, DIFFERS -> {
          if (CONDITIONAL.contains(body) && !field.type().fits(value)) {
            throw fields.wrong(name, field.type().text());
          }
        }
      }
    }
  }
}
