package io.verdier.engine.text;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import com.fasterxml.jackson.annotation.JsonIgnoreProperties;
import com.fasterxml.jackson.annotation.JsonProperty;
import com.fasterxml.jackson.databind.ObjectMapper;
import io.verdier.conf.ChatConfig.ContentFormat;
import io.verdier.engine.ErrorCode;
import io.verdier.engine.RejectedException;
import io.verdier.engine.text.ChatTemplate.Conversation;
import io.verdier.engine.text.ChatTemplate.Ending;
import io.verdier.engine.text.template.RenderLimits;
import java.io.IOException;
import java.io.InputStream;
import java.net.URISyntaxException;
import java.net.URL;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Clock;
import java.time.Instant;
import java.time.ZoneOffset;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.Optional;
import org.jspecify.annotations.Nullable;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class ChatTemplateTest {
  private static final RenderLimits LIMITS = new RenderLimits(1_000_000, 1_000_000);
  private static final Clock CLOCK =
      Clock.fixed(Instant.parse("2024-07-26T12:00:00Z"), ZoneOffset.UTC);
  private static final ObjectMapper JSON = new ObjectMapper();

  /** Prints role and content, one message a line. */
  private static final String PLAIN =
      "{% for m in messages %}<{{ m.role }}>{{ m.content }}</>\n{% endfor %}"
          + "{% if add_generation_prompt %}<assistant>{% endif %}";

  /** Prints content, its parts in brackets. */
  private static final String BOTH =
      "{% for m in messages %}{% if m.content is string %}{{ m.content }}{% else %}"
          + "{% for p in m.content %}[{{ p.text }}]{% endfor %}{% endif %}{% endfor %}";

  @TempDir Path directory = Path.of("");

  @JsonIgnoreProperties("strftime_now")
  record Cases(List<Case> cases) {}

  @JsonIgnoreProperties("ids")
  record Case(
      String name,
      List<Map<String, Object>> messages,
      @Nullable List<Map<String, Object>> tools,
      @JsonProperty("add_generation_prompt") boolean addGenerationPrompt,
      @JsonProperty("date_string") @Nullable String dateString,
      @JsonProperty("show_date") @Nullable Boolean showDate,
      @JsonProperty("tools_in_user_message") @Nullable Boolean toolsInUserMessage,
      @Nullable String text,
      @Nullable String error) {

    Conversation conversation() {
      Map<String, Object> extra = new HashMap<>();
      put(extra, "date_string", dateString);
      put(extra, "show_date", showDate);
      put(extra, "tools_in_user_message", toolsInUserMessage);
      return new Conversation(
          messages,
          tools == null ? List.of() : tools,
          List.of(),
          extra,
          addGenerationPrompt ? Ending.GENERATION_PROMPT : Ending.MESSAGE);
    }

    private static void put(Map<String, Object> extra, String name, @Nullable Object value) {
      if (value != null) {
        extra.put(name, value);
      }
    }
  }

  @Test
  void render_conversationsOfTheDemoModel_matchHuggingFace() throws Exception {
    ChatTemplate template = demo();
    List<String> mismatches = new ArrayList<>();
    for (Case one : cases()) {
      String got;
      try {
        got = template.render(one.conversation(), LIMITS, CLOCK);
      } catch (RejectedException e) {
        assertThat(e.code()).isEqualTo(ErrorCode.INVALID_ARGUMENT);
        got = "ERR " + e.text();
      }
      if (!got.equals(one.text() == null ? "ERR " + one.error() : one.text())) {
        mismatches.add(one.name() + "\n  wanted: " + one.text() + "\n  but got: " + got);
      }
    }
    assertThat(mismatches).isEmpty();
  }

  @Test
  void load_demoModel_knowsTokensAndFormat() throws Exception {
    ChatTemplate template = demo();
    assertThat(template.exists()).isTrue();
    assertThat(template.problem()).isEmpty();
    assertThat(template.contentFormat()).isEqualTo(ContentFormat.OPENAI);
  }

  @Test
  void render_noTemplate_saysHowToGiveOne() throws Exception {
    write("tokenizer_config.json", "{\"bos_token\": \"<s>\"}");
    ChatTemplate template = ChatTemplate.load(directory, Optional.empty());
    assertThat(template.exists()).isFalse();
    assertThatThrownBy(() -> template.render(user("x"), LIMITS, CLOCK))
        .isInstanceOf(RejectedException.class)
        .hasMessageContaining("--chat-template");
  }

  @Test
  void load_namedTemplates_toolUseServesTools() throws Exception {
    write(
        "tokenizer_config.json",
        """
        {"chat_template": [{"name": "default", "template": "D{{ bos_token }}{{ eos_token }}"},
                           {"name": "tool_use", "template": "T{{ tools | length }}"}],
         "bos_token": {"content": "<s>", "lstrip": false}, "add_bos_token": true}
        """);
    write("special_tokens_map.json", "{\"eos_token\": {\"content\": \"</s>\"}}");
    ChatTemplate template = ChatTemplate.load(directory, Optional.empty());
    assertThat(template.render(user("x"), LIMITS, CLOCK)).isEqualTo("D<s></s>");
    assertThat(template.render(withTool(), LIMITS, CLOCK)).isEqualTo("T1");
    ChatTemplate named = ChatTemplate.load(directory, Optional.of("tool_use"));
    assertThat(named.render(withTool(), LIMITS, CLOCK)).isEqualTo("T1");
  }

  @Test
  void load_templateFile_winsOverConfig() throws Exception {
    write("tokenizer_config.json", "{\"chat_template\": \"config\"}");
    write("chat_template.json", "{\"chat_template\": \"processor\"}");
    assertThat(loaded(Optional.empty())).isEqualTo("processor");
    write("chat_template.jinja", "file\n");
    assertThat(loaded(Optional.empty())).isEqualTo("file");
    Path own = directory.resolve("own.txt");
    Files.writeString(own, "own");
    assertThat(loaded(Optional.of(own.toString()))).isEqualTo("own");
    assertThat(loaded(Optional.of("{{ 'inline' }}"))).isEqualTo("inline");
  }

  @Test
  void load_overrideUnusable_isRefused() {
    assertThatThrownBy(() -> ChatTemplate.load(directory, Optional.of("no-such-file")))
        .isInstanceOf(RejectedException.class)
        .hasMessageContaining("no-such-file");
    assertThatThrownBy(() -> ChatTemplate.load(directory, Optional.of("{% if %}")))
        .isInstanceOf(RejectedException.class)
        .hasMessageContaining("line 1");
  }

  /** Command lines written for vLLM's image name its tool templates, in several layouts. */
  @Test
  void load_toolTemplateOfVllmsImage_givesWayToOwnThatKnowsTools() throws Exception {
    write("chat_template.jinja", "own{{ tools }}");
    String path = "/vllm-workspace/examples/tool_chat_template_llama3.1_json.jinja";
    assertThat(loaded(Optional.of(path))).isEqualTo("ownNone");
    assertThat(loaded(Optional.of("examples/tool_chat_template_hermes.jinja")))
        .isEqualTo("ownNone");
    write("tool_chat_template_mine.jinja", "mine");
    Path mine = directory.resolve("tool_chat_template_mine.jinja");
    assertThat(loaded(Optional.of(mine.toString()))).isEqualTo("mine");
  }

  @Test
  void load_toolTemplateOfVllmsImage_ownKnowsNoTools_isRefused() throws Exception {
    write("chat_template.jinja", "own");
    String path = "examples/tool_chat_template_mistral.jinja";
    assertThatThrownBy(() -> loaded(Optional.of(path)))
        .isInstanceOf(RejectedException.class)
        .hasMessageContaining(path);
    write("chat_template.jinja", "own{{ tools }}");
    assertThatThrownBy(() -> loaded(Optional.of("examples/template_chatml.jinja")))
        .isInstanceOf(RejectedException.class)
        .hasMessageContaining("neither a readable file");
  }

  @Test
  void load_templateOfModelBroken_servesOtherRoutesAndSaysWhy() throws Exception {
    write("chat_template.jinja", "a\n{% if %}");
    ChatTemplate template = ChatTemplate.load(directory, Optional.empty());
    assertThat(template.problem()).get().asString().contains("line 2");
    assertThatThrownBy(() -> template.render(user("x"), LIMITS, CLOCK))
        .isInstanceOf(RejectedException.class)
        .hasMessageContaining("line 2");
  }

  @Test
  void render_textPartsForStringTemplate_areJoined() {
    ChatTemplate template = ChatTemplate.of(PLAIN, Map.of());
    assertThat(template.contentFormat()).isEqualTo(ContentFormat.STRING);
    Object parts = List.of(Map.of("type", "text", "text", "a"), "b");
    assertThat(template.render(chat(message("user", parts)), LIMITS, CLOCK))
        .isEqualTo("<user>a\nb</>\n");
    Object image = List.of(Map.of("type", "image_url"));
    assertThatThrownBy(() -> template.render(chat(message("user", image)), LIMITS, CLOCK))
        .isInstanceOf(RejectedException.class)
        .hasMessageContaining("messages[0].content[0]")
        .hasMessageContaining("image_url");
  }

  @Test
  void render_stringForTemplateOfParts_isWrapped() {
    ChatTemplate template =
        ChatTemplate.of(
            "{% for m in messages %}{% for p in m['content'] %}[{{ p.text }}]{% endfor %}"
                + "{% endfor %}",
            Map.of());
    assertThat(template.contentFormat()).isEqualTo(ContentFormat.OPENAI);
    assertThat(template.render(user("hi"), LIMITS, CLOCK)).isEqualTo("[hi]");
  }

  @Test
  void render_partsForTemplateOfBoth_areWalkedUnlessToldOtherwise() {
    ChatTemplate template = ChatTemplate.of(BOTH, Map.of());
    Object parts = List.of(Map.of("type", "text", "text", "a"), "b");
    Conversation said = chat(message("user", parts));
    Conversation told = chat(message("tool", parts));
    assertThat(template.render(said, LIMITS, CLOCK)).isEqualTo("[a][b]");
    assertThat(template.render(user("a"), LIMITS, CLOCK)).isEqualTo("a");
    assertThat(template.render(told, LIMITS, CLOCK)).isEqualTo("a\nb");
    ChatTemplate lines = template.formatted(Optional.of(ContentFormat.STRING));
    assertThat(lines.contentFormat()).isEqualTo(ContentFormat.STRING);
    assertThat(lines.render(said, LIMITS, CLOCK)).isEqualTo("a\nb");
    ChatTemplate walked = template.formatted(Optional.of(ContentFormat.OPENAI));
    assertThat(walked.render(user("a"), LIMITS, CLOCK)).isEqualTo("[a]");
    assertThat(walked.render(told, LIMITS, CLOCK)).isEqualTo("a\nb");
    String own = "{% for m in messages %}{{ m.content[1].text }}{% endfor %}";
    assertThat(walked.withTemplate(own).render(said, LIMITS, CLOCK)).isEqualTo("b");
  }

  @Test
  void render_noToolCalls_areNotThere() {
    ChatTemplate template = ChatTemplate.of("{{ 'tool_calls' in messages[0] }}", Map.of());
    Map<String, Object> message = new HashMap<>(message("assistant", "x"));
    message.put("tool_calls", List.of());
    assertThat(template.render(chat(message), LIMITS, CLOCK)).isEqualTo("False");
    putNull(message, "tool_calls");
    assertThat(template.render(chat(message), LIMITS, CLOCK)).isEqualTo("False");
    message.put("tool_calls", List.of(Map.of("function", Map.of("name", "f"))));
    assertThat(template.render(chat(message), LIMITS, CLOCK)).isEqualTo("True");
  }

  @Test
  void render_nullContent_isEmptyUnlessTheTemplateAsks() {
    Map<String, Object> message = new HashMap<>(Map.of("role", "assistant"));
    putNull(message, "content");
    assertThat(ChatTemplate.of(PLAIN, Map.of()).render(chat(message), LIMITS, CLOCK))
        .isEqualTo("<assistant></>\n");
    ChatTemplate asking =
        ChatTemplate.of("{% if messages[0].content is none %}none{% endif %}", Map.of());
    assertThat(asking.render(chat(message), LIMITS, CLOCK)).isEqualTo("none");
  }

  @Test
  void render_toolArgumentsAsJson_areParsed() {
    ChatTemplate template =
        ChatTemplate.of("{{ messages[0].tool_calls[0].function.arguments.city }}", Map.of());
    assertThat(template.render(call("{\"city\": \"Paris\"}"), LIMITS, CLOCK)).isEqualTo("Paris");
    assertThat(template.render(call(""), LIMITS, CLOCK)).isEmpty();
    assertThatThrownBy(() -> template.render(call("{city"), LIMITS, CLOCK))
        .isInstanceOf(RejectedException.class)
        .hasMessageContaining("messages[0].tool_calls[0].function.arguments");
  }

  @Test
  void render_openMessage_endsBehindItsContent() throws Exception {
    ChatTemplate template = ChatTemplate.of(PLAIN, Map.of());
    assertThat(template.render(open("Two. "), LIMITS, CLOCK)).isEqualTo("<assistant>Two. ");
    assertThat(template.render(open(""), LIMITS, CLOCK)).isEqualTo("<assistant>");
    ChatTemplate trimming =
        ChatTemplate.of("<{{ messages[0].content | trim }}></assistant>", Map.of());
    assertThat(trimming.render(open(" Two. "), LIMITS, CLOCK)).isEqualTo("<Two.");
    assertThat(demo().render(open("Two."), LIMITS, CLOCK))
        .endsWith("<|start_header_id|>assistant<|end_header_id|>\n\nTwo.");
    ChatTemplate silent = ChatTemplate.of("nothing", Map.of());
    assertThatThrownBy(() -> silent.render(open("x"), LIMITS, CLOCK))
        .isInstanceOf(RejectedException.class)
        .hasMessageContaining("continue_final_message");
  }

  @Test
  void render_extraVariables_reachTheTemplateUnlessReserved() {
    ChatTemplate template = ChatTemplate.of("{{ enable_thinking }}", Map.of());
    Conversation allowed = withExtra(Map.of("enable_thinking", false));
    assertThat(template.render(allowed, LIMITS, CLOCK)).isEqualTo("False");
    Conversation reserved = withExtra(Map.of("messages", List.of()));
    assertThatThrownBy(() -> template.render(reserved, LIMITS, CLOCK))
        .isInstanceOf(RejectedException.class)
        .hasMessageContaining("'messages'");
  }

  @Test
  void render_templateFails_isTheRequestsFault() {
    ChatTemplate raising = ChatTemplate.of("\n{{ raise_exception('No tools.') }}", Map.of());
    assertThatThrownBy(() -> raising.render(user("x"), LIMITS, CLOCK))
        .isInstanceOf(RejectedException.class)
        .hasMessage("No tools.");
    ChatTemplate failing = ChatTemplate.of("\n{{ messages[0].content + 1 }}", Map.of());
    assertThatThrownBy(() -> failing.render(user("x"), LIMITS, CLOCK))
        .isInstanceOf(RejectedException.class)
        .hasMessageContaining("line 2");
  }

  @Test
  void render_messages_areNotChanged() {
    Map<String, Object> message =
        message("assistant", List.of(Map.of("type", "text", "text", "a")));
    Map<String, Object> before = Map.copyOf(message);
    Conversation conversation =
        new Conversation(List.of(message), List.of(), List.of(), Map.of(), Ending.OPEN_MESSAGE);
    ChatTemplate.of(PLAIN, Map.of()).render(conversation, LIMITS, CLOCK);
    assertThat(message).isEqualTo(before);
  }

  private String loaded(Optional<String> override) {
    return ChatTemplate.load(directory, override).render(user("x"), LIMITS, CLOCK);
  }

  private void write(String file, String text) throws IOException {
    Files.writeString(directory.resolve(file), text);
  }

  private static Map<String, Object> message(String role, Object content) {
    return Map.of("role", role, "content", content);
  }

  @SuppressWarnings("NullAway") // as a JSON parser leaves it
  private static void putNull(Map<String, Object> map, String key) {
    map.put(key, null);
  }

  private static Conversation chat(Map<String, Object> message) {
    return new Conversation(List.of(message), List.of(), List.of(), Map.of(), Ending.MESSAGE);
  }

  private static Conversation user(String text) {
    return chat(message("user", text));
  }

  private static Conversation withTool() {
    return new Conversation(
        List.of(message("user", "x")),
        List.of(Map.of("type", "function")),
        List.of(),
        Map.of(),
        Ending.MESSAGE);
  }

  private static Conversation withExtra(Map<String, Object> extra) {
    return new Conversation(
        List.of(message("user", "x")), List.of(), List.of(), extra, Ending.MESSAGE);
  }

  private static Conversation open(String text) {
    return new Conversation(
        List.of(message("assistant", text)), List.of(), List.of(), Map.of(), Ending.OPEN_MESSAGE);
  }

  private static Conversation call(String arguments) {
    return chat(
        Map.of(
            "role",
            "assistant",
            "tool_calls",
            List.of(Map.of("function", Map.of("name", "f", "arguments", arguments)))));
  }

  private static ChatTemplate demo() throws URISyntaxException {
    URL config = ChatTemplateTest.class.getResource("/demo-model/tokenizer_config.json");
    Path file = Path.of(Objects.requireNonNull(config).toURI());
    return ChatTemplate.load(Objects.requireNonNull(file.getParent()), Optional.empty());
  }

  private static List<Case> cases() throws IOException {
    try (InputStream stream =
        ChatTemplateTest.class.getResourceAsStream("/golden/chat-template-cases.json")) {
      return JSON.readValue(stream, Cases.class).cases();
    }
  }
}
