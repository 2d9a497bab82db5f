package io.verdier.verticles.page;

import static java.nio.charset.StandardCharsets.UTF_8;
import static java.util.concurrent.TimeUnit.SECONDS;

import io.vertx.core.Vertx;
import io.vertx.core.http.WebSocket;
import io.vertx.core.http.WebSocketClient;
import io.vertx.core.http.WebSocketClientOptions;
import io.vertx.core.http.WebSocketConnectOptions;
import io.vertx.core.json.JsonObject;
import java.io.BufferedReader;
import java.io.File;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.net.URI;
import java.nio.file.DirectoryNotEmptyException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.function.Consumer;
import java.util.stream.Stream;

/**
 * A headless Chromium, spoken to over the DevTools protocol. Thread-safe: calls come from the test
 * thread, answers and events from an event loop.
 *
 * <p>Why not a browser driver: the protocol is JSON over one WebSocket, which Vert.x already
 * speaks; a driver would be a second program to install, pinned to the browser's version.
 */
final class Browser {
  private static final List<String> NAMES =
      List.of("chromium", "chromium-browser", "google-chrome", "google-chrome-stable");
  private static final List<String> FLAGS =
      List.of(
          "--headless",
          "--no-sandbox",
          "--disable-gpu",
          "--disable-quic",
          "--disable-dev-shm-usage",
          "--no-first-run",
          "--no-default-browser-check",
          "--disable-background-networking",
          "--disable-component-update",
          "--disable-sync",
          "--remote-debugging-port=0");
  private static final String LISTENING = "DevTools listening on ";
  private static final int MESSAGE_BYTES_MAX = 64 << 20; // a screenshot comes as one message
  private static final long CALL_SECONDS = 20;

  private final Process process;
  private final Path profile;
  private final WebSocketClient client;
  private final WebSocket socket;
  private final AtomicInteger lastId = new AtomicInteger();
  private final Map<Integer, CompletableFuture<JsonObject>> pending = new ConcurrentHashMap<>();
  private final Map<String, Consumer<JsonObject>> listeners = new ConcurrentHashMap<>();

  private Browser(Process process, Path profile, WebSocketClient client, WebSocket socket) {
    this.process = process;
    this.profile = profile;
    this.client = client;
    this.socket = socket;
  }

  /** The first Chromium on the PATH. */
  static Optional<Path> find() {
    String path = System.getenv().getOrDefault("PATH", "");
    return NAMES.stream()
        .flatMap(name -> Stream.of(path.split(File.pathSeparator)).map(dir -> Path.of(dir, name)))
        .filter(Files::isExecutable)
        .findFirst();
  }

  static Browser launch(Vertx vertx, Path executable) throws Exception {
    Path profile = Files.createTempDirectory("verdier-browser");
    List<String> command = new ArrayList<>();
    command.add(executable.toString());
    command.addAll(FLAGS);
    command.add("--user-data-dir=" + profile);
    command.add("about:blank");
    ProcessBuilder builder = new ProcessBuilder(command);
    builder.redirectOutput(ProcessBuilder.Redirect.DISCARD);
    Process process = builder.start();
    try {
      URI address = URI.create(debugAddress(process).get(60, SECONDS));
      WebSocketClientOptions options = new WebSocketClientOptions();
      options.setMaxFrameSize(MESSAGE_BYTES_MAX).setMaxMessageSize(MESSAGE_BYTES_MAX);
      WebSocketClient client = vertx.createWebSocketClient(options);
      WebSocketConnectOptions connect = new WebSocketConnectOptions();
      connect.setHost(address.getHost()).setPort(address.getPort()).setURI(address.getPath());
      connect.setAllowOriginHeader(false); // the browser refuses pages, and we are none
      CompletableFuture<Browser> opened = new CompletableFuture<>();
      client
          .connect(connect)
          .onSuccess(socket -> opened.complete(opened(process, profile, client, socket)))
          .onFailure(opened::completeExceptionally);
      return opened.get(CALL_SECONDS, SECONDS);
    } catch (Exception e) {
      process.destroyForcibly();
      throw e;
    }
  }

