package io.verdier.cache.outbound;

import java.io.Closeable;
import java.io.EOFException;
import java.io.FilterInputStream;
import java.io.IOException;
import java.io.InputStream;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.net.URI;
import java.net.UnknownHostException;
import java.util.HashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.concurrent.TimeUnit;
import org.apache.hc.client5.http.DnsResolver;
import org.apache.hc.client5.http.classic.methods.HttpUriRequestBase;
import org.apache.hc.client5.http.config.ConnectionConfig;
import org.apache.hc.client5.http.config.RequestConfig;
import org.apache.hc.client5.http.impl.classic.CloseableHttpClient;
import org.apache.hc.client5.http.impl.classic.HttpClients;
import org.apache.hc.client5.http.impl.io.DefaultHttpResponseParserFactory;
import org.apache.hc.client5.http.impl.io.ManagedHttpClientConnectionFactory;
import org.apache.hc.client5.http.impl.io.PoolingHttpClientConnectionManagerBuilder;
import org.apache.hc.core5.http.ClassicHttpResponse;
import org.apache.hc.core5.http.ConnectionClosedException;
import org.apache.hc.core5.http.ContentType;
import org.apache.hc.core5.http.Header;
import org.apache.hc.core5.http.HttpEntity;
import org.apache.hc.core5.http.HttpException;
import org.apache.hc.core5.http.HttpHost;
import org.apache.hc.core5.http.MessageConstraintException;
import org.apache.hc.core5.http.config.Http1Config;
import org.apache.hc.core5.http.io.HttpMessageParser;
import org.apache.hc.core5.http.io.SessionInputBuffer;
import org.apache.hc.core5.http.io.entity.ByteArrayEntity;
import org.apache.hc.core5.io.CloseMode;
import org.apache.hc.core5.util.Timeout;
import org.jspecify.annotations.Nullable;

/**
 * HTTP/1.1 requests under an {@link OutboundPolicy}. Thread-safe; blocking.
 *
 * <p>Apache's client, because it connects to the addresses that its resolver returns: Java's own
 * resolves a name again after any check. Redirects are followed here, each checked like a first
 * request; from the second origin on only headers go along that name no one. There are no cookies,
 * no proxies, no retries, no decompression; passwords that a server asks for are not sent.
 */
public final class OutboundClient implements Closeable {
  private static final int REDIRECTS_MAX = 5;
  private static final int CONNECT_SECONDS = 10;
  private static final int CONNECTIONS_MAX = 64;

  /** The library bounds headers and their lines; it would read interim answers for ever. */
  private static final int INTERIM_ANSWERS_MAX = 16;

  private static final Set<Integer> REDIRECTS = Set.of(301, 302, 303, 307, 308);

  /** Headers that another origin may see. */
  private static final Set<String> HARMLESS = Set.of("range", "accept", "accept-encoding");

  private final OutboundPolicy policy;
  private final CloseableHttpClient http;

  /**
   * @param silenceSeconds without a byte after which a connection counts as broken
   */
  public OutboundClient(OutboundPolicy policy, int silenceSeconds) {
    this.policy = policy;
    Timeout silence = Timeout.of(silenceSeconds, TimeUnit.SECONDS);
    this.http =
        HttpClients.custom()
            .setConnectionManager(
                PoolingHttpClientConnectionManagerBuilder.create()
                    .setDnsResolver(new CheckedNames(policy))
                    .setConnectionFactory(connections())
                    .setMaxConnPerRoute(CONNECTIONS_MAX)
                    .setMaxConnTotal(CONNECTIONS_MAX)
                    .setDefaultConnectionConfig(
                        ConnectionConfig.custom()
                            .setConnectTimeout(CONNECT_SECONDS, TimeUnit.SECONDS)
                            .setSocketTimeout(silence)
                            .build())
                    .build())
            .setDefaultRequestConfig(
                RequestConfig.custom()
                    .setResponseTimeout(silence)
                    .setAuthenticationEnabled(false)
                    .setProtocolUpgradeEnabled(false)
                    .build())
            .setUserAgent("verdier")
            .disableRedirectHandling()
            .disableAutomaticRetries()
            .disableContentCompression()
            .disableCookieManagement()
            .disableAuthCaching()
            .build();
  }

