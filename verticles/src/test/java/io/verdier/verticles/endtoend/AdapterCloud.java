package io.verdier.verticles.endtoend;

import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import com.sun.net.httpserver.HttpExchange;
import com.sun.net.httpserver.HttpServer;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.net.URLDecoder;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.Base64;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.concurrent.ConcurrentSkipListMap;
import java.util.concurrent.Executors;
import java.util.concurrent.atomic.AtomicLong;
import java.util.function.Function;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import java.util.zip.CRC32C;
import java.util.zip.ZipEntry;
import java.util.zip.ZipOutputStream;

/**
 * A bucket of adapters behind Cloud Storage's API, on a port of the loopback interface; the same
 * files as archives at {@code /zip/DIR.zip}. Thread-safe.
 */
final class AdapterCloud implements AutoCloseable {
  static final String BUCKET = "gs://bucket/";
  private static final Path DEMO = Path.of("../engine/src/main/resources/demo-model/lora");
  private static final String OBJECTS = "/storage/v1/b/bucket/o";
  private static final Pattern RANGE = Pattern.compile("bytes=(\\d+)-(\\d+)");
  private static final Pattern PREFIX = Pattern.compile("(?:^|&)prefix=([^&]*)");

  final AtomicLong asked = new AtomicLong();

  /**
   * What goes wrong, by the path that is asked for: a directory's name for its listing, else the
   * one that is in the address.
   */
  volatile Function<String, Fault> faults = path -> Fault.NONE;

  /**
   * What goes wrong with an answer. Immutable.
   *
   * @param status in place of the right one; 0: none
   * @param cut of this part of the answer nothing comes, and the connection ends
   */
  record Fault(int status, Cut cut) {
    static final Fault NONE = new Fault(0, Cut.NOTHING);
    static final Fault HALF = new Fault(0, Cut.HALF);
    static final Fault RESET = new Fault(0, Cut.ALL);

    enum Cut {
      NOTHING,
      HALF,
      ALL
    }

    static Fault status(int status) {
      return new Fault(status, Cut.NOTHING);
    }
  }

  volatile long generation = 1;
  private final Map<String, byte[]> files = new ConcurrentSkipListMap<>(); // DIR/NAME
  private final HttpServer server;

