package io.verdier.verticles.page;

import static java.util.concurrent.TimeUnit.SECONDS;
import static org.assertj.core.api.Assertions.assertThat;

import io.vertx.core.json.JsonArray;
import io.vertx.core.json.JsonObject;
import java.util.List;
import org.junit.jupiter.api.Test;

/** What the chat page does, in a real browser: asking, streaming, stopping, failing. */
final class ChatPageIT extends BrowserFixture {
  @Test
  void page_loaded_listsModelsAndAdapters() {
    awaitModels();

    assertThat(number("document.querySelectorAll('#model option').length")).isPositive();
    assertThat(page.text("#suggestions")).contains("What is paged attention?");
    assertThat(page.complaints()).isEmpty();
    String home = BASE_URL.isEmpty() ? server.url() : BASE_URL;
    assertThat(page.requested()).hasSizeGreaterThan(6).allMatch(it -> it.startsWith(home));
    if (BASE_URL.isEmpty()) {
      assertThat(page.eval("document.querySelector('#model optgroup:last-child').label"))
          .isEqualTo("Adapters");
      assertThat(page.eval("document.querySelector('#model').value")).isEqualTo("verdier-demo");
    }
  }

  @Test
  void question_entered_streamsTextAndShowsFigures() {
    awaitModels();
    page.eval(
        """
        window.lengths = new Set();
        new MutationObserver(() => {
          window.lengths.add(document.querySelector('.prose').textContent.length);
        }).observe(document.querySelector('#transcript'), { childList: true, subtree: true });
        """);

    ask("What is paged attention?");
    awaitState("done");

    assertThat(page.text(LAST + " .prose")).contains("cache");
    assertThat(
            page.eval("[...window.lengths].some(it => it > 0 && it < Math.max(...window.lengths))"))
        .as("part of the text was seen before the whole")
        .isEqualTo(true);
    assertThat(page.text(LAST + " .figures"))
        .containsPattern("[\\d.,]+ tokens/s · first token [\\d.]+ m?s · \\d+ tokens");
    assertThat(page.text("#context")).contains("context used");
    assertThat(page.eval("document.activeElement.id")).isEqualTo("question");
    assertThat(page.complaints()).isEmpty();
  }

  @Test
  void suggestion_clicked_asksIt() {
    awaitModels();

    page.click("#suggestions button");
    awaitState("done");

    assertThat(page.text(LAST + " .question p")).isEqualTo("What is paged attention?");
    assertThat(page.eval("document.querySelector('#welcome').hidden")).isEqualTo(true);
  }

  @Test
  void shiftEnter_pressed_breaksTheLine() {
    page.eval("document.querySelector('#question').focus()");
    page.type("one");
    page.press("Enter", ENTER, SHIFT);
    page.type("two");

    assertThat(page.eval("document.querySelector('#question').value")).isEqualTo("one\ntwo");
    assertThat(number("document.querySelectorAll('article').length")).isZero();
  }

  @Test
  void stop_clicked_endsTheStream() throws Exception {
    needFake();
    server.disconnects().drainPermits();
    ask("endless");
    page.await("document.querySelector('.prose')?.textContent.length > 20");

    page.click("#stop");
    awaitState("stopped");

    assertThat(page.text(LAST + " .figures")).contains("stopped");
    assertThat(page.text(LAST + " .prose")).contains("again");
    assertThat(page.eval("document.querySelector('#send').hidden")).isEqualTo(false);
    assertThat(server.disconnects().tryAcquire(10, SECONDS)).as("server saw it").isTrue();
  }

  @Test
  void escape_pressed_endsTheStream() {
    needFake();
    ask("endless");
    page.await("document.querySelector('.prose')?.textContent.length > 20");

    page.press("Escape", ESCAPE, 0);

    awaitState("stopped");
  }

  @Test
  void conversation_continued_sendsEarlierTurnsAndSettings() {
    needFake();
    awaitModels();
    page.eval(
        """
        document.querySelector('#system').value = 'Be brief.';
        document.querySelector('#temperature').value = '0.5';
        document.querySelector('#top-p').value = '0.9';
        document.querySelector('#max-tokens').value = '5';
        document.querySelector('#seed').value = '42';
        document.querySelector('#model').value = 'pirate';
        """);
    ask("first");
    awaitState("done");
    ask("second");
    awaitState("done");

    JsonObject request = server.lastRequest();
    assertThat(roles(request)).containsExactly("system", "user", "assistant", "user");
    JsonObject answer = request.getJsonArray("messages").getJsonObject(2);
    assertThat(answer.getString("content")).isEqualTo("You said: first");
    assertThat(request.getString("model")).isEqualTo("pirate");
    assertThat(request.getDouble("temperature")).isEqualTo(0.5);
    assertThat(request.getDouble("top_p")).isEqualTo(0.9);
    assertThat(request.getInteger("max_tokens")).isEqualTo(5);
    assertThat(request.getInteger("seed")).isEqualTo(42);
    assertThat(request.getJsonObject("stream_options").getBoolean("include_usage")).isTrue();
    assertThat(page.text(LAST + " .figures")).contains("cut at the token limit");
  }