  private static ManagedHttpClientConnectionFactory connections() {
    return ManagedHttpClientConnectionFactory.builder()
        .responseParserFactory(BoundedAnswers::new)
        .build();
  }

  /**
   * Reads one connection's answers. Owned by whoever has the connection. Some servers send "100
   * Continue" unasked; nobody needs a hundred of those.
   */
  private static final class BoundedAnswers implements HttpMessageParser<ClassicHttpResponse> {
    private final HttpMessageParser<ClassicHttpResponse> parser;
    private int interim;

    BoundedAnswers(Http1Config bounds) {
      this.parser = new DefaultHttpResponseParserFactory(bounds).create();
    }

    @Override
    public @Nullable ClassicHttpResponse parse(SessionInputBuffer buffer, InputStream in)
        throws IOException, HttpException {
      ClassicHttpResponse answer = parser.parse(buffer, in);
      interim = answer != null && answer.getCode() < 200 ? interim + 1 : 0;
      if (interim > INTERIM_ANSWERS_MAX) {
        throw new MessageConstraintException("too many interim answers");
      }
      return answer;
    }
  }

  /**
   * What is asked.
   *
   * @param body of a POST, a form unless a header says what it is; null: there is none
   */
  public record Ask(String method, URI uri, Map<String, String> headers, byte @Nullable [] body) {
    public Ask {
      headers = Map.copyOf(headers);
    }

    public static Ask get(URI uri, Map<String, String> headers) {
      return new Ask("GET", uri, headers, null);
    }
  }

  /** Says by a type of the JDK that a body ended early. */
  private static final class WholeBody extends FilterInputStream {
    private boolean ended;

    WholeBody(InputStream in) {
      super(in);
    }

    @Override
    public int read() throws IOException {
      byte[] one = new byte[1];
      return read(one, 0, 1) < 0 ? -1 : one[0] & 0xff;
    }

    @Override
    public int read(byte[] buffer, int offset, int length) throws IOException {
      try {
        int n = in.read(buffer, offset, length);
        ended = n < 0 && length > 0;
        return n;
      } catch (ConnectionClosedException early) {
        EOFException ended = new EOFException("the body ends early");
        ended.initCause(early);
        throw ended;
      }
    }
  }

  /** The end of a chain of redirects, or a redirect that was not to be followed. */
  public static final class Answer implements Closeable {
    private final URI uri;
    private final HttpUriRequestBase request;
    private final ClassicHttpResponse response;
    private final @Nullable WholeBody body;

    private Answer(HttpUriRequestBase request, ClassicHttpResponse response, URI uri)
        throws IOException {
      this.uri = uri;
      this.request = request;
      this.response = response;
      HttpEntity entity = response.getEntity();
      this.body = entity == null ? null : new WholeBody(entity.getContent());
    }

    /** Whom the answer comes from: the last address of the chain. */
    public URI uri() {
      return uri;
    }

    public int status() {
      return response.getCode();
    }

    public Optional<String> header(String name) {
      Header header = response.getFirstHeader(name);
      return header == null ? Optional.empty() : Optional.ofNullable(header.getValue());
    }

    /**
     * Bytes of the body as they come; nothing for an answer without one. A body that ends before
     * its announced end throws {@link EOFException}.
     */
    public InputStream body() {
      return body == null ? InputStream.nullInputStream() : body;
    }

    /** A body that is known to be small, cut at {@code bytesMax}. */
    public byte[] bytes(int bytesMax) throws IOException {
      return body().readNBytes(bytesMax); // its last read finds the end
    }

