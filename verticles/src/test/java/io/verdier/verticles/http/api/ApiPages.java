package io.verdier.verticles.http.api;

import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.stream.Collectors;

/** Renders {@code docs/api.md} and {@code docs/compatibility.md} from the tables. Stateless. */
final class ApiPages {
  private ApiPages() {}

  /** The text of {@code docs/api.md}. */
  static String api() {
    StringBuilder out = new StringBuilder();
    out.append(
        """
        # The API

        Rendered from the tables beside [`ApiTable`](../verticles/src/main/java/io/verdier/verticles/http/api/ApiTable.java); a test keeps
        them equal. To change this page, change `fields.txt` or `routes.txt` and run `ApiTableTest` with `-Dverdier.regenerate=true`. A server
        shows the same at `/docs`, and as OpenAPI 3.1 at `/openapi.json`. What differs from vLLM: [compatibility.md](compatibility.md).

        A value out of range, or of a wrong type, is refused with status 400 and a text that names the field; `null` is as if the field was
        not there. Numbers and switches may be spelt as texts (`"256"`, `"true"`, `"off"`), switches as 1 and 0, and whole numbers and token
        ids as `256.0`, as vLLM takes them. Fields without effect, and fields that nobody knows, change nothing: the answer's header `X-Verdier-Ignored-Fields` names
        up to 16 of them, and `verdier:request_fields_ignored_total` counts them all. That holds inside of objects too: `stream_options.foo`,
        or `tools.function.foo` whichever tool has it (chat templates are shown messages and tools as they are, though). Objects of which
        the tables tell no fields, JSON schemas for instance, are free, and so is what `*` stands for. How `/v1/messages` and `/v1/responses` become chats:
        [dialects.md](dialects.md).

        ## Routes

        | Route | Meaning |
        |---|---|
        """);
    for (ApiRoute route : ApiTable.routes()) {
      if (route.exists()) {
        out.append(row(code(route.method() + " " + route.path()), route.help()));
      }
    }
    out.append(
        """

        Bodies: `chat` is that of `/v1/chat/completions`, `text` of `/v1/completions`, `predictions` of `/generate` and
        `$AIP_PREDICT_ROUTE`, `predict` an instance of it (where a chat has the fields of `chat`), `embed` of `/v1/embeddings`, `count` of
        `/v1/messages/count_tokens`, `abort` of `/abort_requests`. `sleep`, `wake_up`, `pause`, `reset` (`/reset_prefix_cache`) and
        `retrieve` (`GET /v1/responses/{id}`) are no bodies: their fields stand in the query.

        ## Headers

        | Header of a request | Meaning |
        |---|---|
        | `Authorization: Bearer …`, `X-Api-Key` | the key, where there is one |
        | `X-Request-Id` | id of the answer, behind `chatcmpl-` and the like; wins over `request_id`. Told again with `--enable-request-id-headers` |
        | `X-Vllm-Priority` | a whole number that wins over `priority`, for `/v1/chat/completions`, `/v1/completions` and `/v1/responses` |
        | `endpoint-load-metrics-format` | `TEXT` or `JSON`: an answer that is not streamed has a header `endpoint-load-metrics` (ORCA) with the named metrics `kv_cache_usage_perc` (the mean of the node's engines) and `num_requests_waiting` (their sum) |
        | `traceparent`, `tracestate` | the trace that the request belongs to, see [tracing.md](tracing.md) |
        | `X-Session-ID`, `X-data-parallel-rank` | of vLLM, without effect: every request finds the cache of those before it, on whichever engine that is |
        """);
    grouped(ApiTable.fields())
        .forEach(
            (group, fields) -> {
              out.append("\n## ").append(group).append("\n\n");
              out.append("| Field | Bodies | Type | Default | Meaning |\n|---|---|---|---|---|\n");
              fields.forEach(field -> out.append(fieldRow(field)));
            });
    return out.toString();
  }

  private static String fieldRow(ApiField field) {
    String note =
        switch (field.status().kind()) {
          case SUPPORTED, DIFFERS -> "";
          case IGNORED -> " **Ignored**: " + field.status().why() + ".";
          case REFUSED -> " **Refused**" + unless(field) + ": " + field.status().why();
        };
    return row(
        code(field.name()),
        bodies(field),
        field.type().text(),
        field.presence().text(),
        field.help() + "." + note);
  }

  private static String unless(ApiField field) {
    List<String> harmless = field.status().harmless();
    return harmless.isEmpty() ? "" : " unless " + code(String.join(", ", harmless));
  }

  /** The text of {@code docs/compatibility.md}. */
  static String compatibility() {
    StringBuilder out = new StringBuilder();
    out.append(
        """
        # Compatibility with vLLM

        Every route and request field of vLLM 0.9.2 (`v0.9`) and of its later API (`v1`), and what becomes of it here. Rendered from the same
        tables as [api.md](api.md); tests compare them with the router, send every row's values through a server, and hold of the bodies that
        generate that a field which has an effect here changes an answer, and that one which is ignored does not and is named.

        Of everything: what the key protects is every route but health (in vLLM most routes outside of `/v1` are open); errors are
        `{"error":{"message","type","param","code"}}` as in v1, a wrong key included (vLLM: `{"error":"Unauthorized"}`); a chat's reasoning is
        in both `reasoning` (v1) and `reasoning_content` (v0.9).

        Checkpoints are read as vLLM reads them. Of YaRN's amplitude `attention_factor` decides where a checkpoint has it, as in transformers;
        elsewhere `attn_factor` multiplies what is computed, as in vLLM.

        With `--api-dialect v0.9` errors are flat, `{"object":"error","message","type","param","code"}` (within a stream as the value of `error`),
        a stream ends with its usage wherever `stream_options` does not say otherwise, a chat's reasoning is in `reasoning_content` alone (null where
        the model did not think), and a message without tool calls has an empty `tool_calls`. The rest of v0.9 needs no switch.

        ## Routes

        | Route | vLLM | Here | |
        |---|---|---|---|
        """);
    for (ApiRoute route : ApiTable.routes()) {
      if (!route.knownTo().equals("ours")) {
        out.append(
            row(
                code(route.method() + " " + route.path()),
                route.knownTo(),
                route.status().kind().word(),
                route.status().why()));
      }
    }
    out.append(
        "\n## Request fields\n\n| Field | Bodies | vLLM | Here | |\n|---|---|---|---|---|\n");
    for (ApiField field : ApiTable.fields()) {
      out.append(
          row(
              code(field.name()),
              bodies(field),
              field.knownTo(),
              field.status().kind().word(),
              field.status().why()));
    }
    return out.toString();
  }

  private static Map<String, List<ApiField>> grouped(List<ApiField> fields) {
    Map<String, List<ApiField>> groups = new LinkedHashMap<>();
    for (ApiField field : fields) {
      groups.computeIfAbsent(field.group(), it -> new ArrayList<>()).add(field);
    }
    return groups;
  }

  private static String bodies(ApiField field) {
    return field.bodies().stream().sorted().map(Body::word).collect(Collectors.joining(", "));
  }

  private static String code(String text) {
    return "`" + text + "`";
  }

  private static String row(String... cells) {
    return "| " + String.join(" | ", cells) + " |\n";
  }
}
