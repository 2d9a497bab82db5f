package io.verdier.verticles.client;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatExceptionOfType;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.openai.client.OpenAIClient;
import com.openai.core.JsonValue;
import com.openai.core.http.StreamResponse;
import com.openai.errors.BadRequestException;
import com.openai.errors.NotFoundException;
import com.openai.models.ResponseFormatJsonSchema;
import com.openai.models.ResponseFormatJsonSchema.JsonSchema;
import com.openai.models.chat.completions.ChatCompletion;
import com.openai.models.chat.completions.ChatCompletionChunk;
import com.openai.models.chat.completions.ChatCompletionCreateParams;
import com.openai.models.chat.completions.ChatCompletionStreamOptions;
import com.openai.models.chat.completions.ChatCompletionTokenLogprob;
import com.openai.models.completions.Completion;
import com.openai.models.completions.CompletionChoice;
import com.openai.models.completions.CompletionCreateParams;
import com.openai.models.completions.CompletionUsage;
import com.openai.models.models.Model;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;
import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Iterator;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.extension.ExtendWith;

/** The official {@code openai-java} client. Expected texts are the demo model's golden answers. */
@ExtendWith(DemoServer.class)
@Timeout(60)
class OpenAiJavaClientIT {
  private static final String CAR = "What is a car?";
  private static final String CAR_ANSWER =
      "A car, or a motor car, is a road-connected human-transportation system used to move people"
          + " or goods from one place to another.";
  private static final int CAR_PROMPT_TOKENS = 15;
  private static final int CAR_ANSWER_TOKENS = 28; // the end-of-turn token included
  private static final String CAPITAL = "The capital of France is";
  private static final String CAPITAL_ANSWER =
      " Paris. Paris lies on the river Seine and is home to the Eiffel Tower.";
  private static final Duration ABORT_DEADLINE = Duration.ofSeconds(20);

  private static ServerUnderTest server;
  private static OpenAIClient client;
  private static String model;

  @BeforeAll
  static void connect(ServerUnderTest running, OpenAIClient connected) {
    server = running;
    client = connected;
    model = client.models().list().data().getFirst().id();
  }

  @Test
  void models_list_namesTheServedModel() {
    Model served = client.models().list().data().getFirst();
    assertThat(served.id()).isNotBlank();
    assertThat(served.created()).isPositive();
    assertThat(served.ownedBy()).isNotBlank();
  }

  @Test
  void chat_greedy_givesTheGoldenAnswer() {
    ChatCompletion answer = client.chat().completions().create(chat(CAR).build());
    assertThat(answer.id()).startsWith("chatcmpl-");
    assertThat(answer.model()).isEqualTo(model);
    assertThat(answer.choices()).hasSize(1);
    ChatCompletion.Choice choice = answer.choices().getFirst();
    assertThat(choice.index()).isZero();
    assertThat(choice.message().content()).hasValue(CAR_ANSWER);
    assertThat(choice.finishReason()).isEqualTo(ChatCompletion.Choice.FinishReason.STOP);
    assertUsage(answer.usage().orElseThrow(), CAR_PROMPT_TOKENS, CAR_ANSWER_TOKENS);
  }

  @Test
  void chat_streamed_deltasJoinToTheWholeAnswer() {
    List<ChatCompletionChunk> chunks = stream(chat(CAR).streamOptions(withUsage()).build());
    assertThat(chunks).hasSizeGreaterThan(3);
    assertThat(chunks.getFirst().choices().getFirst().delta().role())
        .map(Object::toString)
        .hasValue("assistant");
    assertThat(contents(chunks)).containsExactly(Map.entry(0L, CAR_ANSWER));
    assertThat(finishReasons(chunks)).containsExactly("stop");
    assertThat(chunks).extracting(ChatCompletionChunk::id).containsOnly(chunks.getFirst().id());
    assertThat(chunks).extracting(ChatCompletionChunk::model).containsOnly(model);
    ChatCompletionChunk last = chunks.getLast();
    assertThat(last.choices()).isEmpty();
    assertUsage(last.usage().orElseThrow(), CAR_PROMPT_TOKENS, CAR_ANSWER_TOKENS);
  }

  @Test
  void chat_streamedWithoutUsage_hasNone() {
    List<ChatCompletionChunk> chunks = stream(chat(CAR).build());
    assertThat(contents(chunks)).containsExactly(Map.entry(0L, CAR_ANSWER));
    assertThat(chunks).noneMatch(chunk -> chunk.usage().isPresent());
  }

