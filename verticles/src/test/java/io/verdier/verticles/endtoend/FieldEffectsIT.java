package io.verdier.verticles.endtoend;

import static org.assertj.core.api.Assertions.assertThat;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import io.verdier.verticles.endtoend.Client.Answer;
import io.verdier.verticles.http.api.ApiField;
import io.verdier.verticles.http.api.ApiTable;
import io.verdier.verticles.http.api.Body;
import io.verdier.verticles.http.api.Status;
import io.verdier.verticles.launch.InProcessServer;
import java.util.ArrayList;
import java.util.EnumMap;
import java.util.HashSet;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;

/**
 * Whether the table of fields, and so {@code docs/compatibility.md}, says the truth of each field
 * of the bodies that generate: what it calls supported changes the demo model's answer, what it
 * calls ignored changes nothing and is named. A row that is not tried here must say why.
 */
class FieldEffectsIT {
  private static final String IGNORED = "X-Verdier-Ignored-Fields";

  /** Good bodies, the same in each API. */
  private static final Map<Body, String> BASES =
      new EnumMap<>(
          Map.of(
              Body.CHAT,
              "'messages':[{'role':'user','content':'What is a car?'}],'max_tokens':8,"
                  + "'temperature':0,'seed':1,'return_token_ids':true",
              Body.TEXT,
              "'prompt':'The capital of France is','max_tokens':8,'temperature':0,'seed':1,"
                  + "'return_token_ids':true",
              Body.MESSAGES,
              "'messages':[{'role':'user','content':'What is a car?'}],'max_tokens':8,"
                  + "'temperature':0,'seed':1",
              Body.RESPONSES,
              "'input':'What is a car?','max_output_tokens':8,'temperature':0,'seed':1,"
                  + "'store':false"));

  /** What all four have: a field, what stands beside it in both bodies, and a value. */
  private static final String SHARED =
      """
      temperature | | 1.9
      top_p | 'temperature':1.9 | 0.01
      top_k | 'temperature':1.9 | 1
      min_p | 'temperature':1.9 | 1
      presence_penalty | 'temperature':1.9,LONG | 2
      frequency_penalty | 'temperature':1.9,LONG | 2
      repetition_penalty | 'temperature':1.9,LONG | 5
      seed | 'temperature':1.9 | 2
      logit_bias | | {'4073':100}
      allowed_token_ids | | [65]
      bad_words | | ['WORD']
      min_tokens | 'logit_bias':{'4073':100} | 3
      stop_token_ids | 'allowed_token_ids':[66] | [66]
      ignore_eos | 'logit_bias':{'4073':100} | true
      structured_outputs | | {'choice':['yes','no']}
      stream | | true
      """;

  private static final String TEMPLATE = "'chat_template':'{{ messages[0].content }}%s'";

  /** Of the three that have conversations. */
  private static final String TALKING =
      """
      chat_template | | '{{ messages[0].content }}'
      chat_template_kwargs | TEMPLATE{{ x }}' | {'x':'y z'}
      thinking_token_budget | TEMPLATE<think>\\n' | 2
      """
          .replace("TEMPLATE", TEMPLATE.replace("%s'", ""));

  private static final String CHAT_AND_TEXT =
      """
      max_tokens | | 3
      max_completion_tokens | | 3
      n | 'temperature':1 | 2
      stop | | 'WORD'
      include_stop_str_in_output | 'stop':'WORD' | true
      skip_special_tokens | 'allowed_token_ids':[4080] | false
      truncate_prompt_tokens | | 2
      truncation_side | 'truncate_prompt_tokens':2 | 'right'
      use_beam_search | 'n':2,'temperature':1,'return_token_ids':false | true
      repetition_detection | 'allowed_token_ids':[65],LONG | {'max_pattern_size':1,'min_count':3}
      response_format | | {'type':'json_object'}
      guided_json | | {'type':'boolean'}
      guided_regex | | '[0-9]{3}'
      guided_choice | | ['yes','no']
      guided_grammar | | 'root ::= [y] [e] [s]'
      guided_json_object | | true
      guided_whitespace_pattern | 'guided_json':{'type':'array','items':{'const':1},'minItems':2,'maxItems':2} | ' {3}'
      structural_tag | | {'type':'structural_tag','format':{'type':'const_string','value':'yes'}}
      stream_options | 'stream':true | {'include_usage':true}
      stream_interval | 'stream':true | 5
      prompt_logprobs | | 1
      return_token_ids | 'return_token_ids':false | true
      request_id | | 'mine'
      """;

