package io.verdier.verticles.client;

import com.openai.client.OpenAIClient;
import com.openai.client.okhttp.OpenAIOkHttpClient;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.time.Duration;
import org.junit.jupiter.api.extension.ExtensionContext;
import org.junit.jupiter.api.extension.ParameterContext;
import org.junit.jupiter.api.extension.ParameterResolver;

/**
 * Gives tests of clients a server of the demo model, and OpenAI's client of it: one of each for all
 * classes of a run, started when the first one asks and ended behind the last test. Stateless.
 */
final class DemoServer implements ParameterResolver {
  private static final ExtensionContext.Namespace OWN =
      ExtensionContext.Namespace.create(DemoServer.class);

  /** A server and a client; closed by JUnit with the store that holds it. */
  private record Running(ServerUnderTest server, OpenAIClient client) implements AutoCloseable {

    static Running start() {
      try {
        ServerUnderTest server = ServerUnderTest.start();
        return new Running(
            server,
            OpenAIOkHttpClient.builder()
                .baseUrl(server.baseUrl() + "/v1")
                .apiKey("none")
                .maxRetries(0)
                .timeout(Duration.ofSeconds(30))
                .build());
      } catch (IOException failed) {
        throw new UncheckedIOException(failed);
      }
    }

    @Override
    public void close() throws IOException {
      client.close();
      server.close();
    }
  }

  @Override
  public boolean supportsParameter(ParameterContext parameter, ExtensionContext context) {
    Class<?> type = parameter.getParameter().getType();
    return type == ServerUnderTest.class || type == OpenAIClient.class;
  }

  @Override
  public Object resolveParameter(ParameterContext parameter, ExtensionContext context) {
    Running running =
        context
            .getRoot()
            .getStore(OWN)
            .getOrComputeIfAbsent(Running.class, key -> Running.start(), Running.class);
    return parameter.getParameter().getType() == ServerUnderTest.class
        ? running.server()
        : running.client();
  }
}
