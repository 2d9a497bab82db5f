package io.verdier.verticles.http.routes;

import io.verdier.engine.RejectedException;
import io.verdier.verticles.http.Exchange;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.regex.Pattern;
import org.jspecify.annotations.Nullable;

/** What headers say in place of fields of the body, as in vLLM. Stateless. */
final class HeaderFields {
  private static final String PRIORITY = "X-Vllm-Priority";
  private static final Pattern WHOLE = Pattern.compile("[+-]?[0-9]{1,10}");

  private HeaderFields() {}

  /**
   * The fields, with what the headers say.
   *
   * @throws RejectedException if a header has no value that its field could have
   */
  static Fields over(Exchange exchange, Fields fields) {
    String priority = exchange.request().getHeader(PRIORITY);
    if (priority == null) {
      return fields;
    }
    if (!WHOLE.matcher(priority).matches()) {
      throw Fields.wrongAt(PRIORITY, priority, "a whole number of at most 10 digits");
    }
    Map<String, @Nullable Object> map = new LinkedHashMap<>(fields.map());
    map.put("priority", Long.valueOf(priority));
    return fields.with(map);
  }
}