  @Test
  void chat_jsonSchema_isKept() throws IOException {
    JsonSchema.Schema schema =
        JsonSchema.Schema.builder()
            .putAdditionalProperty("type", JsonValue.from("object"))
            .putAdditionalProperty(
                "properties",
                JsonValue.from(
                    Map.of(
                        "city", Map.of("enum", List.of("Paris", "Rome")),
                        "people", Map.of("type", "integer", "minimum", 0, "maximum", 9999))))
            .putAdditionalProperty("required", JsonValue.from(List.of("city", "people")))
            .putAdditionalProperty("additionalProperties", JsonValue.from(false))
            .build();
    ResponseFormatJsonSchema format =
        ResponseFormatJsonSchema.builder()
            .jsonSchema(JsonSchema.builder().name("city").strict(true).schema(schema).build())
            .build();
    ChatCompletion answer =
        client
            .chat()
            .completions()
            .create(
                chat(CAR).responseFormat(format).temperature(1.5).maxCompletionTokens(400).build());
    ChatCompletion.Choice choice = answer.choices().getFirst();
    assertThat(choice.finishReason()).isEqualTo(ChatCompletion.Choice.FinishReason.STOP);
    JsonNode city = new ObjectMapper().readTree(choice.message().content().orElseThrow());
    assertThat(city.properties()).hasSize(2);
    assertThat(city.get("city").asText()).isIn("Paris", "Rome");
    assertThat(city.get("people").asInt()).isBetween(0, 9999);
  }

  @Test
  void chat_unicode_arrivesWhole() {
    String question = "Quelle est la capitale de l'Italie ?";
    String answer = "La capitale de l'Italie est Rome.";
    ChatCompletion whole = client.chat().completions().create(chat(question).build());
    assertThat(content(whole)).isEqualTo(answer);
    assertThat(contents(stream(chat(question).build()))).containsValue(answer);
  }

  @Test
  void chat_maxTokens_endsWithLength() {
    ChatCompletion answer =
        client.chat().completions().create(chat(CAR).maxCompletionTokens(5).build());
    assertThat(CAR_ANSWER).startsWith(content(answer));
    assertThat(answer.choices().getFirst().finishReason())
        .isEqualTo(ChatCompletion.Choice.FinishReason.LENGTH);
    assertUsage(answer.usage().orElseThrow(), CAR_PROMPT_TOKENS, 5);
  }

  @Test
  void chat_twoChoices_areTheSameAgainAndStreamed() {
    ChatCompletionCreateParams params =
        chat(CAR)
            .n(2)
            .temperature(1.0)
            .topP(1.0)
            .putAdditionalBodyProperty("seed", JsonValue.from(7)) // the setter is deprecated
            .maxCompletionTokens(24)
            .build();
    ChatCompletion first = client.chat().completions().create(params);
    assertThat(first.choices()).extracting(ChatCompletion.Choice::index).containsExactly(0L, 1L);
    Map<Long, String> texts = contents(first);
    assertThat(contents(client.chat().completions().create(params))).isEqualTo(texts);
    List<ChatCompletionChunk> chunks = stream(params);
    assertThat(contents(chunks)).isEqualTo(texts);
    assertThat(finishReasons(chunks)).hasSize(2);
  }

  @Test
  void chat_stopString_cutsBeforeIt() {
    String before = CAR_ANSWER.substring(0, CAR_ANSWER.indexOf("human"));
    ChatCompletionCreateParams params = chat(CAR).stopOfStrings(List.of("xyz", "human")).build();
    ChatCompletion answer = client.chat().completions().create(params);
    assertThat(content(answer)).isEqualTo(before);
    assertThat(answer.choices().getFirst().finishReason())
        .isEqualTo(ChatCompletion.Choice.FinishReason.STOP);
    assertThat(answer.usage().orElseThrow().completionTokens()).isLessThan(CAR_ANSWER_TOKENS);
    List<ChatCompletionChunk> chunks = stream(params);
    assertThat(contents(chunks)).containsExactly(Map.entry(0L, before));
    assertThat(finishReasons(chunks)).containsExactly("stop");
  }

  @Test
  void chat_logprobs_describeTheText() {
    ChatCompletionCreateParams params =
        chat(CAR).logprobs(true).topLogprobs(3).maxCompletionTokens(8).build();
    ChatCompletion answer = client.chat().completions().create(params);
    List<ChatCompletionTokenLogprob> tokens =
        answer.choices().getFirst().logprobs().orElseThrow().content().orElseThrow();
    assertThat(tokens).hasSize(8);
    assertThat(bytes(tokens)).isEqualTo(content(answer));
    for (ChatCompletionTokenLogprob token : tokens) {
      assertThat(token.logprob()).isLessThanOrEqualTo(0);
      assertThat(token.topLogprobs()).hasSize(3);
      assertThat(token.topLogprobs().getFirst().token()).isEqualTo(token.token()); // greedy
      assertThat(token.topLogprobs().getFirst().logprob()).isEqualTo(token.logprob());
      assertThat(token.topLogprobs())
          .extracting(ChatCompletionTokenLogprob.TopLogprob::logprob)
          .isSortedAccordingTo((a, b) -> Double.compare(b, a));
    }
    List<ChatCompletionTokenLogprob> streamed = new ArrayList<>();
    for (ChatCompletionChunk chunk : stream(params)) {
      for (ChatCompletionChunk.Choice choice : chunk.choices()) {
        choice.logprobs().flatMap(l -> l.content()).ifPresent(streamed::addAll);
      }
    }
    assertThat(streamed).isEqualTo(tokens);
  }

