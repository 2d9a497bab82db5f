package io.verdier.conf;

import java.net.URI;
import java.util.Map;
import java.util.Optional;

/**
 * Where traces of requests are sent, and what is in them. Immutable; a part of {@link
 * ServerConfig}.
 *
 * @param endpoint of a collector; empty: none are made
 * @param headers of each call to it; secret
 * @param serviceName by which traces show this server
 * @param detailed whether the phases of each sequence are spans of their own
 */
public record TracingConfig(
    Optional<URI> endpoint,
    Protocol protocol,
    Map<String, String> headers,
    String serviceName,
    boolean detailed) {

  /** How OTLP is spoken; the messages are the same. */
  public enum Protocol {
    GRPC,
    HTTP
  }

  public TracingConfig {
    headers = Map.copyOf(headers);
  }

  /** Without the headers. */
  @Override
  public String toString() {
    return "Tracing[" + endpoint.map(URI::getHost).orElse("off") + ", " + protocol + "]";
  }
}
