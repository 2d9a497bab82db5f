package io.verdier.verticles.endtoend;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import com.fasterxml.jackson.databind.JsonNode;
import io.verdier.verticles.bus.ModelCard;
import io.verdier.verticles.launch.InProcessServer;
import java.nio.file.Path;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/**
 * Answers that must match something match it behind what the model thinks. The demo model never
 * thinks; two of its reserved tokens become the marks, and a bias makes it say them.
 */
class ThinkingIT {
  private static final String PHONE = "[0-9]{3}-[0-9]{4}";
  private static final String OPEN = "4066";
  private static final String CLOSE = "4067";

  /** As Qwen's: thinks unless it is told not to; a switch of ours opens the thoughts already. */
  private static final String TEMPLATE =
      "{{ bos_token }}{% for m in messages %}{{ m.content }}{% endfor %}"
          + "{% if enable_thinking is defined and not enable_thinking %}<think>\n\n</think>\n\n"
          + "{% elif opened is defined %}<think>\n{% endif %}";

  @TempDir static Path directory;

  private static InProcessServer server;
  private static Client client;

  @BeforeAll
  static void start() {
    DemoVariant.in(
        directory,
        Map.of(
            "<\\|reserved_special_token_0\\|>", "<think>",
            "<\\|reserved_special_token_1\\|>", "</think>"));
    server =
        InProcessServer.start(
            "--model=" + directory, "--reasoning-parser=qwen3", "--chat-template=" + TEMPLATE);
    client = new Client(server.baseUrl());
  }

  @AfterAll
  static void stop() {
    server.close();
  }

  private static Map<String, Object> chat(Map<String, Integer> bias, Map<String, ?> more) {
    Map<String, Object> body = new HashMap<>();
    body.put("messages", List.of(Map.of("role", "user", "content", "Say something.")));
    body.put("temperature", 1.2);
    body.put("seed", 5);
    body.put("max_tokens", 300);
    body.put("logit_bias", bias);
    body.putAll(more);
    return body;
  }

  private static JsonNode message(Map<String, ?> body) {
    Client.Answer answer = client.post("/v1/chat/completions", body);
    assertThat(answer.status()).as(answer.body()).isEqualTo(200);
    assertThat(answer.json().at("/choices/0/finish_reason").asText())
        .as(answer.body())
        .isIn("stop", "tool_calls");
    return answer.json().at("/choices/0/message");
  }

  private static Map<String, Object> with(Map<String, ?> all, String name, Object value) {
    Map<String, Object> more = new HashMap<>(all);
    more.put(name, value);
    return more;
  }

  @Test
  void opened_answerMatchesBehindTheThoughts() {
    Map<String, Object> opened =
        Map.of("guided_regex", PHONE, "chat_template_kwargs", Map.of("opened", true));
    int thought = 0;
    for (int seed = 0; seed < 8; seed++) {
      JsonNode message = message(chat(Map.of(CLOSE, 13), with(opened, "seed", seed)));
      assertThat(message.get("content").asText()).matches(PHONE);
      thought += message.get("reasoning").isNull() ? 0 : 1;
    }
    assertThat(thought).isPositive();
  }

  @Test
  void undecided_modelOpens_answerMatchesBehindTheThoughts() {
    Map<String, Object> body =
        chat(Map.of(OPEN, 50, CLOSE, 100), Map.of("guided_regex", PHONE, "logprobs", true));
    JsonNode message = message(body);
    assertThat(message.get("content").asText()).matches(PHONE);
    Client.Answer answer = client.post("/v1/chat/completions", body);
    JsonNode tokens = answer.json().at("/choices/0/logprobs/content");
    assertThat(tokens.get(0).get("token").asText()).isEqualTo("<think>");
    assertThat(tokens.get(1).get("token").asText()).isEqualTo("</think>");
  }

  @Test
  void reasoning_wholeAndStreamed_itsTokensAreCounted() {
    Map<String, Object> body =
        chat(
            Map.of(CLOSE, 9, OPEN, -100),
            Map.of(
                "return_token_ids",
                true,
                "max_tokens",
                60,
                "chat_template_kwargs",
                Map.of("opened", true)));
    int counted = 0;
    for (int seed = 0; seed < 6; seed++) {
      body.put("seed", seed);
      JsonNode whole = client.post("/v1/chat/completions", body).json();
      JsonNode ids = whole.at("/choices/0/token_ids");
      int wanted = 0; // all up to the end of the thoughts, or of the answer
      while (wanted < ids.size()
          && !List.of(CLOSE, "4065", "4072", "4073").contains(ids.get(wanted).asText())) {
        wanted++;
      }
      JsonNode details = whole.at("/usage/completion_tokens_details/reasoning_tokens");
      assertThat(details.asInt()).as("seed %d", seed).isEqualTo(wanted);
      counted += wanted;
      Map<String, Object> streamed = with(body, "stream", true);
      streamed.put("stream_options", Map.of("include_usage", true));
      JsonNode last = Client.events(client.post("/v1/chat/completions", streamed)).getLast();
      assertThat(last.at("/usage/completion_tokens_details/reasoning_tokens")).isEqualTo(details);
    }
    assertThat(counted).isGreaterThan(10);
    assertThat(client.post("/v1/completions", Map.of("prompt", "Hi")).body())
        .doesNotContain("completion_tokens_details");
  }

