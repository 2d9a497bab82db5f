package io.verdier.verticles.client;

import java.io.IOException;

/** A server that answers requests, with the demo model. Thread-safe. */
interface ServerUnderTest extends AutoCloseable {

  /** Without a slash at the end: {@code http://127.0.0.1:8000}. */
  String baseUrl();

  @Override
  void close() throws IOException;

  /**
   * Returns when the server is ready. {@code -Dverdier.baseUrl=} names one that already runs;
   * otherwise the distribution named by {@code -Dverdier.home=} is started, on a free port.
   */
  static ServerUnderTest start() throws IOException {
    String running = System.getProperty("verdier.baseUrl");
    return running == null ? DistributionServer.start() : new RunningServer(running);
  }

  /** Somebody else's server, which stays. */
  record RunningServer(String baseUrl) implements ServerUnderTest {
    @Override
    public void close() {}
  }
}
