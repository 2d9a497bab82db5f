package io.verdier.cache.artifact;

import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import com.sun.net.httpserver.HttpExchange;
import com.sun.net.httpserver.HttpServer;
import java.io.IOException;
import java.io.OutputStream;
import java.io.UncheckedIOException;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.net.URI;
import java.net.URLDecoder;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.security.MessageDigest;
import java.security.NoSuchAlgorithmException;
import java.util.Arrays;
import java.util.Base64;
import java.util.HexFormat;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.Optional;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.ConcurrentSkipListMap;
import java.util.concurrent.CopyOnWriteArrayList;
import java.util.concurrent.Executors;
import java.util.concurrent.atomic.AtomicLong;
import java.util.concurrent.locks.LockSupport;
import java.util.function.Function;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import java.util.zip.CRC32C;
import org.jspecify.annotations.Nullable;

/**
 * Cloud Storage, the Hub with its CDN, a signed address, a token server and a metadata server, on
 * two ports of the loopback interface: two origins. Thread-safe. What goes wrong is up to the test.
 */
final class FakeCloud implements AutoCloseable {
  static final String BUCKET = "bucket";
  static final String PREFIX = "models/demo/";
  static final String REPOSITORY = "org/demo";
  private static final Pattern RANGE = Pattern.compile("bytes=(\\d+)-(\\d+)");
  private static final ObjectMapper JSON = new ObjectMapper();

  final Map<String, byte[]> files = new ConcurrentSkipListMap<>();
  final List<Request> requests = new CopyOnWriteArrayList<>();
  final List<String> bodies = new CopyOnWriteArrayList<>(); // of POSTs
  final AtomicLong bytesSent = new AtomicLong();
  final Map<String, byte[]> damaged = new ConcurrentHashMap<>(); // sent in place of files
  volatile Function<Request, Fault> faults = request -> Fault.NONE;
  volatile String commit = "0123456789abcdef0123456789abcdef01234567";
  volatile long generation = 1;
  volatile boolean listsSizes = true;
  volatile Function<byte[], Optional<String>> entityTag = // of what lies behind a signed address
      content -> Optional.of("\"" + digest("SHA-1", content) + "\"");
  volatile long pauseNanos; // before each 4 KiB of a body
  volatile boolean hasMetadataServer = true;
  private final HttpServer api;
  private final HttpServer cdn;

  /** What was asked. */
  record Request(
      boolean ofCdn, String method, String path, String query, Map<String, String> headers) {
    Optional<String> header(String name) {
      return Optional.ofNullable(headers.get(name.toLowerCase(java.util.Locale.ROOT)));
    }

    boolean isMedia() {
      return ofCdn || query.contains("alt=media") || path.contains("/resolve/");
    }
  }

  /**
   * What goes wrong with an answer.
   *
   * @param status in place of the right one; 0: none
   * @param headers of that answer
   * @param cutAfter bytes of the body after which the connection is cut
   * @param ignoresRange whether the whole file is sent with 200
   */
  record Fault(
      int status, Map<String, String> headers, String body, long cutAfter, boolean ignoresRange) {
    static final Fault NONE = new Fault(0, Map.of(), "", Long.MAX_VALUE, false);
    static final Fault NO_RANGES = new Fault(0, Map.of(), "", Long.MAX_VALUE, true);

    static Fault status(int status, String... headers) {
      Map<String, String> named = new java.util.HashMap<>();
      for (int i = 0; i < headers.length; i += 2) {
        named.put(headers[i], headers[i + 1]);
      }
      return new Fault(status, named, "", Long.MAX_VALUE, false);
    }

    static Fault cut(long after) {
      return new Fault(0, Map.of(), "", after, false);
    }

    Fault withBody(String text) {
      return new Fault(status, headers, text, cutAfter, ignoresRange);
    }
  }

  FakeCloud() {
    api = start(false);
    cdn = start(true);
  }