  @Test
  void undecided_modelDoesNot_answerMatchesAtOnce() {
    JsonNode message = message(chat(Map.of(OPEN, -100, CLOSE, 100), Map.of("guided_regex", PHONE)));
    assertThat(message.get("content").asText()).matches(PHONE);
    assertThat(message.get("reasoning").isNull()).isTrue();
  }

  @Test
  void told_notToThink_answerMatchesAtOnce() {
    Map<String, Object> off =
        Map.of("guided_regex", PHONE, "chat_template_kwargs", Map.of("enable_thinking", false));
    JsonNode message = message(chat(Map.of(OPEN, 100, CLOSE, 100), off));
    assertThat(message.get("content").asText()).matches(PHONE);
    assertThat(message.get("reasoning").isNull()).isTrue();
  }

  @Test
  void requiredCall_behindThoughts_isOne() {
    Map<String, Object> tool =
        Map.of(
            "type",
            "function",
            "function",
            Map.of(
                "name",
                "dial",
                "parameters",
                Map.of(
                    "properties",
                    Map.of("number", Map.of("type", "string", "pattern", "^" + PHONE + "$")),
                    "required",
                    List.of("number"),
                    "additionalProperties",
                    false)));
    Map<String, Object> body =
        chat(
            Map.of(CLOSE, 13),
            Map.of(
                "tools",
                List.of(tool),
                "tool_choice",
                "required",
                "parallel_tool_calls",
                false,
                "chat_template_kwargs",
                Map.of("opened", true)));
    int thought = 0;
    for (int seed = 0; seed < 4; seed++) {
      JsonNode message = message(with(body, "seed", seed));
      JsonNode call = message.at("/tool_calls/0/function");
      assertThat(call.get("name").asText()).isEqualTo("dial");
      assertThat(call.get("arguments").asText()).matches("\\{\"number\": ?\"" + PHONE + "\"}");
      thought += message.get("reasoning").isNull() ? 0 : 1;
      assertThat(streamed(with(with(body, "seed", seed), "stream", true)))
          .isEqualTo(message.path("reasoning").asText("") + call.get("arguments").asText());
    }
    assertThat(thought).isPositive();
  }

  @Test
  void budget_usedUp_reasoningEndsAndTheAnswerMatches() {
    Map<String, Object> opened = Map.of("opened", true);
    Map<String, Object> body =
        chat(
            Map.of(CLOSE, -100, OPEN, -100, "4065", -100, "4072", -100, "4073", -100),
            Map.of("guided_regex", PHONE, "chat_template_kwargs", opened));
    for (int budget : List.of(0, 1, 7, 20)) {
      Map<String, Object> bounded = with(body, "thinking_token_budget", budget);
      JsonNode answer = client.post("/v1/chat/completions", bounded).json();
      assertThat(answer.at("/choices/0/message/content").asText()).matches(PHONE);
      assertThat(answer.at("/usage/completion_tokens_details/reasoning_tokens").asInt())
          .isEqualTo(budget);
      String reasoning = answer.at("/choices/0/message/reasoning").asText("");
      assertThat(streamedThoughts(with(bounded, "stream", true))).isEqualTo(reasoning);
    }
    Map<String, Object> scored = with(body, "thinking_token_budget", 3);
    scored.put("logprobs", true);
    scored.put("n", 2);
    JsonNode choices = client.post("/v1/chat/completions", scored).json().get("choices");
    for (JsonNode choice : choices) {
      assertThat(choice.at("/logprobs/content/3/token").asText()).isEqualTo("</think>");
    }
    assertThat(choices).hasSize(2);
  }

  @Test
  void responses_behindThoughts_showTheMessagesTokensAlone() {
    Map<String, Object> body =
        Map.of(
            "input",
            "Say something.",
            "seed",
            3,
            "max_output_tokens",
            30,
            "thinking_token_budget",
            5,
            "include",
            List.of("message.output_text.logprobs"),
            "chat_template_kwargs",
            Map.of("opened", true),
            "logit_bias",
            Map.of(CLOSE, -100, OPEN, -100, "4065", -100, "4072", -100, "4073", -100));
    JsonNode output = client.post("/v1/responses", body).json().get("output");
    assertThat(output.at("/0/type").asText()).isEqualTo("reasoning");
    JsonNode message = output.at("/1/content/0");
    assertThat(message.get("logprobs")).hasSize(30 - 5 - 1);
    StringBuilder text = new StringBuilder();
    message.get("logprobs").forEach(token -> text.append(token.get("token").asText()));
    assertThat(text.toString().length())
        .isGreaterThanOrEqualTo(message.get("text").asText().length());
    assertThat(text.toString()).doesNotContain("think");
  }

