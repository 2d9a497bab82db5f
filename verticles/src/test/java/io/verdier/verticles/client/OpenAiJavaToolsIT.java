package io.verdier.verticles.client;

import static org.assertj.core.api.Assertions.assertThat;

import com.openai.client.OpenAIClient;
import com.openai.core.JsonValue;
import com.openai.core.http.StreamResponse;
import com.openai.helpers.ChatCompletionAccumulator;
import com.openai.models.FunctionDefinition;
import com.openai.models.FunctionParameters;
import com.openai.models.chat.completions.ChatCompletion;
import com.openai.models.chat.completions.ChatCompletionChunk;
import com.openai.models.chat.completions.ChatCompletionCreateParams;
import com.openai.models.chat.completions.ChatCompletionMessage;
import com.openai.models.chat.completions.ChatCompletionMessageFunctionToolCall;
import com.openai.models.chat.completions.ChatCompletionNamedToolChoice;
import com.openai.models.chat.completions.ChatCompletionToolChoiceOption;
import com.openai.models.chat.completions.ChatCompletionToolMessageParam;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.extension.ExtendWith;

/** Tool calls through the official {@code openai-java} client; the demo model was taught them. */
@ExtendWith(DemoServer.class)
@Timeout(60)
class OpenAiJavaToolsIT {
  private static final String QUESTION = "What is the weather in Paris?";
  private static final String ARGUMENTS = "{\"city\": \"Paris\"}";

  private static OpenAIClient client;

  @BeforeAll
  static void connect(OpenAIClient connected) {
    client = connected;
  }

  @Test
  void chat_toolNeeded_isCalledAndItsResultIsUsed() {
    ChatCompletion asked = client.chat().completions().create(ask().build());
    ChatCompletion.Choice choice = asked.choices().getFirst();
    assertThat(choice.finishReason()).isEqualTo(ChatCompletion.Choice.FinishReason.TOOL_CALLS);
    assertThat(choice.message().content()).isEmpty();
    ChatCompletionMessageFunctionToolCall call = onlyCall(choice.message());
    assertThat(call.id()).matches("chatcmpl-tool-[0-9a-f]{32}");

    ChatCompletionCreateParams told =
        ask()
            .addMessage(choice.message())
            .addMessage(
                ChatCompletionToolMessageParam.builder()
                    .toolCallId(call.id())
                    .content("{\"temperature\": 21, \"condition\": \"sunny\"}")
                    .build())
            .build();
    ChatCompletion answer = client.chat().completions().create(told);
    assertThat(answer.choices().getFirst().message().content().orElseThrow())
        .contains("Paris", "21");
  }

  @Test
  void chat_streamed_deltasAddUpToTheCall() {
    ChatCompletionAccumulator accumulator = ChatCompletionAccumulator.create();
    List<String> names = new ArrayList<>();
    try (StreamResponse<ChatCompletionChunk> stream =
        client.chat().completions().createStreaming(ask().build())) {
      stream.stream()
          .map(accumulator::accumulate)
          .flatMap(chunk -> chunk.choices().stream())
          .flatMap(one -> one.delta().toolCalls().stream().flatMap(List::stream))
          .forEach(call -> call.function().orElseThrow().name().ifPresent(names::add));
    }
    assertThat(names).containsExactly("get_weather");
    ChatCompletion.Choice choice = accumulator.chatCompletion().choices().getFirst();
    assertThat(choice.finishReason()).isEqualTo(ChatCompletion.Choice.FinishReason.TOOL_CALLS);
    onlyCall(choice.message());
  }

  @Test
  void chat_toolsNotToBeCalled_answerIsText() {
    ChatCompletionCreateParams params =
        ask().toolChoice(ChatCompletionToolChoiceOption.Auto.NONE).build();
    ChatCompletion.Choice choice = client.chat().completions().create(params).choices().getFirst();
    assertThat(choice.finishReason()).isEqualTo(ChatCompletion.Choice.FinishReason.STOP);
    assertThat(choice.message().toolCalls()).isEmpty();
    assertThat(choice.message().content().orElseThrow()).isNotEmpty();
  }

  @Test
  void chat_callRequired_answerIsOneWhateverIsAsked() {
    ChatCompletionCreateParams params =
        ask("What is a car?")
            .toolChoice(ChatCompletionToolChoiceOption.Auto.REQUIRED)
            .parallelToolCalls(false)
            .build();
    ChatCompletion.Choice choice = client.chat().completions().create(params).choices().getFirst();
    assertThat(choice.finishReason()).isEqualTo(ChatCompletion.Choice.FinishReason.TOOL_CALLS);
    assertThat(choice.message().content()).isEmpty();
    assertThat(arguments(choice.message()).keySet()).hasToString("[city]");
  }

  @Test
  void chat_functionNamed_answerIsItsArguments() {
    ChatCompletionCreateParams params =
        ask()
            .toolChoice(
                ChatCompletionNamedToolChoice.builder()
                    .function(
                        ChatCompletionNamedToolChoice.Function.builder()
                            .name("get_weather")
                            .build())
                    .build())
            .build();
    ChatCompletion.Choice choice = client.chat().completions().create(params).choices().getFirst();
    assertThat(choice.finishReason()).isEqualTo(ChatCompletion.Choice.FinishReason.STOP);
    assertThat(arguments(choice.message()).keySet()).hasToString("[city]");
  }

  private static Map<?, ?> arguments(ChatCompletionMessage message) {
    assertThat(message.toolCalls().orElseThrow()).hasSize(1);
    return message
        .toolCalls()
        .orElseThrow()
        .getFirst()
        .asFunction()
        .function()
        .arguments(Map.class);
  }

  private static ChatCompletionMessageFunctionToolCall onlyCall(ChatCompletionMessage message) {
    assertThat(message.toolCalls().orElseThrow()).hasSize(1);
    ChatCompletionMessageFunctionToolCall call =
        message.toolCalls().orElseThrow().getFirst().asFunction();
    assertThat(call.function().name()).isEqualTo("get_weather");
    assertThat(call.function().arguments()).isEqualTo(ARGUMENTS);
    return call;
  }

  private static ChatCompletionCreateParams.Builder ask() {
    return ask(QUESTION);
  }

  private static ChatCompletionCreateParams.Builder ask(String question) {
    Map<String, String> city = new LinkedHashMap<>(); // in one order: it is part of the prompt
    city.put("type", "string");
    city.put("description", "Name of the city");
    FunctionParameters parameters =
        FunctionParameters.builder()
            .putAdditionalProperty("type", JsonValue.from("object"))
            .putAdditionalProperty("properties", JsonValue.from(Map.of("city", city)))
            .putAdditionalProperty("required", JsonValue.from(List.of("city")))
            .putAdditionalProperty("additionalProperties", JsonValue.from(false))
            .build();
    return ChatCompletionCreateParams.builder()
        .model(client.models().list().data().getFirst().id())
        .addUserMessage(question)
        .addFunctionTool(
            FunctionDefinition.builder()
                .name("get_weather")
                .description("Get the weather of a city")
                .parameters(parameters)
                .build())
        .temperature(0)
        .maxCompletionTokens(64);
  }
}