  /** Runs on the socket's event loop, so that no message can come before its handler. */
  private static Browser opened(
      Process process, Path profile, WebSocketClient client, WebSocket socket) {
    Browser browser = new Browser(process, profile, client, socket);
    socket.textMessageHandler(text -> browser.onMessage(new JsonObject(text)));
    socket.closeHandler(
        closed ->
            browser.pending.forEach(
                (id, call) ->
                    call.completeExceptionally(new IllegalStateException("browser is gone"))));
    return browser;
  }

  /** Chromium prints its address on stderr, and goes on printing: somebody must read it all. */
  private static CompletableFuture<String> debugAddress(Process process) {
    CompletableFuture<String> address = new CompletableFuture<>();
    StringBuilder seen = new StringBuilder();
    Thread.ofVirtual()
        .start(
            () -> {
              try (BufferedReader lines = process.errorReader(UTF_8)) {
                for (String line = lines.readLine(); line != null; line = lines.readLine()) {
                  seen.append(line).append('\n');
                  if (line.startsWith(LISTENING)) {
                    address.complete(line.substring(LISTENING.length()).trim());
                  }
                }
              } catch (IOException e) {
                seen.append(e);
              }
              address.completeExceptionally(new IllegalStateException("no browser: " + seen));
            });
    return address;
  }

  /** A new tab of its own, without cookies or storage of others. */
  Page open(int width, int height) {
    String context =
        call("", "Target.createBrowserContext", new JsonObject()).getString("browserContextId");
    JsonObject where = new JsonObject().put("url", "about:blank").put("browserContextId", context);
    String target = call("", "Target.createTarget", where).getString("targetId");
    JsonObject attach = new JsonObject().put("targetId", target).put("flatten", true);
    String session = call("", "Target.attachToTarget", attach).getString("sessionId");
    Page page = new Page(this, session, target);
    listeners.put(session, page::onEvent);
    page.enable();
    page.resize(width, height);
    return page;
  }

  /**
   * One protocol call.
   *
   * @param session the tab's session, empty for the browser itself
   */
  JsonObject call(String session, String method, JsonObject parameters) {
    int id = lastId.incrementAndGet();
    JsonObject message =
        new JsonObject().put("id", id).put("method", method).put("params", parameters);
    if (!session.isEmpty()) {
      message.put("sessionId", session);
    }
    CompletableFuture<JsonObject> answer = new CompletableFuture<>();
    pending.put(id, answer);
    socket.writeTextMessage(message.encode()).onFailure(answer::completeExceptionally);
    try {
      return answer.get(CALL_SECONDS, SECONDS);
    } catch (Exception e) {
      throw new IllegalStateException(method + " failed: " + e, e);
    } finally {
      pending.remove(id);
    }
  }

  private void onMessage(JsonObject message) {
    Integer id = message.getInteger("id");
    if (id == null) {
      Consumer<JsonObject> listener = listeners.get(message.getString("sessionId", ""));
      if (listener != null) {
        listener.accept(message);
      }
      return;
    }
    CompletableFuture<JsonObject> call = pending.get(id);
    if (call == null) {
      return; // given up on
    }
    JsonObject error = message.getJsonObject("error");
    if (error == null) {
      call.complete(message.getJsonObject("result", new JsonObject()));
    } else {
      call.completeExceptionally(new IllegalStateException(error.encode()));
    }
  }

  void close() throws Exception {
    try {
      call("", "Browser.close", new JsonObject());
    } catch (IllegalStateException e) {
      process.destroy(); // it left before it answered, or never will
    }
    if (!process.waitFor(10, SECONDS)) {
      process.destroyForcibly().waitFor(10, SECONDS);
    }
    client.close().toCompletionStage().toCompletableFuture().get(CALL_SECONDS, SECONDS);
    try (Stream<Path> files = Files.walk(profile)) {
      files.sorted(Comparator.reverseOrder()).forEach(Browser::delete);
    }
  }

  /** Helpers of the browser may still be removing their own files. */
  private static void delete(Path file) {
    try {
      Files.deleteIfExists(file);
    } catch (DirectoryNotEmptyException e) {
      file.toFile().deleteOnExit();
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }
}
