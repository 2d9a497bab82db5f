package io.verdier.verticles.observe.trace;

import io.opentelemetry.sdk.common.CompletableResultCode;
import io.opentelemetry.sdk.common.export.GrpcResponse;
import io.opentelemetry.sdk.common.export.GrpcSender;
import io.opentelemetry.sdk.common.export.GrpcSenderConfig;
import io.opentelemetry.sdk.common.export.GrpcStatusCode;
import io.opentelemetry.sdk.common.export.MessageWriter;
import io.vertx.core.Future;
import io.vertx.core.Vertx;
import io.vertx.core.buffer.Buffer;
import io.vertx.core.http.HttpClient;
import io.vertx.core.http.HttpClientOptions;
import io.vertx.core.http.HttpClientRequest;
import io.vertx.core.http.HttpClientResponse;
import io.vertx.core.http.HttpMethod;
import io.vertx.core.http.HttpVersion;
import io.vertx.core.http.RequestOptions;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.net.URI;
import java.util.List;
import java.util.Map;
import java.util.concurrent.TimeUnit;
import java.util.function.Consumer;
import org.jspecify.annotations.Nullable;

/**
 * Calls one gRPC method with one message and reads its status: all that OTLP needs of gRPC.
 * Thread-safe; the work is done on Vert.x's event loops.
 *
 * <p>Source: <a href="https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md">gRPC over
 * HTTP/2</a>. A message is
 *
 * <pre>
 *   0  1               5
 *   ┌──┬───────────────┬─────────────┐
 *   │ 0│ length, u32 BE│ protobuf …  │     0: not compressed
 *   └──┴───────────────┴─────────────┘
 * </pre>
 *
 * and the status comes in the trailers, or in the headers of an answer without a body.
 */
final class VertxGrpcSender implements GrpcSender {
  private static final int PREFIX_BYTES = 5;
  private static final int HTTPS_PORT = 443;
  private static final int HTTP_PORT = 80;

  private final HttpClient client;
  private final GrpcSenderConfig config;
  private final RequestOptions target;

  VertxGrpcSender(Vertx vertx, GrpcSenderConfig config) {
    this.config = config;
    URI endpoint = config.getEndpoint();
    boolean tls = "https".equals(endpoint.getScheme());
    this.client =
        vertx.createHttpClient(
            new HttpClientOptions()
                .setProtocolVersion(HttpVersion.HTTP_2)
                .setHttp2ClearTextUpgrade(false) // gRPC servers expect HTTP/2 from the first byte
                .setUseAlpn(tls)
                .setSsl(tls)
                .setConnectTimeout(Math.toIntExact(config.getConnectTimeout().toMillis())));
    int port = endpoint.getPort();
    this.target =
        new RequestOptions()
            .setMethod(HttpMethod.POST)
            .setHost(endpoint.getHost())
            .setPort(port >= 0 ? port : tls ? HTTPS_PORT : HTTP_PORT)
            .setSsl(tls)
            .setURI("/" + config.getFullMethodName())
            .setTimeout(config.getTimeout().toMillis());
  }

  @Override
  public void send(
      MessageWriter message, Consumer<GrpcResponse> onResponse, Consumer<Throwable> onError) {
    Buffer body;
    try {
      body = framed(message);
    } catch (IOException unwritten) {
      onError.accept(unwritten);
      return;
    }
    client
        .request(new RequestOptions(target))
        .compose(request -> call(request, body))
        .timeout(config.getTimeout().toMillis(), TimeUnit.MILLISECONDS)
        .onComplete(onResponse::accept, onError::accept);
  }

  private static Buffer framed(MessageWriter message) throws IOException {
    ByteArrayOutputStream bytes = new ByteArrayOutputStream(message.getContentLength());
    message.writeMessage(bytes);
    return Buffer.buffer(PREFIX_BYTES + bytes.size())
        .appendByte((byte) 0)
        .appendInt(bytes.size())
        .appendBytes(bytes.toByteArray());
  }

  private Future<GrpcResponse> call(HttpClientRequest request, Buffer body) {
    request.putHeader("content-type", "application/grpc").putHeader("te", "trailers");
    Map<String, List<String>> headers = config.getHeadersSupplier().get();
    if (headers != null) {
      headers.forEach((name, values) -> request.headers().add(name, values));
    }
    return request.send(body).compose(response -> response.body().map(all -> read(response, all)));
  }

  private static GrpcResponse read(HttpClientResponse response, Buffer body) {
    String trailed = response.trailers().get("grpc-status");
    String status = trailed == null ? response.getHeader("grpc-status") : trailed;
    byte[] message =
        body.length() <= PREFIX_BYTES ? new byte[0] : body.getBytes(PREFIX_BYTES, body.length());
    return new Answer(code(response.statusCode(), status), message);
  }

  private static GrpcStatusCode code(int httpStatus, @Nullable String status) {
    if (httpStatus != 200 || status == null) {
      return GrpcStatusCode.UNAVAILABLE; // whatever answered there was no gRPC server
    }
    try {
      return GrpcStatusCode.fromValue(Integer.parseInt(status.strip()));
    } catch (NumberFormatException odd) {
      return GrpcStatusCode.UNKNOWN;
    }
  }

  private record Answer(GrpcStatusCode code, byte[] message) implements GrpcResponse {
    @Override
    public GrpcStatusCode getStatusCode() {
      return code;
    }

    @Override
    public String getStatusDescription() {
      return code.name();
    }

    @Override
    public byte[] getResponseMessage() {
      return message;
    }
  }

  @Override
  public CompletableResultCode shutdown() {
    CompletableResultCode closed = new CompletableResultCode();
    client.close().onComplete(done -> closed.succeed());
    return closed;
  }
}
