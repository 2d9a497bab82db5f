package io.verdier.verticles.launch;

import io.verdier.conf.ConfigLoader;
import io.verdier.conf.LoadResult;
import io.verdier.conf.ServerConfig;
import java.io.IOException;
import java.io.InputStream;
import java.io.OutputStream;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.net.Socket;
import java.net.UnknownHostException;
import java.nio.charset.StandardCharsets;
import java.util.List;
import java.util.Map;

/**
 * Asks {@code /health} of the server on this host: the container's health check, without curl. A
 * plain socket, because loading an HTTP client would take longer than the answer.
 */
final class HealthCommand {
  private static final int TIMEOUT_MILLIS = 5000;

  private HealthCommand() {}

  static int run(List<String> argv, Map<String, String> environment) {
    return switch (ConfigLoader.load(argv, environment)) {
      case LoadResult.Invalid invalid -> Command.misused("health", invalid);
      case LoadResult.HelpAsked help -> Command.print(help.text());
      case LoadResult.Loaded loaded -> ask(loaded.config().http());
    };
  }

  private static int ask(ServerConfig.Http http) {
    try (Socket socket = new Socket()) {
      socket.connect(new InetSocketAddress(address(http.host()), http.port()), TIMEOUT_MILLIS);
      socket.setSoTimeout(TIMEOUT_MILLIS);
      OutputStream out = socket.getOutputStream();
      String request =
          "GET "
              + http.rootPath()
              + "/health HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
      out.write(request.getBytes(StandardCharsets.US_ASCII));
      InputStream in = socket.getInputStream();
      String statusLine = new String(in.readNBytes(12), StandardCharsets.US_ASCII);
      boolean healthy = statusLine.endsWith(" 200");
      System.out.println(healthy ? "healthy" : "not ready: " + statusLine);
      return healthy ? 0 : Command.FAILED;
    } catch (IOException unreachable) {
      System.out.println("unreachable on port " + http.port() + ": " + unreachable.getMessage());
      return Command.FAILED;
    }
  }

  /** A server that listens everywhere is asked on the loopback interface. */
  private static InetAddress address(String host) throws UnknownHostException {
    InetAddress address = InetAddress.getByName(host);
    return address.isAnyLocalAddress() ? InetAddress.getLoopbackAddress() : address;
  }
}