  private static final String CHAT =
      """
      add_special_tokens | | true
      add_generation_prompt | | false
      continue_final_message | BEGUN,'add_generation_prompt':false | true
      echo | BEGUN | true
      documents | TEMPLATE{% for d in documents or [] %}{{ d.text }}{% endfor %}' | [{'text':'a b'}]
      reasoning_effort | TEMPLATE{{ reasoning_effort }}' | 'high'
      include_reasoning | TEMPLATE<think>\\n' | false
      tools | | [{'type':'function','function':{'name':'f'}}]
      tool_choice | 'tools':[{'type':'function','function':{'name':'f'}}] | 'required'
      logprobs | | true
      top_logprobs | 'logprobs':true | 2
      logprob_token_ids | 'logprobs':true | [65]
      return_tokens_as_token_ids | 'logprobs':true | true
      return_prompt_text | | true
      """
          .replace("TEMPLATE", TEMPLATE.replace("%s'", ""))
          .replace(
              "BEGUN",
              "'messages':[{'role':'user','content':'What is a car?'},"
                  + "{'role':'assistant','content':'A car'}]");

  private static final String TEXT =
      """
      add_special_tokens | | false
      echo | | true
      logprobs | | 2
      logprob_token_ids | 'logprobs':1 | [65]
      return_tokens_as_token_ids | 'logprobs':1 | true
      """;

  private static final String ANTHROPIC =
      """
      system | | 'Answer in upper case.'
      max_tokens | | 3
      stop_sequences | | ['WORD']
      tools | | [{'name':'f','input_schema':{'type':'object'}}]
      tool_choice | 'tools':[{'name':'f','input_schema':{'type':'object'}}] | {'type':'any'}
      thinking | TEMPLATE{{ enable_thinking }}' | {'type':'enabled'}
      output_config | | {'format':{'type':'json_schema','schema':{'type':'boolean'}}}
      request_id | | 'mine'
      """
          .replace("TEMPLATE", TEMPLATE.replace("%s'", ""));

  private static final String RESPONSES =
      """
      instructions | | 'Answer in upper case.'
      max_output_tokens | | 3
      stop | | 'WORD'
      include_stop_str_in_output | 'stop':'WORD' | true
      skip_special_tokens | 'allowed_token_ids':[4080] | false
      tools | | [{'type':'function','name':'f'}]
      tool_choice | 'tools':[{'type':'function','name':'f'}] | 'required'
      text | | {'format':{'type':'json_schema','name':'b','schema':{'type':'boolean'}}}
      reasoning | TEMPLATE{{ reasoning_effort }}' | {'effort':'high'}
      include_reasoning | TEMPLATE<think>\\n' | false
      include | | ['message.output_text.logprobs']
      top_logprobs | 'include':['message.output_text.logprobs'] | 2
      background | 'store':true | true
      metadata | | {'a':'b'}
      """
          .replace("TEMPLATE", TEMPLATE.replace("%s'", ""));

  private static final Map<Body, String> EFFECTS =
      Map.of(
          Body.CHAT, SHARED + TALKING + CHAT_AND_TEXT + CHAT,
          Body.TEXT, SHARED + CHAT_AND_TEXT + TEXT,
          Body.MESSAGES, SHARED + TALKING + ANTHROPIC,
          Body.RESPONSES, SHARED + TALKING + RESPONSES);

  /** Fields of which one answer cannot tell, and where their effect is shown instead. */
  private static final Map<String, String> ELSEWHERE =
      Map.ofEntries(
          Map.entry("messages", "is the question"),
          Map.entry("prompt", "is the question"),
          Map.entry("input", "is the question"),
          Map.entry("model", "SeveralModelsTest, CohostIT: another one answers, or 404"),
          Map.entry("parallel_tool_calls", "ChatParsingTest: of several calls"),
          Map.entry("length_penalty", "BeamSearchIT: of several beams"),
          Map.entry("priority", "SchedulerTest: of several requests"),
          Map.entry("cache_salt", "PrefixTiersIT: of several requests"),
          Map.entry("dynamic-lora", "DynamicLoraIT"),
          Map.entry("lora_id", "DynamicLoraIT"),
          Map.entry("thinking_token_budget", "ThinkingIT, on completions"),
          Map.entry("truncation", "ResponsesTest: of a prompt that is too long"),
          Map.entry("previous_response_id", "ResponsesIT: of two requests"),
          Map.entry("store", "ResponsesIT: of two requests"));

  private static InProcessServer server;
  private static Client client;

  @BeforeAll
  static void start() {
    server =
        InProcessServer.start(
            "--trust-request-chat-template",
            "--enable-responses-api-store",
            "--reasoning-parser=qwen3",
            "--enable-auto-tool-choice",
            "--tool-call-parser=llama3_json");
    client = new Client(server.baseUrl());
  }