  @Test
  void chat_manyAtOnce_giveTheSameAnswerAsAlone() throws Exception {
    try (ExecutorService threads = Executors.newVirtualThreadPerTaskExecutor()) {
      List<Future<String>> answers = new ArrayList<>();
      for (int i = 0; i < 12; i++) {
        answers.add(
            threads.submit(() -> content(client.chat().completions().create(chat(CAR).build()))));
      }
      for (Future<String> answer : answers) {
        assertThat(answer.get()).isEqualTo(CAR_ANSWER);
      }
    }
  }

  @Test
  void completion_greedy_givesTheGoldenAnswer() {
    Completion answer = client.completions().create(completion(CAPITAL).build());
    assertThat(answer.id()).startsWith("cmpl-");
    CompletionChoice choice = answer.choices().getFirst();
    assertThat(choice.text()).isEqualTo(CAPITAL_ANSWER);
    assertThat(choice.finishReason()).isEqualTo(CompletionChoice.FinishReason.STOP);
    assertUsage(answer.usage().orElseThrow(), 6, 17);
  }

  @Test
  void completion_streamed_textsJoinToTheWholeAnswer() {
    StringBuilder text = new StringBuilder();
    List<Completion> chunks = new ArrayList<>();
    CompletionCreateParams params = completion(CAPITAL).streamOptions(withUsage()).build();
    try (StreamResponse<Completion> stream = client.completions().createStreaming(params)) {
      stream.stream().forEach(chunks::add);
    }
    chunks.stream().flatMap(chunk -> chunk.choices().stream()).forEach(c -> text.append(c.text()));
    assertThat(text).hasToString(CAPITAL_ANSWER);
    assertThat(chunks).hasSizeGreaterThan(3);
    assertUsage(chunks.getLast().usage().orElseThrow(), 6, 17);
  }

  @Test
  void completion_stopAndLogprobs_matchTheText() {
    Completion answer =
        client
            .completions()
            .create(completion(CAPITAL).logprobs(2).maxTokens(6).stop("Tower").build());
    CompletionChoice choice = answer.choices().getFirst();
    CompletionChoice.Logprobs logprobs = choice.logprobs().orElseThrow();
    List<String> tokens = logprobs.tokens().orElseThrow();
    assertThat(CAPITAL_ANSWER).startsWith(choice.text());
    assertThat(String.join("", tokens)).isEqualTo(choice.text());
    assertThat(tokens).hasSize(6);
    assertThat(logprobs.tokenLogprobs().orElseThrow()).hasSize(6).allMatch(l -> l <= 0);
    assertThat(logprobs.topLogprobs().orElseThrow()).hasSize(6);
    assertThat(logprobs.textOffset().orElseThrow()).hasSize(6).isSorted().startsWith(0L);
  }

  @Test
  void completion_stopString_cutsBeforeIt() {
    Completion answer = client.completions().create(completion(CAPITAL).stop(" Seine").build());
    assertThat(answer.choices().getFirst().text()).isEqualTo(" Paris. Paris lies on the river");
    assertThat(answer.choices().getFirst().finishReason())
        .isEqualTo(CompletionChoice.FinishReason.STOP);
  }

  @Test
  void request_unknownModel_isNotFound() {
    assertThatExceptionOfType(NotFoundException.class)
        .isThrownBy(
            () -> client.chat().completions().create(chat(CAR).model("no-such-model").build()))
        .satisfies(e -> assertThat(e.statusCode()).isEqualTo(404))
        .withMessageContaining("no-such-model");
    assertThatExceptionOfType(NotFoundException.class)
        .isThrownBy(
            () -> client.completions().create(completion(CAPITAL).model("no-such-model").build()));
  }

  @Test
  void request_badParameter_isRefused() {
    for (ChatCompletionCreateParams params :
        List.of(
            chat(CAR).temperature(-1).build(),
            chat(CAR).topP(1.5).build(),
            chat(CAR).maxCompletionTokens(0).build(),
            chat(CAR).stop("").build(),
            chat(CAR).logprobs(true).topLogprobs(1000).build())) {
      assertThatExceptionOfType(BadRequestException.class)
          .isThrownBy(() -> client.chat().completions().create(params))
          .satisfies(e -> assertThat(e.statusCode()).isEqualTo(400));
      assertThatExceptionOfType(BadRequestException.class)
          .isThrownBy(() -> client.chat().completions().createStreaming(params).close());
    }
  }