  @Test
  void again_clicked_replacesTheAnswer() {
    needFake();
    ask("first");
    awaitState("done");
    int before = server.requests().size();

    page.click(LAST + " [aria-label=\"Ask again\"]");
    awaitState("done");

    assertThat(server.requests()).hasSize(before + 1);
    assertThat(roles(server.lastRequest())).containsExactly("user");
    assertThat(number("document.querySelectorAll('article').length")).isEqualTo(1);
  }

  @Test
  void newChat_clicked_forgetsTheConversation() {
    needFake();
    ask("first");
    awaitState("done");

    page.click("#clear");
    assertThat(page.eval("document.querySelector('#welcome').hidden")).isEqualTo(false);
    ask("second");
    awaitState("done");

    assertThat(roles(server.lastRequest())).containsExactly("user");
  }

  @Test
  void badSetting_entered_isNotSent() {
    needFake();
    int before = server.requests().size();
    page.eval("document.querySelector('#temperature').value = '7'");

    ask("first");

    assertThat(page.eval("document.activeElement.id")).isEqualTo("temperature");
    assertThat(server.requests()).hasSize(before);
    assertThat(page.eval("document.querySelector('#question').value")).isEqualTo("first");
  }

  @Test
  void server_loading_isWaitedFor() throws Exception {
    needFake();
    server.loadFor(4);
    page.navigate(server.url());
    page.await("!document.querySelector('#notice').hidden");
    assertThat(page.text("#notice")).contains("loading");
    awaitModels();

    server.loadFor(4);
    ask("patience");
    page.await("document.querySelector('.note')?.textContent.includes('loading')");
    awaitState("done");

    assertThat(page.text(LAST + " .prose")).isEqualTo("You said: patience");
    assertThat(page.eval("document.querySelector('.note').hidden")).isEqualTo(true);
  }

  @Test
  void server_busy_saysWhenToTryAgain() {
    needFake();
    ask("busy");
    awaitState("failed");

    assertThat(page.text(LAST + " .note")).isEqualTo("The server is busy. Try again in 7 s.");
  }

  @Test
  void server_refuses_showsItsWordsAndLeavesTheTurnOutLater() {
    needFake();
    ask("refuse");
    awaitState("failed");
    assertThat(page.text(LAST + " .note"))
        .isEqualTo("prompt has 9120 tokens; this model accepts 8192.");

    ask("next");
    awaitState("done");
    assertThat(roles(server.lastRequest())).containsExactly("user");
  }

  @Test
  void server_asksForKey_keyIsSentAndKept() throws Exception {
    needFake();
    server.requireKey("sesame");
    page.navigate(server.url());
    page.await("document.activeElement.id === 'key'");

    page.type("sesame");
    page.eval("document.querySelector('#key').dispatchEvent(new Event('change'))");
    awaitModels();
    page.navigate(server.url());
    awaitModels();
    ask("open");
    awaitState("done");

    assertThat(page.eval("sessionStorage.length + localStorage.length")).isEqualTo(1);
    assertThat(page.eval("document.cookie")).isEqualTo("");
  }

  @Test
  void stream_broken_keepsTheTextAndSaysSo() {
    needFake();
    ask("break");
    awaitState("failed");
    assertThat(page.text(LAST + " .prose")).isEqualTo("Half an ans");
    assertThat(page.text(LAST + " .note")).contains("before the answer was complete");

    ask("error event");
    awaitState("failed");
    assertThat(page.text(LAST + " .prose")).isEqualTo("Partly");
    assertThat(page.text(LAST + " .note")).isEqualTo("The answer failed: the step failed");
  }

  @Test
  void stream_inSmallPiecesWithCrLf_isReadWhole() {
    needFake();
    ask("pieces");
    awaitState("done");

    assertThat(page.text(LAST + " .prose")).isEqualTo("Grünfink 🐦");
  }

  private static List<String> roles(JsonObject request) {
    JsonArray messages = request.getJsonArray("messages");
    return messages.stream().map(it -> ((JsonObject) it).getString("role")).toList();
  }
}
