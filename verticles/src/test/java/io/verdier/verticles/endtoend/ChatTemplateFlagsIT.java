package io.verdier.verticles.endtoend;

import static org.assertj.core.api.Assertions.assertThat;

import com.fasterxml.jackson.databind.JsonNode;
import io.verdier.verticles.endtoend.Client.Answer;
import io.verdier.verticles.launch.InProcessServer;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.function.Consumer;
import org.junit.jupiter.api.Test;

/**
 * What the operator says of the chat template, on every route that renders one, where nothing is
 * computed. Costs some 4 s.
 */
class ChatTemplateFlagsIT {
  private static final String CHATS = "/v1/chat/completions";

  /** Parts in brackets, else the text; then a variable. */
  private static final String TEMPLATE =
      "--chat-template={% for m in messages %}{% if m.content is string %}{{ m.content }}"
          + "{% else %}{% for p in m.content %}[{{ p.text }}]{% endfor %}{% endif %}{% endfor %}"
          + "{% for i in range(n or 0) %} n{% endfor %}";

  private static final List<Map<String, String>> PARTS =
      List.of(Map.of("type", "text", "text", "a b"), Map.of("type", "text", "text", "c d"));

  private static void with(Consumer<Client> check, String... flags) {
    List<String> all = new ArrayList<>(List.of("--backend=null", TEMPLATE));
    all.addAll(List.of(flags));
    InProcessServer server = InProcessServer.start(all.toArray(String[]::new));
    try {
      check.accept(new Client(server.baseUrl()));
      server.awaitIdle();
    } finally {
      server.close();
    }
  }

  private static JsonNode ok(Client client, String path, Map<String, ?> body) {
    Answer answer = client.post(path, body);
    assertThat(answer.status()).as(path + answer.body()).isEqualTo(200);
    return answer.json();
  }

  private static Map<String, Object> said(Object content) {
    return Map.of("role", "user", "content", content);
  }

  private static String prompt(Client client, Object content, Map<String, ?> more) {
    Map<String, Object> body = new LinkedHashMap<>(more);
    body.put("messages", List.of(said(content)));
    return ok(client, CHATS + "/render", body).get("prompt").asText();
  }

  /** Tokens of the same prompt on each route that makes one of messages. */
  private static List<Integer> counts(Client client, Map<String, ?> kwargs) {
    Map<String, Object> chat = new LinkedHashMap<>();
    chat.put("messages", List.of(said(PARTS)));
    chat.put("max_tokens", 1);
    if (!kwargs.isEmpty()) {
      chat.put("chat_template_kwargs", kwargs);
    }
    Map<String, Object> batch = new LinkedHashMap<>(chat);
    batch.put("messages", List.of(List.of(said(PARTS))));
    Map<String, Object> response = new LinkedHashMap<>(chat);
    response.remove("messages");
    response.remove("max_tokens");
    response.put("max_output_tokens", 1);
    response.put("input", List.of(said(PARTS)));
    List<Integer> counts = new ArrayList<>();
    counts.add(ok(client, CHATS, chat).at("/usage/prompt_tokens").asInt());
    counts.add(ok(client, CHATS + "/batch", batch).at("/usage/prompt_tokens").asInt());
    counts.add(ok(client, "/tokenize", chat).get("count").asInt());
    counts.add(ok(client, "/v1/messages", chat).at("/usage/input_tokens").asInt());
    counts.add(ok(client, "/v1/messages/count_tokens", chat).get("input_tokens").asInt());
    counts.add(ok(client, "/v1/responses", response).at("/usage/input_tokens").asInt());
    return counts;
  }

  @Test
  void parts_walkedByTheTemplate_reachItOnEveryRoute() {
    with(
        client -> {
          assertThat(prompt(client, PARTS, Map.of())).isEqualTo("[a b][c d]");
          assertThat(prompt(client, "a b", Map.of())).isEqualTo("a b");
          int count = ok(client, "/tokenize", Map.of("prompt", "[a b][c d]")).get("count").asInt();
          int special = ok(client, "/tokenize", Map.of("prompt", "")).get("count").asInt();
          assertThat(counts(client, Map.of())).containsOnly(count - special);
        });
  }

  @Test
  void contentFormat_told_winsOverWhatTheTemplateDoes() {
    with(
        client -> assertThat(prompt(client, PARTS, Map.of())).isEqualTo("a b\nc d"),
        "--chat-template-content-format=string");
    with(
        client -> assertThat(prompt(client, "a b", Map.of())).isEqualTo("[a b]"),
        "--chat-template-content-format=openai");
  }

  @Test
  void defaultKwargs_whereTheRequestHasNone_onEveryRoute() {
    with(
        client -> {
          Map<String, Object> none = new LinkedHashMap<>();
          none.put("n", null);
          assertThat(prompt(client, "a", Map.of())).isEqualTo("a n n");
          assertThat(prompt(client, "a", Map.of("chat_template_kwargs", Map.of("n", 1))))
              .isEqualTo("a n");
          assertThat(prompt(client, "a", Map.of("chat_template_kwargs", none))).isEqualTo("a n n");
          List<Integer> defaults = counts(client, Map.of());
          assertThat(defaults).containsOnly(defaults.getFirst());
          assertThat(counts(client, Map.of("n", 2))).isEqualTo(defaults);
          assertThat(counts(client, Map.of("n", 0))).allMatch(it -> it < defaults.getFirst());
        },
        "--default-chat-template-kwargs={\"n\": 2}");
  }
}