  @Test
  void stream_abandoned_stopsTheWork() throws Exception {
    int most = 4 * 1500;
    double before = metric("vllm:generation_tokens_total");
    ChatCompletionCreateParams params =
        chat("Tell me a story about Alice and a fox.")
            .n(4)
            .temperature(1.0)
            .maxCompletionTokens(most / 4)
            .putAdditionalBodyProperty("ignore_eos", JsonValue.from(true))
            .build();
    try (StreamResponse<ChatCompletionChunk> stream =
        client.chat().completions().createStreaming(params)) {
      Iterator<ChatCompletionChunk> chunks = stream.stream().iterator();
      for (int i = 0; i < 8; i++) {
        chunks.next();
      }
    }
    long deadline = System.nanoTime() + ABORT_DEADLINE.toNanos();
    while (metric("vllm:num_requests_running") > 0) {
      assertThat(System.nanoTime()).as("still running").isLessThan(deadline);
    }
    assertThat(metric("vllm:generation_tokens_total") - before).isLessThan(most);
    assertThat(content(client.chat().completions().create(chat(CAR).build())))
        .isEqualTo(CAR_ANSWER);
  }

  private static ChatCompletionCreateParams.Builder chat(String question) {
    return ChatCompletionCreateParams.builder()
        .model(model)
        .addUserMessage(question)
        .temperature(0)
        .maxCompletionTokens(64);
  }

  private static CompletionCreateParams.Builder completion(String prompt) {
    return CompletionCreateParams.builder()
        .model(model)
        .prompt(prompt)
        .temperature(0)
        .maxTokens(64);
  }

  private static ChatCompletionStreamOptions withUsage() {
    return ChatCompletionStreamOptions.builder().includeUsage(true).build();
  }

  private static List<ChatCompletionChunk> stream(ChatCompletionCreateParams params) {
    List<ChatCompletionChunk> chunks = new ArrayList<>();
    try (StreamResponse<ChatCompletionChunk> stream =
        client.chat().completions().createStreaming(params)) {
      stream.stream().forEach(chunks::add);
    }
    return chunks;
  }

  private static String content(ChatCompletion answer) {
    return answer.choices().getFirst().message().content().orElseThrow();
  }

  private static Map<Long, String> contents(ChatCompletion answer) {
    Map<Long, String> texts = new TreeMap<>();
    for (ChatCompletion.Choice choice : answer.choices()) {
      texts.put(choice.index(), choice.message().content().orElseThrow());
    }
    return texts;
  }

  private static Map<Long, String> contents(List<ChatCompletionChunk> chunks) {
    Map<Long, String> texts = new TreeMap<>();
    for (ChatCompletionChunk chunk : chunks) {
      for (ChatCompletionChunk.Choice choice : chunk.choices()) {
        texts.merge(choice.index(), choice.delta().content().orElse(""), String::concat);
      }
    }
    return texts;
  }

  private static List<String> finishReasons(List<ChatCompletionChunk> chunks) {
    return chunks.stream()
        .flatMap(chunk -> chunk.choices().stream())
        .flatMap(choice -> choice.finishReason().stream())
        .map(reason -> reason.asString())
        .toList();
  }

  private static String bytes(List<ChatCompletionTokenLogprob> tokens) {
    ByteArrayOutputStream bytes = new ByteArrayOutputStream();
    for (ChatCompletionTokenLogprob token : tokens) {
      token.bytes().orElseThrow().forEach(b -> bytes.write(b.intValue()));
    }
    return bytes.toString(StandardCharsets.UTF_8);
  }

  private static void assertUsage(CompletionUsage usage, int prompt, int completion) {
    assertThat(usage.promptTokens()).isEqualTo(prompt);
    assertThat(usage.completionTokens()).isEqualTo(completion);
    assertThat(usage.totalTokens()).isEqualTo(prompt + completion);
  }

  /** The sum of a metric over its labels. */
  private static double metric(String name) throws IOException, InterruptedException {
    HttpRequest request = HttpRequest.newBuilder(URI.create(server.baseUrl() + "/metrics")).build();
    try (HttpClient http = HttpClient.newHttpClient()) {
      String page = http.send(request, HttpResponse.BodyHandlers.ofString()).body();
      Matcher line =
          Pattern.compile("(?m)^" + Pattern.quote(name) + "(\\{.*})? ([0-9.eE+]+)$").matcher(page);
      double sum = 0;
      assertThat(line.find()).as(name).isTrue();
      do {
        sum += Double.parseDouble(line.group(2));
      } while (line.find());
      return sum;
    }
  }
}