  private HttpServer start(boolean ofCdn) {
    try {
      HttpServer server =
          HttpServer.create(new InetSocketAddress(InetAddress.getLoopbackAddress(), 0), 0);
      server.setExecutor(Executors.newVirtualThreadPerTaskExecutor());
      server.createContext("/", exchange -> handle(exchange, ofCdn));
      server.start();
      return server;
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }

  String authority() {
    return "127.0.0.1:" + api.getAddress().getPort();
  }

  String cdnAuthority() {
    return "127.0.0.1:" + cdn.getAddress().getPort();
  }

  String endpoint() {
    return "http://" + authority();
  }

  /** How a server is told of this cloud. */
  List<String> flags() {
    return List.of(
        "--hf-endpoint=" + endpoint(),
        "--storage-emulator-host=" + endpoint(),
        "--allowed-outbound-hosts=" + cdnAuthority());
  }

  byte[] file(String name) {
    return Objects.requireNonNull(files.get(name), name);
  }

  long count(Pattern path) {
    return requests.stream().filter(it -> path.matcher(it.path).find()).count();
  }

  @Override
  public void close() {
    api.stop(0);
    cdn.stop(0);
  }

  private void handle(HttpExchange exchange, boolean ofCdn) throws IOException {
    URI uri = exchange.getRequestURI();
    Map<String, String> headers = new ConcurrentHashMap<>();
    exchange
        .getRequestHeaders()
        .forEach(
            (name, value) ->
                headers.put(name.toLowerCase(java.util.Locale.ROOT), value.getFirst()));
    String query = uri.getRawQuery() == null ? "" : uri.getRawQuery();
    Request request =
        new Request(ofCdn, exchange.getRequestMethod(), uri.getRawPath(), query, headers);
    requests.add(request);
    if (request.method.equals("POST")) {
      bodies.add(new String(exchange.getRequestBody().readAllBytes(), StandardCharsets.UTF_8));
    }
    Fault fault = faults.apply(request);
    // What fails leaves this method: then the server cuts the connection, else it may keep it.
    if (fault.status != 0) {
      fault.headers.forEach(exchange.getResponseHeaders()::set);
      send(exchange, fault.status, fault.body.getBytes(StandardCharsets.UTF_8), fault);
    } else {
      route(exchange, request, fault);
    }
    exchange.close();
  }

  private void route(HttpExchange exchange, Request request, Fault fault) throws IOException {
    String path = URLDecoder.decode(request.path.replace("+", "%2B"), StandardCharsets.UTF_8);
    String listing = "/storage/v1/b/" + BUCKET + "/o";
    String hub = "/api/models/" + REPOSITORY + "/revision/";
    String resolve = "/" + REPOSITORY + "/resolve/" + commit + "/";
    if (path.equals(listing)) {
      sendJson(exchange, list(request));
    } else if (path.startsWith(listing + "/" + PREFIX)) {
      sendFile(exchange, request, path.substring((listing + "/" + PREFIX).length()), fault);
    } else if (path.startsWith(hub)) {
      sendJson(exchange, info());
    } else if (path.startsWith(resolve)) {
      resolve(exchange, request, path.substring(resolve.length()), fault);
    } else if (path.startsWith("/file/")) {
      sendFile(exchange, request, path.substring("/file/".length()), fault);
    } else if (path.equals("/token")) {
      sendJson(exchange, token("of-file"));
    } else if (path.startsWith("/computeMetadata/") && hasMetadataServer) {
      exchange.getResponseHeaders().set("Metadata-Flavor", "Google");
      sendJson(exchange, token("of-machine"));
    } else {
      send(exchange, 404, "{}".getBytes(StandardCharsets.UTF_8), fault);
    }
  }

  private static ObjectNode token(String text) {
    return JSON.createObjectNode().put("access_token", text).put("expires_in", 3600);
  }

  /** Two objects a page, and the placeholder of the directory. */
  private ObjectNode list(Request request) {
    Matcher page = Pattern.compile("pageToken=(\\d+)").matcher(request.query);
    int from = page.find() ? Integer.parseInt(page.group(1)) : 0;
    List<String> names = List.copyOf(files.keySet());
    ObjectNode answer = JSON.createObjectNode();
    ArrayNode items = answer.putArray("items");
    if (from == 0) {
      items.addObject().put("name", PREFIX).put("size", "0").put("generation", "1");
    }
    int to = Math.min(from + 2, names.size());
    for (String name : names.subList(from, to)) {
      byte[] content = file(name);
      CRC32C crc = new CRC32C();
      crc.update(content);
      byte[] bytes = ByteBuffer.allocate(4).putInt((int) crc.getValue()).array();
      items
          .addObject()
          .put("name", PREFIX + name)
          .put("size", Long.toString(content.length))
          .put("generation", Long.toString(generation))
          .put("crc32c", Base64.getEncoder().encodeToString(bytes));
    }
    if (to < names.size()) {
      answer.put("nextPageToken", Integer.toString(to));
    }
    return answer;
  }

  private ObjectNode info() {
    ObjectNode answer = JSON.createObjectNode().put("sha", commit);
    ArrayNode siblings = answer.putArray("siblings");
    files.forEach(
        (name, content) -> {
          ObjectNode sibling = siblings.addObject().put("rfilename", name);
          if (listsSizes) {
            sibling.put("size", content.length).put("blobId", gitId(content));
            if (isLarge(name)) {
              sibling
                  .putObject("lfs")
                  .put("sha256", digest("SHA-256", content))
                  .put("size", content.length);
            }
          }
        });
    return answer;
  }

  static boolean isLarge(String name) {
    return name.endsWith(".safetensors") || name.equals("tokenizer.json");
  }

  static String gitId(byte[] content) {
    byte[] head = ("blob " + content.length + "\0").getBytes(StandardCharsets.US_ASCII);
    return digest(
        "SHA-1", ByteBuffer.allocate(head.length + content.length).put(head).put(content).array());
  }

  static String digest(String algorithm, byte[] content) {
    try {
      return HexFormat.of().formatHex(MessageDigest.getInstance(algorithm).digest(content));
    } catch (NoSuchAlgorithmException impossible) {
      throw new IllegalStateException(impossible);
    }
  }

  private void resolve(HttpExchange exchange, Request request, String name, Fault fault)
      throws IOException {
    byte[] content = files.get(name);
    if (content == null) {
      exchange.getResponseHeaders().set("X-Error-Code", "EntryNotFound");
      send(exchange, 404, new byte[0], fault);
      return;
    }
    exchange.getResponseHeaders().set("X-Repo-Commit", commit);
    if (!isLarge(name)) {
      exchange.getResponseHeaders().set("ETag", "\"" + gitId(content) + "\"");
      sendFile(exchange, request, name, fault);
      return;
    }
    exchange.getResponseHeaders().set("X-Linked-Etag", "\"" + digest("SHA-256", content) + "\"");
    exchange.getResponseHeaders().set("X-Linked-Size", Long.toString(content.length));
    exchange
        .getResponseHeaders()
        .set("Location", "http://" + cdnAuthority() + "/file/" + name + "?Signature=secret");
    send(exchange, 302, new byte[0], fault);
  }

  private void sendFile(HttpExchange exchange, Request request, String name, Fault fault)
      throws IOException {
    byte[] content = damaged.getOrDefault(name, files.get(name));
    if (content == null) {
      send(exchange, 404, new byte[0], fault);
      return;
    }
    if (request.ofCdn) {
      entityTag.apply(content).ifPresent(it -> exchange.getResponseHeaders().set("ETag", it));
    }
    String range = request.header("Range").orElse("");
    Matcher asked = RANGE.matcher(range);
    if (!asked.matches() || fault.ignoresRange) {
      send(exchange, 200, content, fault);
      return;
    }
    int from = Integer.parseInt(asked.group(1));
    if (from >= content.length) {
      send(exchange, 416, new byte[0], fault);
      return;
    }
    int to = (int) Math.min(Long.parseLong(asked.group(2)) + 1, content.length);
    exchange
        .getResponseHeaders()
        .set("Content-Range", "bytes %d-%d/%d".formatted(from, to - 1, content.length));
    send(exchange, 206, Arrays.copyOfRange(content, from, to), fault);
  }

  private static void sendJson(HttpExchange exchange, ObjectNode answer) throws IOException {
    byte[] body = answer.toString().getBytes(StandardCharsets.UTF_8);
    exchange.sendResponseHeaders(200, body.length);
    exchange.getResponseBody().write(body);
  }

  private void send(HttpExchange exchange, int status, byte[] body, @Nullable Fault fault)
      throws IOException {
    boolean head = exchange.getRequestMethod().equals("HEAD");
    if (head) {
      exchange.getResponseHeaders().set("Content-Length", Integer.toString(body.length));
    }
    exchange.sendResponseHeaders(status, head || body.length == 0 ? -1 : body.length);
    if (head || body.length == 0) {
      return;
    }
    long cut = fault == null ? Long.MAX_VALUE : fault.cutAfter;
    OutputStream out = exchange.getResponseBody();
    for (int at = 0; at < body.length; at += 4096) {
      if (at >= cut) {
        out.flush();
        throw new IOException("cut");
      }
      int n = Math.min(4096, body.length - at);
      if (pauseNanos > 0) {
        LockSupport.parkNanos(pauseNanos);
      }
      out.write(body, at, n);
      bytesSent.addAndGet(status / 100 == 2 ? n : 0);
    }
  }
}
