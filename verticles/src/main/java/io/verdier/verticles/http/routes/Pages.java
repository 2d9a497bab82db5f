package io.verdier.verticles.http.routes;

import io.verdier.engine.ErrorCode;
import io.verdier.engine.RejectedException;
import io.verdier.verticles.http.Exchange;
import io.vertx.core.buffer.Buffer;
import io.vertx.core.http.HttpServerResponse;
import io.vertx.ext.web.handler.StaticHandler;
import java.util.Map;
import java.util.regex.Pattern;
import org.jspecify.annotations.Nullable;

/**
 * {@code GET /} and the files beside it: the chat page, from the class path. Owned by one event
 * loop.
 *
 * <p>Only plain names are looked up at all: no dots beside the ending's, no escapes, so nothing
 * outside {@code webroot} can be named, whatever the library makes of a path.
 */
final class Pages {
  private static final Pattern PATH =
      Pattern.compile(
          "/|(?:/[A-Za-z0-9_-]{1,64}){0,4}/[A-Za-z0-9_-]{1,64}(?:\\.[a-z0-9-]{1,16}){1,2}");

  /** Nothing but the server's own files, and nobody may frame them. */
  private static final String CONTENT_POLICY =
      "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self';"
          + " connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

  /**
   * Not plain {@code webroot}: Vert.x looks in the working directory before the class path, where a
   * folder of that name may well be somebody's own.
   */
  private static final String WEBROOT = "io/verdier/verticles/webroot";

  private final StaticHandler files =
      StaticHandler.create(WEBROOT)
          .setDirectoryListing(false)
          .setIncludeHidden(false)
          .setEnableRangeSupport(false)
          .setSendVaryHeader(false)
          .setAlwaysAsyncFS(true)
          .setDefaultContentEncoding("utf-8");

  void run(Exchange exchange, Map<String, @Nullable Object> body) {
    if (!PATH.matcher(exchange.request().path()).matches()) {
      throw new RejectedException(ErrorCode.NOT_FOUND, "There is no such route.");
    }
    HttpServerResponse response = exchange.request().response();
    response.putHeader("X-Content-Type-Options", "nosniff");
    response.putHeader("Content-Security-Policy", CONTENT_POLICY);
    response.putHeader("Referrer-Policy", "no-referrer");
    // Kept, but asked for each time: a new server version shows at once. The date alone would not
    // do: it is of the file's unpacking, which may be later on a replica of the older version.
    response.putHeader("Cache-Control", "no-cache");
    response.putHeader("ETag", '"' + exchange.ingress().version() + '"');
    exchange.leaveTo(files);
  }

  /** The page names its files relative to itself: it must be at a path that ends in a slash. */
  static void redirect(Exchange exchange, Map<String, @Nullable Object> body) {
    redirectTo(exchange, "/");
  }

  /**
   * @param path below the root path
   */
  static void redirectTo(Exchange exchange, String path) {
    String target = exchange.ingress().config().http().rootPath() + path;
    exchange.request().response().putHeader("Location", target);
    exchange.reply(307, "", Buffer.buffer());
  }
}
