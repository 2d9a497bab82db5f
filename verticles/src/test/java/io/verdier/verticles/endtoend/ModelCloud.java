package io.verdier.verticles.endtoend;

import static java.nio.charset.StandardCharsets.UTF_8;

import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import com.sun.net.httpserver.HttpExchange;
import com.sun.net.httpserver.HttpServer;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.io.InputStream;
import java.io.OutputStream;
import java.io.UncheckedIOException;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.net.URLDecoder;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;
import java.security.MessageDigest;
import java.security.NoSuchAlgorithmException;
import java.util.Base64;
import java.util.HexFormat;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.Set;
import java.util.TreeMap;
import java.util.concurrent.ConcurrentSkipListSet;
import java.util.concurrent.Executors;
import java.util.concurrent.atomic.AtomicLong;
import java.util.concurrent.locks.LockSupport;
import java.util.function.Consumer;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import java.util.stream.Collectors;
import java.util.zip.CRC32C;

/**
 * The demo model in Cloud Storage ({@code gs://bucket/models/demo}) and on the Hub ({@code
 * org/demo} at {@code v1}), on a port of the loopback interface. Thread-safe.
 */
final class ModelCloud implements AutoCloseable {
  private static final String COMMIT = "00000000000000000000000000000000000000c1";
  private static final String OBJECTS = "/storage/v1/b/bucket/o";
  private static final String PREFIX = "models/demo/";
  private static final String RESOLVE = "/org/demo/resolve/" + COMMIT + "/";
  private static final int PIECE_BYTES = 64 << 10;
  private static final Pattern RANGE = Pattern.compile("bytes=(\\d+)-(\\d+)");

  static final List<String> SHARDS =
      List.of("model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors");

  static final int LAYERS_OF_FIRST = 3;

  final AtomicLong bytesSent = new AtomicLong();
  volatile String gone = ""; // a file that is listed, and cannot be had
  volatile long pauseNanos; // before each 64 KiB of a file

  /** Hears which file is asked for, and may hold its answer back. */
  volatile Consumer<String> onAsked = name -> {};

  final Set<String> asked = new ConcurrentSkipListSet<>(); // names of files
  volatile long lastSentNanos;
  private final Map<String, byte[]> files;
  private final HttpServer server;

  ModelCloud() {
    this(demo());
  }