  @AfterAll
  static void stop() {
    server.awaitIdle();
    server.close();
  }

  /** A row of the tables above. */
  private record Effect(String extra, String value) {}

  private static Map<String, Effect> effects(Body body) {
    Map<String, Effect> effects = new LinkedHashMap<>();
    for (String line : EFFECTS.get(body).split("\n")) {
      String[] cells = line.split("\\|", 3);
      String length = body == Body.RESPONSES ? "'max_output_tokens':40" : "'max_tokens':40";
      String word = body == Body.TEXT ? "Paris" : "car";
      effects.put(
          cells[0].strip(),
          new Effect(
              cells[1].strip().replace("LONG", length).replace("WORD", word),
              cells[2].strip().replace("WORD", word)));
    }
    return effects;
  }

  private static ObjectNode object(String fields) {
    return (ObjectNode) new Answer(200, "{" + fields.replace('\'', '"') + "}").json();
  }

  private static ObjectNode base(Body body, String extra) {
    ObjectNode base = object(BASES.get(body));
    base.setAll(object(extra));
    return base;
  }

  private static Answer send(Body body, ObjectNode sent) {
    return client.post(body.path(), sent.toString());
  }

  /** An answer without what is new in each, and without what it repeats of the request. */
  private static String shown(Body body, String field, Answer answer) {
    String text = answer.body();
    if (body == Body.RESPONSES && !text.startsWith("event: ")) {
      JsonNode json = answer.json();
      text = json.path("status") + " " + json.path("output") + json.path("usage");
      text += field.equals("metadata") ? json.path(field) : ""; // which is its effect
    }
    String ids = field.equals("request_id") ? "item_id" : "id|call_id|item_id|prompt_id";
    return text.replaceAll("\"(" + ids + ")\":\"[^\"]*\"", "\"$1\":…")
        .replaceAll("\"(created|created_at|completed_at)\":[0-9.]+", "\"$1\":…");
  }

  @Test
  void supportedFields_each_changeTheAnswer() {
    List<String> faults = new ArrayList<>();
    for (Body body : EFFECTS.keySet()) {
      effects(body)
          .forEach(
              (field, effect) -> {
                ObjectNode without = base(body, effect.extra());
                ObjectNode with = base(body, effect.extra());
                with.setAll(object("'" + field + "':" + effect.value()));
                Answer bare = send(body, without);
                Answer changed = send(body, with);
                boolean isTrue =
                    bare.status() == 200
                        && changed.status() == 200
                        && changed.header(IGNORED).isEmpty()
                        && !shown(body, field, bare).equals(shown(body, field, changed));
                if (!isTrue) {
                  faults.add(
                      "%s of %s: %s%n%s%n%s%n%s"
                          .formatted(
                              field, body, with, changed.headers(), bare.body(), changed.body()));
                }
              });
    }
    assertThat(faults).isEmpty();
  }

  @Test
  void ignoredFields_each_changeNothingAndAreNamed() {
    List<String> faults = new ArrayList<>();
    int trials = 0;
    for (Body body : EFFECTS.keySet()) {
      String bare = shown(body, "", send(body, base(body, "")));
      for (ApiField field : ApiTable.of(body).values()) {
        if (field.isTopLevel() && field.status().kind() == Status.Kind.IGNORED) {
          String value =
              FieldTrials.VALUES.stream()
                  .filter(json -> field.type().fits(FieldTrials.decoded(json)))
                  .findFirst()
                  .orElseThrow();
          ObjectNode sent = base(body, "");
          sent.setAll(object("\"" + field.name() + "\":" + value));
          Answer answer = send(body, sent);
          if (!answer.header(IGNORED).equals(Optional.of(field.name()))
              || !shown(body, "", answer).equals(bare)) {
            faults.add(body + " " + sent + answer.headers() + answer.body() + bare);
          }
          trials++;
        }
      }
    }
    assertThat(faults).isEmpty();
    assertThat(trials).isGreaterThan(30);
  }

  @Test
  void rows_thatSaySupported_areTriedHereOrSayWhere() {
    Set<String> unused = new HashSet<>(ELSEWHERE.keySet());
    for (Body body : EFFECTS.keySet()) {
      Set<String> tried = new HashSet<>(effects(body).keySet());
      for (ApiField field : ApiTable.of(body).values()) {
        if (field.isTopLevel() && field.status().hasEffect() && !tried.remove(field.name())) {
          assertThat(ELSEWHERE).as(body.toString()).containsKey(field.name());
          unused.remove(field.name());
        }
      }
      assertThat(tried).as("no fields with an effect of " + body).isEmpty();
    }
    assertThat(unused).isEmpty();
  }
}