  AdapterCloud() {
    try {
      server = HttpServer.create(new InetSocketAddress(InetAddress.getLoopbackAddress(), 0), 0);
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
    server.setExecutor(Executors.newVirtualThreadPerTaskExecutor());
    server.createContext("/", this::handle);
    server.start();
  }

  String authority() {
    return "127.0.0.1:" + server.getAddress().getPort();
  }

  /** How a server is told of it. */
  List<String> flags(Path directory) {
    return List.of(
        "--storage-emulator-host=http://" + authority(),
        "--allowed-outbound-hosts=" + authority(),
        "--cache-dir=" + directory,
        "--download-dir=" + directory.resolve("downloads"));
  }

  /** Puts one of the demo model's adapters into a directory. */
  void addDemo(String directory, String name) {
    try {
      for (String file : List.of("adapter_config.json", "adapter_model.safetensors")) {
        files.put(directory + "/" + file, Files.readAllBytes(DEMO.resolve(name).resolve(file)));
      }
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }

  void add(String directory, String file, byte[] content) {
    files.put(directory + "/" + file, content);
  }

  /** An adapter of the demo model that says something of its own. */
  void addGenerated(String directory, long seed) {
    config("{\"peft_type\":\"LORA\",\"r\":2,\"lora_alpha\":8,\"target_modules\":\"all-linear\"}")
        .forEach((name, content) -> add(directory, name, content));
    add(directory, "adapter_model.safetensors", weights(seed));
  }

  static Map<String, byte[]> config(String json) {
    return Map.of("adapter_config.json", json.getBytes(StandardCharsets.UTF_8));
  }

  /** Rank 2 beside the queries and the output of two layers. */
  static byte[] weights(long seed) {
    Random random = new Random(seed);
    Tensors tensors = new Tensors();
    for (int layer : new int[] {1, 4}) {
      for (String module : List.of("q_proj", "o_proj")) {
        String path = "base_model.model.model.layers.%d.self_attn.%s".formatted(layer, module);
        tensors.add(path + ".lora_A.weight", numbers(random, 2 * 256), 2, 256);
        tensors.add(path + ".lora_B.weight", numbers(random, 256 * 2), 256, 2);
      }
    }
    return tensors.file();
  }

  private static float[] numbers(Random random, int count) {
    float[] numbers = new float[count];
    for (int i = 0; i < count; i++) {
      numbers[i] = (float) random.nextGaussian() * 0.2f;
    }
    return numbers;
  }

  /** A safetensors file in the making. Owned by the test. */
  static final class Tensors {
    private final StringBuilder header = new StringBuilder("{");
    private final ByteArrayOutputStream data = new ByteArrayOutputStream();

    /** Adds a matrix in float32. */
    void add(String name, float[] numbers, int rows, int columns) {
      int begin = data.size();
      ByteBuffer bytes = ByteBuffer.allocate(rows * columns * 4).order(ByteOrder.LITTLE_ENDIAN);
      bytes.asFloatBuffer().put(numbers);
      data.writeBytes(bytes.array());
      header.append(
          "\"%s\":{\"dtype\":\"F32\",\"shape\":[%d,%d],\"data_offsets\":[%d,%d]},"
              .formatted(name, rows, columns, begin, data.size()));
    }

    byte[] file() {
      header.setCharAt(header.length() - 1, '}');
      byte[] json = header.toString().getBytes(StandardCharsets.UTF_8);
      return ByteBuffer.allocate(8 + json.length + data.size())
          .order(ByteOrder.LITTLE_ENDIAN)
          .putLong(json.length)
          .put(json)
          .put(data.toByteArray())
          .array();
    }
  }

  /** The same files on the disk. */
  void copyTo(Path directory) throws IOException {
    for (Map.Entry<String, byte[]> file : files.entrySet()) {
      Path path = directory.resolve(file.getKey());
      Files.createDirectories(path.resolveSibling(""));
      Files.write(path, file.getValue());
    }
  }

  @Override
  public void close() {
    server.stop(0);
  }

  private void handle(HttpExchange exchange) throws IOException {
    asked.incrementAndGet();
    String path = URLDecoder.decode(exchange.getRequestURI().getRawPath(), StandardCharsets.UTF_8);
    String query = String.valueOf(exchange.getRequestURI().getRawQuery());
    Matcher prefix = PREFIX.matcher(query);
    Fault fault = faults.apply(path.equals(OBJECTS) && prefix.find() ? prefix.group(1) : path);
    if (fault.cut == Fault.Cut.ALL) {
      throw new IOException("reset"); // the server ends the connection
    } else if (fault.status != 0) {
      send(exchange, fault.status, new byte[0]);
    } else if (path.equals(OBJECTS)) {
      Matcher asked = PREFIX.matcher(query);
      String start = asked.find() ? asked.group(1) : "";
      send(exchange, 200, list(URLDecoder.decode(start, StandardCharsets.UTF_8)));
    } else if (path.startsWith(OBJECTS + "/")) {
      sendFile(exchange, files.get(path.substring(OBJECTS.length() + 1)), fault);
    } else if (path.startsWith("/zip/")) {
      sendFile(exchange, zip(path.substring("/zip/".length(), path.lastIndexOf('.'))), fault);
    } else {
      send(exchange, 404, new byte[0]);
    }
    exchange.close();
  }

  private byte[] list(String prefix) {
    ObjectNode answer = Client.JSON.createObjectNode();
    ArrayNode items = answer.putArray("items");
    files.forEach(
        (name, content) -> {
          if (name.startsWith(prefix)) {
            CRC32C crc = new CRC32C();
            crc.update(content);
            byte[] bytes = ByteBuffer.allocate(4).putInt((int) crc.getValue()).array();
            items
                .addObject()
                .put("name", name)
                .put("size", Long.toString(content.length))
                .put("generation", Long.toString(generation))
                .put("crc32c", Base64.getEncoder().encodeToString(bytes));
          }
        });
    return answer.toString().getBytes(StandardCharsets.UTF_8);
  }

  private byte[] zip(String directory) throws IOException {
    ByteArrayOutputStream bytes = new ByteArrayOutputStream();
    try (ZipOutputStream zip = new ZipOutputStream(bytes)) {
      for (Map.Entry<String, byte[]> file : files.entrySet()) {
        if (file.getKey().startsWith(directory + "/")) {
          ZipEntry entry = new ZipEntry(file.getKey().substring(directory.length() + 1));
          entry.setTime(0);
          zip.putNextEntry(entry);
          zip.write(file.getValue());
        }
      }
    }
    return bytes.toByteArray();
  }

  private static void sendFile(
      HttpExchange exchange, byte @org.jspecify.annotations.Nullable [] content, Fault fault)
      throws IOException {
    Matcher asked = RANGE.matcher(String.valueOf(exchange.getRequestHeaders().getFirst("Range")));
    if (content == null) {
      send(exchange, 404, new byte[0]);
    } else if (!asked.matches()) {
      send(exchange, 200, content);
    } else {
      int from = Integer.parseInt(asked.group(1));
      int to = (int) Math.min(Long.parseLong(asked.group(2)) + 1, content.length);
      exchange
          .getResponseHeaders()
          .set("Content-Range", "bytes %d-%d/%d".formatted(from, to - 1, content.length));
      byte[] range = Arrays.copyOfRange(content, from, to);
      if (fault.cut == Fault.Cut.HALF) {
        exchange.sendResponseHeaders(206, range.length);
        exchange.getResponseBody().write(range, 0, range.length / 2);
        exchange.getResponseBody().flush();
        throw new IOException("cut"); // likewise
      }
      send(exchange, 206, range);
    }
  }

  private static void send(HttpExchange exchange, int status, byte[] body) throws IOException {
    exchange.sendResponseHeaders(status, body.length == 0 ? -1 : body.length);
    if (body.length > 0) {
      exchange.getResponseBody().write(body);
    }
  }
}
