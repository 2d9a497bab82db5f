package io.verdier.verticles.page;

import static org.junit.jupiter.api.Assumptions.assumeTrue;

import io.vertx.core.Vertx;
import java.nio.file.Path;
import java.util.Optional;
import java.util.concurrent.TimeUnit;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.BeforeEach;

/**
 * A browser for the tests of a class and a fresh tab with the chat page for each of them.
 *
 * <p>By default the page is served by {@link FakeServer}, which can fail on command. {@code
 * -Dverdier.baseUrl=http://127.0.0.1:8000/} points the tests at a running server instead; those
 * that need a failure are then skipped. Without a Chromium on the PATH all are skipped, unless
 * {@code VERDIER_REQUIRE_BROWSER=1}.
 */
abstract class BrowserFixture {
  static final String BASE_URL = System.getProperty("verdier.baseUrl", "");
  static final String LAST = "#transcript > article:last-child";
  static final int ENTER = 13;
  static final int ESCAPE = 27;
  static final int SHIFT = 8;

  static Vertx vertx;
  static Browser browser;
  static FakeServer server;
  Page page;

  @BeforeAll
  static void launch() throws Exception {
    Optional<Path> chromium = Browser.find();
    boolean required = "1".equals(System.getenv("VERDIER_REQUIRE_BROWSER"));
    String missing = "no chromium, chromium-browser or google-chrome on the PATH";
    assumeTrue(required || chromium.isPresent(), missing + ": the chat page is not tested");
    vertx = Vertx.vertx();
    server = new FakeServer(vertx);
    browser = Browser.launch(vertx, chromium.orElseThrow(() -> new AssertionError(missing)));
  }

  @AfterAll
  static void shutDown() throws Exception {
    if (vertx == null) {
      return;
    }
    if (browser != null) {
      browser.close();
    }
    server.close();
    vertx.close().toCompletionStage().toCompletableFuture().get(20, TimeUnit.SECONDS);
  }

  @BeforeEach
  void open() throws Exception {
    server.loadFor(0);
    server.requireKey("");
    page = browser.open(1200, 800);
    page.media("prefers-color-scheme", "light");
    page.navigate(BASE_URL.isEmpty() ? server.url() : BASE_URL);
  }

  @AfterEach
  void leave() {
    page.close();
  }

  /** Types a question as a person does and presses Enter. */
  void ask(String question) {
    page.eval("document.querySelector('#question').focus()");
    page.type(question);
    page.press("Enter", ENTER, 0);
  }

  void awaitModels() {
    page.await("document.querySelector('#state').dataset.state === 'ready'");
  }

  void awaitState(String state) {
    page.await("document.querySelector('%s')?.dataset.state === '%s'".formatted(LAST, state));
  }

  int number(String expression) {
    return ((Number) page.eval(expression)).intValue();
  }

  static void needFake() {
    assumeTrue(BASE_URL.isEmpty(), "only the fake server fails on command");
  }
}