  private static String streamedThoughts(Map<String, ?> body) {
    StringBuilder text = new StringBuilder();
    for (JsonNode event : Client.events(client.post("/v1/chat/completions", body))) {
      text.append(event.at("/choices/0/delta/reasoning").asText(""));
    }
    return text.toString();
  }

  @Test
  void budget_ofACompletion_boundsItsThoughts() {
    Map<String, Object> body = new HashMap<>();
    body.put("prompt", "Say something.<think>\n");
    body.put("max_tokens", 20);
    body.put("temperature", 0);
    body.put("logit_bias", Map.of(CLOSE, -100));
    String free = client.post("/v1/completions", body).json().at("/choices/0/text").asText();
    assertThat(free).doesNotContain("</think>");
    body.put("thinking_token_budget", 3);
    JsonNode answer = client.post("/v1/completions", body).json();
    String text = answer.at("/choices/0/text").asText();
    String thought = text.substring(0, text.indexOf("</think>"));
    assertThat(free).startsWith(thought);
    assertThat(answer.at("/usage/completion_tokens_details/reasoning_tokens").asInt()).isEqualTo(3);
    body.put("guided_regex", PHONE);
    assertThat(client.post("/v1/completions", body).body()).contains("holds its reasoning too");
  }

  @Test
  void budget_usedUp_saysWhatTheOperatorWants() {
    String end = "{\"reasoning_parser\":\"qwen3\",\"reasoning_end_str\":\" That is it.</think>\"}";
    try (InProcessServer other =
        InProcessServer.start(
            "--model=" + directory, "--reasoning-config=" + end, "--chat-template=" + TEMPLATE)) {
      Map<String, Object> body =
          chat(
              Map.of(CLOSE, -100, OPEN, -100, "4065", -100, "4072", -100, "4073", -100),
              Map.of("guided_regex", PHONE, "chat_template_kwargs", Map.of("opened", true)));
      body.put("thinking_token_budget", 4);
      JsonNode message =
          new Client(other.baseUrl())
              .post("/v1/chat/completions", body)
              .json()
              .at("/choices/0/message");
      assertThat(message.get("reasoning").asText()).endsWith(" That is it.").isNotEqualTo(end);
      assertThat(message.get("content").asText()).matches(PHONE);
      other.awaitIdle();
    }
    assertThatThrownBy(
            () ->
                ModelCard.parsing(
                    InProcessServer.config(
                        "--reasoning-parser=qwen3",
                        "--reasoning-config={\"reasoning_end_str\":\"x\"}")))
        .hasMessageContaining("must end with </think>");
  }

  @Test
  void budget_ofMessages_boundsTheirThoughts() {
    Map<String, Object> body =
        Map.of(
            "messages",
            List.of(Map.of("role", "user", "content", "Say something.")),
            "max_tokens",
            40,
            "seed",
            3,
            "thinking",
            Map.of("type", "enabled", "budget_tokens", 4),
            "chat_template_kwargs",
            Map.of("opened", true),
            "logit_bias",
            Map.of(CLOSE, -100, "4065", -100, "4072", -100, "4073", -100));
    JsonNode content = client.post("/v1/messages", body).json().get("content");
    assertThat(content.at("/0/type").asText()).isEqualTo("thinking");
    assertThat(content.at("/1/type").asText()).isEqualTo("text");
  }

  @Test
  void budget_whoseEndMayNotBeSaid_isRefused() {
    for (Map<String, Object> forbids :
        List.<Map<String, Object>>of(
            Map.of("allowed_token_ids", List.of(300, 301)),
            Map.of("bad_words", List.of("</think>")),
            Map.of("use_beam_search", true))) {
      Client.Answer answer =
          client.post(
              "/v1/chat/completions", with(chat(Map.of(), forbids), "thinking_token_budget", 5));
      assertThat(answer.status()).as(answer.body()).isEqualTo(400);
      assertThat(answer.body()).contains("thinking_token_budget");
    }
  }

  private static String streamed(Map<String, ?> body) {
    StringBuilder text = new StringBuilder();
    for (JsonNode event : Client.events(client.post("/v1/chat/completions", body))) {
      JsonNode delta = event.at("/choices/0/delta");
      text.append(delta.path("reasoning").asText(""));
      text.append(delta.at("/tool_calls/0/function/arguments").asText(""));
    }
    return text.toString();
  }
}
