package io.verdier.verticles.client;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatExceptionOfType;
import static org.assertj.core.api.Assertions.within;

import com.openai.client.OpenAIClient;
import com.openai.client.okhttp.OpenAIOkHttpClient;
import com.openai.errors.BadRequestException;
import com.openai.models.embeddings.CreateEmbeddingResponse;
import com.openai.models.embeddings.Embedding;
import com.openai.models.embeddings.EmbeddingCreateParams;
import io.verdier.verticles.launch.InProcessServer;
import java.time.Duration;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;

/** OpenAI's own clients against a server that embeds. */
@Timeout(240)
class EmbeddingClientsIT {
  private static final List<String> TEXTS = List.of("What is a car?", "Paris lies on the Seine.");

  @Test
  void javaClient_bothFormats_givesTheSameVectors() {
    try (InProcessServer server = InProcessServer.start("--runner=pooling")) {
      OpenAIClient client =
          OpenAIOkHttpClient.builder()
              .baseUrl(server.baseUrl() + "/v1")
              .apiKey("none")
              .maxRetries(0)
              .timeout(Duration.ofSeconds(30))
              .build();
      String model = client.models().list().data().getFirst().id();
      EmbeddingCreateParams.Builder asked =
          EmbeddingCreateParams.builder().model(model).inputOfArrayOfStrings(TEXTS);
      CreateEmbeddingResponse whole = client.embeddings().create(asked.build());
      assertThat(whole.data()).hasSize(2);
      assertThat(whole.usage().promptTokens()).isPositive();
      assertThat(whole.usage().totalTokens()).isEqualTo(whole.usage().promptTokens());
      List<Embedding> floats =
          client
              .embeddings()
              .create(asked.encodingFormat(EmbeddingCreateParams.EncodingFormat.FLOAT).build())
              .data();
      for (int i = 0; i < 2; i++) {
        assertThat(whole.data().get(i).embedding()).isEqualTo(floats.get(i).embedding());
        double squares = floats.get(i).embedding().stream().mapToDouble(f -> (double) f * f).sum();
        assertThat(squares).isCloseTo(1, within(1e-6));
      }
      assertThatExceptionOfType(BadRequestException.class)
          .isThrownBy(() -> client.embeddings().create(asked.dimensions(7).build()))
          .withMessageContaining("dimensions");
      client.close();
    }
  }

  @Test
  void npmClient_bothFormats_givesTheSameVectors() throws Exception {
    try (InProcessServer server = InProcessServer.start("--runner=pooling")) {
      NpmClientIT.run("embeddings.test.mjs", server.baseUrl());
    }
  }
}