  /** Another model in place of the demo model, by its files' names. */
  ModelCloud(Map<String, byte[]> files) {
    this.files = new TreeMap<>(files);
    try {
      server = HttpServer.create(new InetSocketAddress(InetAddress.getLoopbackAddress(), 0), 0);
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
    server.setExecutor(Executors.newVirtualThreadPerTaskExecutor());
    server.createContext("/", this::handle);
    server.start();
  }

  private static Map<String, byte[]> demo() {
    Map<String, byte[]> files = new TreeMap<>();
    for (String name :
        List.of(
            "config.json",
            "generation_config.json",
            "model.safetensors",
            "tokenizer.json",
            "tokenizer_config.json",
            "special_tokens_map.json")) {
      files.put(name, read(name));
    }
    return files;
  }

  /** Has the weights in two files from now on, the second with the later half of the layers. */
  void shard() {
    ByteBuffer file =
        ByteBuffer.wrap(Objects.requireNonNull(files.remove("model.safetensors")))
            .order(ByteOrder.LITTLE_ENDIAN);
    byte[] json = new byte[(int) file.getLong()];
    file.get(json);
    ObjectNode tensors = (ObjectNode) new Client.Answer(200, new String(json, UTF_8)).json();
    tensors.remove("__metadata__");
    ObjectNode index = Client.JSON.createObjectNode();
    ObjectNode places = index.putObject("weight_map");
    for (String shard : SHARDS) {
      ObjectNode header = Client.JSON.createObjectNode();
      ByteArrayOutputStream data = new ByteArrayOutputStream();
      tensors.properties().stream()
          .filter(tensor -> tensor.getKey().matches(".*layers\\.[3-9]\\..*") == isLast(shard))
          .forEach(
              tensor -> {
                int from = tensor.getValue().at("/data_offsets/0").asInt();
                int count = tensor.getValue().at("/data_offsets/1").asInt() - from;
                ObjectNode moved = tensor.getValue().deepCopy();
                moved.putArray("data_offsets").add(data.size()).add(data.size() + count);
                data.write(file.array(), file.position() + from, count);
                header.set(tensor.getKey(), moved);
                places.put(tensor.getKey(), shard);
              });
      byte[] head = header.toString().getBytes(UTF_8);
      files.put(
          shard,
          ByteBuffer.allocate(Long.BYTES + head.length + data.size())
              .order(ByteOrder.LITTLE_ENDIAN)
              .putLong(head.length)
              .put(head)
              .put(data.toByteArray())
              .array());
    }
    files.put("model.safetensors.index.json", index.toString().getBytes(UTF_8));
  }

  private static boolean isLast(String shard) {
    return shard.equals(SHARDS.getLast());
  }

  /** A file of the demo model. */
  static byte[] read(String name) {
    try (InputStream in = ModelCloud.class.getResourceAsStream("/demo-model/" + name)) {
      if (in == null) {
        throw new IOException("the demo model has no " + name);
      }
      return in.readAllBytes();
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }

  /** SHA-256 of all files. */
  Set<String> digests() {
    return files.values().stream().map(ModelCloud::sha256).collect(Collectors.toSet());
  }

  /** Size of all files. */
  int bytes() {
    return files.values().stream().mapToInt(content -> content.length).sum();
  }

  String endpoint() {
    return "http://127.0.0.1:" + server.getAddress().getPort();
  }

  @Override
  public void close() {
    server.stop(0);
  }

  private void handle(HttpExchange exchange) throws IOException {
    String path = URLDecoder.decode(exchange.getRequestURI().getRawPath(), StandardCharsets.UTF_8);
    if (path.equals(OBJECTS)) {
      send(exchange, 200, objects().toString().getBytes(StandardCharsets.UTF_8));
    } else if (path.equals("/api/models/org/demo/revision/v1")) {
      send(exchange, 200, repository().toString().getBytes(StandardCharsets.UTF_8));
    } else if (path.startsWith(OBJECTS + "/" + PREFIX)) {
      sendFile(exchange, path.substring((OBJECTS + "/" + PREFIX).length()));
    } else if (path.startsWith(RESOLVE)) {
      sendFile(exchange, path.substring(RESOLVE.length()));
    } else {
      exchange.getResponseHeaders().set("X-Error-Code", "RevisionNotFound");
      send(exchange, 404, new byte[0]);
    }
    exchange.close();
  }

  private ObjectNode objects() {
    ObjectNode answer = Client.JSON.createObjectNode();
    ArrayNode items = answer.putArray("items");
    files.forEach(
        (name, content) -> {
          CRC32C crc = new CRC32C();
          crc.update(content);
          byte[] bytes = ByteBuffer.allocate(4).putInt((int) crc.getValue()).array();
          items
              .addObject()
              .put("name", PREFIX + name)
              .put("size", Long.toString(content.length))
              .put("generation", "1")
              .put("crc32c", Base64.getEncoder().encodeToString(bytes));
        });
    return answer;
  }

  private ObjectNode repository() {
    ObjectNode answer = Client.JSON.createObjectNode().put("sha", COMMIT);
    ArrayNode siblings = answer.putArray("siblings");
    files.forEach(
        (name, content) ->
            siblings
                .addObject()
                .put("rfilename", name)
                .put("size", content.length)
                .putObject("lfs")
                .put("size", content.length)
                .put("sha256", sha256(content)));
    return answer;
  }

  static String sha256(byte[] content) {
    try {
      return HexFormat.of().formatHex(MessageDigest.getInstance("SHA-256").digest(content));
    } catch (NoSuchAlgorithmException impossible) {
      throw new IllegalStateException(impossible);
    }
  }

  private void sendFile(HttpExchange exchange, String name) throws IOException {
    byte[] content = files.getOrDefault(name, new byte[0]);
    asked.add(name);
    onAsked.accept(name);
    if (name.equals(gone)) {
      send(exchange, 404, new byte[0]);
      return;
    }
    Matcher range = RANGE.matcher(String.valueOf(exchange.getRequestHeaders().getFirst("Range")));
    if (!range.matches()) {
      send(exchange, 200, content);
      return;
    }
    int from = Integer.parseInt(range.group(1));
    int to = (int) Math.min(Long.parseLong(range.group(2)) + 1, content.length);
    exchange
        .getResponseHeaders()
        .set("Content-Range", "bytes %d-%d/%d".formatted(from, to - 1, content.length));
    exchange.sendResponseHeaders(206, to - from);
    OutputStream body = exchange.getResponseBody();
    for (int at = from; at < to; at += PIECE_BYTES) {
      if (pauseNanos > 0) {
        LockSupport.parkNanos(pauseNanos);
      }
      int count = Math.min(PIECE_BYTES, to - at);
      body.write(content, at, count);
      bytesSent.addAndGet(count);
    }
    lastSentNanos = System.nanoTime();
  }

  private static void send(HttpExchange exchange, int status, byte[] body) throws IOException {
    exchange.sendResponseHeaders(status, body.length == 0 ? -1 : body.length);
    if (body.length > 0) {
      exchange.getResponseBody().write(body);
    }
  }
}
