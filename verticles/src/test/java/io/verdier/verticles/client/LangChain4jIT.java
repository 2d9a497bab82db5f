package io.verdier.verticles.client;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatExceptionOfType;

import com.fasterxml.jackson.core.JsonProcessingException;
import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.openai.client.OpenAIClient;
import dev.langchain4j.agent.tool.ToolExecutionRequest;
import dev.langchain4j.agent.tool.ToolSpecification;
import dev.langchain4j.data.message.AiMessage;
import dev.langchain4j.data.message.ChatMessage;
import dev.langchain4j.data.message.SystemMessage;
import dev.langchain4j.data.message.ToolExecutionResultMessage;
import dev.langchain4j.data.message.UserMessage;
import dev.langchain4j.exception.InvalidRequestException;
import dev.langchain4j.exception.ModelNotFoundException;
import dev.langchain4j.model.chat.request.ChatRequest;
import dev.langchain4j.model.chat.request.ResponseFormat;
import dev.langchain4j.model.chat.request.ResponseFormatType;
import dev.langchain4j.model.chat.request.ToolChoice;
import dev.langchain4j.model.chat.request.json.JsonObjectSchema;
import dev.langchain4j.model.chat.request.json.JsonSchema;
import dev.langchain4j.model.chat.response.ChatResponse;
import dev.langchain4j.model.chat.response.CompleteToolCall;
import dev.langchain4j.model.chat.response.StreamingChatResponseHandler;
import dev.langchain4j.model.openai.OpenAiChatModel;
import dev.langchain4j.model.openai.OpenAiStreamingChatModel;
import dev.langchain4j.model.output.FinishReason;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.TimeUnit;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.extension.ExtendWith;

/**
 * LangChain4j's {@code langchain4j-open-ai}: what an application in Java is mostly written with.
 * Expected texts are the demo model's golden answers.
 */
@ExtendWith(DemoServer.class)
@Timeout(60)
class LangChain4jIT {
  private static final String CAR = "What is a car?";
  private static final String CAR_ANSWER =
      "A car, or a motor car, is a road-connected human-transportation system used to move people"
          + " or goods from one place to another.";
  private static final ToolSpecification WEATHER =
      ToolSpecification.builder()
          .name("get_weather")
          .description("Get the weather of a city")
          .parameters(
              JsonObjectSchema.builder()
                  .addStringProperty("city", "Name of the city")
                  .required("city")
                  .additionalProperties(false)
                  .build())
          .build();

  private static ServerUnderTest server;
  private static String model;

  @BeforeAll
  static void connect(ServerUnderTest running, OpenAIClient client) {
    server = running;
    model = client.models().list().data().getFirst().id();
  }

  private static OpenAiChatModel.OpenAiChatModelBuilder chat() {
    return OpenAiChatModel.builder()
        .baseUrl(server.baseUrl() + "/v1")
        .apiKey("none")
        .modelName(model)
        .temperature(0.0)
        .maxRetries(0)
        .timeout(Duration.ofSeconds(30));
  }

  private static ChatRequest.Builder ask(String question) {
    return ChatRequest.builder().messages(List.of(UserMessage.from(question)));
  }

  /** A streamed answer, and what was heard of it on the way. */
  private record Heard(String text, List<CompleteToolCall> calls, ChatResponse whole) {}

  private static Heard stream(ChatRequest request) {
    OpenAiStreamingChatModel streaming =
        OpenAiStreamingChatModel.builder()
            .baseUrl(server.baseUrl() + "/v1")
            .apiKey("none")
            .modelName(model)
            .temperature(0.0)
            .timeout(Duration.ofSeconds(30))
            .build();
    StringBuilder text = new StringBuilder();
    List<CompleteToolCall> calls = new ArrayList<>();
    CompletableFuture<ChatResponse> whole = new CompletableFuture<>();
    streaming.chat(
        request,
        new StreamingChatResponseHandler() {
          @Override
          public void onPartialResponse(String part) {
            text.append(part);
          }

          @Override
          public void onCompleteToolCall(CompleteToolCall call) {
            calls.add(call);
          }

          @Override
          public void onCompleteResponse(ChatResponse response) {
            whole.complete(response);
          }

          @Override
          public void onError(Throwable error) {
            whole.completeExceptionally(error);
          }
        });
    ChatResponse response = whole.orTimeout(30, TimeUnit.SECONDS).join();
    return new Heard(text.toString(), calls, response);
  }