    /**
     * Gives the connection back if the body was read to its end, else cuts it: to read a rest that
     * nobody wants could take for ever.
     */
    @Override
    public void close() throws IOException {
      if (body != null && !body.ended) {
        request.cancel();
      }
      response.close();
    }
  }

  /**
   * Asks, following redirects.
   *
   * @throws OutboundException where the policy forbids the address, or that of a redirect, or where
   *     the answer has more headers than any has
   */
  public Answer send(Ask ask) throws IOException {
    Ask next = ask;
    for (int hops = 0; ; hops++) {
      Answer answer = sendOnce(next);
      Optional<URI> target = target(answer, next);
      if (target.isEmpty()) {
        return answer;
      }
      answer.close();
      if (hops == REDIRECTS_MAX) {
        throw new OutboundException("the server redirects more than " + REDIRECTS_MAX + " times");
      }
      next = redirected(next, target.get());
    }
  }

  /** Asks without following anything. */
  public Answer sendOnce(Ask ask) throws IOException {
    policy.check(ask.uri);
    HttpUriRequestBase request = new HttpUriRequestBase(ask.method, ask.uri);
    ask.headers.forEach(request::setHeader);
    if (ask.body != null) {
      request.setEntity(new ByteArrayEntity(ask.body, ContentType.APPLICATION_FORM_URLENCODED));
    }
    Authority authority = Authority.of(ask.uri);
    HttpHost host = new HttpHost(ask.uri.getScheme(), authority.host(), authority.port());
    try {
      return new Answer(request, http.executeOpen(host, request, null), ask.uri);
    } catch (ForbiddenHost forbidden) {
      throw forbidden.reason;
    } catch (MessageConstraintException endless) {
      throw new OutboundException("the server's answer begins with more than is read");
    }
  }

  private static Optional<URI> target(Answer answer, Ask ask) throws OutboundException {
    if (!REDIRECTS.contains(answer.status()) || ask.body != null) {
      return Optional.empty();
    }
    Optional<String> location = answer.header("Location");
    try {
      return location.map(it -> ask.uri.resolve(URI.create(it)));
    } catch (IllegalArgumentException malformed) {
      throw new OutboundException("the server redirects to something that is not an address");
    }
  }

  private static Ask redirected(Ask ask, URI target) {
    if (isSameOrigin(ask.uri, target)) {
      return new Ask(ask.method, target, ask.headers, null);
    }
    Map<String, String> harmless = new HashMap<>(ask.headers);
    harmless.keySet().removeIf(name -> !HARMLESS.contains(name.toLowerCase(Locale.ROOT)));
    return new Ask(ask.method, target, harmless, null);
  }

  /** Scheme, host and port: what browsers call an origin. */
  public static boolean isSameOrigin(URI one, URI other) {
    return other.getHost() != null
        && one.getScheme().equalsIgnoreCase(other.getScheme())
        && Authority.of(one).equals(Authority.of(other));
  }

  @Override
  public void close() {
    http.close(CloseMode.IMMEDIATE);
  }

  /** An {@link OutboundException} on its way through a method that may not throw it. */
  private static final class ForbiddenHost extends UnknownHostException {
    private final OutboundException reason;

    ForbiddenHost(OutboundException reason) {
      this.reason = reason;
    }
  }

  /** The only addresses that the client knows. */
  private record CheckedNames(OutboundPolicy policy) implements DnsResolver {
    @Override
    public List<InetSocketAddress> resolve(String host, int port) throws UnknownHostException {
      try {
        return policy.resolve(host, port);
      } catch (OutboundException forbidden) {
        throw new ForbiddenHost(forbidden);
      }
    }

    @Override
    public InetAddress[] resolve(String host) {
      throw new IllegalStateException("a host without a port cannot be checked");
    }

    @Override
    public String resolveCanonicalHostname(String host) {
      return host;
    }
  }
}
