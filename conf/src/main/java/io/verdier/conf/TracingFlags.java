package io.verdier.conf;

import io.verdier.conf.TracingConfig.Protocol;
import java.net.URI;
import java.net.URISyntaxException;
import java.net.URLDecoder;
import java.nio.charset.StandardCharsets;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;

/** Reads where traces go and what is in them. Owned by the thread that loads. */
final class TracingFlags {
  private static final String ENDPOINT = "--otlp-traces-endpoint";
  private static final String PROTOCOL = "--otlp-traces-protocol";
  private static final String HEADERS = "--otlp-traces-headers";
  private static final String DETAILS = "--collect-detailed-traces";

  /** What vLLM can look into; here each asks for the same, the phases of sequences. */
  private static final List<String> PARTS = List.of("model", "worker", "all");

  /** Where a collector takes traces over HTTP. */
  private static final String HTTP_PATH = "/v1/traces";

  private final Settings settings;
  private final Findings findings;

  TracingFlags(Settings settings, Findings findings) {
    this.settings = settings;
    this.findings = findings;
  }

  /** Without an endpoint nothing is refused: OpenTelemetry's variables may be meant for others. */
  TracingConfig read() {
    Optional<String> address = settings.optionalText(ENDPOINT);
    Findings concerned = address.isPresent() ? findings : new Findings();
    boolean detailed = isDetailed();
    if (detailed && address.isEmpty()) {
      findings.notice(DETAILS + " has no effect without " + ENDPOINT);
    }
    Protocol protocol = protocol(concerned);
    return new TracingConfig(
        address.flatMap(text -> endpoint(text, protocol)),
        protocol,
        headers(concerned),
        settings.text("--otel-service-name"),
        detailed);
  }

  private Protocol protocol(Findings concerned) {
    String protocol = settings.text(PROTOCOL);
    if (!protocol.equals("grpc") && !protocol.equals("http/protobuf")) {
      concerned.problem(
          settings.origin(PROTOCOL),
          PROTOCOL + ": '" + Shown.text(protocol) + "' must be grpc or http/protobuf");
    }
    return protocol.equals("grpc") ? Protocol.GRPC : Protocol.HTTP;
  }

  private boolean isDetailed() {
    List<String> asked =
        settings.list(DETAILS).stream().flatMap(text -> List.of(text.split(",")).stream()).toList();
    for (String part : asked) {
      if (!PARTS.contains(part.strip())) {
        findings.problem(
            settings.origin(DETAILS),
            DETAILS + ": '" + Shown.text(part) + "' must be one of model, worker, all");
      }
    }
    return !asked.isEmpty();
  }

  /** vLLM's documentation writes {@code grpc://}; collectors' often write no scheme at all. */
  private Optional<URI> endpoint(String text, Protocol protocol) {
    String address =
        text.contains("://")
            ? text.replaceFirst("^grpc://", "http://").replaceFirst("^grpcs://", "https://")
            : "http://" + text;
    try {
      URI uri = new URI(address);
      boolean web = List.of("http", "https").contains(String.valueOf(uri.getScheme()));
      if (web && uri.getHost() != null && uri.getRawUserInfo() == null) {
        boolean bare = uri.getPath().isEmpty() || uri.getPath().equals("/");
        return Optional.of(protocol == Protocol.HTTP && bare ? uri.resolve(HTTP_PATH) : uri);
      }
    } catch (URISyntaxException malformed) {
      // Said below.
    }
    findings.problem(
        settings.origin(ENDPOINT),
        ENDPOINT + ": not an address, as http://collector:4317 or grpc://collector:4317");
    return Optional.empty();
  }

  /** {@code name=value} pairs, percent-encoded as OpenTelemetry's variable has them. */
  private Map<String, String> headers(Findings concerned) {
    Map<String, String> headers = new LinkedHashMap<>();
    for (String text : settings.list(HEADERS)) {
      for (String pair : text.split(",")) {
        int equals = pair.indexOf('=');
        if (equals > 0) {
          headers.put(
              pair.substring(0, equals).strip(), decoded(pair.substring(equals + 1), concerned));
        } else {
          concerned.problem(settings.origin(HEADERS), HEADERS + ": must be name=value pairs");
        }
      }
    }
    return headers;
  }

  private String decoded(String value, Findings concerned) {
    try {
      // A plus means itself there, unlike in forms.
      return URLDecoder.decode(value.strip().replace("+", "%2B"), StandardCharsets.UTF_8);
    } catch (IllegalArgumentException malformed) {
      concerned.problem(settings.origin(HEADERS), HEADERS + ": a value is not percent-encoded");
      return "";
    }
  }
}