  @Test
  void chat_greedy_givesTheGoldenAnswer() {
    ChatResponse answer = chat().build().chat(ask(CAR).build());
    assertThat(answer.aiMessage().text()).isEqualTo(CAR_ANSWER);
    assertThat(answer.finishReason()).isEqualTo(FinishReason.STOP);
    assertThat(answer.modelName()).isEqualTo(model);
    assertThat(answer.id()).startsWith("chatcmpl-");
    assertThat(answer.tokenUsage().inputTokenCount()).isEqualTo(15);
    assertThat(answer.tokenUsage().outputTokenCount()).isEqualTo(28);
    assertThat(answer.tokenUsage().totalTokenCount()).isEqualTo(43);
  }

  @Test
  void chat_conversation_isGoneOn() {
    List<ChatMessage> messages =
        List.of(
            SystemMessage.from("You are helpful."),
            UserMessage.from(CAR),
            AiMessage.from(CAR_ANSWER),
            UserMessage.from("And a boat?"));
    ChatRequest request = ChatRequest.builder().messages(messages).maxOutputTokens(7).build();
    ChatResponse answer = chat().build().chat(request);
    assertThat(answer.aiMessage().text()).isNotBlank();
    assertThat(answer.finishReason()).isEqualTo(FinishReason.LENGTH);
    assertThat(answer.tokenUsage().outputTokenCount()).isEqualTo(7);
  }

  @Test
  void streamed_parts_joinToTheAnswer() {
    Heard heard = stream(ask(CAR).build());
    assertThat(heard.text()).isEqualTo(CAR_ANSWER);
    assertThat(heard.whole().aiMessage().text()).isEqualTo(CAR_ANSWER);
    assertThat(heard.whole().finishReason()).isEqualTo(FinishReason.STOP);
    assertThat(heard.whole().tokenUsage().outputTokenCount()).isEqualTo(28);
  }

  @Test
  void tool_needed_isCalledAndItsResultIsUsed() {
    OpenAiChatModel chat = chat().build();
    UserMessage question = UserMessage.from("What is the weather in Paris?");
    ChatResponse asked =
        chat.chat(ChatRequest.builder().messages(question).toolSpecifications(WEATHER).build());
    assertThat(asked.finishReason()).isEqualTo(FinishReason.TOOL_EXECUTION);
    ToolExecutionRequest call = asked.aiMessage().toolExecutionRequests().getFirst();
    assertThat(call.name()).isEqualTo("get_weather");
    assertThat(call.arguments()).isEqualTo("{\"city\": \"Paris\"}");

    ChatResponse answer =
        chat.chat(
            ChatRequest.builder()
                .messages(
                    question,
                    asked.aiMessage(),
                    ToolExecutionResultMessage.from(
                        call, "{\"temperature\": 21, \"condition\": \"sunny\"}"))
                .toolSpecifications(WEATHER)
                .build());
    assertThat(answer.aiMessage().text()).contains("Paris", "21");
    assertThat(answer.finishReason()).isEqualTo(FinishReason.STOP);
  }

  @Test
  void tool_streamed_isTheSameCall() {
    Heard heard = stream(ask("What is the weather in Paris?").toolSpecifications(WEATHER).build());
    assertThat(heard.calls()).hasSize(1);
    ToolExecutionRequest call = heard.calls().getFirst().toolExecutionRequest();
    assertThat(call.name()).isEqualTo("get_weather");
    assertThat(call.arguments()).isEqualTo("{\"city\": \"Paris\"}");
    assertThat(heard.whole().aiMessage().toolExecutionRequests()).containsExactly(call);
    assertThat(heard.whole().finishReason()).isEqualTo(FinishReason.TOOL_EXECUTION);
  }

