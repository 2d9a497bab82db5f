package io.verdier.verticles.page;

import static org.assertj.core.api.Assertions.assertThat;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import io.verdier.verticles.house.Checkout;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import org.junit.jupiter.api.Test;

/**
 * How the chat page looks, in a real browser: answers, phones, contrast, names. {@code
 * -Dverdier.regenerate=true} writes the README's picture.
 */
final class ChatPageLooksIT extends BrowserFixture {
  @Test
  void answer_withMarkup_staysText() {
    needFake();
    ask("<img src=x onerror=\"window.pwned=0\">");
    awaitState("done");
    ask("markup");
    awaitState("done");

    assertThat(page.text(LAST + " .prose"))
        .isEqualTo(
            "<img src=x onerror=\"window.pwned=1\"> <b>bold</b> "
                + "<script>window.pwned=2</script> [link](javascript:window.pwned=3)");
    assertThat(number("document.querySelectorAll('#transcript :is(img, script, b, a)').length"))
        .isZero();
    assertThat(page.eval("typeof window.pwned")).isEqualTo("undefined");
    assertThat(page.complaints()).isEmpty();
  }

  @Test
  void answer_withMarkdown_isShown() {
    needFake();
    ask("Show Markdown.");
    awaitState("done");

    assertThat(page.text(LAST + " .prose h3")).isEqualTo("Heading");
    assertThat(page.text(LAST + " .prose > p"))
        .isEqualTo("A bold word and inline code, 7 * 8 * 9 stays.");
    assertThat(page.text(LAST + " .prose strong")).isEqualTo("bold");
    assertThat(page.text(LAST + " .prose ul ul li")).isEqualTo("nested");
    assertThat(page.text(LAST + " .prose pre")).startsWith("int answer = 42; // **not bold**");
    assertThat(number("document.querySelectorAll('.prose ol li').length")).isEqualTo(2);
    page.click(LAST + " .copy-code");
    page.await("document.querySelector('#announcer').textContent.startsWith('Cop')");
    assertThat(page.complaints()).isEmpty();
  }

  @Test
  void sse_cutAnywhere_givesTheSameEvents() {
    Object same =
        page.eval(
            """
            import(new URL('sse.js', document.baseURI)).then(({ SseParser }) => {
              const text = '\\uFEFF: note\\r\\ndata: a\\r\\ndata:b\\r\\n\\r\\nevent: x\\ndata\\n\\n'
                  + 'data: {"c": 1}\\r\\rid: 7\\n\\ndata: last\\n\\ndata: unfinished';
              const whole = JSON.stringify(new SseParser().feed(text));
              for (let cut = 0; cut <= text.length; cut++) {
                const parser = new SseParser();
                const parts = [...parser.feed(text.slice(0, cut)), ...parser.feed(text.slice(cut))];
                if (JSON.stringify(parts) !== whole) return `${cut}: ${JSON.stringify(parts)}`;
              }
              return whole;
            })""");

    assertThat(same).isEqualTo("[\"a\\nb\",\"\",\"{\\\"c\\\": 1}\",\"last\"]");
  }

  @Test
  void phone_360Pixels_hasNoSidewaysScrolling() {
    page.resize(360, 740);
    awaitModels();
    assertThat(sideways()).as("before the first question").isZero();

    ask(BASE_URL.isEmpty() ? "Show Markdown." : "What is paged attention?");
    awaitState("done");
    assertThat(sideways()).as("with an answer").isZero();

    page.click("#settings-open");
    assertThat(page.eval("document.activeElement.id")).isEqualTo("system");
    assertThat(sideways()).as("with the settings open").isZero();
    page.press("Escape", ESCAPE, 0);
    assertThat(page.eval("document.activeElement.id")).isEqualTo("settings-open");
  }

  @Test
  void conversation_long_scrollsInsideThePage() {
    needFake();
    for (int i = 0; i < 4; i++) {
      ask("Show Markdown.");
      awaitState("done");
    }

    assertThat(number("document.documentElement.scrollHeight - innerHeight")).isZero();
    page.await("document.querySelector('main').scrollTop > 500");
    assertThat(page.eval("document.querySelector('#jump').hidden")).isEqualTo(true);
  }

  @Test
  void controls_all_haveNames() {
    Object nameless =
        page.eval(
            """
            [...document.querySelectorAll('button, input, select, textarea')]
              .filter((it) => !it.ariaLabel && !it.textContent.trim() && !(it.labels?.length))
              .map((it) => it.id).join(' ')""");

    assertThat(nameless).isEqualTo("");
  }

  @Test
  void text_inBothSchemes_hasContrast() {
    needFake();
    ask("Show Markdown.");
    awaitState("done");
    ask("refuse");
    awaitState("failed");
    for (String scheme : List.of("light", "dark")) {
      page.media("prefers-color-scheme", scheme);
      assertThat(page.faintTexts()).as(scheme).isEmpty();
    }
  }

  @Test
  void picture_regenerated_showsAnAnswer() throws Exception {
    assumeTrue(Boolean.getBoolean("verdier.regenerate"), "-Dverdier.regenerate=true writes it");
    awaitModels();
    ask("What is paged attention?");
    awaitState("done");
    ask("What is continuous batching?");
    awaitState("done");

    Path picture = Checkout.root().resolve("docs/images/chat.png");
    Files.createDirectories(picture.resolveSibling(""));
    Files.write(picture, page.screenshot());
  }

  /** Pixels by which the page or a part that scrolls downwards is wider than it may be. */
  private int sideways() {
    return number(
        """
        Math.max(...['html', 'main', '#settings'].map((it) => document.querySelector(it))
          .map((it) => it.scrollWidth - it.clientWidth))""");
  }
}
