package io.verdier.verticles.page;

import io.vertx.core.json.JsonArray;
import io.vertx.core.json.JsonObject;
import java.util.Base64;
import java.util.List;
import java.util.Queue;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.ConcurrentLinkedQueue;
import java.util.concurrent.ConcurrentMap;
import java.util.concurrent.TimeUnit;

/** One tab. Thread-safe: driven by the test thread, told of events by an event loop. */
final class Page {
  /** Visible texts whose contrast with their background is below WCAG AA's 4.5. */
  private static final String FAINT_TEXTS =
      """
      (() => {
        const rgb = (css) => css.match(/[\\d.]+/g).map(Number);
        const light = ([r, g, b]) => {
          const [x, y, z] = [r, g, b].map((it) => it / 255)
            .map((it) => it <= 0.03928 ? it / 12.92 : ((it + 0.055) / 1.055) ** 2.4);
          return 0.2126 * x + 0.7152 * y + 0.0722 * z;
        };
        const ground = (it) => {
          for (; it; it = it.parentElement) {
            const colour = rgb(getComputedStyle(it).backgroundColor);
            if (colour.length === 3 || colour[3] > 0) return colour;
          }
          return [255, 255, 255];
        };
        return [...document.querySelectorAll('body *')]
          .filter((it) => it.checkVisibility() && !it.disabled)
          .filter((it) => [...it.childNodes].some((n) => n.nodeType === 3 && n.data.trim()))
          .filter((it) => {
            const [a, b] = [light(rgb(getComputedStyle(it).color)), light(ground(it))];
            return (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05) < 4.5;
          })
          .map((it) => `${it.tagName}.${it.className}: ${it.textContent}`).join('; ');
      })()""";

  private static final long WAIT_MILLIS = 15_000;

  private final Browser browser;
  private final String session;
  private final String target;
  private final Queue<String> complaints = new ConcurrentLinkedQueue<>();
  private final Queue<String> requested = new ConcurrentLinkedQueue<>();
  private final ConcurrentMap<String, CompletableFuture<Void>> awaited = new ConcurrentHashMap<>();

  Page(Browser browser, String session, String target) {
    this.browser = browser;
    this.session = session;
    this.target = target;
  }

  void enable() {
    for (String domain : List.of("Page", "Runtime", "Log", "Network")) {
      call(domain + ".enable", new JsonObject());
    }
  }

  void resize(int width, int height) {
    JsonObject metrics = new JsonObject().put("width", width).put("height", height);
    metrics.put("deviceScaleFactor", 1).put("mobile", width < 600);
    call("Emulation.setDeviceMetricsOverride", metrics);
  }

  /** Sets a media feature such as {@code prefers-color-scheme}. */
  void media(String name, String value) {
    JsonObject feature = new JsonObject().put("name", name).put("value", value);
    JsonObject features = new JsonObject().put("features", new JsonArray().add(feature));
    call("Emulation.setEmulatedMedia", features);
  }

  void navigate(String url) throws Exception {
    CompletableFuture<Void> loaded = new CompletableFuture<>();
    awaited.put("Page.loadEventFired", loaded);
    call("Page.navigate", new JsonObject().put("url", url));
    loaded.get(WAIT_MILLIS, TimeUnit.MILLISECONDS);
  }

  /** The value of a JavaScript expression; promises are awaited. Null for null and undefined. */
  Object eval(String expression) {
    JsonObject parameters = new JsonObject().put("expression", expression);
    parameters.put("awaitPromise", true).put("returnByValue", true);
    JsonObject answer = call("Runtime.evaluate", parameters);
    JsonObject failure = answer.getJsonObject("exceptionDetails");
    if (failure != null) {
      throw new IllegalStateException(expression + " threw " + failure.encodePrettily());
    }
    return answer.getJsonObject("result").getValue("value");
  }

  String text(String selector) {
    return String.valueOf(eval("document.querySelector('%s').textContent".formatted(selector)));
  }

  /** Waits inside the page until the condition holds; fails with the page's text. */
  void await(String condition) {
    Object held =
        eval(
            """
            new Promise((resolve) => {
              const end = performance.now() + %d;
              const look = () => {
                if (%s) resolve(true);
                else if (performance.now() > end) resolve(false);
                else setTimeout(look, 10);
              };
              look();
            })"""
                .formatted(WAIT_MILLIS, condition));
    if (!Boolean.TRUE.equals(held)) {
      throw new AssertionError(condition + " never held; page: " + eval("document.body.innerText"));
    }
  }

  /** Visible texts that are hard to read on their ground; empty where there are none. */
  String faintTexts() {
    return String.valueOf(eval(FAINT_TEXTS));
  }

  void click(String selector) {
    eval("document.querySelector('%s').click()".formatted(selector));
  }

  /** Puts text where the focus is, as an input method does. */
  void type(String text) {
    call("Input.insertText", new JsonObject().put("text", text));
  }

  /**
   * Presses and releases a key.
   *
   * @param modifiers 8 for Shift, 0 for none
   */
  void press(String key, int code, int modifiers) {
    JsonObject event = new JsonObject().put("key", key).put("code", key);
    event.put("windowsVirtualKeyCode", code).put("modifiers", modifiers);
    if (key.equals("Enter")) {
      event.put("text", "\r");
    }
    call("Input.dispatchKeyEvent", event.copy().put("type", "keyDown"));
    event.remove("text");
    call("Input.dispatchKeyEvent", event.put("type", "keyUp"));
  }

  /** A picture of the viewport, PNG. */
  byte[] screenshot() {
    JsonObject shot = call("Page.captureScreenshot", new JsonObject().put("format", "png"));
    return Base64.getDecoder().decode(shot.getString("data"));
  }

  /** Console errors, warnings, exceptions, policy violations and failed loads so far. */
  List<String> complaints() {
    return List.copyOf(complaints);
  }

  /** Every address that the tab asked for so far. */
  List<String> requested() {
    return List.copyOf(requested);
  }

  void onEvent(JsonObject message) {
    String method = message.getString("method");
    JsonObject parameters = message.getJsonObject("params", new JsonObject());
    CompletableFuture<Void> waiting = awaited.remove(method);
    if (waiting != null) {
      waiting.complete(null);
    }
    if (method.equals("Network.requestWillBeSent")) {
      requested.add(parameters.getJsonObject("request").getString("url"));
    }
    boolean complaint =
        switch (method) {
          case "Runtime.exceptionThrown", "Log.entryAdded" -> true;
          case "Runtime.consoleAPICalled" ->
              List.of("error", "warning", "assert").contains(parameters.getString("type"));
          default -> false;
        };
    if (complaint) {
      complaints.add(parameters.encode());
    }
  }

  void close() {
    browser.call("", "Target.closeTarget", new JsonObject().put("targetId", target));
  }

  private JsonObject call(String method, JsonObject parameters) {
    return browser.call(session, method, parameters);
  }
}
