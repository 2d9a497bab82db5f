package io.verdier.verticles.http.routes;

import io.verdier.verticles.http.Exchange;
import io.verdier.verticles.http.api.ApiField;
import io.verdier.verticles.http.api.ApiTable;
import io.verdier.verticles.http.api.Body;
import java.util.EnumSet;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.Set;
import org.jspecify.annotations.Nullable;

/**
 * What the table of fields decides before anything is read: what it refuses is refused, what has no
 * effect, or is in no row, is told in a header of the answer. Owned by the event loop, for one
 * body.
 *
 * <p>vLLM drops unknown fields without a word, so that a misspelled one is never found; refusing
 * them would break clients that send what only OpenAI knows. What stands in objects is held to the
 * table like the body itself, and told once however many messages or tools have it.
 */
final class FieldGate {
  /** Whose readers look at some fields only where others are not there. */
  private static final Set<Body> CONDITIONAL =
      EnumSet.of(
          Body.PREDICTIONS,
          Body.TOKENIZE,
          Body.EMBED,
          Body.POOLING,
          Body.CLASSIFY,
          Body.SCORE,
          Body.LOAD_ADAPTER,
          Body.UNLOAD_ADAPTER,
          Body.UPDATE_MODELS,
          Body.ABORT,
          Body.MESSAGES,
          Body.COUNT,
          Body.RESPONSES);

  private final Exchange exchange;
  private final Body body;
  private final Set<String> told = new HashSet<>();

  private FieldGate(Exchange exchange, Body body) {
    this.exchange = exchange;
    this.body = body;
  }

  /**
   * Puts in the place of values that are spelt as another type what they mean.
   *
   * @throws io.verdier.engine.RejectedException if a field is refused, or one that nobody may read
   *     has a wrong type
   */
  static void check(Exchange exchange, Fields fields) {
    new FieldGate(exchange, fields.body()).checkAll(fields);
  }

  private void checkAll(Fields fields) {
    for (Map.Entry<String, @Nullable Object> entry : fields.map().entrySet()) {
      Object value = entry.getValue();
      if (value == null) {
        continue;
      }
      ApiField field = ApiTable.keyed(body, fields.object(), entry.getKey());
      if (field == null) {
        tell(fields.object() + entry.getKey(), false);
        continue;
      }
      Object meant = field.type().meant(value);
      if (!meant.equals(value)) {
        entry.setValue(meant);
      }
      check(fields, field, entry.getKey(), meant);
    }
  }

  private void check(Fields fields, ApiField field, String key, Object value) {
    switch (field.status().kind()) {
      case REFUSED -> {
        if (!field.status().isHarmless(value)) {
          throw fields.unsupported(key, field.status().why());
        }
      }
      case IGNORED -> {
        if (!field.type().fits(value)) {
          throw fields.wrong(key, field.type().text());
        }
        tell(field.name(), true);
      }
      case SUPPORTED, DIFFERS -> {
        if (!isTyped(fields, field, value)) {
          throw fields.wrong(key, field.type().text());
        }
        if (ApiTable.tellsFieldsOf(body, field.name())) {
          inside(fields, key, value);
        }
      }
    }
  }

  /**
   * Of objects nobody may read all; what their readers say of ranges and words is kept, for it says
   * more.
   */
  private boolean isTyped(Fields fields, ApiField field, Object value) {
    if (!fields.object().isEmpty()) {
      return field.type().isOfKind(value);
    }
    return !CONDITIONAL.contains(body) || field.type().fits(value);
  }

  private void inside(Fields fields, String key, Object value) {
    if (value instanceof Map<?, ?>) {
      checkAll(Objects.requireNonNull(fields.object(key)));
    } else if (value instanceof List<?> list) {
      for (int i = 0; i < list.size(); i++) {
        if (list.get(i) instanceof Map<?, ?>) {
          checkAll(fields.element(key, i, list.get(i)));
        }
      }
    }
  }

  private void tell(String name, boolean known) {
    if (told.add(name)) {
      exchange.ignored(name, known);
    }
  }
}
