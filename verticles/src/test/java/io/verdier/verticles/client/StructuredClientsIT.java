package io.verdier.verticles.client;

import static org.assertj.core.api.Assertions.assertThat;

import com.fasterxml.jackson.annotation.JsonClassDescription;
import com.fasterxml.jackson.annotation.JsonProperty;
import com.fasterxml.jackson.annotation.JsonPropertyDescription;
import com.openai.client.OpenAIClient;
import com.openai.core.JsonValue;
import com.openai.core.http.StreamResponse;
import com.openai.helpers.ChatCompletionAccumulator;
import com.openai.models.chat.completions.ChatCompletionChunk;
import com.openai.models.chat.completions.ChatCompletionCreateParams;
import com.openai.models.chat.completions.ChatCompletionMessageFunctionToolCall;
import com.openai.models.chat.completions.ChatCompletionToolChoiceOption;
import com.openai.models.chat.completions.StructuredChatCompletion;
import com.openai.models.chat.completions.StructuredChatCompletionCreateParams;
import io.swagger.v3.oas.annotations.media.ArraySchema;
import io.swagger.v3.oas.annotations.media.Schema;
import java.util.List;
import java.util.Map;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.extension.ExtendWith;

/** Answers as objects of a class, as the official clients for Java and for Node.js ask for them. */
@ExtendWith(DemoServer.class)
@Timeout(60)
class StructuredClientsIT {
  private static ServerUnderTest server;
  private static OpenAIClient client;

  /** What is asked for. */
  enum Kind {
    RIVER,
    CITY
  }

  /** Fields that every answer must have, in this order. */
  static final class Place {
    @JsonPropertyDescription("What it is.")
    public Kind kind = Kind.CITY;

    @ArraySchema(minItems = 1, maxItems = 3)
    public List<Part> parts = List.of();

    @Schema(minimum = "0", maximum = "9999")
    public int people;
  }

  /** A part of a place. */
  static final class Part {
    @JsonProperty("is_old")
    public boolean isOld;
  }

  /** A function, as the client names it. */
  @JsonClassDescription("Looks a place up.")
  static final class Find {
    public Kind kind = Kind.CITY;
    public boolean exact;
  }

  @BeforeAll
  static void connect(ServerUnderTest running, OpenAIClient connected) {
    server = running;
    client = connected;
  }

  private static ChatCompletionCreateParams.Builder chat(int seed) {
    return ChatCompletionCreateParams.builder()
        .model(client.models().list().data().getFirst().id())
        .addUserMessage("Tell me of a place.")
        .temperature(1.3)
        .putAdditionalBodyProperty("seed", JsonValue.from(seed)) // the setter is deprecated
        .maxCompletionTokens(400);
  }

  private static Place place(StructuredChatCompletion<Place> answer) {
    Place place = answer.choices().getFirst().message().content().orElseThrow();
    assertThat(place.kind).isNotNull();
    assertThat(place.parts).hasSizeBetween(1, 3);
    assertThat(place.people).isBetween(0, 9999);
    return place;
  }

  @Test
  void java_class_isAnsweredWholeAndStreamed() {
    for (int seed = 0; seed < 4; seed++) {
      StructuredChatCompletionCreateParams<Place> params =
          chat(seed)
              // at this temperature the demo model says blanks wherever it may
              .putAdditionalBodyProperty(
                  "structured_outputs", JsonValue.from(Map.of("disable_any_whitespace", true)))
              .responseFormat(Place.class)
              .build();
      Place whole = place(client.chat().completions().create(params));
      ChatCompletionAccumulator accumulator = ChatCompletionAccumulator.create();
      try (StreamResponse<ChatCompletionChunk> stream =
          client.chat().completions().createStreaming(params)) {
        stream.stream().forEach(accumulator::accumulate);
      }
      Place streamed = place(accumulator.chatCompletion(Place.class));
      assertThat(streamed).usingRecursiveComparison().isEqualTo(whole);
    }
  }

  @Test
  void java_requiredTool_isCalledWithAnObjectOfItsClass() {
    ChatCompletionCreateParams params =
        chat(1)
            .addTool(Find.class)
            .toolChoice(ChatCompletionToolChoiceOption.Auto.REQUIRED)
            .parallelToolCalls(false)
            .build();
    ChatCompletionMessageFunctionToolCall call =
        client
            .chat()
            .completions()
            .create(params)
            .choices()
            .getFirst()
            .message()
            .toolCalls()
            .orElseThrow()
            .getFirst()
            .asFunction();
    Find find = call.function().arguments(Find.class);
    assertThat(find.kind).isNotNull();
  }

  @Test
  @Timeout(240)
  void npm_helpers_getWhatTheyAskFor() throws Exception {
    NpmClientIT.run("structured.test.mjs", server.baseUrl());
  }
}