  @Test
  void tool_required_isCalledWhateverIsAsked() throws Exception {
    ChatResponse answer =
        chat()
            .strictTools(true)
            .build()
            .chat(
                ask(CAR)
                    .toolSpecifications(WEATHER)
                    .toolChoice(ToolChoice.REQUIRED)
                    .maxOutputTokens(200)
                    .build());
    ToolExecutionRequest call = answer.aiMessage().toolExecutionRequests().getFirst();
    assertThat(call.name()).isEqualTo("get_weather");
    JsonNode arguments = new ObjectMapper().readTree(call.arguments());
    assertThat(arguments.get("city").isTextual()).isTrue();
    assertThat(arguments.size()).isEqualTo(1);
  }

  @Test
  void jsonSchema_strict_answerFitsIt() throws Exception {
    JsonSchema schema =
        JsonSchema.builder()
            .name("place")
            .rootElement(
                JsonObjectSchema.builder()
                    .addEnumProperty("kind", List.of("river", "city"))
                    .addBooleanProperty("old")
                    .required("kind", "old")
                    .additionalProperties(false)
                    .build())
            .build();
    ChatRequest request =
        ask("Tell me of a place.")
            .responseFormat(
                ResponseFormat.builder().type(ResponseFormatType.JSON).jsonSchema(schema).build())
            .maxOutputTokens(300)
            .build();
    String whole = chat().strictJsonSchema(true).build().chat(request).aiMessage().text();
    JsonNode place = new ObjectMapper().readTree(whole);
    assertThat(place.get("kind").asText()).isIn("river", "city");
    assertThat(place.get("old").isBoolean()).isTrue();
    assertThat(place.size()).isEqualTo(2);
  }

  @Test
  void jsonMode_answerIsTheGoldenJson() throws Exception {
    ChatRequest request =
        ask("Extract name, age and city as JSON: Alice is 30 and lives in Paris.")
            .responseFormat(ResponseFormat.JSON)
            .build();
    ChatResponse answer = chat().build().chat(request);
    assertThat(answer.finishReason()).isEqualTo(FinishReason.STOP);
    assertThat(new ObjectMapper().readTree(answer.aiMessage().text()))
        .isEqualTo(
            new ObjectMapper().readTree("{\"name\": \"Alice\", \"age\": 30, \"city\": \"Paris\"}"));
    assertThat(stream(request).text()).isEqualTo(answer.aiMessage().text());
  }

  /** What is asked for is no JSON by itself: the form makes it one. */
  @Test
  void jsonMode_ofAnotherQuestion_isAnObjectThatBegins() throws Exception {
    ChatRequest request = ask(CAR).responseFormat(ResponseFormat.JSON).maxOutputTokens(300).build();
    ChatResponse answer = chat().build().chat(request);
    String text = answer.aiMessage().text();
    assertThat(text).startsWith("{");
    if (answer.finishReason() == FinishReason.STOP) {
      assertThat(new ObjectMapper().readTree(text).isObject()).isTrue();
    } else { // cut: what there is has no end yet
      assertThat(answer.finishReason()).isEqualTo(FinishReason.LENGTH);
      assertThat(answer.tokenUsage().outputTokenCount()).isEqualTo(300);
      assertThatExceptionOfType(JsonProcessingException.class)
          .isThrownBy(() -> new ObjectMapper().readTree(text));
    }
  }

  @Test
  void refusals_asTheirExceptions() {
    assertThatExceptionOfType(ModelNotFoundException.class)
        .isThrownBy(() -> chat().modelName("no-such-model").build().chat(CAR));
    assertThatExceptionOfType(InvalidRequestException.class)
        .isThrownBy(() -> chat().temperature(9.0).build().chat(CAR))
        .withMessageContaining("temperature");
  }
}
